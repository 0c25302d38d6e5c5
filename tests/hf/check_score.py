#!/usr/bin/env python3
"""Compares `gpt2 score` with transformers: token ids, nats, perplexity, bits per byte.

transformers runs in float64, in disjoint windows, and with strides in the loop of its documentation
(docs/source/en/perplexity.md).  The demo model's texts are in this repository; with --shared, models
and texts come from that folder instead.
"""
import argparse
import math
import sys
from pathlib import Path

from harness import Program, ProgramError, Record, Report, say

TOLERANCE = 1e-7    # of nats, relative; what is printed is rounded to about 1e-9
SHARED = [      # model, text, its first bytes, contexts
    ("novels", "treasure-island.txt", 12000, [0]),
    ("novels", "alice29.txt", 7000, [0, 100]),      # with CRLF
    ("slm4096", None, None, [0, 7]),                # no <|endoftext|>; LINES
]
LINES = "Q: what is the meaning of life?\nA: We are biased toward shipping.\n" * 5


def reference(model, ids, prefix, max_length):
    """The sum of -ln p over `ids`: each window of max_length inputs is run by itself."""
    import torch
    nats = 0.0
    inputs = [prefix] + ids[:-1]
    for at in range(0, len(ids), max_length):
        with torch.inference_mode():
            logits = model(torch.tensor([inputs[at:at + max_length]]), use_cache=False).logits[0]
        targets = torch.tensor(ids[at:at + max_length])
        nats -= float(logits.log_softmax(-1).gather(1, targets[:, None]).sum())
    return nats


def strided_reference(model, ids, max_length, stride):
    """The loop of transformers' documentation, which gives a mean for each window: their sum."""
    import torch
    nats, n_counted, prev_end = 0.0, 0, 0
    for begin in range(0, len(ids), stride):
        end = min(begin + max_length, len(ids))
        target_length = end - prev_end
        window = torch.tensor([ids[begin:end]])
        labels = window.clone()
        labels[:, :-target_length] = -100
        n = int((labels[:, 1:] != -100).sum())
        if n > 0:
            with torch.inference_mode():
                nats += float(model(window, labels=labels, use_cache=False).loss) * n
        n_counted += n
        prev_end = end
        if end == len(ids):
            break
    assert n_counted == len(ids) - 1
    return nats


