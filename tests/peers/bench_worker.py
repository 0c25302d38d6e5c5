#!/usr/bin/env python3
"""Load on the HTTP worker, beside the library alone and llama.cpp's server on the same weights.

    bench_worker.py --build DIR --model DIR [--rounds N] [--no-bench] [--llama VERSION PROGRAM]

The library, the worker and llama.cpp's server take turns in each round, so that a slow minute of the
machine hits all alike.  A figure is the median over the rounds, a ratio the median of the rounds'
own ratios.  The clients are one process with one thread, on the same CPUs as the servers.
"""
import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from bench_peers import Engine, machine, say
from load import Llama, Server, run_load

HERE = Path(__file__).resolve().parent
DEMO = HERE.parents[1] / "examples" / "demo-model"
N_CLIENTS, N_TOKENS = 32, 64
N_PROMPT, PAUSE = 512, 0.5      # seconds from the answer to a long prompt to the next one
OPTIONS = ["--port", "0", "--texts", "40", "--queue", "100"]


def gpt2_bench(build, model):
    """What `gpt2 bench` says of a batch of 32."""
    say("gpt2 bench: two to three minutes")
    out = subprocess.run([build / "gpt2", "bench", "--json", "-m", model], check=True,
                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    return json.loads(out)["batch_32"]


def measure_round(library, servers, results):
    seconds = float(library.ask(f"batch {N_CLIENTS} {N_TOKENS} {len(os.sched_getaffinity(0))}"))
    results.setdefault("library", []).append(N_CLIENTS * N_TOKENS / seconds)
    for server in servers:
        plain = asyncio.run(run_load(server, N_CLIENTS, 1, N_TOKENS))
        mixed = asyncio.run(run_load(server, N_CLIENTS, 1, N_TOKENS, PAUSE, N_PROMPT))
        results.setdefault(server.name, []).append((plain, mixed))


def report(results, bench_rate):
    """One line for each figure of each server."""
    library = results.pop("library")
    say(f"\n{N_CLIENTS} clients, each streams {N_TOKENS} tokens; 124M, random weights, F32")
    if bench_rate is not None:
        say(f"  gpt2 bench, batch of 32                 {bench_rate:8.0f} tokens/s")
    say(f"  the same batch in turns with the servers {median(library):7.0f} tokens/s")
    for name, loads in results.items():
        plain = [load for load, _ in loads]
        ratio = median(load.rate / rate for load, rate in zip(plain, library))
        say(f"  {name}\n"
            f"    {median(load.rate for load in plain):8.0f} tokens/s   {ratio:.2f} of the batch"
            f"{'' if bench_rate is None else f'   {median(l.rate for l in plain) / bench_rate:.2f} of gpt2 bench'}"
            "   (wanted 0.90)\n"
            f"    {median(median(load.firsts) for load in plain) * 1e3:8.0f} ms to the first token,"
            f" {median(load.gap(50) for load in plain):.1f} ms between tokens (medians),"
            f" {median(1e6 * load.client_cpu / load.n_tokens for load in plain):.0f} us of the"
            " clients' CPU a token")
    say(f"the same while prompts of {N_PROMPT} tokens keep arriving, {PAUSE:g} s after the one before")
    for name, loads in results.items():
        mixed = [load for _, load in loads]
        gap = [(load.gap(50), load.gap(99)) for load in mixed]
        say(f"  {name}\n"
            f"    {median(load.rate for load in mixed):8.0f} tokens/s of the streams\n"
            f"    {median(p50 for p50, _ in gap):8.1f} ms between tokens (median),"
            f" p99 {median(p99 for _, p99 in gap):.1f} ms:"
            f" {median(p99 / p50 for p50, p99 in gap):.2f} of it   (wanted 3.00)")


def program_cpu(build, prompts, n_prompts, n_tokens):
    """The CPU that `gpt2 generate` uses for such texts in batches of as many."""
    process = subprocess.Popen(
        [build / "gpt2", "generate", "-m", DEMO, "-t", "1", "--prompts", prompts, "--parallel",
         str(N_CLIENTS), "-n", str(n_tokens), "--ignore-eos", "--temp", "0", "--no-echo"],
        stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0
    return usage.ru_utime + usage.ru_stime, n_prompts * n_tokens


def measure_overhead(build, folder, n_rounds):
    """Microseconds of CPU of a token on the demo model: the worker's, the program's, the clients'."""
    n_texts, rows = 20, []
    prompts = Path(folder) / "prompts"
    prompts.write_text("the\n" * N_CLIENTS * n_texts)
    server = Server("worker", [build / "http-worker", DEMO, "--threads", "1", *OPTIONS],
                    Path(folder) / "demo.log")
    try:
        for _ in range(n_rounds):
            load = asyncio.run(run_load(server, N_CLIENTS, n_texts, N_TOKENS, temperature=0))
            (long, n_long), (short, n_short) = (
                program_cpu(build, prompts, N_CLIENTS * n_texts, n) for n in (N_TOKENS, 4))
            rows.append((1e6 * load.server_cpu / load.n_tokens,
                         1e6 * (long - short) / (n_long - n_short),
                         1e6 * load.client_cpu / load.n_tokens, load.rate))
    finally:
        server.stop()
    # the CPU time of the same work grows when others use the cores' other halves: the least counts
    worker, program, clients = (min(column) for column in list(zip(*rows))[:3])
    say(f"\nCPU of a token on the demo model, 1 thread, the least of {n_rounds} rounds\n"
        f"  {worker:8.1f} us of the worker, {program:.1f} us of gpt2 generate for the same texts in"
        f" batches of {N_CLIENTS}\n  {worker - program:8.1f} us of overhead   (wanted 50)\n"
        f"  {clients:8.1f} us of the clients; {max(row[3] for row in rows):.0f} tokens/s")


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-bench", action="store_true", help="without gpt2 bench, which is slow")
    parser.add_argument("--llama", nargs=2, metavar=("VERSION", "PROGRAM"),
                        help="llama.cpp's server")
    args = parser.parse_args()
    say(f"{machine()}; load of the machine at the start: {os.getloadavg()[0]:.1f}")
    bench_rate = None if args.no_bench else gpt2_bench(args.build, args.model)
    results, servers, library = {}, [], None
    with tempfile.TemporaryDirectory() as folder:
        measure_overhead(args.build, folder, args.rounds)
        try:
            os.environ["GPT2_LIBRARY"] = str(args.build / "libgpt2.so")
            library = Engine("libgpt2", [sys.executable, HERE / "worker.py", "libgpt2", args.model],
                             f"{folder}/library.log")
            servers.append(Server("the worker", [args.build / "http-worker", args.model, *OPTIONS],
                                  f"{folder}/worker.log"))
            if args.llama:
                version, program = args.llama
                servers.append(Llama(f"llama.cpp's server, {version}", [
                    program, "-m", args.model / "model.gguf", "-np", "40", "-c", str(40 * 1024),
                    "-t", str(len(os.sched_getaffinity(0))), "--host", "127.0.0.1",
                    "--port", str(free_port())], f"{folder}/llama.log"))
            for server in servers:      # touches their memory
                asyncio.run(run_load(server, N_CLIENTS, 1, N_TOKENS))
            for n_round in range(args.rounds):
                measure_round(library, servers, results)
                say(f"round {n_round + 1} of {args.rounds}")
            report(results, bench_rate)
        finally:
            for server in servers:
                server.stop()
            if library is not None:
                library.kill()


if __name__ == "__main__":
    main()
