#!/usr/bin/env python3
"""Compare the gpt2 program with transformers on random-weight models, live.

For each model of models.py: every tap of two prompts at the tolerances of harness.py, greedy ids,
and the bits of the trace against token by token, other batches, threads and kernels.
"""
import argparse
import filecmp
import sys
import time
from pathlib import Path

import torch
from transformers.utils import logging

import models
from capture import capture, greedy
from harness import TOLERANCE, Program, ProgramError, Report, compare_taps, cpu_kernels, say

N_GREEDY = 12


def row(first, cells):
    return f"{first:<22}" + "".join(f"{cell:>12}" for cell in cells)


def same_bits_options():
    """Ways to run a prompt that may not change a bit of any tap."""
    ways = [["-b", 1], ["-b", 7], ["-b", 64], ["-t", 1], ["-t", 2], ["-t", 3], ["-b", 7, "-t", 2]]
    return ways + [["--cpu", name] for name in cpu_kernels()]


def check_model(program, spec, work, report):
    started = time.monotonic()
    directory = work / "models" / spec.name
    model = models.build(spec)
    models.save(model, spec, directory)
    n_positions = model.config.n_positions
    whole = work / "trace.safetensors"
    for what, ids in models.prompts(spec, model.config).items():
        differences, fault = compare_taps(program.trace(directory, ids, whole),
                                          capture(model, ids))
        report.check(not fault, f"{spec.name}, {what} prompt: {fault}")
        say(row(f"{spec.name} {len(ids)}", (f"{d:.1e}" for d in differences.values())))
        n_new = min(N_GREEDY, n_positions - len(ids) + 1)   # the last one needs no position
        theirs, margin = greedy(model, ids, n_new)
        ours = program.greedy(directory, ids, n_new)
        report.check(ours == theirs, f"{spec.name}, greedy ids after the {what} prompt: {ours},"
                     f" transformers has {theirs}; two logits are {margin:.1e} apart")
    # `whole` is the trace of the last, the longer prompt.
    again = work / "again.safetensors"
    for options in same_bits_options():
        program.trace(directory, ids, again, *options)
        report.check(filecmp.cmp(whole, again, shallow=False),
                     f"{spec.name}: trace with {' '.join(map(str, options))} has other bits")
    say(f"{spec.name}: {time.monotonic() - started:.1f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True, help="the gpt2 program")
    parser.add_argument("--work", required=True, type=Path, help="directory for models and traces")
    parser.add_argument("--full", action="store_true", help="the 355M shape too")
    parser.add_argument("--only", help="the models whose names contain this")
    args = parser.parse_args()
    logging.set_verbosity_error()
    torch.set_num_threads(2)

    program, report = Program(args.program), Report()
    say("largest absolute differences from transformers")
    say(row("model, tokens", TOLERANCE))
    say(row("allowed", (f"{tolerance:g}" for tolerance in TOLERANCE.values())))
    for spec in models.SMALL + models.LARGE + (models.FULL if args.full else []):
        if args.only and args.only not in spec.name:
            continue
        try:
            check_model(program, spec, args.work, report)
        except ProgramError as error:
            report.check(False, f"{spec.name}: {error}")
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
