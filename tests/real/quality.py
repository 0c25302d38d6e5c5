#!/usr/bin/env python3
"""Measure what each type of weights changes in a model's answers about a text.

    quality.py --library build/libgpt2.so [--tokens N] MODEL_DIR TEXT_FILE

Prints a Markdown table.  Its first row is f32: the weights of the file, exactly.  The others are f16,
bf16, q8 and q4 beside it, without the type that the file has: its logits are those of f32.

    perplexity   of the text; and by how much more than with f32, with a standard error
    KL           the Kullback-Leibler divergence KL(f32 || type) of the predictions of a token, in
                 nats: its mean with a standard error, and the 99th percentile
    same top     how often the likeliest token is that of f32
    memory       gpt2_model_info.memory_bytes, of what f32 takes

The text is cut into windows as long as the context, which do not overlap.  The first token of a window
has nothing before it and is not scored; nothing is put there.  Standard errors take the tokens as
independent.  All types are in memory together.  Without numpy it takes about ten times as long.
"""
import argparse
import array
import math
import sys
import time
from pathlib import Path

from library import TYPES, Model, Refused, Session

try:
    import numpy as np
except ImportError:
    np = None

N_TOKENS = 20000  # of the text, where nothing else is said
N_ROWS = 64       # rows of logits that are compared at once
BASE = "f32"


class Rows:
    """The predictions of some tokens, as log-probabilities in double."""

    def __init__(self, logits, n_vocab):
        rows = np.frombuffer(logits, np.float32).reshape(-1, n_vocab).astype(np.float64)
        self.top = rows.argmax(1).tolist()
        rows -= rows.max(1, keepdims=True)
        self.probabilities = np.exp(rows)
        sums = self.probabilities.sum(1, keepdims=True)
        self.probabilities /= sums
        self.rows = rows - np.log(sums)

    def of(self, ids):
        return self.rows[np.arange(len(ids)), ids].tolist()

    def divergences(self, others):
        """KL(these || others), row by row."""
        return (self.probabilities * (self.rows - others.rows)).sum(1).tolist()


class PlainRows:
    """The same without numpy."""

    def __init__(self, logits, n_vocab):
        self.top, self.rows = [], []
        for first in range(0, len(logits), n_vocab):
            row = logits[first:first + n_vocab]
            largest = max(row)
            self.top.append(row.index(largest))
            log_sum = largest + math.log(sum([math.exp(x - largest) for x in row]))
            self.rows.append([x - log_sum for x in row])

    def of(self, ids):
        return [row[id_] for row, id_ in zip(self.rows, ids)]

    def divergences(self, others):
        return [sum([math.exp(p) * (p - q) for p, q in zip(*pair)])
                for pair in zip(self.rows, others.rows)]


class Found:
    """What one type gave, a number for each scored token."""

    def __init__(self):
        self.logprobs, self.divergences, self.same_top = [], [], []

    def add(self, base, rows, ids):
        self.logprobs += rows.of(ids)
        self.divergences += base.divergences(rows)
        self.same_top += [a == b for a, b in zip(base.top, rows.top)]

    def perplexity(self):
        return math.exp(-sum(self.logprobs) / len(self.logprobs))


def mean_of(values):
    """The mean, and its standard error."""
    mean = sum(values) / len(values)
    variance = sum([(x - mean) ** 2 for x in values]) / max(len(values) - 1, 1)
    return mean, math.sqrt(variance / len(values))


def chunks(session, window, rows_class):
    """(rows, the ids that they predict), up to N_ROWS at once."""
    for first in range(0, len(window) - 1, N_ROWS):
        ids = window[first:min(first + N_ROWS, len(window) - 1)]
        session.forward(ids, len(ids))
        logits = array.array("f")
        for row in range(len(ids)):
            logits += session.logits(row)
        yield (rows_class(logits, session.model.info.n_vocab),
               window[first + 1:first + 1 + len(ids)])


