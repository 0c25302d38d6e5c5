"""An HTTP worker with the demo model, and how tests ask it."""
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

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


def mixed_body(draw):
    """A request of any kind, with beginnings that others have, too."""
    beginning = draw.choice(["", PROMPT * 3, PROMPT * 3 + " and then", "The old man " * 12])
    body = {"prompt": beginning + draw.choice(["", " it", " he said", " " + str(draw.random())]),
            "max_tokens": draw.choice([0, 1, 5, 30, 100]), "seed": draw.randrange(100)}
    for name, value in (("temperature", 0.5), ("top_k", 20), ("repetition_penalty", 1.3), ("logprobs", 2),
                        ("echo", True), ("n", 3), ("stop", ["the", "."]), ("mirostat_tau", 3.0),
                        ("ignores_prompt", 1), ("no_repeat_ngram_size", 3), ("ignore_eot", True)):
        if draw.random() < 0.3:
            body[name] = value
    return body


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
