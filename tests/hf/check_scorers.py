#!/usr/bin/env python3
"""Compares examples/python with minicons, surprisal and lm-evaluation-harness on the same models.

gpt2_minicons.py and gpt2_lm_eval.py have the methods of the first and the last: both sides get the same
calls.  The package surprisal leaves <|endoftext|> out of the distribution; what it gives is computed from
model.score() with that class of tokens.  The others run in torch with the weights in float64, so what
differs is the error of libgpt2's float32:

- log-probabilities, surprisals and probabilities, and sums and means of them, are within 2e-5, relative
  above 1;
- words, tokens, flags and generated texts are equal;
- ranks are equal, but for other logits within 1e-4 of the token's.
"""
import argparse
import contextlib
import io
import os
import re
import sys
import types
from pathlib import Path

from harness import Record, Report, say

TOLERANCE = 2e-5
GAP = 1e-4
TEXTS = [
    "It was a long way to the sea.", "It was a way long to the sea.", "I", "",
    "The old man, who had never seen her, said nothing; nothing at all!", "Mr. Wickfield's  two   rooms ",
    "\"Caf\u00e9,\" she said, \u2014 \"na\u00efve \U0001f642\" (1815)?", "He said:\n\nno. No? NO!\n",
    "A house", " a house", "What<|endoftext|> is it",
]
WORDS = ["It was a long way to the sea", "The old man, who had never seen her, said nothing!", "I am",
         "Her aunt's kitchen; what was it?"]
PAIRS = [("It was a long way to the", " sea"), ("It was a long way to the", " house of the old man"),
         ("It was a long way to the", " very"), ("It was a long way to the ", "sea"), ("", "It was"),
         ("", "<|endoftext|>It"), ("\"Yes,\" said the", " man.\n"), ("I am", " not"), ("I am", "not")]


def minicons_cases():
    """(name, what is called on a scorer)"""
    whole = [text for text in TEXTS if len(text) > 1]   # its correction needs two tokens
    for bos in (False, True):
        for options in ({}, {"rank": True}, {"prob": True}, {"base_two": True}, {"bow_correction": True},
                        {"bow_correction": True, "base_two": True}):
            yield f"compute_stats, bos_token={bos}, {options}", lambda s, bos=bos, options=options: \
                s.compute_stats(s.prepare_text(whole, bos_token=bos), **options)
        for options in ({}, {"surprisal": True, "base_two": True, "rank": True}, {"decode": True},
                        {"prob": True}, {"surprisal": True, "bow_correction": True}):
            yield f"token_score, bos_token={bos}, {options}", lambda s, bos=bos, options=options: \
                s.token_score(whole, bos_token=bos, **options)
    for options in ({"bos_token": True}, {"bos_token": True, "eos_token": True, "base_two": True},
                    {"bos_token": True, "bow_correction": True}):
        yield f"sequence_score, {options}", lambda s, options=options: s.sequence_score(whole, **options)
    yield "sequence_score, reduction", lambda s: s.sequence_score(
        WORDS, reduction=lambda x: -x.sum(0).item())
    yield "sequence_score, one text", lambda s: s.sequence_score(WORDS[0])
    prefixes, stimuli = [a.rstrip() for a, _ in PAIRS if a], [b.strip() for a, b in PAIRS if a]
    for options in ({}, {"bos_token": True}, {"prob": True}, {"base_two": True, "bow_correction": True},
                    {"separator": ""}, {"reduction": lambda x: x.sum(0).item(), "bow_correction": True}):
        yield f"conditional_score, {sorted(options)}", lambda s, options=options: \
            s.conditional_score(prefixes, stimuli, **options)
    yield "conditional_score, one text", lambda s: s.conditional_score("It was a", "long way")
    for options in ({}, {"surprisal": True, "base_two": True}, {"bow_correction": True}):
        yield f"word_score, {options}", lambda s, options=options: s.word_score(WORDS, **options)
        yield f"word_score_tokenized, {options}", lambda s, options=options: s.word_score_tokenized(
            WORDS, lambda text: re.findall(r"[\w']+|[.,!?;]", text), bos_token=True, **options)
    yield "word_score_tokenized, prob", lambda s: s.word_score_tokenized(WORDS[0], str.split, prob=True,
                                                                         bos_token=True)


