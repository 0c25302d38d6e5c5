#!/usr/bin/env python3
"""Compare the gpt2 program with tinygrad on models that check_models.py has written.

The forward pass is that of tinygrad's examples/gpt2.py in plain tensor operations: logits of every
token within 1e-3, the same largest logits, the same greedy ids.
"""
import argparse
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("CPU", "1")   # tinygrad reads these while it is imported
os.environ.setdefault("CACHELEVEL", "0")

import numpy as np
from safetensors.numpy import load_file
from tinygrad import Tensor

from harness import TOLERANCE, Program, ProgramError, Report, largest_difference, say

MODELS = ["tinygrad", "tinygrad-odd", "124M-random"]
N_GREEDY = 12


class GPT2:
    """A Hugging Face directory with tied head, gelu_new and n_inner of 4 n_embd."""

    def __init__(self, directory):
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


def check_model(program, directory, work, report):
    started = time.monotonic()
    model = GPT2(directory)
    name, n_vocab = directory.name, model.config["vocab_size"]
    long = np.random.default_rng(len(name)).integers(n_vocab, size=70).tolist()
    for ids in ([15496 % n_vocab, 13 % n_vocab], long):
        ours = program.trace(directory, ids, work / "trace.safetensors")["logits"]
        theirs = model.logits(ids)
        difference = largest_difference(ours, theirs)
        say(f"{name}, {len(ids)} tokens: largest difference of a logit {difference:.1e}")
        report.check(difference <= TOLERANCE["logits"]
                     and np.array_equal(ours.argmax(1), theirs.argmax(1)),
                     f"{name}, {len(ids)} tokens: tinygrad has other logits")
    ids = [15496 % n_vocab, 13 % n_vocab]
    ours, theirs = program.greedy(directory, ids, N_GREEDY), model.greedy(ids, N_GREEDY)
    report.check(ours == theirs, f"{name}: greedy ids {ours}, tinygrad has {theirs}")
    say(f"{name}: {time.monotonic() - started:.1f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True, help="the gpt2 program")
    parser.add_argument("--work", required=True, type=Path, help="as given to check_models.py")
    args = parser.parse_args()
    program, report = Program(args.program), Report()
    for name in MODELS:
        try:
            check_model(program, args.work / "models" / name, args.work, report)
        except (ProgramError, OSError) as error:
            report.check(False, f"{name}: {error}")
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
