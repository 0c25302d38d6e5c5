#!/usr/bin/env python3
"""Compares the gpt2 program with transformers on random-weight models.

For each model of models.py: every tap of two prompts at the tolerances of compare.py, greedy ids,
and the bits of the trace against token by token, other batches, threads and kernels.
"""
import argparse
import filecmp
import itertools
import sys
import time
from pathlib import Path

import models
from harness import Program, ProgramError, Record, Report, cpu_kernels, say

N_GREEDY = 12


class Transformers:
    """The same model in transformers, float32."""

    def __init__(self, directory, is_bigcode):
        from safetensors.torch import load_file
        from transformers import (GPT2Config, GPT2LMHeadModel, GPTBigCodeConfig,
                                  GPTBigCodeForCausalLM)

        import capture
        self.capture = capture
        config_class, model_class = ((GPTBigCodeConfig, GPTBigCodeForCausalLM) if is_bigcode else
                                     (GPT2Config, GPT2LMHeadModel))
        config = config_class.from_pretrained(directory)
        self.model = model_class._from_config(config, attn_implementation="eager").eval()
        for block in self.model.transformer.h:
            # The reordered scores are the same, but torch 1.13's baddbmm(beta=0) adds 0 times what
            # its uninitialised output happens to hold, which may be NaN.
            block.attn.reorder_and_upcast_attn = False
        weights = {name if name.startswith(("transformer.", "lm_head.")) else f"transformer.{name}": x
                   for name, x in load_file(directory / "model.safetensors").items()
                   if not name.endswith((".attn.bias", ".attn.masked_bias"))}
        lacks, unknown = self.model.load_state_dict(weights, strict=False)
        # What the file may lack: biases, which are then zero, and a head that is tied.
        for name in lacks:
            if name.endswith(".bias"):
                self.model.get_parameter(name).data.zero_()
            elif name != "lm_head.weight" or not config.tie_word_embeddings:
                raise ProgramError(f"{directory.name}: the file lacks {name}")
        if unknown:
            raise ProgramError(f"{directory.name}: transformers does not know {unknown}")

    def compare(self, trace, ids):
        """(differences by kind of tap, first fault or None)"""
        import compare
        return compare.compare_taps(compare.read_taps(trace, ids), self.capture.capture(self.model, ids))

    def greedy(self, ids, n):
        return self.capture.greedy(self.model, ids, n)


def row(first, cells):
    return f"{first:<22}" + "".join(f"{cell:>12}" for cell in cells)


def same_bits_options():
    """Ways to run a prompt that may not change a bit of any tap."""
    ways = [["-b", 1], ["-b", 7], ["-b", 64], ["-t", 1], ["-t", 2], ["-t", 3], ["-b", 7, "-t", 2]]
    return ways + [["--cpu", name] for name in cpu_kernels()]


def more_drawn():
    """With those of models.SMALL 1,000 random models.

    A layer norm over fewer than six values enlarges rounding errors beyond the bounds, torch's own first:
    it adds -mean / std to x / std, which for the one value of n_embd 1 should be 0.
    """
    drawn = map(models.drawn, itertools.count(24))
    return list(itertools.islice((spec for spec in drawn if models.config_of(spec)["n_embd"] >= 6), 976))


def check_model(program, spec, work, report, live):
    started = time.monotonic()
    directory = work / "models" / spec.name
    models.write(spec, directory)
    theirs = Transformers(directory, models.is_bigcode(spec)) if live else None
    n_positions = models.config_of(spec)["n_positions"]
    whole, again = work / "trace.safetensors", work / "again.safetensors"
    for what, ids in models.prompts(spec).items():
        program.trace(directory, ids, whole)
        n_new = min(N_GREEDY, n_positions - len(ids) + 1)   # the last one needs no position
        new = program.greedy(directory, ids, n_new)
        if live:
            differences, fault = theirs.compare(whole, ids)
            report.check(not fault, f"{spec.name}, {what} prompt: {fault}")
            say(row(f"{spec.name} {len(ids)}", (f"{d:.1e}" for d in differences.values())))
            wanted, margin = theirs.greedy(ids, n_new)
            report.check(new == wanted, f"{spec.name}, greedy ids after the {what} prompt: {new},"
                         f" transformers has {wanted}; two logits are {margin:.1e} apart")
    # `whole` is the trace of the last, the longer prompt.
    for options in same_bits_options():
        program.trace_again(directory, ids, again, *options)
        report.check(filecmp.cmp(whole, again, shallow=False),
                     f"{spec.name}: trace with {' '.join(map(str, options))} has other bits")
    say(f"{spec.name}: {time.monotonic() - started:.1f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True, help="the gpt2 program")
    parser.add_argument("--work", required=True, type=Path, help="directory for models and traces")
    parser.add_argument("--ours", action="store_true", help="our side alone, and its hashes")
    parser.add_argument("--full", action="store_true", help="the 355M shape, and 1,000 random models")
    parser.add_argument("--only", help="the models whose names contain this")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    if not args.ours:
        import torch
        from transformers.utils import logging

        from compare import TOLERANCE
        logging.set_verbosity_error()
        torch.set_num_threads(2)
        say("largest absolute differences from transformers")
        say(row("model, tokens", TOLERANCE))
        say(row("allowed", (f"{tolerance:g}" for tolerance in TOLERANCE.values())))

    record, report = Record(), Report()
    program = Program(args.program, record)
    for spec in models.SMALL + models.LARGE + (models.FULL + more_drawn() if args.full else []):
        if args.only and args.only not in spec.name:
            continue
        try:
            check_model(program, spec, args.work, report, not args.ours)
        except ProgramError as error:
            report.check(False, f"{spec.name}: {error}")
    record.say()
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
