#!/usr/bin/env python3
"""Compares what gpt2_score() says of each token with transformers, on trained models.

Texts are cut into windows of the whole context; every token but the first of a window is scored.  The
library scores several windows in one call.  transformers runs the same ids in float64, which is the
reference, and in float32.  For each model:

- log-probability and entropy of the library's own row of logits are within 1e-6 of numpy's in float64,
  relative above 1; the rank is exact;
- against the reference the root mean square error of log-probabilities and entropies is no larger than
  that of PyTorch's in float32, and the largest error is at most twice PyTorch's largest;
- the rank is the reference's wherever no other logit of it is within 1e-4 of the token's.
"""
import argparse
import ctypes
import json
import sys
import time
from pathlib import Path

from check_accuracy import Session, corpus_ids, load
from harness import Record, Report, say

N_TOKENS = {False: 10_000, True: 100_000}   # by --full
N_SEQUENCES = 4                             # windows in one call
N_LIKELIEST = 3
TOLERANCE = 1e-6
GAP = 1e-4


class ScoreParams(ctypes.Structure):        # gpt2_score_params
    _fields_ = [("struct_size", ctypes.c_uint32), ("n_likeliest", ctypes.c_int32),
                ("class_mask", ctypes.c_void_p)]


class TokenScore(ctypes.Structure):         # gpt2_token_score
    _fields_ = [("id", ctypes.c_int32), ("rank", ctypes.c_int32), ("logprob", ctypes.c_double),
                ("entropy", ctypes.c_double), ("class_prob", ctypes.c_double)]


class TokenLogprob(ctypes.Structure):       # gpt2_token_logprob
    _fields_ = [("id", ctypes.c_int32), ("logprob", ctypes.c_float)]


class ScoreItem(ctypes.Structure):          # gpt2_score_item
    _fields_ = [("sequence", ctypes.c_int32), ("reserved", ctypes.c_int32),
                ("tokens", ctypes.c_void_p), ("n_tokens", ctypes.c_size_t),
                ("n_prefix", ctypes.c_size_t), ("scores", ctypes.c_void_p),
                ("likeliest", ctypes.c_void_p)]


class Scorer(Session):
    """The library's scores of N_SEQUENCES windows of n_positions tokens at a time."""

    def __init__(self, path, model_dir, config, record):
        super().__init__(path, model_dir, config["vocab_size"], record, n_sequences=N_SEQUENCES,
                         n_logit_rows=config["n_positions"])
        pointer, size = ctypes.c_void_p, ctypes.c_size_t
        self.lib.gpt2_sequence_open.argtypes = [pointer, pointer]
        self.lib.gpt2_score_params_init.argtypes = [pointer, size]
        self.lib.gpt2_score.argtypes = [pointer, pointer, size, pointer]
        self.params = ScoreParams()
        self.call("gpt2_score_params_init", ctypes.byref(self.params), ctypes.sizeof(self.params))
        self.params.n_likeliest = N_LIKELIEST

    def score(self, windows):
        """For each window the bytes of its scores and of its likeliest tokens."""
        items, kept = (ScoreItem * len(windows))(), []
        self.call("gpt2_session_reset", self.session)
        for i, ids in enumerate(windows):
            n = len(ids) - 1
            tokens, scores = (ctypes.c_int32 * len(ids))(*ids), (TokenScore * n)()
            likeliest, number = (TokenLogprob * (n * N_LIKELIEST))(), ctypes.c_int32()
            if i > 0:
                self.call("gpt2_sequence_open", self.session, ctypes.byref(number))
            items[i] = ScoreItem(number.value, 0, ctypes.addressof(tokens), len(ids), 1,
                                 ctypes.addressof(scores), ctypes.addressof(likeliest))
            kept.append((tokens, scores, likeliest))
        self.call("gpt2_score", self.session, items, len(windows), ctypes.byref(self.params))
        out = [(bytes(scores), bytes(likeliest)) for _, scores, likeliest in kept]
        self.record.given(*windows)
        self.record.got(*(part for parts in out for part in parts))
        return out

    def logits(self, ids):
        """The bytes of the logits [len(ids), n_vocab]; not recorded."""
        where = ctypes.c_void_p()
        self.call("gpt2_session_reset", self.session)
        self.call("gpt2_forward", self.session, (ctypes.c_int32 * len(ids))(*ids), len(ids), len(ids))
        self.call("gpt2_session_logits", self.session, 0, ctypes.byref(where))
        return ctypes.string_at(where, 4 * self.n_vocab * len(ids))


