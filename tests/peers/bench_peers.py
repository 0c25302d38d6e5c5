#!/usr/bin/env python3
"""Measure libgpt2 and its peers on the same weights, in turns, and write the tables of docs/performance.md.

    bench_peers.py --model DIR [--report FILE] --reference COMMAND... --engine TYPE NAME COMMAND...
                   [--engine ...] [--absent LINE]...

Each engine is a process of worker.py's protocol.  TYPE is libgpt2's type of the weights; the engines
of one type are measured together, then those of the next type.  Each task is done by one engine after
the other before the next one begins, in an order that turns from round to round, so that a slow minute
of the machine hits all alike; engines that wait are stopped (SIGSTOP), and it is checked that they use
no CPU.  A speed is the median over the rounds, a ratio the median of the rounds' own ratios.
"NAME (BUILD)" is one of several builds of NAME, which share a column: each row has the fastest one's.
A peer's NAME has the format of its weights, where that is not F32.  --reference is libgpt2 with F32,
from whose logits all must not be far.  Without --report the tables are only printed.

A peer that ends early or computes something else is left out with a line in the report, the others go
on, and the exit status is 1 in the end.
"""
import argparse
import array
import ctypes
import math
import os
import platform
import signal
import statistics
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

OURS, LLAMA = "libgpt2", "llama.cpp"
F32 = "f32"
N_ROUNDS, FEWEST_ROUNDS = 5, 3      # fewer where they take too long
SECONDS, TYPE_SECONDS = 300, 120    # of F32, and of each other type
THREADS = (2, 1)
LOGITS = "logits 200 8"     # the prompt, and the tokens after it, whose logits are compared
# name of the row, task (but for the number of threads), tokens
ROWS = [("prefill 128", "prefill 128 2", 256),
        ("prefill 512", "prefill 512 1", 512),
        ("prefill 1000", "prefill 1000 1", 1000),
        ("decode at 0", "decode 0 32", 32),
        ("decode at 895", "decode 895 16", 16),
        ("decode, 32 texts", "batch 32 8", 256)]
# of the other types: twice the tokens of a decode that is fast
TYPE_ROWS = [("prefill 512", "prefill 512 1", 512),
             ("decode at 0", "decode 0 64", 64),
             ("decode, 32 texts", "batch 32 8", 256)]
# The largest error of a program's logits.  llama.cpp's cache is f16, as it is by default.  Of the
# quantised types the limit only tells whether it is the same model (of another one it would be 1.4).
LARGEST_ERROR = {F32: 1e-4, "f16": 1e-2, "bf16": 3e-2, "q8": 0.1, "q4": 0.5}
LARGEST_ERROR_LLAMA_F32 = 1e-2
BEGIN, END = "<!-- peers begin -->", "<!-- peers end -->"


# A build this much slower than another one in the warm-up is not measured on.
HOPELESS = 1.3


class Failed(Exception):
    pass


