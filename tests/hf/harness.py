"""The gpt2 program under test, the hashes of what it was given and gave back, the counting of checks.

No module beyond Python's own: our side of every comparison runs without the others' programs.
"""
import hashlib
import platform
import subprocess
import sys
from pathlib import Path


class Record:
    """Hashes of everything that our side of a check is given, and of everything it answers.

    libgpt2 gives the same bits on every machine.  So a comparison that passed still holds while these two
    hashes and the code of the comparison stay the same.  pins.txt keeps them.
    """

    def __init__(self):
        self.inputs, self.outputs = hashlib.sha256(), hashlib.sha256()

    @staticmethod
    def _add(hash_, items):
        for item in items:
            data = item if isinstance(item, (bytes, bytearray)) else repr(item).encode()
            hash_.update(b"%d:" % len(data))
            hash_.update(data)

    def given(self, *items):
        self._add(self.inputs, items)

    def got(self, *items):
        self._add(self.outputs, items)

    def given_files(self, *paths):
        """Files, or all files of folders: their names without the folder, and their bytes."""
        for path in map(Path, paths):
            for file in sorted(path.iterdir()) if path.is_dir() else [path]:
                self.given(file.name, file.read_bytes())

    def say(self):
        """The line that run.sh compares with pins.txt."""
        say(f"hashes {self.inputs.hexdigest()} {self.outputs.hexdigest()}")


class Program:
    """The gpt2 program.  `record` hashes what it is given and what it answers."""

    def __init__(self, path, record):
        self.path, self.record = str(Path(path).resolve()), record
        self.known = set()

    def run(self, command, model_dir, *args):
        """Runs a command with the model of a folder.  Paths are not recorded, but what they hold is."""
        if model_dir not in self.known:
            self.known.add(model_dir)
            self.record.given_files(model_dir)
        self.record.given(command, model_dir.name, *[arg for arg in args if not isinstance(arg, Path)])
        for path in args:
            if isinstance(path, Path) and path.exists():
                self.record.given_files(path)
        out = self.unrecorded(command, model_dir, *args)
        self.record.got(out)
        return out

    def unrecorded(self, command, model_dir, *args):
        done = subprocess.run([self.path, command, "-m", *map(str, (model_dir, *args))],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise ProgramError(f"gpt2 {command}: status {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def trace(self, model_dir, ids, out):
        """Writes every tap of `ids` to the file `out`."""
        out.unlink(missing_ok=True)
        self.run("trace", model_dir, "--tokens", ",".join(map(str, ids)), "-o", out)
        self.record.got(out.read_bytes())

    def trace_again(self, model_dir, ids, out, *options):
        """The same in another way, which may not change the file: nothing is recorded."""
        self.unrecorded("trace", model_dir, "--tokens", ",".join(map(str, ids)), "-o", out, *options)

    def greedy(self, model_dir, ids, n):
        """The `n` ids that follow `ids` at temperature 0."""
        out = self.run("generate", model_dir, "--tokens", ",".join(map(str, ids)), "-n", n,
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
