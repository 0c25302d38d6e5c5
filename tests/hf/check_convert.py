#!/usr/bin/env python3
"""Compares what `gpt2 convert` writes for transformers with the model that it was given.

transformers reads both directories: every weight has the same bits, every word of the config that the
forward pass asks for is the same, and a tokenizer gives the same ids.  With --type q8 and q4 the weights are
those that ggml's package makes of the same blocks (check_ggml.py), so only that they load is asked here.
"""
import argparse
import dataclasses
import json
import shutil
import sys
from pathlib import Path

import models
from harness import Program, ProgramError, Record, Report, say

SPECS = [spec for spec in models.SMALL if spec.name in (
    "gelu-new", "gelu", "untied", "inverse-layer", "unscaled", "float16", "bfloat16", "no-prefix", "no-biases",
    "hf-init", "silu", "mish", "bigcode-16-heads", "bigcode-heads", "bigcode-heads-bfloat16",
    "bigcode-unscaled")] + [dataclasses.replace(
        models.SMALL[0], name="epsilon", config={**models.SMALL[0].config, "layer_norm_epsilon": 1.25e-6})]
ASKED = ("model_type", "vocab_size", "n_positions", "n_embd", "n_layer", "n_head", "activation_function",
         "layer_norm_epsilon", "scale_attn_weights", "scale_attn_by_inverse_layer_idx", "tie_word_embeddings")


def convert(program, record, directory, out, *options):
    shutil.rmtree(out, ignore_errors=True)
    program.unrecorded("convert", directory, "-o", out, "--format", "safetensors", *options)
    record.given(directory.name, *options)
    record.given_files(directory)
    for path in sorted(out.iterdir()):
        record.got(path.name, path.read_bytes())


def load(directory):
    from transformers import AutoModelForCausalLM
    return AutoModelForCausalLM.from_pretrained(directory).eval()


def check_weights(directory, out, what, report):
    import torch
    theirs, ours = load(directory), load(out)
    wanted, found = theirs.state_dict(), ours.state_dict()
    report.check(wanted.keys() == found.keys(), f"{what}: other names of weights")
    for name, tensor in wanted.items():
        report.check(torch.equal(tensor.float(), found[name].float()), f"{what}: {name} differs")
    for word in ASKED:
        a, b = getattr(theirs.config, word, None), getattr(ours.config, word, None)
        report.check(a == b, f"{what}: {word} is {b!r}, wanted {a!r}")
    inner = getattr(theirs.config, "n_inner", None) or 4 * theirs.config.n_embd
    report.check(ours.config.n_inner == inner, f"{what}: n_inner is {ours.config.n_inner}, wanted {inner}")


def check_tokenizer(directory, out, text, report):
    from transformers import AutoTokenizer
    theirs, ours = AutoTokenizer.from_pretrained(directory), AutoTokenizer.from_pretrained(out)
    lines = text.splitlines() + [text, "a<|endoftext|>b", " \n\n d\u00e9j\u00e0 123\u4e2d"]
    for line in lines:
        report.check(theirs(line)["input_ids"] == ours(line)["input_ids"], f"other ids of {line[:40]!r}")
    report.check(theirs.eos_token_id == ours.eos_token_id, "another end of text")
    say(f"tokenizer: {len(lines)} texts")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True, help="the gpt2 program")
    parser.add_argument("--work", required=True, type=Path, help="directory for models")
    parser.add_argument("--text", required=True, type=Path)
    parser.add_argument("--ours", action="store_true", help="our side alone, and its hashes")
    parser.add_argument("model", type=Path, help="a directory with a tokenizer")
    args = parser.parse_args()
    work = args.work / "convert"
    if not args.ours:
        from transformers.utils import logging
        logging.set_verbosity_error()
        logging.disable_progress_bar()
    record, report = Record(), Report()
    program = Program(args.program, record)
    try:
        for spec in SPECS:
            directory, out = work / spec.name, work / f"{spec.name}-out"
            shutil.rmtree(directory, ignore_errors=True)
            models.write(spec, directory)
            convert(program, record, directory, out)
            if not args.ours:
                check_weights(directory, out, spec.name, report)
        for weight_type in "f32", "q8", "q4":
            out = work / f"model-{weight_type}"
            convert(program, record, args.model, out, "--type", weight_type)
            if not args.ours:
                load(out)
        if not args.ours:
            given = work / "given"      # without what is no part of the model
            shutil.rmtree(given, ignore_errors=True)
            given.mkdir()
            for name in "config.json", "model.safetensors", "vocab.json", "merges.txt":
                shutil.copy(args.model / name, given)
            (given / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "GPT2Tokenizer"}))
            check_tokenizer(given, work / "model-f32", args.text.read_text(encoding="utf-8"), report)
    except (ProgramError, OSError) as error:
        report.check(False, str(error))
    record.say()
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
