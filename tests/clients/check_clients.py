"""The OpenAI client and lm-evaluation-harness, unchanged, against the HTTP worker with the demo model.

    build/venv-clients/bin/python tests/clients/check_clients.py build/http-worker

Expected values come from POST /score and POST /execute, which tests/test_http_worker.py compares with
the gpt2 program.
"""
import json
import logging
import os
import subprocess
import sys
import unittest
import urllib.request

import openai
from lm_eval.api.instance import Instance
from lm_eval.api.registry import get_model

WORKER = sys.argv.pop(1)
MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples", "demo-model")
EOT = "<|endoftext|>"
TEXT = "It was a long way to the sea, and the old man said nothing. "
process = subprocess.Popen([WORKER, MODEL, "--port", "0", "--threads", "1"], stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, text=True)
BASE = process.stdout.readline().split()[1].rstrip("/")


def post(path, **body):
    return json.load(urllib.request.urlopen(urllib.request.Request(BASE + path, json.dumps(body).encode())))


def n_tokens(text):
    return post("/tokenize", prompt=text)["count"]


class OpenAI(unittest.TestCase):
    def setUp(self):
        self.client = openai.OpenAI(base_url=BASE + "/v1", api_key="none", max_retries=0)
        self.addCleanup(self.client.close)

    def complete(self, **options):
        return self.client.completions.create(**{"model": "demo-model", "prompt": "It was a", "max_tokens": 12,
                                                 "temperature": 0, **options})

    def test_models(self):
        self.assertEqual([model.id for model in self.client.models.list()], ["demo-model"])

    def test_completion(self):
        wanted = post("/execute", prompt="It was a", max_tokens=12, temperature=0)
        answer = self.complete(user="someone", best_of=1)
        self.assertEqual(answer.choices[0].text, wanted["results"][0]["text"])
        self.assertEqual((answer.choices[0].finish_reason, answer.usage.completion_tokens), ("length", 12))
        stopped = self.complete(stop=[answer.choices[0].text[5:9]])
        self.assertEqual((stopped.choices[0].text, stopped.choices[0].finish_reason),
                         (answer.choices[0].text[:5], "stop"))

    def test_parameters(self):
        answer = self.complete(prompt=[[1, 2, 3], [4]], n=2, frequency_penalty=0.5, presence_penalty=0.1,
                               logit_bias={"5": -100}, top_p=0.9, temperature=1.2, seed=3)
        self.assertEqual([choice.index for choice in answer.choices], [0, 1, 2, 3])

    def test_logprobs_and_echo(self):
        choice = self.complete(logprobs=2, echo=True).choices[0]
        self.assertTrue(choice.text.startswith("It was a"))
        self.assertEqual("".join(choice.logprobs.tokens), choice.text)
        self.assertIsNone(choice.logprobs.token_logprobs[0])
        self.assertEqual(choice.logprobs.top_logprobs[-1][choice.logprobs.tokens[-1]],
                         choice.logprobs.token_logprobs[-1])

    def test_stream(self):
        wanted = self.complete()
        events = list(self.complete(stream=True, stream_options={"include_usage": True}))
        self.assertEqual("".join(event.choices[0].text for event in events[:-1]), wanted.choices[0].text)
        self.assertEqual(events[-2].choices[0].finish_reason, "length")
        self.assertEqual(events[-1].usage, wanted.usage)

    def test_errors(self):
        for options in {"max_tokens": -1}, {"temperature": -1}, {"suffix": "x"}, {"prompt": ["a"] * 65}:
            with self.assertRaises(openai.BadRequestError) as caught:
                self.complete(**options)
            self.assertEqual(caught.exception.type, "invalid_request_error")
            self.assertTrue(caught.exception.body["message"])
        with self.assertRaises(openai.NotFoundError):
            self.client.chat.completions.create(model="demo-model", messages=[])


class Harness(unittest.TestCase):
    """loglikelihood and greedy as lm-evaluation-harness gets them."""
    pairs = [("It was a", " long way"), ("It was a", " very good deal of the matter"), ("The old man", " \u2014 caf\u00e9"),
             ("", "It was"), (TEXT * 10 + "And", " then")]

    def ask(self, model, kind, arguments):
        return getattr(model, kind)([Instance(kind, {}, args, i) for i, args in enumerate(arguments)])

    def expected(self, context, continuation):
        tokens = post("/score", prompt=(context or EOT) + continuation)["results"][0]["tokens"]
        tokens = tokens[n_tokens(context or EOT):]
        return sum(token["logprob"] for token in tokens), all(token["rank"] == 1 for token in tokens)

    def check(self, got, pairs):
        greedy = []
        for pair, one in zip(pairs, got):
            logprob, is_greedy = self.expected(*pair)
            self.assertAlmostEqual(one[0], logprob, delta=1e-4, msg=pair)
            self.assertEqual(one[1], is_greedy, pair)
            greedy.append(is_greedy)
        self.assertEqual(set(greedy), {True, False})

    def local(self, **options):
        return get_model("local-completions")(model="demo-model", base_url=BASE + "/v1/completions",
                                              tokenizer_backend="remote", max_length=256, **options)

    def test_local_completions(self):
        for options in {}, {"num_concurrent": 8}, {"batch_size": 4}:
            self.check(self.ask(self.local(**options), "loglikelihood", self.pairs), self.pairs)

    def test_rolling(self):
        got = self.ask(self.local(), "loglikelihood_rolling", [(TEXT * 8,)])
        self.assertAlmostEqual(got[0], self.expected("", TEXT * 8)[0], delta=1e-3)

    def test_generate(self):
        options = {"until": ["."], "max_gen_toks": 30, "temperature": 0}
        wanted = post("/execute", prompt="It was a", max_tokens=30, temperature=0, stop=".")["results"][0]["text"]
        self.assertEqual(self.ask(self.local(), "generate_until", [("It was a", options)]), [wanted])

    def test_gguf(self):
        model = get_model("gguf")(base_url=BASE)
        pairs = [pair for pair in self.pairs if pair[0]]
        self.check(self.ask(model, "loglikelihood", pairs), pairs)
        wanted = post("/v1/completions", prompt="It was a", temperature=0, stop=["."])["choices"][0]["text"]
        self.assertEqual(self.ask(model, "generate_until", [("It was a", {"until": ["."]})]), [wanted.strip()])


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    result = unittest.main(exit=False).result
    process.terminate()
    process.stdout.close()
    n_failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - n_failed} passed, {n_failed} failed, 0 skipped")
    sys.exit(process.wait() != 0 or n_failed > 0)