class Checker:
    """Runs `gpt2 tokenize` and `gpt2 score`; compares with transformers if `live`."""

    def __init__(self, program, report, live):
        self.program, self.report, self.live = program, report, live
        self.worst = 0.0

    def load(self, directory):
        self.directory = directory
        if not self.live:
            return
        import transformers
        from safetensors.torch import load_file
        self.tokenizer = transformers.GPT2Tokenizer.from_pretrained(directory)
        config = transformers.GPT2Config.from_pretrained(directory)
        self.n_positions = config.n_positions
        self.model = transformers.GPT2LMHeadModel._from_config(
            config, attn_implementation="eager").double().eval()
        # Not from_pretrained(): it refuses files whose metadata do not name a framework.
        prefix = "transformer."
        self.model.transformer.load_state_dict({name.removeprefix(prefix): tensor for name, tensor
                                                in load_file(directory / "model.safetensors").items()})

    def ids(self, path):
        """Our ids of a text."""
        return [int(i) for i in self.program.run("tokenize", self.directory, path).split()]

    def check(self, text, path, *contexts):
        """Score `text`, which is in `path`, with each of `contexts` positions (0: all)."""
        ours = self.ids(path)
        got = [self.score(path, context) for context in contexts]
        if not self.live:
            return
        name = f"{self.directory.name}, {path.name}"
        theirs = ids = self.tokenizer.encode(text)
        self.report.check(ours == theirs, f"{name}: token ids differ")
        prefix = self.tokenizer.convert_tokens_to_ids("<|endoftext|>")
        n_bytes = len(text.encode())
        if prefix >= self.model.config.vocab_size:      # the tokenizer made it up
            prefix, ids = theirs[0], theirs[1:]
            n_bytes -= len(self.tokenizer.decode([prefix]).encode())
        for context, figures in zip(contexts, got):
            max_length = min(context or self.n_positions, self.n_positions)
            nats = reference(self.model, ids, prefix, max_length)
            self.compare(f"{name}, -c {context}", figures, {
                "tokens": len(ids),
                "bytes": n_bytes,
                "context": max_length,
                "nats": nats,
                "nats_per_token": nats / len(ids),
                "perplexity": math.exp(nats / len(ids)),
                "bits_per_byte": nats / math.log(2) / n_bytes,
            })

    def check_strides(self, text, path, context, *strides):
        """Score `text`, which is in `path`, in windows that overlap."""
        got = [self.score(path, context, "--stride", stride) for stride in strides]
        if not self.live:
            return
        ids = self.tokenizer.encode(text)
        n_bytes = len(text.encode())
        prefix = self.tokenizer.convert_tokens_to_ids("<|endoftext|>")
        max_length = min(context or self.n_positions, self.n_positions)
        for stride, figures in zip(strides, got):
            nats = strided_reference(self.model, [prefix] + ids, max_length, stride)
            self.compare(f"{self.directory.name}, {path.name}, --stride {stride}", figures, {
                "tokens": len(ids),
                "bytes": n_bytes,
                "context": max_length,
                "stride": stride,
                "nats": nats,
                "nats_per_token": nats / len(ids),
                "perplexity": math.exp(nats / len(ids)),
                "bits_per_byte": nats / math.log(2) / n_bytes,
            })

    def score(self, path, context, *options):
        out = self.program.run("score", self.directory, path, "-c", context, *options)
        return {line.split()[0]: line.split()[1] for line in out.splitlines()}

    def compare(self, name, got, wanted):
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


def check_demo(checker, root, work):
    checker.load(root / "examples/demo-model")
    alice = root / "tests/data/alice.txt"
    checker.check(read(alice), alice, 0, 100, 64)
    checker.check_strides(read(alice), alice, 0, 255, 64)
    checker.check_strides(read(alice), alice, 100, 50)
    # One window that is just full, and one token more.
    start = write(work / "start.txt", read(alice, 600))
    n = len(checker.ids(start[1]))
    checker.check(*start, 0, n, n - 1, 5, 1)


def check_shared(checker, shared, work):
    for model, book, n_bytes, contexts in SHARED:
        directory = shared / "models" / model
        if not directory.is_dir() or not (shared / "corpus").is_dir():
            checker.report.skip(f"{model}: no models/{model} and corpus/ in {shared}")
            continue
        checker.load(directory)
        text = read(shared / "corpus" / book, n_bytes) if book else LINES
        checker.check(*write(work / (book or "lines.txt"), text), *contexts)
    if (shared / "models/novels").is_dir() and (shared / "corpus").is_dir():
        checker.load(shared / "models/novels")
        text = read(shared / "corpus/pride-and-prejudice.txt", 450000)   # more than 100,000 tokens
        checker.check_strides(*write(work / "long.txt", text), 0, 512)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="the gpt2 program")
    parser.add_argument("--root", required=True, type=Path, help="the checkout")
    parser.add_argument("--shared", type=Path, help="a folder with models/ and corpus/: those instead"
                        " of the demo model")
    parser.add_argument("--work", required=True, type=Path, help="directory for texts")
    parser.add_argument("--ours", action="store_true", help="our side alone, and its hashes")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    if not args.ours:
        import torch
        import transformers
        transformers.utils.logging.set_verbosity_error()
        torch.set_num_threads(2)

    record, report = Record(), Report()
    checker = Checker(Program(args.program, record), report, not args.ours)
    try:
        if args.shared:
            check_shared(checker, args.shared, args.work)
        else:
            check_demo(checker, args.root, args.work)
    except ProgramError as error:
        report.check(False, str(error))
    if not args.ours:
        say(f"nats are off by {checker.worst:.1e} at most, allowed {TOLERANCE:g}")
    record.say()
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
