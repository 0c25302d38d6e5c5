#!/usr/bin/env python3
"""One engine of bench_peers.py, in a process of its own.

    worker.py libgpt2|onnxruntime MODEL_DIR [TYPE]
    worker.py torch MODEL_DIR

TYPE is that of the weights, f32 if not given; onnxruntime has f32, q8 and q4.  The engine loads the
model, prints "ready VERSION", and then answers each line with one of its own:

    logits PROMPT NEXT FILE          runs PROMPT tokens at once and NEXT one by one; FILE gets the
                                     last logits as floats; "done"
    prefill N TIMES THREADS          seconds of running N tokens at once, TIMES times
    decode POSITION N THREADS        seconds of running N tokens one by one from POSITION on (an
                                     engine that can go back there does)
    batch SEQUENCES N THREADS        seconds of running N tokens in each of SEQUENCES texts, a token
                                     of each in one batch; "none" of an engine that is not measured so
    bytes                            the bytes of the weights; not of onnxruntime's F32, and not torch
"""
import ctypes
import os
import sys
import time
from pathlib import Path


def tokens(start, n):
    """The tokens of positions `start` to `start` + `n`; llama_worker.c has the same."""
    return [position * 7919 % 50257 for position in range(start, start + n)]


class LibGPT2:
    def __init__(self, directory, weight_type="f32"):
        sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples" / "python"))
        import gpt2
        self.version = gpt2.version()
        self.model = gpt2.Model(directory, threads=0, weight_type=weight_type)
        self.sessions = {}
        self.texts = {}

    def memory_bytes(self):
        return self.model.info.memory_bytes

    def start(self, threads):
        if threads not in self.sessions:
            self.sessions[threads] = self.model.session(threads=threads)
        self.session = self.sessions[threads]
        self.session.reset()

    def run(self, ids):
        return self.session.forward(ids)

    def batch(self, n_sequences, n, threads):
        if threads not in self.texts:
            self.texts[threads] = self.model.session(threads=threads, n_ctx=64,
                                                     n_sequences=n_sequences)
        session = self.texts[threads]
        session.reset()
        texts = [session.first] + [session.sequence() for _ in range(n_sequences - 1)]
        start = time.perf_counter()
        for position in range(n):
            ids = tokens(position, 1)
            session.forward_batch([(text, ids, 1) for text in texts])
        return time.perf_counter() - start


class OnnxRuntime:
    def __init__(self, directory, weight_type="f32"):
        import numpy
        import onnxruntime
        self.numpy, self.onnxruntime = numpy, onnxruntime
        self.version = onnxruntime.__version__
        self.path = os.path.join(
            directory, "model.onnx" if weight_type == "f32" else f"model-{weight_type}.onnx")
        self.sessions = {}
        self.bindings = {}
        self.visited = set()

    def memory_bytes(self):
        """Without the embeddings, which stay F32: a token reads one row of them."""
        return os.path.getsize(self.path) - 4 * 50257 * 768

    def open(self, threads):
        options = self.onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        return self.onnxruntime.InferenceSession(self.path, options,
                                                 providers=["CPUExecutionProvider"])

    def bind(self, session, n_texts, n_ctx):
        sizes = {"texts": n_texts, "n_ctx": n_ctx}
        values = {value.name: self.onnxruntime.OrtValue.ortvalue_from_numpy(
                      self.numpy.zeros([sizes.get(n, n) for n in value.shape], self.numpy.float32))
                  for value in session.get_outputs()}
        binding = session.io_binding()
        for name, value in values.items():
            binding.bind_ortvalue_output(name, value)
            if name != "logits":
                binding.bind_ortvalue_input(name.replace("present", "past"), value)
        return session, binding, values["logits"].numpy()

    def start(self, threads, n_texts=1, n_ctx=1024):
        if threads not in self.sessions:
            self.sessions[threads] = self.open(threads)
        key = threads, n_texts, n_ctx
        if key not in self.bindings:
            self.bindings[key] = self.bind(self.sessions[threads], n_texts, n_ctx)
        self.session, self.binding, self.logits = self.bindings[key]
        self.position = 0

    def go_to(self, position, threads):
        """To `position`.  All texts have the same tokens, so a cache that went there is good."""
        if position and (position, threads) not in self.visited:
            self.run(tokens(0, position))
            self.visited.add((position, threads))
        self.position = position

    def run(self, ids):
        """All texts of a batch have the same tokens `ids`."""
        array, n_texts, n = self.numpy.array, len(self.logits), len(ids)
        end = self.position + n
        for name, value in (("tokens", array(ids * n_texts)),
                            ("positions", array([*range(self.position, end)] * n_texts)),
                            ("shape", array([n_texts, n, 3 * 768])),
                            ("rows", array(range(n - 1, n_texts * n, n))),
                            ("last", array([end - 1] * n_texts, "int32")),
                            ("total", array(end, "int32"))):
            self.binding.bind_cpu_input(name, value)
        self.session.run_with_iobinding(self.binding)
        self.position = end
        return self.logits

    def batch(self, n_sequences, n, threads):
        self.start(threads, n_sequences, 64)
        start = time.perf_counter()
        for position in range(n):
            self.run(tokens(position, 1))
        return time.perf_counter() - start