def windows_of(texts, n_positions, n_tokens):
    """Windows of the texts in turn, each with n_positions + 1 tokens: n_tokens are scored in all."""
    at, n = 0, 0
    while n < n_tokens:
        for text in texts:
            window = text[at:at + n_positions + 1]
            if len(window) > 1 and n < n_tokens:
                n += len(window) - 1
                yield window
        at += n_positions
        if at >= max(map(len, texts)):
            return


def scored(scorer, texts, n_positions, n_tokens):
    """The library's side: (window, scores, likeliest)."""
    together = []
    for window in windows_of(texts, n_positions, n_tokens):
        together.append(window)
        if len(together) == N_SEQUENCES:
            yield from zip(together, scorer.score(together))
            together = []
    if together:
        yield from zip(together, scorer.score(together))


class Error:
    """The largest and the root mean square of differences."""

    def __init__(self):
        self.largest = self.squares = self.n = 0.0

    def add(self, values, wanted):
        import numpy as np
        difference = np.abs(values - wanted)
        self.largest = np.maximum(self.largest, difference.max())       # NaN stays
        self.squares += float((difference ** 2).sum())
        self.n += difference.size

    def rms(self):
        return (self.squares / self.n) ** 0.5


def measures(logits):
    """[n, n_vocab] -> log-probabilities [n, n_vocab] and entropies [n], in the type of `logits`."""
    logprobs = logits.log_softmax(-1)
    terms = logprobs.exp() * logprobs
    return logprobs, -terms.nan_to_num(0).sum(-1)


class Comparison:
    def __init__(self):
        self.own, self.n, self.n_wrong_own, self.n_near, self.n_wrong = 0.0, 0, 0, 0, 0
        self.ours = {"logprob": Error(), "entropy": Error()}
        self.theirs = {"logprob": Error(), "entropy": Error()}

    def add_own(self, row, scores, likeliest, next_ids):
        """Against the library's own logits."""
        import numpy as np
        import torch
        logprobs, entropy = measures(torch.tensor(row).double())
        logprobs, entropy = logprobs.numpy(), entropy.numpy()
        at = np.arange(len(next_ids))
        for got, wanted in ((scores["logprob"], logprobs[at, next_ids]), (scores["entropy"], entropy),
                            (likeliest["logprob"].astype(np.float64),
                             np.take_along_axis(logprobs, likeliest["id"].astype(np.int64), 1))):
            scale = np.maximum(np.abs(wanted), 1)
            self.own = np.maximum(self.own, (np.abs(got - wanted) / scale).max())
        rank = 1 + (row > row[at, next_ids][:, None]).sum(1)
        order = np.argsort(-row, axis=1, kind="stable")[:, :N_LIKELIEST]
        self.n_wrong_own += int((rank != scores["rank"]).sum() + (order != likeliest["id"]).sum())
        self.n_wrong_own += int((scores["id"] != next_ids).sum())

    def add(self, exact, single, scores, next_ids):
        """Against logits of transformers in float64 and float32."""
        import numpy as np
        at = np.arange(len(next_ids))
        logprobs, entropy = (x.numpy() for x in measures(exact))
        logprobs32, entropy32 = (x.double().numpy() for x in measures(single))
        self.ours["logprob"].add(scores["logprob"], logprobs[at, next_ids])
        self.theirs["logprob"].add(logprobs32[at, next_ids], logprobs[at, next_ids])
        self.ours["entropy"].add(scores["entropy"], entropy)
        self.theirs["entropy"].add(entropy32, entropy)
        distance = exact.numpy() - exact.numpy()[at, next_ids][:, None]
        near = (np.abs(distance) <= GAP).sum(1) > 1         # the token itself is one
        wrong = 1 + (distance > 0).sum(1) != scores["rank"]
        self.n += len(next_ids)
        self.n_near += int(near.sum())
        self.n_wrong += int((wrong & ~near).sum())


