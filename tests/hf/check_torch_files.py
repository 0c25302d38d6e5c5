#!/usr/bin/env python3
"""Compares how libgpt2 and transformers read what torch.save() and training programs write.

Both forms of pytorch_model.bin, also in shards; the checkpoints of nanoGPT and minGPT; the files of
llm.c.  Each has the weights of a model that transformers reads too, and must give the bits that the
library has from model.safetensors.  Then torch itself reads our files, and writes its own.
"""
import argparse
import dataclasses
import filecmp
import json
import shutil
import struct
import sys
from pathlib import Path

import models
import torch_files
from harness import Program, ProgramError, Record, Report, say

SPEC = models.Spec("torch", models.small(97, 160, 3, 3, 36))
GELU = dataclasses.replace(SPEC, config={**SPEC.config, "activation_function": "gelu"})
NO_BIASES = dataclasses.replace(GELU, layout="no biases")
UNTIED = dataclasses.replace(SPEC, config={**SPEC.config, "tie_word_embeddings": False})
HALF = dataclasses.replace(SPEC, dtype="F16")
BFLOAT = dataclasses.replace(SPEC, dtype="BF16")
IDS = models.prompts(SPEC)["long"]


def transposed(values, n_rows, n_columns, element_bytes):
    rows = [values[i * n_columns * element_bytes:(i + 1) * n_columns * element_bytes] for i in range(n_rows)]
    return b"".join(row[j * element_bytes:(j + 1) * element_bytes] for j in range(n_columns) for row in rows)


def as_linear(made):
    """Matrices as torch.nn.Linear has them, [out, in]."""
    turned = {}
    for name, (dtype, shape, values) in made.items():
        if len(shape) == 2 and ".h." in name:
            values = transposed(values, *shape, 4 if dtype == "F32" else 2)
            shape = shape[::-1]
        turned[name] = dtype, shape, values
    return turned


def with_head(made):
    return {**made, "lm_head.weight": made.get("lm_head.weight", made["transformer.wte.weight"])}


def model_args(spec):
    config = models.config_of(spec)
    return {"n_layer": config["n_layer"], "n_head": config["n_head"], "n_embd": config["n_embd"],
            "block_size": config["n_positions"], "bias": spec.layout != "no biases",
            "vocab_size": config["vocab_size"], "dropout": 0.1}


def checkpoint(model, spec):
    """What nanoGPT's train.py saves, with an optimizer's state of one weight."""
    moment = torch_files.Tensor("F32", (2,), bytes(8))
    optimizer = {"state": {0: {"step": torch_files.Tensor("F32", (), bytes(4)), "exp_avg": moment}},
                 "param_groups": [{"lr": 6e-4, "betas": (0.9, 0.95), "amsgrad": False, "params": [0]}]}
    return {"model": model, "optimizer": optimizer, "model_args": model_args(spec), "iter_num": 2000,
            "best_val_loss": torch_files.Tensor("F32", (), struct.pack("<f", 1.5)),
            "config": {"out_dir": "out", "eval_only": False, "learning_rate": 6e-4, "init_from": None}}