def die_with_parent():
    """A stopped worker must not outlive a killed parent."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Engine:
    """A worker, stopped but while it has a task."""

    def __init__(self, name, command, log):
        self.name, self.log = name, log
        self.failure = None     # the line on it; then the process has ended
        with open(log, "w") as errors:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=errors, text=True, preexec_fn=die_with_parent)
        try:
            word, *self.version = self.answer().split() or [""]
            if word != "ready":
                raise Failed(f"{name}: began with '{word}', not 'ready'")
            self.stop()
        except BaseException:
            self.kill()
            raise

    @property
    def product(self):
        return self.name.split(" (")[0]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise self.ended()
        return line.strip()

    def ended(self):
        errors = Path(self.log).read_text().strip().splitlines() or ["no word of why"]
        return Failed(f"{self.name}: ended with {self.process.wait()}: {errors[-1]}")

    def ticks(self):
        """The CPU time that it has used."""
        if self.process.poll() is not None:
            raise self.ended()
        stat = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return int(stat[11]) + int(stat[12])

    def is_stopped(self):
        """Whether each of its threads is: they stop one after the other."""
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/stat")
        return all(stat.read_text().rpartition(")")[2].split()[0] in "TZ" for stat in threads)

    def stop(self):
        self.process.send_signal(signal.SIGSTOP)
        while not self.is_stopped():
            time.sleep(0.001)
        self.ticks_before = self.ticks()

    def ask(self, task):
        """The answer to `task`."""
        n_ticks = self.ticks() - self.ticks_before
        if n_ticks != 0:
            raise Failed(f"{self.name}: used {n_ticks} ticks while stopped")
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.stdin.write(task + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self.ended()
        answer = self.answer()
        self.stop()
        return answer

    def kill(self):
        self.process.kill()
        self.process.wait()


def say(text):
    print(text, flush=True)


def describe(name, error):
    """The line of the report on a peer that fails, which is said at once, too."""
    line = str(error) if isinstance(error, Failed) else f"{name}: {error}"
    say(f"left out: {line}")
    return line


def attempt(engine, work):
    """work(engine); None of a peer that fails or has failed."""
    if engine.failure:
        return None
    try:
        return work(engine)
    except (Failed, OSError) as error:
        if engine.name == OURS:
            raise
        engine.kill()
        engine.failure = describe(engine.name, error)
        return None


def start(requests, model):
    """The engines that start, and lines on those that do not."""
    engines, failures = [], []
    for name, command in requests:
        say(f"starting {name}")
        try:
            engines.append(Engine(name, command, model / f"{name.replace(' ', '-')}.log"))
        except (Failed, OSError) as error:
            if name == OURS:
                raise
            failures.append(describe(name, error))
    return engines, failures


def columns(engines):
    """The names of the engines by product."""
    names = {}
    for engine in engines:
        names.setdefault(engine.product, []).append(engine.name)
    return names


def get_logits(engine, model):
    path = model / "logits"
    engine.ask(f"{LOGITS} {path}")
    row = array.array("f", path.read_bytes())
    path.unlink()
    return row


def get_reference(command, model):
    """The logits of libgpt2 with F32."""
    engine = Engine(OURS, command, model / "reference.log")
    try:
        return get_logits(engine, model)
    finally:
        engine.kill()


def check_agreement(engine, model, weight_type, reference):
    """The error of its logits: the rms of the difference from `reference` over its rms."""
    row = get_logits(engine, model)
    if len(row) != len(reference):
        raise Failed(f"{engine.name}: {len(row)} logits, not {len(reference)}")
    error = math.sqrt(sum((a - b) ** 2 for a, b in zip(row, reference)) /
                      sum(b * b for b in reference))
    most = LARGEST_ERROR[weight_type]
    if weight_type == F32 and engine.product == LLAMA:
        most = LARGEST_ERROR_LLAMA_F32
    say(f"{engine.name}: the error of its logits is {error:.1e}")
    if not error <= most:
        raise Failed(f"{engine.name}: the error of its logits is {error:.1e}, more than {most:.0e}: "
                     "this is not the same work")
    return error


def hopeless(engine, engines, warm):
    """Whether another build of the same was far faster; `warm`: seconds by engine."""
    mine = warm.get(engine.name)
    return mine is not None and any(
        warm[other.name] * HOPELESS < mine for other in engines
        if other.product == engine.product and other.name in warm)


def measure(engines, rows, threads, most_seconds, log):
    """seconds[threads, row][engine]: those of each round; `log` gets each of them."""
    def ask(engine, task, t, into):
        answer = attempt(engine, lambda engine: engine.ask(f"{task} {t}"))
        print(f"{engine.name}: {task} {t}: {answer}", file=log, flush=True)
        if answer not in (None, "none"):
            into.setdefault(engine.name, []).append(float(answer))

    begin = time.monotonic()
    runners = {}    # by row
    for row, task, _ in rows:
        warm = {}
        for engine in engines:
            ask(engine, task, threads[0], warm)
        warm = {name: its[0] for name, its in warm.items()}
        runners[row] = [engine for engine in engines if not hopeless(engine, engines, warm)]
    say(f"warm after {time.monotonic() - begin:.0f} s")
    seconds = {(t, row): {} for t in threads for row, _, _ in rows}
    for n_round in range(N_ROUNDS):
        for t in threads:
            for row, task, _ in rows:
                turn = n_round % len(runners[row])
                for engine in runners[row][turn:] + runners[row][:turn]:
                    ask(engine, task, t, seconds[t, row])
        took = time.monotonic() - begin
        say(f"round {n_round + 1} of {N_ROUNDS} after {took:.0f} s")
        if took > most_seconds and n_round + 1 >= FEWEST_ROUNDS:
            break
    return seconds


class Measured(NamedTuple):
    """All of one type of weights."""
    rows: List[Tuple[str, str, int]]
    engines: List[Engine]                   # that did all of it
    errors: Dict[str, float]                # of the logits, by engine
    n_bytes: Dict[str, int]                 # of the weights, by engine; not of F32
    seconds: Dict[Tuple[int, str], Dict[str, List[float]]]

    def n_rounds(self):
        return len(next(iter(self.seconds.values()))[OURS])


def measure_type(weight_type, requests, model, reference, threads, log):
    """Starts the engines, measures and ends them; also lines on those that fail."""
    say(f"weights: {weight_type}")
    rows, most_seconds = (ROWS, SECONDS) if weight_type == F32 else (TYPE_ROWS, TYPE_SECONDS)
    engines, failures = start(requests, model)
    errors, n_bytes = {}, {}
    try:
        for engine in engines:
            errors[engine.name] = attempt(
                engine, lambda engine: check_agreement(engine, model, weight_type, reference))
            if weight_type != F32:
                n_bytes[engine.name] = attempt(engine, lambda engine: int(engine.ask("bytes")))
        seconds = measure(engines, rows, threads, most_seconds, log)
    finally:
        for engine in engines:
            engine.kill()
    failures += [engine.failure for engine in engines if engine.failure]
    engines = [engine for engine in engines if not engine.failure]
    return Measured(rows, engines, errors, n_bytes, seconds), failures


def cells(seconds, tokens, names):
    """The speed of the fastest of `names`, and a peer's ratio."""
    names = [name for name in names if name in seconds]
    if not names:
        return ["–", ""]
    its = min((seconds[name] for name in names), key=statistics.median)
    speed = f"{tokens / statistics.median(its):.0f}"
    if names == [OURS]:
        return [speed]
    return [speed, f"{statistics.median(a / b for a, b in zip(its, seconds[OURS])):.2f}"]