def measure(base, models, ids, rows_class=Rows if np else PlainRows):
    """A Found for `base`, and a list of them for the models: what each says about a text."""
    n_ctx = base.info.n_positions
    base_found, found = Found(), [Found() for _ in models]
    for first in range(0, len(ids) - 1, n_ctx):
        window = ids[first:first + n_ctx]
        sessions = [Session(model, n_ctx, N_ROWS) for model in (base, *models)]
        try:
            for (base_rows, wanted), *parts in zip(*(chunks(session, window, rows_class)
                                                     for session in sessions)):
                base_found.add(base_rows, base_rows, wanted)
                for one, (rows, _) in zip(found, parts):
                    one.add(base_rows, rows, wanted)
        finally:
            for session in sessions:
                session.close()
    return base_found, found


def table(models, base_found, found):
    """Lines of Markdown.  `models`: name -> Model, BASE the first."""
    base_bytes = models[BASE].info.memory_bytes
    cells = [["weights", "perplexity", "change, %", "mean KL, nats", "KL, 99th percentile",
              "same top, %", "memory, bytes", "of f32, %"]]
    for (name, model), one in zip(models.items(), (base_found, *found)):
        change, change_error = mean_of([b - a for a, b in zip(one.logprobs, base_found.logprobs)])
        kl, kl_error = mean_of(one.divergences)
        n, memory = len(one.divergences), model.info.memory_bytes
        kl_99 = sorted(one.divergences)[math.ceil(0.99 * n) - 1]
        cells.append([name, f"{one.perplexity():.4f}",
                      f"{100 * math.expm1(change):+.3f} ± "
                      f"{100 * math.exp(change) * change_error:.3f}",
                      f"{kl:.2e} ± {kl_error:.1e}", f"{kl_99:.2e}",
                      f"{100 * sum(one.same_top) / n:.2f}", f"{memory:,}",
                      f"{100 * memory / base_bytes:.1f}"])
    widths = [max(map(len, column)) for column in zip(*cells)]
    cells.insert(1, ["-" * (width - (i > 0)) + ":" * (i > 0) for i, width in enumerate(widths)])
    return ["| " + " | ".join(cell.rjust(width) if i else cell.ljust(width)
                              for i, (cell, width) in enumerate(zip(row, widths))) + " |"
            for row in cells]


def report(library, directory, text_file, n_tokens=N_TOKENS):
    """Prints what is measured, and the table."""
    models = {BASE: Model(library, directory, TYPES[BASE])}
    try:
        info = models[BASE].info
        ids = models[BASE].encode(Path(text_file).read_text(encoding="utf-8"))[:n_tokens]
        if len(ids) < 2:
            raise Refused(f"{text_file}: {len(ids)} tokens, wanted 2 or more")
        if np is None and info.n_vocab > 10000:
            print(f"quality: numpy is missing: {info.n_vocab} logits a token take 10 times as long",
                  file=sys.stderr, flush=True)
        for name, weight_type in TYPES.items():
            if name != BASE and weight_type != info.weight_type:
                try:
                    models[name] = Model(library, directory, weight_type)
                except Refused as error:
                    print(f"{name} is left out: {error}\n")
        start = time.monotonic()
        base_found, found = measure(models[BASE], list(models.values())[1:], ids)
        print(f"{Path(directory).name}, a file of {list(TYPES)[info.weight_type]}, on "
              f"{Path(text_file).name}: {len(base_found.logprobs):,} predictions in windows of "
              f"{info.n_positions} tokens, {time.monotonic() - start:.0f} s\n")
        print("\n".join(table(models, base_found, found)), flush=True)
    finally:
        for model in models.values():
            model.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--library", required=True, metavar="FILE", help="libgpt2.so")
    parser.add_argument("--tokens", type=int, default=N_TOKENS, metavar="N",
                        help=f"the first N of the text; default {N_TOKENS}")
    parser.add_argument("directory", metavar="MODEL_DIR")
    parser.add_argument("text", metavar="TEXT_FILE", help="UTF-8")
    args = parser.parse_args()
    try:
        report(args.library, args.directory, args.text, args.tokens)
    except (OSError, Refused, UnicodeDecodeError) as error:
        sys.exit(f"quality: {error}")


if __name__ == "__main__":
    main()
