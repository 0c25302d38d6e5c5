"""The HTTP worker from outside: its answers beside the gpt2 program's, errors, limits, clients that leave.

    python3 tests/test_http_worker.py build [TEST...]
"""
import concurrent.futures
import http.client
import json
import math
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import browser

BUILD = sys.argv[1]
ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
MODEL = os.path.join(ROOT, "examples", "demo-model")
N_CTX, N_VOCAB, EOT = 256, 2560, 2559
PROMPT = "It was a long way to the sea"
LONG = {"prompt": PROMPT, "max_tokens": 240, "ignore_eot": True, "n": 16}  # some seconds with --texts 1


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def line(self):
        """The message of an error, which is one line."""
        message = self.json["error"]["message"]
        assert message and "\n" not in message, message
        return message

    @property
    def events(self):
        events = self.body.decode().split("\n\n")
        assert events[-1] == "" and all(event.startswith("data: ") for event in events[:-1])
        return [event[6:] for event in events[:-1]]


class Worker:
    """A worker with a model on a port of its own; its log is kept in a file."""

    def __init__(self, *options, model=MODEL):
        self.log_file = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "http-worker"), model, "--port", "0", "--threads", "1",
             *map(str, options)],
            stdout=subprocess.PIPE, stderr=self.log_file, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("ready: "):
            raise AssertionError("the worker does not start: " + line + self.log())
        self.port = int(line.rstrip("/\n").rsplit(":", 1)[1])

    def log(self):
        self.log_file.seek(0)
        return self.log_file.read()

    def ask(self, method, path, body=None, headers=None, timeout=60):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        connection.request(method, path, body, headers or {})
        answer = Answer(connection.getresponse())
        connection.close()
        return answer

    def post(self, path, body, headers=None):
        return self.ask("POST", path, body, headers)

    def execute(self, **body):
        answer = self.post("/execute", body)
        assert answer.status == 200, answer.body
        return answer.json

    def health(self):
        return self.ask("GET", "/health").json

    def socket(self, data):
        """A raw connection that has sent 'data'."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        client.sendall(data)
        return client

    def wait_idle(self, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            health = self.health()
            if health["texts_running"] == 0 and health["texts_waiting"] == 0:
                return
            time.sleep(0.02)
        raise AssertionError(f"texts still run: {health}")

    def stop(self, how=signal.SIGTERM):
        """Ends the worker and returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        status = self.process.wait(60)
        self.process.stdout.close()
        return status

    def __del__(self):
        if self.process.poll() is None:  # its test has failed
            self.process.kill()
            self.stop()
        self.log_file.close()


