#!/usr/bin/env python3
"""Compares the gpt2 program with tinygrad on models of models.py.

The forward pass is that of tinygrad's examples/gpt2.py in plain tensor operations: logits of every
token within 1e-3, the same largest logits, the same greedy ids.
"""
import argparse
import json
import os
import random
import sys
import time
from pathlib import Path

import models
from harness import Program, ProgramError, Record, Report, say

MODELS = ["tinygrad", "tinygrad-odd", "124M-random"]
N_GREEDY = 12


class GPT2:
    """A Hugging Face directory with tied head, gelu_new and n_inner of 4 n_embd."""

    def __init__(self, directory):
        os.environ.setdefault("CPU", "1")   # tinygrad reads these while it is imported
        os.environ.setdefault("CACHELEVEL", "0")
        from safetensors.numpy import load_file
        from tinygrad import Tensor
        self.Tensor = Tensor
        self.config = json.loads((directory / "config.json").read_text())
        assert self.config["activation_function"] == "gelu_new" and not self.config["n_inner"]
        arrays = load_file(directory / "model.safetensors")
        self.weights = {name.removeprefix("transformer."): Tensor(array).realize()
                        for name, array in arrays.items() if not name.endswith(".attn.bias")}

    def norm(self, x, name):
        y = x.layernorm(eps=self.config["layer_norm_epsilon"])
        return y * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def linear(self, x, name):
        return x.linear(self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def attention(self, x, mask, name):
        t, n_embd = x.shape
        q, k, v = (part.reshape(t, self.config["n_head"], -1).transpose(0, 1)
                   for part in self.linear(x, f"{name}.c_attn").split(n_embd, dim=1))
        y = q.scaled_dot_product_attention(k, v, mask)
        return self.linear(y.transpose(0, 1).reshape(t, n_embd), f"{name}.c_proj")

    def mlp(self, x, name):
        return self.linear(self.linear(x, f"{name}.c_fc").gelu(), f"{name}.c_proj")

    def logits(self, ids):
        """[len(ids), n_vocab]"""
        t = len(ids)
        Tensor = self.Tensor
        mask = Tensor.full((1, t, t), float("-inf")).triu(1)
        x = self.weights["wte.weight"][Tensor(ids)] + self.weights["wpe.weight"][:t]
        for i in range(self.config["n_layer"]):
            x = x + self.attention(self.norm(x, f"h.{i}.ln_1"), mask, f"h.{i}.attn")
            x = (x + self.mlp(self.norm(x, f"h.{i}.ln_2"), f"h.{i}.mlp")).realize()
        return self.norm(x, "ln_f").matmul(self.weights["wte.weight"].T).numpy()

    def greedy(self, ids, n):
        """The n ids after `ids`.  Text of one length is compiled once: later places hold id 0."""
        text = ids + [0] * n
        for i in range(len(ids), len(text)):
            text[i] = int(self.logits(text)[i - 1].argmax())
        return text[len(ids):]


def check_logits(report, theirs, trace, ids, what):
    import compare
    ours, logits = compare.read_taps(trace, ids)["logits"], theirs.logits(ids)
    difference = compare.largest_difference(ours, logits)
    say(f"{what}: largest difference of a logit {difference:.1e}")
    report.check(difference <= compare.TOLERANCE["logits"] and (ours.argmax(1) == logits.argmax(1)).all(),
                 f"{what}: tinygrad has other logits")


def check_model(program, spec, work, report, live):
    started = time.monotonic()
    directory, trace = work / "models" / spec.name, work / "trace.safetensors"
    models.write(spec, directory)
    theirs = GPT2(directory) if live else None
    n_vocab, rng = models.config_of(spec)["vocab_size"], random.Random(f"tinygrad/{spec.name}")
    short = [15496 % n_vocab, 13 % n_vocab]
    for ids in (short, [rng.randrange(n_vocab) for _ in range(70)]):
        program.trace(directory, ids, trace)
        if live:
            check_logits(report, theirs, trace, ids, f"{spec.name}, {len(ids)} tokens")
    ours = program.greedy(directory, short, N_GREEDY)
    if live:
        wanted = theirs.greedy(short, N_GREEDY)
        report.check(ours == wanted, f"{spec.name}: greedy ids {ours}, tinygrad has {wanted}")
    say(f"{spec.name}: {time.monotonic() - started:.1f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True, help="the gpt2 program")
    parser.add_argument("--work", required=True, type=Path, help="directory for models and traces")
    parser.add_argument("--ours", action="store_true", help="our side alone, and its hashes")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    record, report = Record(), Report()
    program = Program(args.program, record)
    for spec in models.SMALL + models.LARGE:
        if spec.name not in MODELS:
            continue
        try:
            check_model(program, spec, args.work, report, not args.ours)
        except (ProgramError, OSError) as error:
            report.check(False, f"{spec.name}: {error}")
    record.say()
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