def check_model(report, scorer, model_dir, texts, config, n_tokens):
    import numpy as np
    import torch
    token_score, token_logprob = np.dtype(TokenScore), np.dtype(TokenLogprob)
    started, name, comparison = time.monotonic(), model_dir.name, Comparison()
    exact, single = load(model_dir, torch.float64), load(model_dir, torch.float32)
    for window, (scores, likeliest) in scored(scorer, texts, config["n_positions"], n_tokens):
        inputs, next_ids = window[:-1], np.array(window[1:])
        scores = np.frombuffer(scores, token_score)
        likeliest = np.frombuffer(likeliest, token_logprob).reshape(-1, N_LIKELIEST)
        row = np.frombuffer(scorer.logits(inputs), np.float32).reshape(len(inputs), -1)
        comparison.add_own(row, scores, likeliest, next_ids)
        with torch.inference_mode():
            comparison.add(*(model(torch.tensor([inputs]), use_cache=False).logits[0]
                             for model in (exact, single)), scores, next_ids)
    ours, theirs = comparison.ours, comparison.theirs
    say(f"{name:<11}{comparison.n:>9,}{comparison.own:>10.1e}{comparison.n_near:>8}{comparison.n_wrong:>7}"
        + "".join(f"{e[kind].largest:>10.1e}{e[kind].rms():>10.1e}"
                  for kind in ("logprob", "entropy") for e in (ours, theirs))
        + f"{time.monotonic() - started:>6.0f} s")
    report.check(comparison.n >= n_tokens,
                 f"{name}: {comparison.n} tokens were scored, wanted {n_tokens}")
    report.check(comparison.own <= TOLERANCE, f"{name}: {comparison.own:.2e} off its own logits")
    report.check(comparison.n_wrong_own == 0,
                 f"{name}: {comparison.n_wrong_own} ids or ranks are not those of its own logits")
    report.check(comparison.n_wrong == 0, f"{name}: {comparison.n_wrong} ranks differ from the reference's")
    for kind in ("logprob", "entropy"):
        report.check(ours[kind].rms() <= theirs[kind].rms(), f"{name}: {kind}: error of"
                     f" {ours[kind].rms():.3e} rms, PyTorch's is {theirs[kind].rms():.3e}")
        report.check(ours[kind].largest <= 2 * theirs[kind].largest, f"{name}: {kind}: largest error"
                     f" {ours[kind].largest:.3e}, PyTorch's is {theirs[kind].largest:.3e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--library", required=True)
    parser.add_argument("--corpus", required=True, type=Path, help="folder of texts")
    parser.add_argument("--full", action="store_true", help=f"{N_TOKENS[True]:,} tokens a model, not"
                        f" {N_TOKENS[False]:,}")
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL", help="model directories")
    parser.add_argument("--ours", action="store_true", help="our side alone, and its hashes")
    args = parser.parse_args()
    if not args.ours:
        import torch
        from transformers.utils import logging
        logging.set_verbosity_error()
        torch.set_num_threads(2)

    record, report, n_tokens = Record(), Report(), N_TOKENS[args.full]
    say("scores of tokens: error against own logits; ranks near another, wrong; errors against float64")
    say("                                               logprob: libgpt2             PyTorch"
        "    entropy: libgpt2             PyTorch")
    say("model         tokens       own    near  wrong" + "   largest       rms" * 4)
    for model_dir in args.models:
        if not (model_dir / "config.json").exists():
            report.skip(f"no model in {model_dir}")
            continue
        config = json.loads((model_dir / "config.json").read_text())
        texts = corpus_ids(args.library, model_dir, args.corpus)
        scorer = Scorer(args.library, model_dir, config, record)
        if args.ours:
            for _ in scored(scorer, texts, config["n_positions"], n_tokens):
                pass
        else:
            check_model(report, scorer, model_dir, texts, config, n_tokens)
        scorer.close()
    record.say()
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