def write_llmc(path, spec):
    """As llm.c's train_gpt2.py: the padding has rows of zeros."""
    config, made = models.config_of(spec), as_linear(models.tensors(spec))
    n_vocab, n_layer = config["vocab_size"], config["n_layer"]
    n_padded = -(-n_vocab // 128) * 128
    header = [20240326, 3 if spec.dtype == "F32" else 5, config["n_positions"], n_vocab, n_layer,
              config["n_head"], config["n_embd"], n_padded]
    names = ["ln_1.weight", "ln_1.bias", "attn.c_attn.weight", "attn.c_attn.bias", "attn.c_proj.weight",
             "attn.c_proj.bias", "ln_2.weight", "ln_2.bias", "mlp.c_fc.weight", "mlp.c_fc.bias",
             "mlp.c_proj.weight", "mlp.c_proj.bias"]
    padding = bytes((n_padded - n_vocab) * config["n_embd"] * (4 if spec.dtype == "F32" else 2))
    parts = [made["transformer.wte.weight"][2], padding, made["transformer.wpe.weight"][2]]
    parts += [made[f"transformer.h.{i}.{name}"][2] for name in names for i in range(n_layer)]
    parts += [made["transformer.ln_f.weight"][2], made["transformer.ln_f.bias"][2]]
    path.write_bytes(struct.pack("<256i", *header, *[0] * 248) + b"".join(parts))


def new_directory(path, config=None):
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    if config is not None:
        (path / "config.json").write_text(json.dumps(config) + "\n")
    return path


def write_bin_shards(directory, made):
    names = [f"pytorch_model-{i + 1:05}-of-00003.bin" for i in range(3)]
    for i, name in enumerate(names):
        torch_files.write_zip(directory / name, torch_files.tensors_of(dict(list(made.items())[i::3])))
    index = {"metadata": {}, "weight_map": {name: names[i % 3] for i, name in enumerate(made)}}
    (directory / "pytorch_model.bin.index.json").write_text(json.dumps(index) + "\n")


def variants(work):
    """[(what, the spec of the same model, its directory)]"""
    found = []

    def add(what, spec, config=None):
        found.append((what, spec, new_directory(work / what.replace(" ", "-"), config)))
        return found[-1][2]

    for what, spec in ("F32", SPEC), ("F16", HALF), ("BF16", BFLOAT), ("untied", UNTIED):
        made = torch_files.tensors_of(models.tensors(spec))
        torch_files.write_zip(add(f"bin {what}", spec, models.config_of(spec)) / "pytorch_model.bin", made)
        torch_files.write_stream(add(f"stream {what}", spec, models.config_of(spec)) / "pytorch_model.bin", made)
    write_bin_shards(add("bin in shards", SPEC, models.config_of(SPEC)), models.tensors(SPEC))
    for what, spec in ("nanoGPT", GELU), ("nanoGPT without biases", NO_BIASES):
        made = torch_files.tensors_of(with_head(as_linear(models.tensors(spec))))
        torch_files.write_zip(add(what, spec) / "ckpt.pt", checkpoint(made, spec))
    compiled = {"_orig_mod." + name: tensor for name, tensor in made.items()}
    torch_files.write_zip(add("nanoGPT compiled", NO_BIASES) / "ckpt.pt", checkpoint(compiled, NO_BIASES))
    mingpt = {"system": {"seed": 3407}, "data": {"block_size": 160}, "trainer": {"max_iters": None},
              "model": {"model_type": None, "n_layer": 3, "n_head": 3, "n_embd": 36, "vocab_size": None}}
    torch_files.write_zip(add("minGPT", UNTIED, mingpt) / "model.pt",
                          torch_files.tensors_of(as_linear(models.tensors(UNTIED))))
    for what, spec in ("llm.c F32", SPEC), ("llm.c BF16", BFLOAT):
        write_llmc(add(what, spec) / "model.bin", spec)
    return found


def check_theirs(safetensors, trace, what, report):
    """Our taps against those of transformers, from model.safetensors."""
    import capture
    import compare
    from transformers import GPT2LMHeadModel
    theirs = GPT2LMHeadModel.from_pretrained(safetensors, attn_implementation="eager").eval()
    differences, fault = compare.compare_taps(compare.read_taps(trace, IDS), capture.capture(theirs, IDS))
    report.check(not fault, f"{what}: {fault}")
    say(f"{what}: a logit differs by {differences['logits']:.1e}")


def check_variants(program, work, report, live):
    wanted, trace = {}, work / "trace.safetensors"
    for what, spec, directory in variants(work / "variants"):
        key = json.dumps(dataclasses.asdict(spec), sort_keys=True)
        safetensors = work / "safetensors" / str(len(wanted))
        if key not in wanted:
            wanted[key] = work / f"wanted-{len(wanted)}.safetensors"
            shutil.rmtree(safetensors, ignore_errors=True)
            models.write(spec, safetensors)
            program.trace(safetensors, IDS, wanted[key])
            if live:
                check_theirs(safetensors, wanted[key], what, report)
        program.trace(directory, IDS, trace)
        report.check(filecmp.cmp(trace, wanted[key], shallow=False),
                     f"{what}: other bits than from model.safetensors")
        if live:
            check_torch(program, directory, wanted[key], what, work, report)


def check_torch(program, directory, wanted, what, work, report):
    """torch reads our file, and what it writes of that gives the same bits; transformers reads it too."""
    import torch
    path = next((path for path in directory.iterdir() if path.suffix in (".bin", ".pt")), None)
    if what.startswith("llm.c"):
        return
    saved, trace = work / "saved", work / "trace.safetensors"
    shutil.rmtree(saved, ignore_errors=True)
    shutil.copytree(directory, saved)
    for protocol in range(2, 6):
        for is_zip in (True, False):
            if not is_zip and path.suffix == ".pt":
                continue
            for file in directory.glob("*" + path.suffix):
                torch.save(torch.load(file), saved / file.name, pickle_protocol=protocol,
                           _use_new_zipfile_serialization=is_zip)
            program.trace_again(saved, IDS, trace)
            report.check(filecmp.cmp(trace, wanted, shallow=False),
                         f"{what}: saved by torch, protocol {protocol}, zip {is_zip}: other bits")
    if path.suffix == ".bin":
        from transformers import GPT2LMHeadModel
        theirs = GPT2LMHeadModel.from_pretrained(directory).state_dict()
        state = {}
        for file in directory.glob("*.bin"):
            state.update(torch.load(file))
        report.check(all(torch.equal(theirs[name], tensor.float()) for name, tensor in state.items()),
                     f"{what}: transformers reads other weights")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True, help="the gpt2 program")
    parser.add_argument("--work", required=True, type=Path, help="directory for models and traces")
    parser.add_argument("--ours", action="store_true", help="our side alone, and its hashes")
    args = parser.parse_args()
    work = args.work / "torch-files"
    work.mkdir(parents=True, exist_ok=True)
    if not args.ours:
        import torch
        from transformers.utils import logging
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        torch.set_num_threads(2)
    record, report = Record(), Report()
    try:
        check_variants(Program(args.program, record), work, report, not args.ours)
    except (ProgramError, OSError) as error:
        report.check(False, str(error))
    record.say()
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
