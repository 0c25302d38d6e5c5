"""Clients for bench_worker.py: they stream texts from a server and note when each piece comes."""
import asyncio
import json
import os
import random
import re
import signal
import statistics
import subprocess
import time

import aiohttp

from bench_peers import die_with_parent

N_VOCAB_USED = 2000     # ids below it are tokens of the demo model, too
TEMPERATURE = 0.8


class Server:
    """A server of texts, in a process of its own; `stream_body` makes a request for it."""
    path = "/execute"

    def __init__(self, name, command, log):
        self.name = name
        self.log = open(log, "w+")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=subprocess.STDOUT, preexec_fn=die_with_parent)
        try:
            self.base = self.wait_ready()
        except BaseException:
            self.stop()
            raise

    ready = re.compile(r"^ready: (http://\S+)/$", re.MULTILINE)

    def wait_ready(self, seconds=120):
        """Its address, as its log tells it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            self.log.seek(0)
            found = self.ready.search(self.log.read())
            if found:
                return found.group(1)
            time.sleep(0.05)
        self.log.seek(0)
        raise RuntimeError(f"{self.name} does not start: {self.log.read()[-500:]}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def cpu_seconds(self):
        """Of all its threads so far, those that have ended among them."""
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def rss_bytes(self):
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def stream_body(self, ids, n_tokens, seed, temperature):
        return {"tokens": ids, "max_tokens": n_tokens, "seed": seed, "stream": True,
                "ignore_eot": True, "temperature": temperature, "top_k": 40, "top_p": 0.95}


class Llama(Server):
    """llama.cpp's server."""
    path = "/completion"
    ready = re.compile(r"listening on (http://\S+)")

    def stream_body(self, ids, n_tokens, seed, temperature):
        return {"prompt": ids, "n_predict": n_tokens, "seed": seed, "stream": True,
                "ignore_eos": True, "temperature": temperature, "top_k": 40, "top_p": 0.95, "min_p": 0,
                "samplers": ["top_k", "top_p", "temperature"], "cache_prompt": False}


class Load:
    """What clients saw: times in seconds."""

    def __init__(self):
        self.n_tokens = 0
        self.firsts, self.gaps = [], []     # to the first piece; from piece to piece
        self.seconds = self.server_cpu = self.client_cpu = 0.0

    @property
    def rate(self):
        return self.n_tokens / self.seconds

    def gap(self, quantile):
        """In milliseconds."""
        return 1e3 * statistics.quantiles(self.gaps, n=100)[quantile - 1]


async def stream(client, server, load, draw, n_prompt, n_tokens, temperature=TEMPERATURE):
    """One text.  Each event is a piece of it, but the last ones, which tell how it ended."""
    ids = [draw.randrange(N_VOCAB_USED) for _ in range(n_prompt)]
    body = json.dumps(server.stream_body(ids, n_tokens, draw.randrange(1 << 30), temperature))
    begin, times = time.perf_counter(), []
    async with client.post(server.base + server.path, data=body,
                           headers={"Content-Type": "application/json"}) as answer:
        if answer.status != 200:
            raise RuntimeError(f"{server.name}: {answer.status}: {await answer.text()}")
        async for line in answer.content:
            if line.startswith(b"data: "):
                times.append(time.perf_counter())
                last = line
        if b'"error"' in last:
            raise RuntimeError(f"{server.name}: {last.decode()}")
    load.n_tokens += n_tokens
    load.firsts.append(times[0] - begin)
    load.gaps += [b - a for a, b in zip(times, times[1:n_tokens])]


async def client_loop(client, server, load, seed, n_texts, n_tokens, temperature):
    draw = random.Random(seed)
    for _ in range(n_texts):
        await stream(client, server, load, draw, 1, n_tokens, temperature)


async def prompts_loop(client, server, pause, n_prompt):
    """Prompts that keep arriving, each `pause` seconds after the one before was answered."""
    draw, unused = random.Random(0), Load()
    while True:
        await stream(client, server, unused, draw, n_prompt, 1)
        await asyncio.sleep(pause)


async def run_load(server, n_clients, n_texts, n_tokens, pause=None, n_prompt=512,
                   temperature=TEMPERATURE):
    """`n_clients` at once, each with `n_texts`, one after the other; with `pause`, long
    prompts come meanwhile."""
    load = Load()
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector,
                                     timeout=aiohttp.ClientTimeout(total=600)) as client:
        begin, cpu, own = time.perf_counter(), server.cpu_seconds(), time.process_time()
        prompts = None
        if pause is not None:
            prompts = asyncio.create_task(prompts_loop(client, server, pause, n_prompt))
        await asyncio.gather(*(client_loop(client, server, load, seed, n_texts, n_tokens, temperature)
                               for seed in range(1, n_clients + 1)))
        load.seconds = time.perf_counter() - begin
        load.server_cpu = server.cpu_seconds() - cpu
        load.client_cpu = time.process_time() - own
        if prompts is not None:
            prompts.cancel()
            await asyncio.gather(prompts, return_exceptions=True)
    return load