class Torch:
    def __init__(self, directory):
        import torch
        import transformers
        self.torch = torch
        self.blas = ctypes.CDLL("libblas.so.3")
        self.version = f"{torch.__version__} transformers {transformers.__version__}"
        self.model = transformers.GPT2LMHeadModel.from_pretrained(directory).eval()
        torch.set_grad_enabled(False)
        self.pasts = {0: None}

    def start(self, threads):
        self.torch.set_num_threads(threads)
        self.blas.openblas_set_num_threads(threads)  # which counts for itself
        self.past = None

    def go_to(self, position, threads):
        """To `position`.  A cache that was made once stays as it is, for torch copies it."""
        if position not in self.pasts:
            self.run(tokens(0, position))
            self.pasts[position] = self.past
        self.past = self.pasts[position]

    def run(self, ids):
        done = self.model.transformer(self.torch.tensor([ids]), past_key_values=self.past,
                                      use_cache=True)
        self.past = done.past_key_values
        return self.model.lm_head(done.last_hidden_state[:, -1]).numpy()


def prefill(engine, n, times, threads):
    ids, seconds = tokens(0, n), 0.0
    for _ in range(times):
        engine.start(threads)
        start = time.perf_counter()
        engine.run(ids)
        seconds += time.perf_counter() - start
    return seconds


def decode(engine, position, n, threads):
    engine.start(threads)
    if position:
        if hasattr(engine, "go_to"):
            engine.go_to(position - 1, threads)
        else:
            engine.run(tokens(0, position - 1))
        engine.run(tokens(position - 1, 1))     # so that all are warm, and not only who ran a prompt
    start = time.perf_counter()
    for i in range(position, position + n):
        engine.run(tokens(i, 1))
    return time.perf_counter() - start


def logits(engine, n_prompt, n_next, path):
    engine.start(2)
    engine.run(tokens(0, n_prompt))
    for i in range(n_prompt, n_prompt + n_next):
        row = engine.run(tokens(i, 1))
    Path(path).write_bytes(row.tobytes())
    return "done"


def main():
    name, *arguments = sys.argv[1:]
    engine = {"libgpt2": LibGPT2, "onnxruntime": OnnxRuntime, "torch": Torch}[name](*arguments)
    print("ready", engine.version, flush=True)
    for line in sys.stdin:
        task, *words = line.split()
        if task == "logits":
            answer = logits(engine, int(words[0]), int(words[1]), words[2])
        elif task == "batch":
            answer = engine.batch(*map(int, words)) if hasattr(engine, "batch") else "none"
        elif task == "bytes":
            answer = engine.memory_bytes()
        else:
            answer = {"prefill": prefill, "decode": decode}[task](engine, *map(int, words))
        print(answer, flush=True)


if __name__ == "__main__":
    main()
