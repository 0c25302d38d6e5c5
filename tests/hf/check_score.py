#!/usr/bin/env python3
"""Compare `gpt2 score` with transformers: token ids, nats, perplexity, bits per byte.

transformers runs in float64, in disjoint windows.  For the demo model the texts are of this
repository; more texts and models come from the folder SHARED where it is there.
"""
import argparse
import math
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file

from harness import Program, ProgramError, Report, say

TOLERANCE = 1e-7    # of nats, relative; what is printed is rounded to about 1e-9
SHARED = [      # model, text, its first bytes, contexts
    ("novels", "treasure-island.txt", 12000, [0]),
    ("novels", "alice29.txt", 7000, [0, 100]),      # with CRLF
    ("slm4096", None, None, [0, 7]),                # no <|endoftext|>; LINES
]
LINES = "Q: what is the meaning of life?\nA: We are biased toward shipping.\n" * 5


def reference(model, ids, prefix, max_length):
    """The sum of -ln p over `ids`: each window of max_length inputs is run by itself."""
    nats = 0.0
    inputs = [prefix] + ids[:-1]
    for at in range(0, len(ids), max_length):
        with torch.inference_mode():
            logits = model(torch.tensor([inputs[at:at + max_length]]), use_cache=False).logits[0]
        targets = torch.tensor(ids[at:at + max_length])
        nats -= float(logits.log_softmax(-1).gather(1, targets[:, None]).sum())
    return nats


class Checker:
    def __init__(self, program, report):
        self.program, self.report = program, report
        self.worst = 0.0

    def load(self, directory):
        self.directory = directory
        self.tokenizer = transformers.GPT2Tokenizer.from_pretrained(directory)
        config = transformers.GPT2Config.from_pretrained(directory)
        self.n_positions = config.n_positions
        self.model = transformers.GPT2LMHeadModel._from_config(
            config, attn_implementation="eager").double().eval()
        # Not from_pretrained(): it refuses files whose metadata do not name a framework.
        prefix = "transformer."
        self.model.transformer.load_state_dict({name.removeprefix(prefix): tensor for name, tensor
                                                in load_file(directory / "model.safetensors").items()})

    def check(self, text, path, *contexts):
        """Score `text`, which is in `path`, with each of `contexts` positions (0: all)."""
        name = f"{self.directory.name}, {path.name}"
        theirs = ids = self.tokenizer.encode(text)
        ours = self.program.run("tokenize", "-m", self.directory, path).split()
        self.report.check([int(i) for i in ours] == theirs, f"{name}: token ids differ")
        prefix = self.tokenizer.convert_tokens_to_ids("<|endoftext|>")
        n_bytes = len(text.encode())
        if prefix >= self.model.config.vocab_size:      # the tokenizer made it up
            prefix, ids = theirs[0], theirs[1:]
            n_bytes -= len(self.tokenizer.decode([prefix]).encode())
        for context in contexts:
            max_length = min(context or self.n_positions, self.n_positions)
            nats = reference(self.model, ids, prefix, max_length)
            self.compare(f"{name}, -c {context}", path, context, {
                "tokens": len(ids),
                "bytes": n_bytes,
                "context": max_length,
                "nats": nats,
                "nats_per_token": nats / len(ids),
                "perplexity": math.exp(nats / len(ids)),
                "bits_per_byte": nats / math.log(2) / n_bytes,
            })

    def compare(self, name, path, context, wanted):
        out = self.program.run("score", "-m", self.directory, path, "-c", context)
        got = {line.split()[0]: line.split()[1] for line in out.splitlines()}
        self.report.check(set(got) == set(wanted), f"{name}: prints {sorted(got)}")
        for key, value in wanted.items():
            if isinstance(value, int):
                self.report.check(got.get(key) == str(value),
                                  f"{name}: {key} is {got.get(key)}, not {value}")
                continue
            difference = abs(float(got.get(key, "nan")) / value - 1)
            # The error of nats_per_token, times its size, is that of the perplexity.
            allowed = TOLERANCE * (10 if key == "perplexity" else 1)
            self.report.check(difference <= allowed, f"{name}: {key} is {got.get(key)},"
                              f" transformers has {value:.9g}, off by {difference:.1e}")
            if key == "nats":
                self.worst = max(self.worst, difference)
                say(f"{name}: {wanted['tokens']} tokens, {value:.6f} nats,"
                    f" off by {difference:.1e} of it")


def read(path, n_bytes=None):
    return path.read_bytes()[:n_bytes].decode(errors="ignore")


def write(path, text):
    path.write_bytes(text.encode())
    return text, path


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="the gpt2 program")
    parser.add_argument("--root", required=True, type=Path, help="the checkout")
    parser.add_argument("--shared", required=True, type=Path, help="models/ and corpus/")
    parser.add_argument("--work", required=True, type=Path, help="directory for texts")
    args = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    torch.set_num_threads(2)

    report = Report()
    checker = Checker(Program(args.program), report)
    try:
        checker.load(args.root / "examples/demo-model")
        alice = args.root / "tests/data/alice.txt"
        checker.check(read(alice), alice, 0, 100, 64)
        # One window that is just full, and one token more.
        start = write(args.work / "start.txt", read(alice, 600))
        n = len(checker.tokenizer.encode(start[0]))
        checker.check(*start, 0, n, n - 1, 5, 1)
        for model, book, n_bytes, contexts in SHARED:
            directory = args.shared / "models" / model
            if not directory.is_dir() or not (args.shared / "corpus").is_dir():
                report.skip(f"{model}: no models/{model} and corpus/ in {args.shared}")
                continue
            checker.load(directory)
            text = read(args.shared / "corpus" / book, n_bytes) if book else LINES
            checker.check(*write(args.work / (book or "lines.txt"), text), *contexts)
    except ProgramError as error:
        report.check(False, str(error))
    say(f"nats are off by {checker.worst:.1e} at most, allowed {TOLERANCE:g}")
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