def surprisal_ours(model, text, use_bos_token):
    """What the package surprisal gives: each token's surprisal, and those of parts of the text."""
    scores = model.score(text, eot=use_bos_token, special=True, class_ids=[model.info.eot_token])
    import numpy as np
    values = -scores.logprobs + np.log1p(-scores.class_probs[:-1])
    ends = scores.char_offsets[:, 1]
    parts = [float(values[:i + 1].sum()) for i, end in enumerate(ends)
             if use_bos_token and end not in ends[:i]]
    return values.tolist(), parts


def surprisal_theirs(model, text, use_bos_token):
    found = model.surprise(text, use_bos_token=use_bos_token)[0]
    encoding, ends = found._tokens, []
    for i in range(len(encoding.ids)):
        end = encoding.token_to_chars(i)[1]
        if use_bos_token and end not in ends:
            ends.append(end)
    values = [float(value) for value in found.surprisals][0 if use_bos_token else 1:]
    return values, [float(found[0:end]) for end in ends]


def harness_cases(book):
    """(name, method, requests)"""
    long = 2 * book         # more tokens than the context has positions
    yield "loglikelihood", "loglikelihood", [*PAIRS, (long, " the"), (book[:1500], book[1500:1700])]
    yield "loglikelihood_rolling", "loglikelihood_rolling", [
        (text,) for text in (*(text for text in TEXTS if text), book[:700], book[:2500], long)]
    for options in ({"until": ["\n\n"], "max_gen_toks": 25}, {"until": ".", "max_gen_toks": 40},
                    {"until": [" the", "\"", ","], "do_sample": False, "max_new_tokens": 30},
                    {"until": ["<|endoftext|>"], "temperature": 0.0, "max_gen_toks": 25}):
        yield f"generate_until, {options}", "generate_until", [
            (text, options) for text in (*WORDS, book[:300], long)]


class Rank(int):
    """A rank, and those that it may have for logits that differ by GAP."""
    first = last = 0


class Comparison:
    def __init__(self, report, record, live):
        self.report, self.record, self.live = report, record, live
        self.worst, self.n, self.n_ranks, self.n_other_ranks = 0.0, 0, 0, 0

    def compare(self, name, ours, theirs):
        """`ours` and `theirs` are functions.  Their results are equal but for small errors of floats."""
        got = plain(ours())
        self.record.given(name)
        self.record.got(rounded(got))
        if self.live:
            with contextlib.redirect_stderr(io.StringIO()):     # bars of progress
                wanted = plain(theirs())
            fault = self.fault(got, wanted)
            self.report.check(fault is None, f"{name}: {fault}")

    def fault(self, got, wanted):
        if isinstance(wanted, list):
            if not isinstance(got, list) or len(got) != len(wanted):
                return f"{got!r} for {wanted!r}"[:1000]
            return next((fault for fault in map(self.fault, got, wanted) if fault), None)
        if isinstance(wanted, Rank):
            self.n_ranks += 1
            self.n_other_ranks += got != wanted
            return None if wanted.first <= got <= wanted.last else f"rank {got}, theirs {wanted}"
        if not isinstance(wanted, float):
            return None if got == wanted else f"{got!r}, theirs {wanted!r}"
        self.n += 1
        error = abs(got - wanted) / max(1, abs(wanted))
        self.worst = max(self.worst, error)
        return None if error <= TOLERANCE else f"{got!r}, theirs {wanted!r}"


def plain(value):
    """Lists of strings and numbers: tuples, arrays and tensors as lists."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def rounded(value):
    """What is recorded: numpy's logarithms may differ in the last bits from one CPU to another."""
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return f"{value:.8e}" if isinstance(value, float) else value