def table(its, threads):
    """The speeds of F32."""
    names_of = columns(its.engines)
    heads = [head for product in names_of
             for head in ([product] if product == OURS else [product, "ratio"])]
    lines = []
    for t in threads:
        lines += ["", f"| {t} thread{'s' * (t > 1)} | " + " | ".join(heads) + " |",
                  "|---" + "|---:" * len(heads) + "|"]
        for row, _, tokens in its.rows:
            line = [cell for names in names_of.values()
                    for cell in cells(its.seconds[t, row], tokens, names)]
            lines.append(f"| {row} | " + " | ".join(line) + " |")
    return lines


def type_tables(types, threads):
    """What the other types take, and their speeds: beside each peer's format of the same size."""
    products = [(weight_type, its, product, names) for weight_type, its in types.items()
                for product, names in columns(its.engines).items()]
    lines = ["", "| weights | program | MB | error of the logits |", "|---|---|---:|---:|"]
    for weight_type, its, product, names in products:
        builds = [f"{name[len(product):].strip(' ()')} {its.errors[name]:.1e}".strip()
                  for name in names]
        lines.append(f"| {weight_type} | {product} | {its.n_bytes[names[0]] / 1e6:.1f} | "
                     f"{', '.join(builds)} |")
    for t in threads:
        lines += ["", f"| {t} thread{'s' * (t > 1)} | libgpt2 | peer | ratio |",
                  "|---|---:|---:|---:|"]
        for weight_type, its, product, names in products:
            if product == OURS:
                continue
            for row, _, tokens in its.rows:
                line = [cell for names in ([OURS], names)
                        for cell in cells(its.seconds[t, row], tokens, names)]
                lines.append(f"| {weight_type}, {product}: {row} | " + " | ".join(line) + " |")
    return lines


def machine():
    """The kind of machine, in words that name no host."""
    facts = {}
    if Path("/proc/cpuinfo").exists():
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            facts.setdefault(key.strip(), value.strip())
    sets = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_vnni": "VNNI", "avx512_bf16": "BF16",
            "amx_tile": "AMX", "asimd": "NEON", "asimddp": "dot products", "i8mm": "I8MM",
            "sve": "SVE"}
    flags = (facts.get("flags") or facts.get("Features", "")).split()
    model = facts.get("model name", platform.machine())
    if "cpu family" in facts:
        model += f" (family {facts['cpu family']}, model {facts['model']})"
    return f"{model}, {os.cpu_count()} CPUs, {', '.join(sets[f] for f in sets if f in flags)}"


