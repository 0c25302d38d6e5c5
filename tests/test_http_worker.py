"""The HTTP worker from outside: its answers beside the gpt2 program's, errors, limits, clients that leave.

    python3 tests/test_http_worker.py build [TEST...]
"""
import concurrent.futures
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

import browser
from http_worker import (BUILD, EOT, LONG, MODEL, N_CTX, N_VOCAB, PROMPT, ROOT, WithWorker, Worker, generate,
                         mixed_body, raw_post)
from http_worker_container import Container  # noqa: F401 (a test, too)
from http_worker_faults import Life, Limits, Malformed, Memory, SlowClients, Token  # noqa: F401 (tests, too)

SLICE = int(os.environ.get("GPT2_TEST_SLICE", 1))  # an Nth of the random requests, as under sanitizers


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

    def test_weight_type(self):
        """The demo model has f16: f32 has the same numbers, the others have not."""
        body = {"prompt": PROMPT, "max_tokens": 20, "logprobs": 0, "seed": 1}
        wanted = without_times(self.worker.execute(**body))
        seen = [wanted]
        for weight_type in "f32", "bf16", "q8", "q4":
            worker = Worker("--type", weight_type)
            answer = without_times(worker.execute(**body))
            self.assertEqual(answer in seen, weight_type == "f32", weight_type)
            seen.append(answer)
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

    def test_same_bits_alone_and_together(self):
        draw = random.Random(1)
        bodies = [mixed_body(draw) for _ in range(int(os.environ.get("GPT2_TEST_REQUESTS", 192 // SLICE)))]
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


@unittest.skipUnless(browser.PROGRAM, "no Chromium here")
class Page(WithWorker):
    """The page in a real browser."""
    options = ("--texts", 1)
    picture = os.path.join(BUILD, "http-worker.png")     # how it looks

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
        self.browser.screenshot(self.picture)
        print(f"screenshot: {self.picture}")
        self.assertEqual(self.browser.lines, [])

    @unittest.skipUnless(browser.READER, "no tesseract here")
    def test_a_person_can_read_it(self):
        for theme in "one", "other":
            self.set(prompt="It was", max_tokens=60, seed=2)
            answer = self.answer()
            self.browser.screenshot(self.picture)
            read = set(browser.words_of(self.picture))
            self.assertLessEqual({"GPT-2", "demo-model", "Settings", "60", "tokens,"}, read, theme)
            words = {word for word in answer.split() if len(word) > 3 and word.isalpha()}
            self.assertGreater(len(words & read), len(words) * 0.7, (theme, words - read))
            self.browser.click("#theme")

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
