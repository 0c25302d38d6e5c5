#!/usr/bin/env python3
"""Compares libgpt2's token ids with those of tiktoken and HF tokenizers on 100 MB of made-up text.

The text is that of texts.py, with a fixed seed; nothing of it is stored.  Every second chunk is
encoded with <|endoftext|> as a special token.  libgpt2 encodes each text whole, decodes it again,
and encodes it in parts cut at random.

HF tokenizers is of Unicode 14, tiktoken and libgpt2 are of Unicode 16.  tiktoken gets every text as
it is.  For HF tokenizers each letter or number that it does not know is replaced by an older letter
or number, and libgpt2 encodes that text too.  No difference is allowed anywhere.
"""
import argparse
import multiprocessing
import operator
import os
import random
import sys
import time
from pathlib import Path

from check_tokenizer import HfTokenizers, LibGpt2, TikToken
from harness import Record, Report, say
from texts import SEED, Texts

N_CHUNKS = {False: 6, True: 68}         # by --full
N_BYTES = {False: 5e6, True: 100e6}     # what the chunks hold at least


class Older(dict):
    """For str.translate(): letters and numbers that HF tokenizers does not know, and older ones."""
    LETTER, NUMBER = "ж", "٣"

    def __init__(self, hf):
        import tiktoken
        self.hf = hf
        self.is_letter, self.is_number = (
            tiktoken.Encoding(name, pat_str=pattern, special_tokens={},
                              mergeable_ranks={bytes([i]): i for i in range(256)}).encode_ordinary
            for name, pattern in (("letters", r"\p{L}"), ("numbers", r"\p{N}")))

    def __missing__(self, point):
        character = chr(point)
        self[point] = point
        if point > 0x7F and self.hf.is_other(character):
            if self.is_letter(character):
                self[point] = self.LETTER
            elif self.is_number(character):
                self[point] = self.NUMBER
        return self[point]


class Sums:
    """What one chunk, or all, came to."""
    NAMES = ["bytes", "texts", "ids", "parts", "newer_texts", "newer_characters"]

    def __init__(self):
        self.hashes = []    # of each chunk
        self.differences = {"tiktoken": [], "tokenizers": [], "the parts": []}
        for name in self.NAMES:
            setattr(self, name, 0)

    def merge(self, other):
        self.hashes += other.hashes
        for side, found in other.differences.items():
            self.differences[side] += found
        for name in self.NAMES:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Sides:
    """libgpt2, tiktoken, HF tokenizers and the text, in one process; our side alone unless `live`."""

    def __init__(self, live, library, tokenizer, corpus):
        self.ours, self.live = LibGpt2(library, tokenizer), live
        ranks = TikToken.read_ranks(os.path.join(tokenizer, "r50k_base.tiktoken"))
        if live:
            self.tiktoken, self.hf = TikToken(ranks), HfTokenizers(tokenizer)
            self.older = Older(self.hf)
        tokens = [token.decode("utf-8", "ignore") for token in sorted(ranks)]
        self.texts = Texts([path.read_text("utf-8") for path in sorted(Path(corpus).iterdir())],
                           [token for token in tokens if token])

    def compare(self, number):
        sums, record, special = Sums(), Record(), number % 2 == 1
        rng = random.Random(f"{SEED}/cuts/{number}")
        texts = list(self.texts.chunk(number))
        self.ours.record = record
        ours = self.ours.encode_many(texts, special)
        self.ours.record = None
        in_parts = []
        for text in texts:
            data = text.encode()
            cuts = self.cuts(rng, len(data))
            in_parts.append(self.ours.encode_parts(data, cuts, special))
            sums.bytes += len(data)
            sums.parts += len(cuts) + 1
        self.hold(sums, "the parts", texts, ours, in_parts)
        sums.texts, sums.ids = len(texts), sum(map(len, ours))
        sums.hashes.append((record.inputs.hexdigest(), record.outputs.hexdigest()))
        if not self.live:
            return sums

        self.hold(sums, "tiktoken", texts, ours, self.tiktoken.encode_many(texts, special))
        older = [text.translate(self.older) for text in texts]
        for i, (text, other) in enumerate(zip(texts, older)):
            n_newer = sum(map(operator.ne, text, other))
            if n_newer:
                ours[i] = self.ours.encode(other, special)
                sums.newer_texts += 1
                sums.newer_characters += n_newer
        self.hold(sums, "tokenizers", older, ours, self.hf.encode_many(older, special))
        return sums

    @staticmethod
    def cuts(rng, n):
        """Offsets in `n` bytes, in places close together and in places far apart."""
        cuts, at = [], 0
        while True:
            at += round(20000 ** rng.random())
            if at >= n:
                return cuts
            cuts.append(at)

    @staticmethod
    def hold(sums, side, texts, ours, theirs):
        for text, a, b in zip(texts, ours, theirs):
            if a != b:
                at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
                sums.differences[side].append((len(text), at, a[at:at + 8], b[at:at + 8]))


def start(*arguments):
    global sides
    sides = Sides(*arguments)


def compare(number):
    return sides.compare(number)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--library", required=True)
    parser.add_argument("--tokenizer", required=True,
                        help="folder of vocab.json, merges.txt, r50k_base.tiktoken")
    parser.add_argument("--corpus", required=True, help="folder of texts, whose words are used")
    parser.add_argument("--full", action="store_true", help="100 MB, not a slice of it")
    parser.add_argument("--ours", action="store_true", help="our side alone, and its hashes")
    args = parser.parse_args()

    record = Record()
    record.given_files(*(os.path.join(args.tokenizer, name) for name in ("vocab.json", "merges.txt")))
    report, sums, started = Report(), Sums(), time.monotonic()
    with multiprocessing.Pool(len(os.sched_getaffinity(0)), start,
                              (not args.ours, args.library, args.tokenizer, args.corpus)) as pool:
        for chunk in pool.imap(compare, range(N_CHUNKS[args.full])):
            sums.merge(chunk)
    say(f"seed {SEED}: {sums.bytes:,} bytes, {sums.texts:,} texts, {sums.ids:,} ids, {sums.parts:,} parts,"
        f" {time.monotonic() - started:.0f} s")
    if not args.ours:
        say(f"{sums.newer_characters:,} characters of {sums.newer_texts:,} texts are newer than HF"
            " tokenizers' Unicode: older ones in their place for it alone")
    report.check(sums.bytes >= N_BYTES[args.full], f"only {sums.bytes:,} bytes")
    for side, found in sums.differences.items():
        if args.ours and side != "the parts":
            continue
        say(f"{len(found)} texts differ from {side}")
        report.check(not found, f"ids that differ from {side}")
        for n, at, ours, theirs in found[:5]:
            say(f"        a text of {n:,} characters, id {at:,} on: {ours}, theirs {theirs}")
    for given, got in sums.hashes:
        record.given(given)
        record.got(got)
    record.say()
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
