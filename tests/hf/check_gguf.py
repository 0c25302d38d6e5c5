#!/usr/bin/env python3
"""Compares models in GGUF files with what ggml's Python package and transformers make of them.

With --make a random model of two layers is written; tests/peers/check_gguf.sh has it converted by llama.cpp's
convert_hf_to_gguf.py and quantised as by its llama-quantize.  Of each file

- every weight, read back by gpt2_model_tensor() with weight_type f32, has the bits of gguf.quants.dequantize();
- the logits of these weights in transformers' GPT2LMHeadModel are ours within 1e-3;
- the model as it is by default is compared too: its rms error is shown, and has a bound.
"""
import argparse
import json
import os
import runpy
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples/python"))

NAMES = {"token_embd": "wte", "position_embd": "wpe", "output_norm": "ln_f", "output": "lm_head",
         "attn_norm": "ln_1", "attn_qkv": "attn.c_attn", "attn_output": "attn.c_proj", "ffn_norm": "ln_2",
         "ffn_up": "mlp.c_fc", "ffn_down": "mlp.c_proj"}
IDS = [464, 3290, 318, 257, 1332, 11, 50256, 13, 262, 0, 198, 40]
LIMIT = 1e-3
LIMIT_BY_DEFAULT = 0.05     # of the logits' standard deviation; Q8_0's activations are rounded to 8 bits


def make(directory, tokenizer):
    """A model whose rows are a multiple of 256, which ggml's _K types want, with GPT-2's own vocabulary."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel
    torch.manual_seed(1)
    config = GPT2Config(n_positions=64, n_embd=256, n_layer=2, n_head=4)
    model = GPT2LMHeadModel(config)
    for weight in model.parameters():
        weight.data += 0.05 * torch.randn_like(weight)
    model.save_pretrained(directory)
    config = json.loads((directory / "config.json").read_text())
    config["n_ctx"] = config["n_positions"]     # the converter wants it
    (directory / "config.json").write_text(json.dumps(config))
    (directory / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2Tokenizer"}')
    for name in ("vocab.json", "merges.txt"):
        (directory / name).write_bytes((tokenizer / name).read_bytes())


def convert(script, arguments):
    """Runs the converter, which asks torch for types that torch 1.13 does not have and GPT-2 does not use."""
    import torch
    for name in ("float8_e4m3fn", "float8_e5m2", "uint16", "uint32", "uint64"):
        if not hasattr(torch, name):
            setattr(torch, name, name)
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(Path(script).parent))
    runpy.run_path(script, run_name="__main__")


def hugging_face_name(name):
    parts = name.split(".")
    prefix = f"h.{parts[1]}." if parts[0] == "blk" else ""
    return f"{prefix}{NAMES[parts[-2]]}.{parts[-1]}"


def read(path):
    """The weights as ggml's package has them, under Hugging Face's names and in its orientation."""
    from gguf import GGUFReader, quants
    weights = {}
    for tensor in GGUFReader(path).tensors:
        name = hugging_face_name(tensor.name)
        values = quants.dequantize(tensor.data, tensor.tensor_type)
        values = np.asarray(values, np.float32).reshape(tensor.shape[::-1])
        weights[name] = values.T if ".c_" in name and values.ndim == 2 else values
    return weights


def their_logits(config_directory, weights):
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel
    model = GPT2LMHeadModel(GPT2Config.from_pretrained(config_directory)).eval()
    state = {name if name.startswith("lm_head") else f"transformer.{name}":
             torch.from_numpy(values.copy()) for name, values in weights.items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected and all(name.startswith("lm_head") for name in missing), (missing, unexpected)
    model.tie_weights()
    with torch.no_grad():
        return model(torch.tensor([IDS])).logits[0].numpy()


def our_logits(model):
    with model.session(logit_rows=len(IDS)) as session:
        session.forward(IDS)
        return np.array([np.asarray(session.logits(row)) for row in range(len(IDS))])


def check(path, config_directory):
    """A line of the table, and whether the file passes."""
    import gpt2
    weights = read(path)
    theirs = their_logits(config_directory, weights)
    with gpt2.Model(path, weight_type="f32") as model:
        differ = [name for name, values in weights.items()
                  if np.asarray(model.tensor(name)).astype("<f4").tobytes() != values.astype("<f4").tobytes()]
        error = np.abs(our_logits(model) - theirs).max()
    with gpt2.Model(path) as model:
        rms = np.sqrt(np.square(our_logits(model) - theirs).mean()) / theirs.std()
    passes = not differ and error <= LIMIT and rms <= LIMIT_BY_DEFAULT
    bits = "equal" if not differ else f"{len(differ)} differ: {differ[0]}"
    return f"{path.name:<16}{len(weights):>9}  {bits:<10}{error:>12.2e}{rms:>14.4f}", passes


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--make", type=Path, metavar="TOKENIZER", help="only write the model to --config")
    parser.add_argument("--convert", metavar="SCRIPT", help="only run the converter, on the other arguments")
    parser.add_argument("--library")
    parser.add_argument("--config", type=Path, help="the directory that is converted")
    parser.add_argument("files", nargs="*")
    args = parser.parse_args()
    if args.make:
        return make(args.config, args.make)
    if args.convert:
        return convert(args.convert, [str(args.config), *args.files])
    os.environ["GPT2_LIBRARY"] = str(Path(args.library).resolve())
    n_failed = 0
    print("file              weights  bits      largest error  rms by default", flush=True)
    for path in args.files:
        line, passes = check(Path(path), args.config)
        n_failed += not passes
        print(line if passes else f"{line}  failed", flush=True)
    print(f"{len(args.files) - n_failed} passed, {n_failed} failed, 0 skipped")
    return n_failed > 0


if __name__ == "__main__":
    sys.exit(main())
