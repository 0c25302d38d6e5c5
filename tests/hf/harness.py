"""The gpt2 program under test, comparisons, and the counting of checks."""
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

# Largest absolute difference allowed, by the kind of tap.
TOLERANCE = {
    "embed": 0,
    "ln_1": 1e-5,
    "attn.qkv": 1e-4,
    "attn.scores": 1e-4,
    "attn.probs": 1e-6,
    "attn.ctx": 1e-4,
    "attn.out": 1e-4,
    "ln_2": 1e-5,
    "mlp.fc": 1e-4,
    "mlp.act": 1e-4,
    "mlp.out": 1e-4,
    "block": 1e-4,
    "ln_f": 1e-5,
    "logits": 1e-3,
}


class Program:
    """The gpt2 program."""

    def __init__(self, path):
        self.path = str(Path(path).resolve())

    def run(self, *args):
        done = subprocess.run([self.path, *map(str, args)], capture_output=True, text=True)
        if done.returncode != 0:
            raise ProgramError(f"gpt2 {args[0]}: status {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def trace(self, model_dir, ids, out, *options):
        """Every tap of `ids`, written to the file `out`."""
        self.run("trace", "-m", model_dir, "--tokens", ",".join(map(str, ids)), "-o", out, *options)
        taps = load_file(out)
        tokens = taps.pop("tokens").tolist()
        if tokens != ids:
            raise ProgramError(f"gpt2 trace: ran {tokens}, not {ids}")
        return taps

    def greedy(self, model_dir, ids, n):
        """The `n` ids that follow `ids` at temperature 0."""
        out = self.run("generate", "-m", model_dir, "--tokens", ",".join(map(str, ids)), "-n", n,
                       "--temp", 0, "--ignore-eos", "--no-echo")
        return [int(word) for word in out.split()]


class ProgramError(Exception):
    pass


class Report:
    """Counts checks and says what fails; close() prints the sum and gives the exit status."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def check(self, ok, what):
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            say(f"FAILED  {what}")

    def skip(self, what):
        self.skipped += 1
        say(f"skipped {what}")

    def close(self):
        say(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        return 1 if self.failed else 0


def say(line):
    print(line, flush=True)


def kind_of(name):
    """h.3.attn.qkv is of the kind attn.qkv."""
    return name.split(".", 2)[2] if name.startswith("h.") else name


def largest_difference(ours, theirs):
    """inf where the shapes, the -inf or the NaN of two arrays are not the same."""
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return np.inf
    masked = np.isneginf(theirs)
    if not np.array_equal(masked, np.isneginf(ours)):
        return np.inf
    difference = np.abs(np.subtract(ours, theirs, where=~masked, out=np.zeros_like(ours)))
    return float(np.nan_to_num(difference, nan=np.inf).max())


def compare_taps(ours, theirs):
    """Hold `ours` to the tolerances: ({kind: largest difference}, first fault or None)."""
    differences = dict.fromkeys(TOLERANCE, 0.0)
    if set(ours) != set(theirs):
        return differences, f"taps {sorted(set(ours) ^ set(theirs))} are on one side only"
    fault = None
    for name, expected in theirs.items():
        kind = kind_of(name)
        difference = largest_difference(ours[name], expected)
        differences[kind] = max(differences[kind], difference)
        if difference > TOLERANCE[kind] and not fault:
            fault = f"{name} differs by {difference:.3g}, allowed {TOLERANCE[kind]:g}"
    if not fault and not np.array_equal(ours["logits"].argmax(1), theirs["logits"].argmax(1)):
        fault = "argmax of the logits differs"
    return differences, fault


def cpu_kernels():
    """The names that --cpu takes on this machine."""
    if platform.machine() == "aarch64":
        return ["scalar", "neon"]
    flags = set()
    if platform.machine() == "x86_64" and sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("flags"):
                flags = set(line.split())
                break
    names = ["scalar"]
    if flags >= {"avx2", "fma", "f16c"}:
        names.append("avx2")
        if flags >= {"avx512f", "avx512bw", "avx512dq", "avx512vl"}:
            names.append("avx512")
    return names