def section(measured, absent, threads):
    first, types = next(iter(measured.values())), dict(measured)
    f32 = types.pop(F32, None)
    versions = [f"{e.name} {' '.join(e.version)}" for e in first.engines]
    n_rounds = sorted({its.n_rounds() for its in measured.values()})
    lines = [
        f"Tokens a second, on {time.strftime('%Y-%m-%d')}, with {machine()}. Random weights at the "
        "shape of the 124M model. KV caches are F32, except llama.cpp's, which is F16 by "
        "default. Ratio: the speed of libgpt2 at this commit over the peer's, so more than 1 means that "
        f"libgpt2 is faster. It is the median of {' or '.join(map(str, n_rounds))} rounds in which all were measured "
        "in turns. Each row has the faster of the two builds of llama.cpp.",
        "", "Versions: " + "; ".join(versions) + ".",
        "", "Prefill computes the logits of the last token, decode those of each token; nothing is "
        "sampled. `decode, 32 texts` counts the tokens of all texts together, which run in one "
        "batch; – was not measured.",
        "", "Before the measurement, the logits after 200 tokens at once and 8 one by one were "
        "compared. The error of logits is the rms of their difference from libgpt2's with weights of "
        "F32, over the rms of those."]
    if f32:
        said = "; ".join(f"{e.name} {f32.errors[e.name]:.0e}" for e in f32.engines if e.name != OURS)
        lines += ["", f"**Weights of F32.** The error of the logits: {said or 'no peer'}."]
        lines += table(f32, threads)
    if types:
        lines += [
            "", "**Other types of weights.** Each of libgpt2's types is beside the peers' formats of the "
            "same size; IQ4_NL has the very numbers of q4. The GGUF files are made from the F32 one by "
            "`llama_model_quantize()` with its defaults, as by `llama-quantize`: with Q4_0 and IQ4_NL, "
            "the embeddings, which are the head, too, are Q6_K, and with IQ4_NL one matrix is Q5_K; the "
            "embeddings of libgpt2's q4 are q8. Bytes are those of the model in libgpt2's memory, of "
            "the tensors in the GGUF file, and of the ONNX file without its F32 embeddings, of which a "
            "token reads one row. Each program rounds in its own way, and the weights are random: the "
            "error only shows that the model is the same."]
        lines += type_tables(types, threads)
    for line in absent:
        lines += ["", f"Left out: {line}."]
    return "\n".join(line if line[:1] in ("", "|") else textwrap.fill(
        line, 100, break_long_words=False, break_on_hyphens=False) for line in lines) + "\n"


def write_section(path, text, marks=(BEGIN, END)):
    """Puts `text` between the marks of the file, and leaves the rest of it as it is."""
    first, last = marks
    path.parent.mkdir(parents=True, exist_ok=True)
    old = path.read_text() if path.exists() else f"# Performance\n\n## Beside other programs\n\n{BEGIN}\n{END}\n"
    before, begin, rest = old.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise Failed(f"{path}: lacks the lines '{first}' and '{last}'")
    path.write_text(f"{before}{first}\n{text}{last}{after}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--report", type=Path)
    parser.add_argument("--reference", nargs="+", required=True)
    parser.add_argument("--engine", nargs="+", action="append", required=True)
    parser.add_argument("--absent", action="append", default=[])
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench_peers.py: terminated"))
    threads = [t for t in THREADS if t <= len(os.sched_getaffinity(0))]
    requests, measured, failures = {}, {}, []
    for weight_type, name, *command in args.engine:
        requests.setdefault(weight_type, []).append((name, command))
    try:
        reference = get_reference(args.reference, args.model)
        with open(args.model / "measurements", "w") as log:
            for weight_type, its in requests.items():
                measured[weight_type], lines = measure_type(weight_type, its, args.model, reference,
                                                            threads, log)
                failures += lines
        text = section(measured, args.absent + failures, threads)
        if args.report:
            write_section(args.report, text)
    except (Failed, OSError) as error:
        sys.exit(f"bench_peers.py: {error}")
    say(f"\n{text}" + (f"\nwritten to {args.report}" if args.report else ""))
    if failures:
        sys.exit(f"bench_peers.py: left out {len(failures)} that failed")


if __name__ == "__main__":
    main()