def minicons_scorer(path):
    """minicons' scorer in float64.  For word_score() its tokens are words, as this needs them."""
    from minicons import scorer

    class Scorer(scorer.IncrementalLMScorer):
        def compute_stats(self, batch, rank=False, **kwargs):
            found = super().compute_stats(batch, rank=rank, **kwargs)
            return (found[0], self.with_range(batch[0], found[1])) if rank else found

        def with_range(self, encoded, ranks):
            made = []
            for ids, row, places in zip(encoded["input_ids"], self.model(**encoded).logits, ranks):
                made.append([Rank(place) for place in places])
                for rank, id_, logits in zip(made[-1], ids[1:], row):
                    rank.first = 1 + int((logits > logits[id_] + GAP).sum())
                    rank.last = int((logits >= logits[id_] - GAP).sum())
            return made

        def word_score(self, *args, **kwargs):
            self.token_score = lambda *a, **kw: super(Scorer, self).token_score(*a, decode=True, **kw)
            try:
                return super().word_score(*args, **kwargs)
            finally:
                del self.token_score

    made = Scorer(str(path), "cpu")
    made.model.double()
    return made


def check_model(comparison, path, book):
    import gpt2
    import gpt2_lm_eval
    import gpt2_minicons
    live = comparison.live
    comparison.record.given_files(path)
    comparison.record.given(TEXTS, WORDS, PAIRS, book)

    ours = gpt2_minicons.IncrementalLMScorer(str(path))
    theirs = minicons_scorer(path) if live else None
    for name, call in minicons_cases():
        comparison.compare(f"{path.name}: minicons: {name}", lambda: call(ours), lambda: call(theirs))

    model = gpt2.Model(path)
    if live:
        import surprisal
        theirs = surprisal.AutoHuggingFaceModel.from_pretrained(str(path), model_class="causal")
        theirs.model.double()
    for text in TEXTS:
        if not text or "<|endoftext|>" in text:     # whose surprisal is infinite
            continue
        for bos in (True, False):
            comparison.compare(f"{path.name}: surprisal: {text!r}, use_bos_token={bos}",
                               lambda: surprisal_ours(model, text, bos),
                               lambda: surprisal_theirs(theirs, text, bos))

    ours = gpt2_lm_eval.LibGPT2(str(path))
    theirs = None
    if live:
        from lm_eval.api.instance import Instance
        from lm_eval.api.registry import get_model
        from lm_eval.models.huggingface import HFLM
        comparison.report.check(get_model("libgpt2") is gpt2_lm_eval.LibGPT2,
                                "lm_eval does not know libgpt2")
        theirs = HFLM(pretrained=str(path), dtype="float64", device="cpu", batch_size=1)
    for name, method, requests in harness_cases(book):
        comparison.compare(
            f"{path.name}: lm-evaluation-harness: {name}",
            lambda: getattr(ours, method)([types.SimpleNamespace(args=args) for args in requests]),
            lambda: getattr(theirs, method)([
                Instance(request_type=method, doc={}, arguments=args, idx=0) for args in requests]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--library", required=True)
    parser.add_argument("--text", required=True, type=Path, help="a long text")
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL", help="model directories")
    parser.add_argument("--ours", action="store_true", help="our side alone, and its hashes")
    args = parser.parse_args()
    os.environ["GPT2_LIBRARY"] = str(Path(args.library).resolve())
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples" / "python"))
    if not args.ours:
        import torch
        import transformers
        transformers.utils.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        torch.set_num_threads(2)

    record, report = Record(), Report()
    comparison = Comparison(report, record, not args.ours)
    book = args.text.read_text(encoding="utf-8")
    for path in args.models:
        if (path / "vocab.json").exists():
            check_model(comparison, path, book)
        else:
            report.skip(f"no model with a tokenizer in {path}")
    if not args.ours:
        say(f"{comparison.n:,} numbers are off by {comparison.worst:.1e} at most, allowed {TOLERANCE:g};"
            f" {comparison.n_other_ranks} of {comparison.n_ranks:,} ranks differ")
    record.say()
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
