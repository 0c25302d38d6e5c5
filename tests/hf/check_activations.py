#!/usr/bin/env python3
"""Compares session.activations() of examples/python with transformers.

Each model writes a text of its own.  hidden_states and attentions of its ids are compared with those of
GPT2Model in float64: every number within 2e-5, relative above 1.  Our side alone, without numpy, takes
the same floats from session.tap().
"""
import argparse
import os
import sys
from pathlib import Path

from check_accuracy import load
from harness import Record, Report, say

SEED = 31415
N_TOKENS = 160
TOLERANCE = 2e-5


def own_text(model):
    """Ids that the model has written, after the id 0."""
    ids, n = [0], min(N_TOKENS, model.info.n_positions)
    with model.session() as session:
        while len(ids) < n:
            session.forward(ids[-1:])
            ids.append(session.sample(seed=SEED))
    return ids


def parts(model, ids, report, name):
    """The floats of each point of hidden_states and attentions: {(name, head): bytes}."""
    found = {}

    def take(tap):
        rows = [bytes(row) + bytes(4 * (len(ids) - len(row)) * (tap.head >= 0)) for row in tap.rows]
        key = tap.name, tap.head
        found[key] = found.get(key, b"") + b"".join(rows)

    with model.session(logit_rows=len(ids)) as session:
        with session.tap(take, "hidden_states", "attentions"):
            session.forward(ids)
    n_parts = 2 + model.info.n_layer * (1 + model.info.n_head)
    report.check(len(found) == n_parts, f"{name}: {len(found)} activations, wanted {n_parts}")
    return found


def compare(report, name, which, ours, theirs):
    """The largest difference of the arrays."""
    import numpy as np
    report.check(len(ours) == len(theirs), f"{name}: {len(ours)} {which}, wanted {len(theirs)}")
    largest = 0.0
    for i, (array, wanted) in enumerate(zip(ours, theirs)):
        wanted = wanted[0].numpy()
        if array.shape != wanted.shape:
            report.check(False, f"{name}: {which}[{i}] is {array.shape}, wanted {wanted.shape}")
            continue
        difference = float((np.abs(array - wanted) / np.maximum(1, np.abs(wanted))).max())
        report.check(difference <= TOLERANCE, f"{name}: {which}[{i}] is off by {difference:.2e}")
        largest = max(largest, difference)
    return largest


def check_model(report, record, path, live):
    import gpt2
    model = gpt2.Model(path)
    ids = own_text(model)
    taken = parts(model, ids, report, path.name)
    record.given_files(path)
    record.got(ids, *sorted(taken), *(taken[key] for key in sorted(taken)))
    if not live:
        return
    import torch
    found = model.session(logit_rows=64).activations(ids, "hidden_states", "attentions")
    report.check(all(found[name].tobytes() == data if head < 0 else found[name][head].tobytes() == data
                     for (name, head), data in taken.items()), f"{path.name}: not the taps' floats")
    with torch.inference_mode():
        wanted = load(path, torch.float64).transformer(
            torch.tensor([ids]), output_hidden_states=True, output_attentions=True)
    say(f"{path.name:<18}{len(ids):>6}" + "".join(
        f"{compare(report, path.name, which, getattr(found, which), getattr(wanted, which)):>16.1e}"
        for which in ("hidden_states", "attentions")))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--library", required=True)
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL", help="model directories")
    parser.add_argument("--ours", action="store_true", help="our side alone, and its hashes")
    args = parser.parse_args()
    os.environ["GPT2_LIBRARY"] = str(Path(args.library).resolve())
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples" / "python"))
    if not args.ours:
        import torch
        from transformers.utils import logging
        logging.set_verbosity_error()
        torch.set_num_threads(2)

    record, report = Record(), Report()
    say(f"largest differences from float64, seed {SEED}")
    say("model             tokens   hidden_states      attentions")
    for path in args.models:
        if (path / "config.json").exists():
            check_model(report, record, path, not args.ours)
        else:
            report.skip(f"no model in {path}")
    record.say()
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
