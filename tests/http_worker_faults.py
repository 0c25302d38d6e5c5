"""Tests of the HTTP worker: limits, malformed requests, slow clients, memory, its beginning and end.

tests/test_http_worker.py runs them.
"""
import concurrent.futures
import http.client
import json
import os
import random
import re
import select
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from http_worker import BUILD, LONG, MODEL, N_VOCAB, PROMPT, Answer, WithWorker, Worker, mixed_body, raw_post


class Limits(WithWorker):
    options = ("--texts", 1, "--queue", 16, "--max-body", 5000, "--max-prompt", 20, "--max-tokens", 250,
               "--read-seconds", 1)

    def test_body(self):
        body = json.dumps({"prompt": "a" * 5000})
        answer = self.worker.post("/execute", body)
        self.assertEqual(answer.status, 413)
        self.assertIn("wanted at most 5000", answer.line)
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in [body[:4000].encode(), body[4000:].encode()])
        client = self.worker.socket(b"POST /execute HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                                    + chunks + b"0\r\n\r\n")
        self.assertIn(b" 413 ", client.recv(100))
        client.close()

    def test_prompt(self):
        answer = self.worker.post("/execute", {"tokens": [1] * 21})
        self.assertEqual((answer.status, answer.line), (400, "tokens 0 has 21 tokens, wanted at most 20"))
        answer = self.worker.post("/execute", {"prompt": "It", "max_tokens": 251})
        self.assertIn("wanted 0 to 250", answer.line)

    def test_full_queue_and_clients_that_leave(self):
        for stream in (True, False):
            client = self.worker.socket(raw_post({**LONG, "n": 16, "stream": stream}))
            while self.worker.health()["texts_running"] == 0:
                time.sleep(0.001)
            answer = self.worker.post("/execute", {"prompt": "It", "n": 5})
            self.assertEqual(answer.status, 429)
            self.assertEqual(answer.headers["Retry-After"], "1")
            self.assertIn("at most 16 may", answer.line)
            client.close()
            self.worker.wait_idle()
        time.sleep(0.2)  # for the log
        left = [line for line in self.worker.log().splitlines() if "whole=no" in line]
        self.assertEqual(len(left), 2, left)
        for line in left:
            self.assertLess(int(re.search(r" tokens=(\d+)", line).group(1)), 16 * 240)

    def test_slow_clients(self):
        for data in b"", b"POST /execute HTTP/1.1\r\n", raw_post(LONG)[:-5]:
            begin = time.monotonic()
            client = self.worker.socket(data)
            try:
                while client.recv(1000):
                    pass
            except ConnectionError:
                pass
            self.assertTrue(0.9 < time.monotonic() - begin < 20, data)
            client.close()


def wrong_value(draw):
    """Something that most fields do not want."""
    return draw.choice([
        None, True, 0, -1, 1.5, 1e300, -1e300, 2**31, 2**63 - 1, -2**63, "", "a", "\0", "\ud83d\ude00", [], {},
        [[]], [[1, [2]]], ["a", 1], {"a": {}}, [1e9], [N_VOCAB], [-1], "x" * draw.randrange(300), [1] * 300,
        {str(draw.randrange(-5, 3000)): draw.random() * 10**draw.randrange(60)}])


def damaged_body(draw):
    """A body of some endpoint with wrong values, or with damaged bytes."""
    body = {"prompt": PROMPT, "max_tokens": 2}
    names = ["prompt", "tokens", "max_tokens", "n", "logprobs", "echo", "stream", "stop", "stop_ids", "ignore_eot",
             "seed", "temperature", "top_k", "top_p", "top_n_sigma", "min_p", "typical_p", "xtc_probability",
             "xtc_threshold", "mirostat_tau", "mirostat_eta", "penalty_window", "ignores_prompt",
             "repetition_penalty", "frequency_penalty", "presence_penalty", "dry_multiplier", "dry_base",
             "dry_allowed_length", "no_repeat_ngram_size", "dry_breakers", "banned_ids", "allowed_ids", "logit_bias",
             "stream_options", "model", "user", "add_special_tokens", "", "\n"]
    if draw.random() < 0.2:
        body = {"tokens": [draw.randrange(N_VOCAB) for _ in range(draw.randrange(5))]}
    for _ in range(draw.randrange(3)):
        body[draw.choice(names)] = wrong_value(draw)
    data = bytearray(json.dumps(body, ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass"))
    if draw.random() < 0.5:
        for _ in range(draw.randrange(1, 4)):
            at = draw.randrange(len(data) + 1)
            data[at:at + draw.randrange(3)] = draw.choice([
                b"", b"\xff", b"\0", b"[", b"{", b"[" * 3000, b'{"a":' * 500, b'"', b",", b"1e999", b"-", b"\\u0000",
                b"\\ud800", b"9" * 400, b"0." + b"1" * 500, b"\xf0\x9f", bytes([draw.randrange(256)])])
    return bytes(data)


class Malformed(WithWorker):
    """GPT2_TEST_BODIES=N for more than a few of them."""
    options = ("--texts", 8, "--max-tokens", 8, "--max-n", 3)

    def ask_many(self, seed, n):
        draw = random.Random(seed)
        connection = http.client.HTTPConnection("127.0.0.1", self.worker.port, timeout=60)
        counts = {}
        for _ in range(n):
            path = draw.choice(["/execute", "/v1/completions", "/score", "/tokenize", "/detokenize"])
            body = damaged_body(draw)
            connection.request("POST", path, body)
            answer = Answer(connection.getresponse())
            counts[answer.status] = counts.get(answer.status, 0) + 1
            if answer.status == 200:
                assert answer.body.startswith(b"data: ") or answer.json, body
            else:
                assert answer.status == 400 and answer.line, (path, body, answer.body)
        connection.close()
        return counts

    def test_bodies(self):
        n = int(os.environ.get("GPT2_TEST_BODIES", 2000))
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            counts = list(pool.map(lambda seed: self.ask_many(seed, n // 4), range(4)))
        self.assertGreater(min(count.get(200, 0) for count in counts), n // 100)
        self.assertGreater(min(count.get(400, 0) for count in counts), n // 100)
        self.worker.wait_idle()

    def test_no_http(self):
        draw = random.Random(1)
        for _ in range(100):
            data = bytearray(raw_post({"prompt": "It", "max_tokens": 1}))
            for _ in range(draw.randrange(1, 4)):
                at = draw.randrange(len(data))
                data[at:at + draw.randrange(3)] = draw.choice([
                    b"", b"\0", b"\r\n", b"\xff", b" ", b"Content-Length: 99999999999999999999\r\n", b"A" * 40000,
                    b"Transfer-Encoding: chunked\r\n", bytes([draw.randrange(256)])])
            client = self.worker.socket(b"")
            try:
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                answer = client.recv(100)
                self.assertTrue(answer == b"" or answer.startswith(b"HTTP/1."), answer)
            except OSError:
                pass  # the worker has closed the connection
            client.close()
        self.worker.wait_idle()


class SlowClients(WithWorker):
    options = ("--read-seconds", 2, "--connections", 400, "--queue", 400)

    def test_hundreds(self):
        """300 clients that send too little, are half closed, or keep the connection; others are served."""
        draw = random.Random(1)
        clients = []
        for i in range(300):
            whole = raw_post({"prompt": PROMPT, "max_tokens": 20, "stream": True})
            client = self.worker.socket(whole if i % 3 == 0 else whole[:draw.randrange(len(whole))])
            if i % 3 == 1:
                client.shutdown(socket.SHUT_WR)
            clients.append(client)
        for _ in range(20):
            self.worker.execute(prompt="It", max_tokens=2)
        self.worker.wait_idle()
        time.sleep(2.5)
        self.assertEqual(self.worker.execute(prompt="It", max_tokens=2)["usage"]["completion_tokens"], 2)
        ended = 0
        for client in clients:
            client.settimeout(2)
            try:
                while client.recv(1 << 20):
                    pass
                ended += 1
            except ConnectionError:
                ended += 1
            except socket.timeout:
                pass
            client.close()
        self.assertEqual(ended, 300)

    def test_a_client_that_does_not_read(self):
        """Its answer is too large for the buffers between."""
        client = self.worker.socket(raw_post({**LONG, "stream": True, "logprobs": 100}))
        line = re.compile("path=/execute status=200 whole=no .* texts=16 ")
        end = time.monotonic() + 30
        while not line.search(self.worker.log()):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.1)
        self.worker.wait_idle()
        client.close()


def is_sanitized():
    with open(os.path.join(BUILD, "http-worker"), "rb") as file:
        return re.search(rb"__(asan|tsan|msan)_init", file.read()) is not None


class Memory(WithWorker):
    """GPT2_TEST_MEMORY=N for more than a few requests."""
    options = ("--texts", 8, "--queue", 400)

    def ask_many(self, seed, n):
        """Requests of all kinds: whole, streamed, damaged, and of clients that leave."""
        draw = random.Random(seed)
        connection = http.client.HTTPConnection("127.0.0.1", self.worker.port, timeout=60)
        for _ in range(n):
            kind = draw.random()
            body = mixed_body(draw)
            if kind < 0.1:
                client = self.worker.socket(raw_post({**body, "stream": draw.random() < 0.7}))
                client.settimeout(draw.random() * 0.02)
                try:
                    client.recv(draw.randrange(1, 2000))
                except OSError:
                    pass
                client.close()
                continue
            if kind < 0.2:
                connection.close()      # a new one comes with the next request
            path = draw.choice(["/execute"] * 4 + ["/v1/completions", "/score"])
            if path == "/score":
                body = {"prompt": body["prompt"] + "a", "logprobs": 2}
            elif kind < 0.5:
                body["stream"] = True
            connection.request("POST", path, damaged_body(draw) if kind > 0.9 else json.dumps(body))
            connection.getresponse().read()
        connection.close()

    def rss_kb(self):
        self.worker.wait_idle()
        with open(f"/proc/{self.worker.process.pid}/status") as file:
            return int(re.search(r"^VmRSS:\s+(\d+) kB", file.read(), re.M).group(1))

    def run_many(self, seed, n):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda i: self.ask_many(8 * seed + i, n // 8), range(8)))
        return self.rss_kb()

    @unittest.skipIf(not os.path.exists("/proc/self/status") or is_sanitized(), "no VmRSS, or a sanitizer's")
    def test_flat(self):
        n = int(os.environ.get("GPT2_TEST_MEMORY", 1000))
        first = self.run_many(0, 1000)      # all memory that is kept has been used then
        last = self.run_many(1, n)
        if "GPT2_TEST_MEMORY" in os.environ:
            print(f"resident: {first} kB after 1000 requests, {last} kB after {n} more")
        self.assertLess(last, first + 1500)


class Token(unittest.TestCase):
    def test_token(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("a-token-of-some-length\n")
            file.flush()
            worker = Worker("--token-file", file.name)
        body = {"prompt": "It", "max_tokens": 1}
        for token, status in (("a-token-of-some-length", 200), ("a-token-of-some-lengti", 401), ("a", 401),
                              ("", 401), ("a-token-of-some-length" * 2, 401)):
            self.assertEqual(worker.post("/execute", body, {"Authorization": "Bearer " + token}).status, status)
        self.assertEqual(worker.post("/execute", body).status, 401)
        self.assertEqual(worker.health()["status"], "ok")
        self.assertEqual(worker.stop(), 0)


class Life(unittest.TestCase):
    def test_drain(self):
        worker = Worker("--texts", 4)
        client = worker.socket(raw_post({**LONG, "stream": True}))
        received = client.recv(100)
        worker.process.send_signal(signal.SIGTERM)
        time.sleep(0.15)
        health = worker.ask("GET", "/health")
        self.assertEqual((health.status, health.json["status"]), (503, "draining"))
        self.assertEqual(worker.post("/execute", {"prompt": "It"}).status, 503)
        while True:
            data = client.recv(100000)
            received += data
            if not data or received.endswith(b"0\r\n\r\n"):
                break
        client.close()
        self.assertIn(b"[DONE]", received)
        self.assertEqual(worker.stop(), 0)

    def test_a_client_that_leaves_ends_its_texts(self):
        worker = Worker("--texts", 16)  # all run
        begin = time.monotonic()
        worker.execute(**LONG)
        whole = time.monotonic() - begin
        times = []
        for _ in range(3):
            client = worker.socket(raw_post({**LONG, "stream": True}))
            client.recv(300)
            client.close()
            begin = time.monotonic()
            worker.wait_idle()
            times.append(time.monotonic() - begin)
        self.assertLess(min(times), whole / 3)
        self.assertEqual(worker.stop(), 0)

    def test_drain_has_an_end(self):
        worker = Worker("--texts", 1, "--drain-seconds", 0)
        client = worker.socket(raw_post(LONG))
        while worker.health()["texts_running"] == 0:
            time.sleep(0.001)
        self.assertEqual(worker.stop(), 0)
        self.assertIn(b" 503 ", client.recv(1000))
        client.close()

    def test_killed_and_started_again(self):
        """At the same port, at once: what ran is lost, and nothing else."""
        worker = Worker("--texts", 2)
        body = {"prompt": PROMPT, "max_tokens": 20, "seed": 3}
        wanted = worker.execute(**body)["results"]
        clients = [worker.socket(raw_post({**LONG, "stream": True})) for _ in range(3)]
        first = select.select(clients, [], [], 60)[0][0]  # any of them may come first
        self.assertIn(b"200 OK", first.recv(1000))
        self.assertEqual(worker.stop(signal.SIGKILL), -signal.SIGKILL)
        again = Worker("--port", worker.port)
        self.assertEqual(again.execute(**body)["results"], wanted)
        for client in clients:
            received = b""
            try:
                while data := client.recv(1 << 16):
                    received += data
            except ConnectionError:
                pass
            self.assertNotIn(b"[DONE]", received)
            client.close()
        self.assertEqual(again.stop(), 0)

    def test_time_of_a_text(self):
        worker = Worker("--texts", 1, "--text-seconds", 1)
        answers = []
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: worker.post("/execute", LONG), range(4)))
        self.assertEqual({answer.status for answer in answers} - {200, 503}, set())
        self.assertIn(503, [answer.status for answer in answers])
        worker.stop()

    def test_wrong_options(self):
        for options, words in ((["no-such-model"], "no-such-model/config.json"), ([], "missing"),
                               ([MODEL, "--port", "x"], "--port is \"x\", wanted 0 to 65535"),
                               ([MODEL, "--prot", "1"], "no option --prot"), ([MODEL, "--port"], "no value"),
                               ([MODEL, "--host", "0.0.0.0"], "--token-file"), ([MODEL, "--host", "x"], "--host is"),
                               ([MODEL, "--type", "q5"], "--type is \"q5\", wanted file, f32"),
                               ([MODEL, "--kv-pages", "2"], "wanted 5 or more"),
                               ([MODEL, "--token-file", "/no/file"], "/no/file")):
            run = subprocess.run([os.path.join(BUILD, "http-worker"), *options], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True, timeout=20)
            self.assertNotEqual(run.returncode, 0, options)
            self.assertIn(words, run.stderr)
            self.assertEqual(run.stderr.count("\n"), 1)