def raw_post(body, path="/execute"):
    body = json.dumps(body).encode()
    return (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body


def generate(*options):
    """What the gpt2 program writes."""
    return subprocess.run([os.path.join(BUILD, "gpt2"), "generate", "-m", MODEL, "-t", "1",
                           *map(str, options)], check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE).stdout.decode()


class WithWorker(unittest.TestCase):
    options = ()

    @classmethod
    def setUpClass(cls):
        cls.worker = Worker(*cls.options)

    @classmethod
    def tearDownClass(cls):
        status, log = cls.worker.stop(), cls.worker.log()
        assert status == 0, (status, log)
        lines = [line for line in log.splitlines() if not line.startswith("time=")]
        assert not lines, lines  # such as those of a sanitizer


class Execute(WithWorker):
    def test_health(self):
        answer = self.worker.ask("GET", "/health")
        self.assertEqual(answer.status, 200)
        health = answer.json
        self.assertEqual((health["status"], health["model"], health["context"]),
                         ("ok", "demo-model", N_CTX))

    def test_greedy_text_is_that_of_the_program(self):
        result = self.worker.execute(prompt=PROMPT, max_tokens=30, temperature=0, echo=True)
        self.assertEqual(result["results"][0]["text"] + "\n",
                         generate("-p", PROMPT, "-n", 30, "--temp", 0))

    def test_seeds_and_choices_are_those_of_the_program(self):
        result = self.worker.execute(prompt=PROMPT, max_tokens=20, seed=7, top_k=50, n=3)
        lines = generate("-p", PROMPT, "-n", 20, "-s", 7, "--temp", 1, "--top-k", 50,
                         "--top-p", 1, "--n-choices", 3, "--jsonl").splitlines()
        self.assertEqual([r["text"] for r in result["results"]],
                         [json.loads(line)["text"] for line in lines])
        self.assertEqual(result["seed"], 7)

    def test_prompts_and_tokens(self):
        texts = ["The old man", "It was", ""]
        alone = [self.worker.execute(prompt=text, max_tokens=8, seed=1)["results"][0]["text"]
                 for text in texts]
        together = self.worker.execute(prompt=texts, max_tokens=8, seed=1)
        self.assertEqual([r["text"] for r in together["results"]], alone)
        self.assertEqual([r["index"] for r in together["results"]], [0, 1, 2])
        ids = self.worker.execute(prompt="The old man", max_tokens=0, echo=True)["results"][0]["tokens"]
        by_ids = self.worker.execute(tokens=ids, max_tokens=8, seed=1)
        self.assertEqual(by_ids["results"][0]["text"], alone[0])
        lists = self.worker.execute(tokens=[ids, [EOT]], max_tokens=8, seed=1)
        self.assertEqual([r["text"] for r in lists["results"]], [alone[0], alone[2]])
        self.assertEqual(together["usage"]["completion_tokens"],
                         sum(len(r["tokens"]) for r in together["results"]))

    def test_finish(self):
        def finish(**body):
            return self.worker.execute(**{"prompt": PROMPT, "seed": 1, **body})["results"][0]
        self.assertEqual(finish(max_tokens=3)["finish"], "length")
        whole = finish(max_tokens=30)["text"]
        stop = whole[10:14]
        cut = finish(max_tokens=30, stop=["\x01never", stop])
        self.assertEqual((cut["finish"], cut["text"]), ("stop", whole[:whole.index(stop)]))
        first = finish(max_tokens=1)["tokens"][0]
        self.assertEqual((finish(stop_ids=[first])["finish"], finish(stop_ids=[first])["tokens"]),
                         ("token", []))
        full = finish(max_tokens=N_CTX, ignore_eot=True)
        self.assertEqual(full["finish"], "context")
        self.assertEqual(finish(max_tokens=0)["text"], "")

    def test_sampling_parameters_arrive(self):
        """Each changes the text, or forces a token."""
        plain = self.worker.execute(prompt=PROMPT, max_tokens=40, seed=3)["results"][0]["tokens"]
        for name, value in {
                "temperature": 0.1, "top_k": 2, "top_p": 0.3, "top_n_sigma": 0.5, "min_p": 0.5,
                "typical_p": 0.2, "xtc_probability": 1, "mirostat_tau": 1.0,
                "repetition_penalty": 3.0, "frequency_penalty": 5.0, "presence_penalty": 5.0,
                "dry_multiplier": 50.0, "no_repeat_ngram_size": 1, "banned_ids": plain[:1],
                "logit_bias": {str(plain[0]): -100}, "seed": 4}.items():
            body = {"prompt": PROMPT, "max_tokens": 40, "seed": 3, name: value}
            if name == "dry_multiplier":
                body.update(dry_base=4.0, dry_allowed_length=0)
            tokens = self.worker.execute(**body)["results"][0]["tokens"]
            self.assertNotEqual(tokens, plain, name)
        only = self.worker.execute(prompt=PROMPT, max_tokens=3, allowed_ids=[17])
        self.assertEqual(only["results"][0]["tokens"], [17, 17, 17])

    def test_logprobs(self):
        result = self.worker.execute(prompt=PROMPT, max_tokens=5, seed=1, logprobs=3, echo=True)
        result = result["results"][0]
        self.assertEqual(len(result["logprobs"]), len(result["tokens"]))
        self.assertIsNone(result["logprobs"][0])
        for token in result["logprobs"][1:]:
            listed = [x["logprob"] for x in token["likeliest"]]
            self.assertEqual((len(listed), listed), (3, sorted(listed, reverse=True)))
            self.assertLessEqual(sum(map(math.exp, listed)), 1 + 1e-6)
        # a drawn token's log-probability is that of the same token in a prompt
        again = self.worker.execute(tokens=result["tokens"], max_tokens=0, logprobs=3, echo=True)
        for one, other in zip(result["logprobs"][1:], again["results"][0]["logprobs"][1:]):
            self.assertEqual(one["logprob"], other["logprob"])
            self.assertEqual([x["id"] for x in one["likeliest"]], [x["id"] for x in other["likeliest"]])
        # and what gpt2 score says
        nats = -sum(t["logprob"] for t in self.worker.execute(
            tokens=[EOT] + result["tokens"], max_tokens=0, logprobs=0,
            echo=True)["results"][0]["logprobs"][1:])
        said = subprocess.run([os.path.join(BUILD, "gpt2"), "score", "-m", MODEL, "-p", result["text"]],
                              check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout
        self.assertAlmostEqual(nats, float(re.search(rb"^nats +(\S+)", said, re.M).group(1)), delta=1e-3)

    def test_stream_is_the_whole_text(self):
        for extra in {}, {"echo": True, "logprobs": 2}, {"n": 3}, {"stop": ["e"]}:
            body = {"prompt": ["It was", "A caf\u00e9 \u2014 \U0001f600"], "max_tokens": 40, "seed": 5,
                    "temperature": 1.5, **extra}
            whole = self.worker.execute(**body)
            answer = self.worker.post("/execute", {**body, "stream": True})
            self.assertEqual(answer.headers["Content-Type"], "text/event-stream")
            events = answer.events
            self.assertEqual(events[-1], "[DONE]")
            events = [json.loads(event) for event in events[:-1]]
            self.assertEqual(events[-1]["usage"], whole["usage"])
            for result in whole["results"]:
                parts = [part for event in events for part in event["results"]
                         if part["index"] == result["index"]]
                self.assertEqual("".join(part["text"] for part in parts), result["text"])
                self.assertEqual(sum((part["tokens"] for part in parts), []), result["tokens"])
                self.assertEqual([part["finish"] for part in parts if "finish" in part],
                                 [result["finish"]])
                if "logprobs" in result:
                    self.assertEqual(sum((part["logprobs"] for part in parts), []), result["logprobs"])

    def test_errors(self):
        p = {"prompt": "It"}
        for body, words in (
                ("", "no JSON"), ("{", "no JSON"), ("[]", "no JSON object"), (b'{"prompt": "\xff"}', "no JSON"),
                ('{"prompt": "a", "prompt": "b"}', "duplicate"), ("[" * 100000, "no JSON"),
                ({}, "prompt or tokens is missing"), ({**p, "tokens": [1]}, "both prompt and tokens"),
                ({"prompt": 5}, "neither a string nor a list"), ({"prompt": [1, "a"]}, "no whole number"),
                ({"prompt": ["a", 1]}, "neither"), ({"tokens": "a"}, "no list of token ids"),
                ({"tokens": [N_VOCAB]}, f"{N_VOCAB}, wanted 0 to {N_VOCAB - 1}"), ({"tokens": [-1]}, "is -1"),
                ({"tokens": [1.5]}, "no whole number"), ({"tokens": [1] * 257}, "257 tokens, wanted at most 256"),
                ({"prompt": ["a"] * 65}, "more than 64 texts"), ({"prompt": ["a"] * 9, "n": 8}, "more than 64"),
                ({**p, "max_tokens": -1}, "max_tokens is -1"), ({**p, "max_tokens": 257}, "wanted 0 to 256"),
                ({**p, "max_tokens": 2.5}, "no whole number"), ({**p, "n": 0}, "n is 0"), ({**p, "n": 17}, "n is 17"),
                ({**p, "logprobs": 101}, "wanted 0 to 100"), ({**p, "echo": 1}, "neither true nor false"),
                ({**p, "stop": ""}, "stop 0 is no string"), ({**p, "stop": ["a\0"]}, "stop 0"),
                ({**p, "stop": ["a"] * 17}, "17 strings, wanted at most 16"), ({**p, "stop_ids": [1, "a"]}, "stop_ids: id 1"),
                ({**p, "seed": -1}, "seed is -1"), ('{"prompt": "a", "seed": 1e99}', "no whole number"),
                ('{"prompt": "a", "seed": 99999999999999999999}', "too big integer"),
                ({**p, "temperature": "hot"}, "temperature is no number"), ({**p, "temperature": -1}, "temperature is negative"),
                ({**p, "temperature": 1e39}, "wanted -1e30 to 1e30"), ({**p, "top_p": 1.5}, "top_p is too large"),
                ({**p, "top_k": -2}, "top_k is -2"), ({**p, "logit_bias": {"x": 1}}, 'logit_bias has "x"'),
                ({**p, "logit_bias": [1]}, "no object"), ({**p, "banned_ids": 3}, "no list of token ids"),
                ({**p, "temprature": 1}, 'no parameter "temprature"'), ({**p, "top_\u00e9\n": 1}, "no parameter"),
                ({**p, "allowed_ids": [5], "banned_ids": [5]}, "")):
            for stream in ({}, {"stream": True}):
                if stream and isinstance(body, dict):
                    body = {**body, **stream}
                answer = self.worker.post("/execute", body)
                self.assertEqual(answer.status, 400, (body, answer.body))
                self.assertIn(words, answer.line)
                self.assertNotIn("gpt2_sample_params", answer.line)

    def test_completions(self):
        """The texts are those of /execute, in OpenAI's shape."""
        body = {"prompt": ["It was", "caf\u00e9 \u2014"], "max_tokens": 12, "seed": 5, "n": 2, "stop": "ing"}
        wanted = self.worker.execute(**body)
        answer = self.worker.post("/v1/completions", {**body, "model": "any", "user": "me", "best_of": 1}).json
        self.assertEqual((answer["object"], answer["model"]), ("text_completion", "demo-model"))
        self.assertEqual(answer["usage"], wanted["usage"])
        self.assertEqual([c["text"] for c in answer["choices"]], [r["text"] for r in wanted["results"]])
        self.assertEqual([c["finish_reason"] for c in answer["choices"]], [r["finish"] for r in wanted["results"]])
        self.assertEqual({c["logprobs"] for c in answer["choices"]}, {None})
        for options, n_more in ({}, 0), ({"stream_options": {"include_usage": True}}, 1):
            events = self.worker.post("/v1/completions", {**body, "stream": True, **options}).events
            self.assertEqual(events.pop(), "[DONE]")
            events = [json.loads(event) for event in events]
            if n_more:
                last = events.pop()
                self.assertEqual((last["choices"], last["usage"]), ([], wanted["usage"]))
            for i, result in enumerate(wanted["results"]):
                parts = [c for event in events for c in event["choices"] if c["index"] == i]
                self.assertEqual("".join(c["text"] for c in parts), result["text"])
                self.assertEqual([c["finish_reason"] for c in parts if c["finish_reason"]], [result["finish"]])
        default = self.worker.post("/v1/completions", {"prompt": "It", "ignore_eot": True}).json
        self.assertEqual(default["usage"]["completion_tokens"], 16)
        eot = self.worker.post("/v1/completions", {"prompt": "It", "allowed_ids": [EOT]}).json
        self.assertEqual((eot["choices"][0]["text"], eot["choices"][0]["finish_reason"]), ("", "stop"))
        for body, words in ({"prompt": "a", "tokens": [1]}, '"tokens"'), ({"tokens": [1]}, '"tokens"'), ({}, "prompt is missing"), ({"prompt": "a", "best_of": 2}, "best_of is 2"):
            answer = self.worker.post("/v1/completions", body)
            self.assertEqual((answer.status, answer.json["error"]["type"]), (400, "invalid_request_error"))
            self.assertIn(words, answer.line)

    def test_completions_logprobs(self):
        prompt = "A caf\u00e9 \u2014 it was"
        body = {"prompt": prompt, "max_tokens": 4, "seed": 5, "logprobs": 2, "echo": True}
        result = self.worker.execute(**body)["results"][0]
        choice = self.worker.post("/v1/completions", body).json["choices"][0]
        lists = choice["logprobs"]
        self.assertEqual({len(part) for part in lists.values()}, {len(result["tokens"])})
        self.assertEqual((lists["token_logprobs"][0], lists["top_logprobs"][0]), (None, None))
        for i, (logprob, top, token) in enumerate(zip(lists["token_logprobs"], lists["top_logprobs"], lists["tokens"])):
            if i > 0:
                self.assertAlmostEqual(logprob, result["logprobs"][i]["logprob"], delta=1e-6)
                self.assertEqual(top[token], logprob)  # lm-evaluation-harness compares them so
                self.assertIn(len(top), (2, 3))
            if not token.startswith("bytes:"):
                at = lists["text_offset"][i]
                self.assertEqual(choice["text"][at:at + len(token)], token)
        self.assertTrue(any(token.startswith("bytes:\\x") for token in lists["tokens"]))
        parts = [json.loads(event)["choices"][0]["logprobs"]
                 for event in self.worker.post("/v1/completions", {**body, "stream": True}).events[:-1]]
        for name, part in lists.items():
            self.assertEqual(sum((p[name] for p in parts), []), part)

    def test_names_of_tokens(self):
        """No two tokens share a key of top_logprobs, though they have NUL or no text."""
        with tempfile.TemporaryDirectory() as folder:
            model = os.path.join(folder, "model")
            shutil.copytree(MODEL, model)
            with open(os.path.join(model, "vocab.json"), encoding="utf-8") as file:
                vocab = json.load(file)
            nul = vocab["\u0100"]
            gone = [vocab.pop("<|endoftext|>")]
            with open(os.path.join(model, "merges.txt"), encoding="utf-8") as file:
                merges = file.read().splitlines()
            for _ in range(2):
                gone.append(vocab.pop(merges.pop().replace(" ", "")))
            with open(os.path.join(model, "merges.txt"), "w", encoding="utf-8") as file:
                file.write("\n".join(merges) + "\n")
            with open(os.path.join(model, "vocab.json"), "w", encoding="utf-8") as file:
                json.dump(vocab, file)
            worker = Worker(model=model)
            lists = worker.post("/v1/completions", {
                "prompt": "It was", "max_tokens": 5, "logprobs": 100, "ignore_eot": True,
                "logit_bias": {str(nul): 100}}).json["choices"][0]["logprobs"]
            self.assertEqual(lists["tokens"], ["bytes:\\x00"] * 5)
            for top, logprob in zip(lists["top_logprobs"], lists["token_logprobs"]):
                self.assertEqual((len(top), top["bytes:\\x00"]), (101, logprob))
            lists = worker.post("/v1/completions", {
                "prompt": "It was", "max_tokens": 40, "logprobs": 0, "ignore_eot": True, "seed": 1,
                "temperature": 5, "allowed_ids": gone}).json["choices"][0]["logprobs"]
            self.assertEqual(set(lists["tokens"]), {f"token_id:{id_}" for id_ in gone})
            self.assertEqual([list(top) for top in lists["top_logprobs"]], [[name] for name in lists["tokens"]])
            self.assertEqual(worker.stop(), 0)

    def test_models(self):
        models = self.worker.ask("GET", "/v1/models").json
        self.assertEqual([model["id"] for model in models["data"]], ["demo-model"])

    def test_score(self):
        tokens = self.worker.execute(prompt=PROMPT, max_tokens=0, echo=True)["results"][0]["tokens"]
        answer = self.worker.post("/score", {"tokens": [[EOT] + tokens, tokens, [5]], "logprobs": 2}).json
        scored = answer["results"][0]
        self.assertEqual([t["id"] for t in scored["tokens"]], [EOT] + tokens)
        self.assertEqual("".join(t["text"] for t in scored["tokens"][1:]), PROMPT)
        for token in scored["tokens"][1:]:
            ids = [x["id"] for x in token["likeliest"]]
            self.assertEqual(ids.index(token["id"]) + 1 if token["id"] in ids else 3, min(token["rank"], 3))
            self.assertGreater(token["entropy"], 0)
        said = subprocess.run([os.path.join(BUILD, "gpt2"), "score", "-m", MODEL, "-p", PROMPT],
                              check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout
        self.assertAlmostEqual(-scored["logprob"], float(re.search(rb"^nats +(\S+)", said, re.M).group(1)), delta=1e-4)
        self.assertEqual(answer["results"][2], {"index": 2, "logprob": 0.0, "tokens": [
            {"id": 5, "text": answer["results"][2]["tokens"][0]["text"]}]})
        alone = self.worker.post("/score", {"prompt": PROMPT, "logprobs": 2}).json["results"][0]
        self.assertEqual({**alone, "index": 1}, answer["results"][1])
        self.assertIn('"stream"', self.worker.post("/score", {"prompt": "a", "stream": True}).line)

    def test_page(self):
        answer = self.worker.ask("GET", "/")
        self.assertEqual((answer.status, answer.headers["Content-Type"]), (200, "text/html; charset=utf-8"))
        with open(os.path.join(ROOT, "examples", "http-worker", "page.html"), "rb") as file:
            self.assertEqual(answer.body, file.read())
        self.assertNotIn(b"http:", answer.body)  # it works without a network
        self.assertNotIn(b"https:", answer.body)
        self.assertIn("default-src 'none'", answer.headers["Content-Security-Policy"])

    def test_metrics(self):
        def numbers():
            page = self.worker.ask("GET", "/metrics")
            self.assertEqual(page.headers["Content-Type"], "text/plain; version=0.0.4")
            lines = [line for line in page.body.decode().splitlines() if not line.startswith("#")]
            return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}
        def grown(name):
            return after[name] - before.get(name, 0)
        before = numbers()
        self.worker.execute(prompt=[PROMPT, "It was"], max_tokens=7, ignore_eot=True)
        self.worker.post("/execute", {"prompt": 1})
        self.worker.ask("GET", "/nothing")
        time.sleep(0.1)  # a call is counted after its answer
        after = numbers()
        self.assertEqual(grown('gpt2_requests_total{path="/execute",status="200"}'), 1)
        self.assertEqual(grown('gpt2_requests_total{path="/execute",status="400"}'), 1)
        self.assertEqual(grown('gpt2_requests_total{path="other",status="404"}'), 1)
        self.assertEqual((grown("gpt2_texts_total"), grown("gpt2_tokens_total")), (2, 14))
        for name in "queue", "first_token", "token":
            self.assertEqual(grown(f"gpt2_{name}_seconds_count"), 2)
            self.assertEqual(grown(f'gpt2_{name}_seconds_bucket{{le="+Inf"}}'), 2)
            self.assertGreater(grown(f"gpt2_{name}_seconds_sum"), 0)
        self.assertEqual((after["gpt2_kv_pages"], after["gpt2_texts_running"]), (80, 0))

    def test_tokenizer(self):
        for text in PROMPT, "", "caf\u00e9 \U0001f600\0<|endoftext|>":
            answer = self.worker.post("/tokenize", {"prompt": text, "add_special_tokens": False}).json
            said = subprocess.run([os.path.join(BUILD, "gpt2"), "tokenize", "-m", MODEL, "--special"], input=text.encode(),
                                  check=True, stdout=subprocess.PIPE).stdout
            self.assertEqual(answer["tokens"], list(map(int, said.split())))
            self.assertEqual(answer["count"], len(answer["tokens"]))
            back = self.worker.post("/detokenize", {"tokens": answer["tokens"]}).json
            self.assertEqual(back, {"prompt": text})
        info = self.worker.ask("GET", "/tokenizer_info").json
        self.assertEqual((info["eos_token"], info["eos_token_id"], info["vocab_size"]), ("<|endoftext|>", EOT, N_VOCAB))
        for path, body, words in (("/tokenize", {}, "prompt is missing"), ("/tokenize", {"prompt": 1}, "no string"),
                                  ("/tokenize", {"prompt": "a", "x": 1}, '"x"'), ("/tokenize", "[", "no JSON"),
                                  ("/detokenize", {"tokens": "a"}, "no list"), ("/detokenize", {"tokens": [N_VOCAB]}, "wanted 0"),
                                  ("/detokenize", "1", "no JSON")):
            answer = self.worker.post(path, body)
            self.assertEqual(answer.status, 400)
            self.assertIn(words, answer.line)

    def test_paths_and_methods(self):
        self.assertEqual(self.worker.ask("GET", "/nothing").status, 404)
        self.assertEqual(self.worker.ask("GET", "/execute").status, 405)
        self.assertEqual(self.worker.ask("DELETE", "/health").status, 405)

    def test_other_sites_are_refused(self):
        body = {"prompt": "It", "max_tokens": 1}
        for headers, status in (({"Origin": "http://evil.example"}, 403), ({"Host": "evil.example"}, 403),
                                ({"Host": "localhost.evil.example"}, 403), ({"Origin": "null"}, 403),
                                ({"Host": f"localhost:{self.worker.port}",
                                  "Origin": f"http://localhost:{self.worker.port}"}, 200)):
            self.assertEqual(self.worker.post("/execute", body, headers).status, status, headers)

    def test_log_has_no_prompt(self):
        self.worker.execute(prompt="secretword", max_tokens=1)
        self.worker.ask("GET", "/secretword")
        log = self.worker.log()
        self.assertNotIn("secretword", log)
        self.assertRegex(log, r"method=POST path=/execute status=200 whole=yes ms=\S+ texts=1 prompt_tokens=")


def without_times(answer):
    return {name: value for name, value in answer.items() if name != "timings"}


class Batching(WithWorker):
    """GPT2_TEST_REQUESTS=N for more than a few requests."""
    options = ("--texts", 6, "--chunk", 5, "--kv-pages", 8, "--queue", 400)

    def mixed(self, draw):
        beginning = draw.choice(["", PROMPT * 3, PROMPT * 3 + " and then", "The old man " * 12])
        body = {"prompt": beginning + draw.choice(["", " it", " he said", " " + str(draw.random())]),
                "max_tokens": draw.choice([0, 1, 5, 30, 100]), "seed": draw.randrange(100)}
        for name, value in (("temperature", 0.5), ("top_k", 20), ("repetition_penalty", 1.3), ("logprobs", 2),
                            ("echo", True), ("n", 3), ("stop", ["the", "."]), ("mirostat_tau", 3.0),
                            ("ignores_prompt", 1), ("no_repeat_ngram_size", 3), ("ignore_eot", True)):
            if draw.random() < 0.3:
                body[name] = value
        return body

    def test_same_bits_alone_and_together(self):
        draw = random.Random(1)
        bodies = [self.mixed(draw) for _ in range(int(os.environ.get("GPT2_TEST_REQUESTS", 192)))]
        alone = Worker("--texts", 1, "--chunk", 256)
        wanted = [without_times(alone.execute(**body)) for body in bodies]
        self.assertEqual(alone.stop(), 0)
        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            got = list(pool.map(lambda body: without_times(self.worker.execute(**body)), bodies))
        for body, one, other in zip(bodies, wanted, got):
            self.assertEqual(one, other, body)
        self.worker.wait_idle()

    def test_a_shared_beginning_is_not_run_again(self):
        """By the log: of texts that wait together, of one that has ended, and of choices."""
        worker = Worker("--texts", 4, "--chunk", 7)
        ids = [(7 * i) % 1000 for i in range(200)]
        worker.execute(tokens=[ids[:150] + [5, 6], ids[:100] + [8, 9], ids[:170]], max_tokens=2)
        worker.execute(tokens=ids, max_tokens=2)
        worker.execute(tokens=ids[100:], max_tokens=2, n=3)
        worker.execute(tokens=ids[100:], max_tokens=0, echo=True, logprobs=0)  # wants all logits
        worker.execute(tokens=ids[:15] + [3], max_tokens=2)  # too little
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(re.findall(r" shared_tokens=(\d+)", worker.log()),
                         list(map(str, [250, 170, 198, 0, 0])))


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


@unittest.skipUnless(browser.PROGRAM, "no Chromium here")
class Page(WithWorker):
    """The page in a real browser; build/http-worker.png is how it looks at the end."""
    options = ("--texts", 1)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = browser.Browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        super().tearDownClass()

    def setUp(self):
        self.browser.open(f"http://127.0.0.1:{self.worker.port}/")

    def set(self, **values):
        for name, value in values.items():
            self.browser.run(f"void ($({name!r}).value = {json.dumps(value)})")

    def answer(self):
        self.browser.click("#go")
        self.browser.wait("!$('go').disabled")
        return self.browser.run("$('answer').textContent")

    def test_answer(self):
        self.browser.wait("$('model').textContent === 'demo-model'")
        prompt = "A caf\u00e9 <b>&amp;"
        self.set(prompt=prompt, max_tokens=50, seed=1)
        wanted = self.worker.execute(prompt=prompt, max_tokens=50, seed=1, temperature=0.8, top_k=40, top_p=0.95)
        self.assertEqual(self.answer(), prompt + wanted["results"][0]["text"])
        self.assertEqual(self.browser.run("$('error').textContent"), "")
        self.assertRegex(self.browser.run("$('status').textContent"), r"^50 tokens, \d+ / s$")
        self.assertGreater(self.browser.run("new Set([...document.querySelectorAll('.token')]"
                                            ".map(t => getComputedStyle(t).backgroundColor)).size"), 5)
        self.browser.hover(".token:nth-of-type(3)")
        tip = self.browser.run("getComputedStyle($('tip')).display + $('tip').innerText").splitlines()
        self.assertTrue(tip[0].startswith("block"))
        self.assertEqual(sum(line.lstrip("block").startswith("> ") for line in tip), 1)
        self.assertIn(len(tip), (5, 6))
        self.browser.screenshot(os.path.join(BUILD, "http-worker.png"))
        self.assertEqual(self.browser.lines, [])

    def test_themes(self):
        def back():
            return self.browser.run("getComputedStyle(document.body).backgroundColor")
        one = back()
        self.browser.click("#theme")
        other = back()
        self.browser.click("#theme")
        self.assertEqual((back(), one != other), (one, True))

    def test_error(self):
        self.set(max_tokens=1000)
        self.assertEqual(self.browser.run("$('max_tokens').value"), "1000")
        self.answer()
        self.assertEqual(self.browser.run("$('error').textContent"), "max_tokens is 1000, wanted 0 to 256")

    def test_stop_frees_the_place(self):
        client = self.worker.socket(raw_post(LONG))  # the page's text waits behind it
        while self.worker.health()["texts_running"] == 0:
            time.sleep(0.001)
        n_before = self.worker.health()["texts_waiting"]
        self.browser.click("#go")
        self.browser.wait("!$('stop').disabled")
        self.browser.click("#stop")
        self.browser.wait("!$('go').disabled")
        client.close()
        self.worker.wait_idle()
        self.assertEqual(self.browser.run("$('error').textContent"), "")
        self.assertGreater(n_before, 0)


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
                               ([MODEL, "--kv-pages", "2"], "wanted 5 or more"),
                               ([MODEL, "--token-file", "/no/file"], "/no/file")):
            run = subprocess.run([os.path.join(BUILD, "http-worker"), *options], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True, timeout=20)
            self.assertNotEqual(run.returncode, 0, options)
            self.assertIn(words, run.stderr)
            self.assertEqual(run.stderr.count("\n"), 1)


class Counter(unittest.TextTestResult):
    n_passed = 0

    def addSuccess(self, test):
        super().addSuccess(test)
        self.n_passed += 1


if __name__ == "__main__":
    result = unittest.main(argv=sys.argv[:1] + sys.argv[2:], exit=False,
                           testRunner=unittest.TextTestRunner(resultclass=Counter)).result
    n_failed = len(result.failures) + len(result.errors)
    for test, reason in result.skipped:
        print(f"skipped: {test.id()}: {reason}")
    print(f"{result.n_passed} passed, {n_failed} failed, {len(result.skipped)} skipped")
    sys.exit(n_failed > 0)
