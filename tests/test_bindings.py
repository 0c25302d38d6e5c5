"""examples/python/gpt2 against the header and the gpt2 program; examples/rust/src/raw.rs against
the header.

    GPT2_LIBRARY=build/libgpt2.so python3 tests/test_bindings.py
"""
import contextlib
import ctypes
import gc
import io
import json
import math
import mmap
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import weakref
from unittest import mock

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(ROOT, "examples", "python"))
sys.dont_write_bytecode = True
import gpt2  # noqa: E402
from gpt2 import c as gpt2_c  # noqa: E402

LIBRARY = os.environ["GPT2_LIBRARY"]
MODEL = os.path.join(ROOT, "examples", "demo-model")
PROMPT = "It was a long way to the sea"


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def read_bytes(*path):
    with open(os.path.join(*path), "rb") as file:
        return file.read()


def program(*args):
    """What the gpt2 program beside the library writes."""
    path = os.path.join(os.path.dirname(LIBRARY), "gpt2")
    return subprocess.run([path, *map(str, args)], check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE).stdout


def traced():
    """What `gpt2 trace` writes of the prompt: {name: (shape, bytes)}."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "trace.safetensors")
        program("trace", "-m", MODEL, "-p", PROMPT, "-o", path)
        with open(path, "rb") as file:
            head = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
            data = file.read()
    return {name: (tensor["shape"], data[slice(*tensor["data_offsets"])])
            for name, tensor in head.items() if name not in ("__metadata__", "tokens")}


# ------------------------------------------------------------------------------- declarations

HEADER = re.sub(r" */\*.*?\*/", "", read("include", "gpt2.h"), flags=re.S)


def c_type(declaration):
    """'const char **path' -> 'pointer'; 'size_t n' -> 'size_t'."""
    if "*" in declaration or "_callback" in declaration:
        return "pointer"
    words = [word for word in declaration.split() if word != "const"]
    return words[0]


def header_functions():
    """{name: (result, parameters...)} of every function of the header."""
    functions = {}
    for result, name, parameters in re.findall(
            r"GPT2_API ([\w\s*]*?)(gpt2_\w+)\(([^)]*)\);", HEADER):
        parameters = [] if parameters.strip() == "void" else parameters.split(",")
        functions[name] = (c_type(result), *map(c_type, parameters))
    return functions


CTYPES = {"int32_t": ctypes.c_int32, "int64_t": ctypes.c_int64, "uint32_t": ctypes.c_uint32,
          "uint64_t": ctypes.c_uint64, "size_t": ctypes.c_size_t, "void": None}
RUST_TYPES = {"i32": "int32_t", "u32": "uint32_t", "i64": "int64_t", "u64": "uint64_t",
              "usize": "size_t", "gpt2_write_callback": "pointer",
              "Option<gpt2_tap_callback>": "pointer", "": "void"}


def python_type(name):
    """What ctypes calls a type of c_type()."""
    return "pointer" if name == "pointer" else CTYPES[name]


def rust_type(name):
    """What c_type() calls a type of Rust."""
    return "pointer" if name.startswith("*") else RUST_TYPES[name]


def compiles(c):
    """The compiler's complaints about C that includes the header; "" if there are none."""
    cc = os.environ.get("CC", "cc").split()
    c = "#include <stddef.h>\n#include <gpt2.h>\n" + c
    return subprocess.run([*cc, "-std=c11", "-I", os.path.join(ROOT, "include"), "-fsyntax-only",
                           "-x", "c", "-"], input=c.encode(), stderr=subprocess.PIPE).stderr.decode()


def forced(ids):
    """A Sampling that chooses these tokens, one after another."""
    left = iter(ids)

    def choose(_, logits):
        token = next(left)
        for i in range(len(logits)):
            logits[i] = 0.0 if i == token else -math.inf
    return gpt2.Sampling(callback=choose)


class Declarations(unittest.TestCase):
    def test_the_header_is_understood(self):
        exported = set(re.findall(r"gpt2_\w+(?=;)", read("lib", "libgpt2.map")))
        self.assertEqual(set(header_functions()), exported)

    def test_python_functions(self):
        for name, types in gpt2_c.FUNCTIONS.items():
            self.assertEqual([t if t in CTYPES.values() else "pointer" for t in types],
                             [python_type(t) for t in header_functions()[name]], name)

    def test_rust_functions(self):
        declared = re.findall(r"pub fn (gpt2_\w+)\(([^)]*)\)(?: -> ([^;]*))?;",
                              read("examples", "rust", "src", "raw.rs"))
        self.assertGreater(len(declared), 15)
        for name, parameters, result in declared:
            types = [p.split(":")[1].strip() for p in parameters.split(",") if p.strip()]
            self.assertEqual((rust_type(result), *map(rust_type, types)),
                             header_functions()[name], name)

    def test_constants(self):
        numbers = {name: int(number, 0) for name, number in re.findall(
            r"#define GPT2_(\w+) +\(?(-?[0-9a-fx]+)u?\)?$", HEADER, flags=re.M)}
        python = {name: value for name, value in vars(gpt2_c).items()
                  if name.isupper() and isinstance(value, int)}
        rust = {name: int(value) for name, value in re.findall(
            r"pub const (\w+): i32 = (.*);", read("examples", "rust", "src", "raw.rs"))}
        errors = {name: number for name, number in numbers.items() if name.startswith("ERR_")}
        self.assertEqual({name for name in python if name.startswith("ERR_")}, set(errors))
        self.assertEqual({"ERR_" + name: int(value) for name, value in re.findall(
            r"pub const (\w+): i32 = (.*);", read("examples", "rust", "src", "status.rs"))}, errors)
        for name, value in [*python.items(), *rust.items()]:
            self.assertEqual(value, numbers[name], name)
        self.assertGreater(len(rust), 2)

    def test_errors_are_exported(self):
        self.assertEqual({name for name in vars(gpt2_c) if name.startswith("ERR_")},
                         {name for name in gpt2.__all__ if name.startswith("ERR_")})

    def test_structs(self):
        c = ""
        for kind in (gpt2_c.Source, gpt2_c.ModelParams, gpt2_c.ModelInfo, gpt2_c.EncoderParams,
                     gpt2_c.SessionParams, gpt2_c.BatchItem, gpt2_c.SampleParams, gpt2_c.Candidate,
                     gpt2_c.GeneratorParams, gpt2_c.Generated, gpt2_c.Offsets, gpt2_c.ScoreParams,
                     gpt2_c.TokenScore, gpt2_c.TokenLogprob, gpt2_c.ScoreItem, gpt2_c.Tap):
            name = "gpt2" + re.sub("([A-Z])", r"_\1", kind.__name__).lower()
            c += f'_Static_assert(sizeof({name}) == {ctypes.sizeof(kind)}, "{name}");\n'
            for field, _ in kind._fields_:
                at = getattr(kind, field)
                c += (f"_Static_assert(offsetof({name}, {field}) == {at.offset} && "
                      f'sizeof((({name} *)0)->{field}) == {at.size}, "{name}.{field}");\n')
        self.assertEqual(compiles(c), "")

    def test_structs_have_no_padding(self):
        structs = re.findall(r"typedef struct \w+ {(.*?)} (\w+);", HEADER, flags=re.S)
        self.assertGreaterEqual(len(structs), 8)
        c = ""
        for fields, name in structs:
            sizes = [f"sizeof((({name} *)0)->{field})"
                     for field in re.findall(r"(\w+)(?:\[\d+\])?;", fields)]
            c += f'_Static_assert(sizeof({name}) == {" + ".join(sizes)}, "{name}");\n'
        self.assertEqual(compiles(c), "")


# ------------------------------------------------------------------------------- the library

class Binding(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = gpt2.Model(MODEL)
        cls.ids = cls.model.encode(PROMPT)

    @classmethod
    def tearDownClass(cls):
        cls.model.close()

    def run_ids(self, session):
        """The bits of the logits after the prompt, in two calls."""
        session.reset()
        session.forward(self.ids[:3])
        return bytes(session.forward(self.ids[3:]))

    def fails(self, status, words, call, *args, **kwargs):
        with self.assertRaises(gpt2.Error) as caught:
            call(*args, **kwargs)
        self.assertEqual(caught.exception.status, status)
        self.assertIn(words, caught.exception.line)
        self.assertEqual(str(caught.exception), caught.exception.line)


class Numbers(Binding):
    def test_text_is_the_programs(self):
        for options, sampling in (
                (["--temp", 0], dict(temperature=0)),
                (["--temp", 0.9, "--top-k", 30, "--top-p", 0.9, "-s", 7],
                 dict(temperature=0.9, top_k=30, top_p=0.9, seed=7))):
            wanted = program("generate", "-m", MODEL, "-p", PROMPT, "-n", 60, "--no-echo", *options)
            with self.model.session(threads=2) as session:
                pieces = list(session.generate(PROMPT, n=60, **sampling))
                self.assertEqual(session.position, len(self.ids) + 60)
            self.assertEqual("".join(pieces) + "\n", wanted.decode())
            self.assertGreater(len(pieces), 50)

    def test_logits_are_the_programs(self):
        (n_rows, n_vocab), data = traced()["logits"]
        self.assertEqual(n_rows, len(self.ids))
        self.assertEqual(n_vocab, self.model.info.n_vocab)
        with self.model.session(logit_rows=n_rows) as session:
            session.forward(self.ids)
            rows = b"".join(bytes(session.logits(row)) for row in range(n_rows))
        self.assertEqual(rows, data)

    def test_generate_goes_on(self):
        whole = "".join(self.model.session().generate(PROMPT, n=40, seed=3))
        session = self.model.session()
        parts = list(session.generate(PROMPT, n=15, seed=3)) + list(session.generate(n=25, seed=3))
        self.assertEqual("".join(parts), whole)
        session = self.model.session()
        self.assertEqual(list(session.generate(PROMPT, n=0)), [])  # the prompt has run
        self.assertEqual(session.first.ids, self.ids)
        self.assertEqual("".join(session.generate(n=40, seed=3)), whole)

    def test_generate_ends_with_the_context(self):
        wanted = program("generate", "-m", MODEL, "-p", PROMPT, "-n", -1, "-c", 20, "--temp", 0)
        session = self.model.session(n_ctx=20)
        text = "".join(session.generate(PROMPT, temperature=0))
        self.assertEqual(PROMPT + text + "\n", wanted.decode())
        self.assertEqual(session.position, session.n_ctx)

    def test_generate_ends_before_endoftext(self):
        session = self.model.session()
        drawn = [*self.model.encode("one"), self.model.info.eot_token, *self.model.encode("two")]
        self.assertEqual("".join(session.generate("", sampling=forced(drawn))), "one")

    def test_empty_prompt_is_endoftext(self):
        wanted = program("generate", "-m", MODEL, "-n", 20, "--temp", 0)
        with self.model.session() as session:
            self.assertEqual("".join(session.generate(n=20, temperature=0)) + "\n", wanted.decode())
        info = gpt2_c.ModelInfo(eot_token=-1)
        with self.model.session() as session, mock.patch.object(self.model, "info", info):
            with self.assertRaisesRegex(ValueError, r"no <\|endoftext\|>"):
                next(session.generate())

    def test_no_tokens_are_refused(self):
        with self.model.session() as session, self.assertRaises(gpt2.Error) as caught:
            session.forward([])
        self.assertEqual(caught.exception.status, gpt2.ERR_ARGUMENT)

    def test_characters_come_whole(self):
        session = self.model.session()
        drawn = self.model.encode("\u00e9\U0001f642") + self.model.encode(b"\xff\xf0\x9f")
        self.assertGreater(len(drawn), 6)
        pieces = list(session.generate(PROMPT, n=len(drawn), sampling=forced(drawn)))
        self.assertEqual(pieces, ["\u00e9", "\U0001f642", "\ufffd", "\ufffd"])

    def test_bytes_survive(self):
        data = bytes(range(256)) + "\u00e9\U0001f642".encode()
        self.assertEqual(self.model.decode_bytes(self.model.encode(data)), data)
        self.assertEqual(self.model.encode(""), [])
        self.assertEqual(self.model.decode([]), "")
        text = " " * 100000  # longer than the default piece
        self.assertEqual(self.model.decode(self.model.encode(text)), text)
        eot = self.model.info.eot_token
        self.assertEqual(self.model.encode("<|endoftext|>", special=True), [eot])
        self.assertNotIn(eot, self.model.encode("<|endoftext|>"))
        self.assertEqual(self.model.bos_token, eot)

    def test_likeliest(self):
        session = self.model.session()
        best = gpt2.likeliest(session.forward(self.ids), self.model.info.n_vocab)
        self.assertEqual(best[0][0], session.sample(temperature=0))
        self.assertAlmostEqual(sum(p for _, p in best), 1)
        self.assertEqual(best, sorted(best, key=lambda item: (-item[1], item[0])))

    def test_threads(self):
        alone = self.run_ids(self.model.session())
        sessions = [self.model.session(threads=n) for n in (1, 2)]
        bits = {}

        def work(session):
            bits[session] = [self.run_ids(session) for _ in range(20)]

        threads = [threading.Thread(target=work, args=(session,)) for session in sessions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for session in sessions:
            self.assertEqual(set(bits[session]), {alone})


class Sequences(Binding):
    def alone(self, ids, n_rows=1, **options):
        """The bits of the last rows of logits of a text in a session of its own."""
        with self.model.session(logit_rows=n_rows, **options) as session:
            session.forward(ids)
            return [bytes(session.logits(row)) for row in range(len(ids) - n_rows, len(ids))]

    def run_one(self, sequence, ids):
        """The bits of the last row of logits of a batch of one."""
        (row,), = sequence._session.forward_batch([(sequence, ids, 1)])
        return bytes(row)

    def test_a_batch_is_each_text_alone(self):
        texts = [self.ids, self.ids[::-1], self.ids * 8, [7]]
        for threads, kv_type in ((1, "f32"), (2, "f16")):
            with self.model.session(threads, n_sequences=4, logit_rows=200,
                                    kv_type=kv_type) as session:
                sequences = [session.first, *(session.sequence() for _ in range(3))]
                rows = session.forward_batch([(sequences[0], texts[0][:2], 0),
                                              (sequences[2], texts[2], 999)])
                self.assertEqual([len(item) for item in rows], [0, len(texts[2])])
                self.assertEqual([bytes(row) for row in rows[1]],
                                 self.alone(texts[2], len(texts[2]), kv_type=kv_type))
                rows = session.forward_batch(
                    (sequence, iter(ids), n) for sequence, ids, n in
                    [(sequences[3], texts[3], 1), (sequences[0], texts[0][2:], 3),
                     (sequences[2], [5], 0), (sequences[1], texts[1], 2)])
                wanted = [self.alone(texts[i], n, kv_type=kv_type)
                          for i, n in ((3, 1), (0, 3), (1, 2))]
                bits = [[bytes(row) for row in item] for item in rows]
                self.assertEqual(bits, [wanted[0], wanted[1], [], wanted[2]])
                self.assertEqual(bytes(session.logits(item=1)), wanted[1][-1])
                self.assertEqual(bytes(session.logits(len(texts[1]) - 2, 3)), wanted[2][0])
                for sequence, ids in zip(sequences, [texts[0], texts[1], texts[2] + [5], texts[3]]):
                    self.assertEqual((sequence.ids, sequence.position), (ids, len(ids)))
                self.assertEqual(session.position, len(texts[0]))

    def test_samples_of_a_batch(self):
        sampling = dict(temperature=0.9, top_k=40, seed=3)
        with self.model.session(n_sequences=2) as session, session.sequence() as a:
            session.forward_batch([(session.first, self.ids[:3], 1), (a, self.ids, 1)])
            sampled = [session.sample(item=item, **sampling) for item in (0, 1)]
            self.assertEqual(session.sample(row=2, **sampling), sampled[0])
        for ids, token in zip((self.ids[:3], self.ids), sampled):
            with self.model.session() as session:
                session.forward(ids)
                self.assertEqual(session.sample(**sampling), token)

    def test_fork(self):
        ids = (self.ids * 20)[:130]
        with self.model.session(n_sequences=4, n_pages=6) as session:
            session.forward(ids)
            forks = [session.first.fork(), session.first.fork(100), session.first.fork(0)]
            self.assertEqual([fork.ids for fork in forks], [ids, ids[:100], []])
            self.assertEqual(session.n_free_pages, 3)
            forks[2].close()
            rows = session.forward_batch([(session.first, [1], 1), (forks[0], [2], 1),
                                          (forks[1], [3], 1)])
            self.assertEqual([[bytes(row)] for row, in rows],
                             [self.alone(ids + [1]), self.alone(ids + [2]),
                              self.alone(ids[:100] + [3])])
            self.assertEqual(session.n_free_pages, 1)
            with forks[1].fork(101) as again:
                self.assertEqual(again.ids, ids[:100] + [3])
            self.fails(gpt2.ERR_CONTEXT, "position is 102", forks[1].fork, 102)
            self.fails(gpt2.ERR_CONTEXT, "position is -1", forks[1].fork, -1)

    def test_truncate(self):
        with self.model.session(n_sequences=2) as session, session.sequence() as a:
            for sequence in (session.first, a):
                self.run_one(sequence, self.ids)
                sequence.truncate(4)
                self.assertEqual((sequence.position, sequence.ids), (4, self.ids[:4]))
                self.assertEqual([self.run_one(sequence, [9])], self.alone(self.ids[:4] + [9]))
                for wrong in (6, -1):
                    self.fails(gpt2.ERR_CONTEXT, f"position is {wrong}", sequence.truncate, wrong)
                self.assertEqual(sequence.ids, self.ids[:4] + [9])

    def test_shift(self):
        ids, options = (self.ids * 10)[:50], dict(n_ctx=20, on_full="shift", n_keep=4)
        with self.model.session(n_sequences=2, **options) as session, session.sequence() as a:
            self.run_one(a, ids[:7])
            bits = self.run_one(a, ids[7:])
            for token in ids:
                one_by_one = bytes(session.forward([token]))
            self.assertEqual(bits, one_by_one)
            # at 20, 28, 36 and 44 tokens it keeps 4 and the newest 8
            self.assertEqual(a.ids, ids[:4] + ids[36:])
            self.assertEqual(session.first.ids, a.ids)
            self.assertEqual([bits], self.alone(a.ids))
            self.assertEqual((a.position, session.position, session.n_ctx), (50, 50, 20))
            self.fails(gpt2.ERR_CONTEXT, "cut off", a.truncate, 20)
            self.fails(gpt2.ERR_CONTEXT, "cut off", a.fork, 20)
            session.first.truncate(45)
            self.assertEqual(session.first.ids, ids[:4] + ids[36:45])
        with self.model.session(**options) as session:
            pieces = list(session.generate(PROMPT, n=60, temperature=0))
            self.assertEqual(session.position, len(self.ids) + 60)
            session.reset()
            session.forward(self.ids)
            drawn = []
            for _ in range(60):
                drawn.append(session.sample(temperature=0))
                session.forward(drawn[-1:])
            self.assertEqual("".join(pieces), self.model.decode(drawn))
        self.fails(gpt2.ERR_ARGUMENT, "n_keep is 19", self.model.session, n_ctx=20, n_keep=19,
                   on_full="shift")

    def test_states(self):
        ids = self.ids * 8
        for kv_type, other in (("f32", "f16"), ("f16", "f32")):
            with self.model.session(n_sequences=2, kv_type=kv_type) as session:
                session.forward(ids)
                state = session.first.save()
                self.assertIs(type(state), bytes)
                a = session.sequence()
                a.restore(memoryview(state))
                self.assertEqual((a.ids, a.save()), (ids, state))
                wanted = self.alone(ids + [3], kv_type=kv_type)
                self.assertEqual([self.run_one(a, [3])], wanted)
            with self.model.session(2, n_ctx=len(ids) + 1, kv_type=kv_type) as session:
                session.first.restore(bytearray(state))
                self.fails(gpt2.ERR_ROW, "no logits", session.logits)
                self.assertEqual([bytes(session.forward([3]))], wanted)
                session.first.truncate(5)
                for at in (0, 9, len(state) // 2, len(state) - 1):
                    damaged = bytearray(state)
                    damaged[at] ^= 1
                    self.fails(gpt2.ERR_STATE, "", session.first.restore, damaged)
                for damaged in (state[:-1], state + b"a", b""):
                    self.fails(gpt2.ERR_STATE, "", session.first.restore, damaged)
                self.assertRaises(TypeError, session.first.restore, "text")
                self.assertRaises(BufferError, session.first.restore, memoryview(state)[::2])
                self.assertEqual(session.first.ids, ids[:5])
                self.assertEqual([bytes(session.forward([3]))],
                                 self.alone(ids[:5] + [3], kv_type=kv_type))
            with self.model.session(kv_type=other) as session:
                self.fails(gpt2.ERR_STATE, "kv_type", session.first.restore, state)
            with self.model.session(kv_type=kv_type, n_ctx=50) as session:
                self.fails(gpt2.ERR_CONTEXT, "50 positions", session.first.restore, state)

    def test_states_are_written(self):
        for kv_type, ids in (("f32", self.ids * 8), ("f16", self.ids), ("f32", [])):
            with self.model.session(kv_type=kv_type) as session, tempfile.TemporaryFile() as file:
                if ids:
                    session.forward(ids)
                memory = io.BytesIO()
                self.assertIsNone(session.first.write(memory))
                self.assertEqual(memory.getvalue(), session.first.save())
                session.first.write(file)
                file.seek(0)
                self.assertEqual(file.read(), memory.getvalue())
                session.first.truncate(0)
                session.first.restore(memory.getvalue())
                self.assertEqual([bytes(session.forward([3]))],
                                 self.alone(ids + [3], kv_type=kv_type))

    def test_errors_of_a_write(self):
        class Broken:
            def __init__(self, end):
                self.end, self.pieces = end, []

            def write(self, piece):
                self.pieces.append(piece)  # bytes of its own, good after the call
                if len(self.pieces) > self.end[0]:
                    return self.end[1](piece)

        def fail(error):
            def write(_):
                raise error
            return write

        with self.model.session(n_sequences=2) as session:
            bits = bytes(session.forward(self.ids))
            state = session.first.save()
            whole = Broken((1000000, None))
            session.first.write(whole)
            self.assertEqual(b"".join(whole.pieces), state)
            for n in (0, 1, 5, len(whole.pieces) - 1):
                for error in (OSError(28, "the disk is full"), KeyboardInterrupt("mine"),
                              gpt2.Error(gpt2.ERR_FILE, "mine")):
                    file = Broken((n, fail(error)))
                    with self.assertRaises(type(error)) as caught:
                        session.first.write(file)
                    self.assertIs(caught.exception, error)
                    self.assertEqual(file.pieces, whole.pieces[:n + 1])  # and no call after it
                with self.assertRaisesRegex(OSError, r"write\(\) took 2 bytes of \d"):
                    session.first.write(Broken((n, lambda _: 2)))
                self.assertEqual((session.first.ids, session.position),
                                 (self.ids, len(self.ids)))
                self.assertEqual(bytes(session.logits()), bits)
                self.assertEqual(session.first.save(), state)
            self.assertRaises(TypeError, session.first.write, io.StringIO())
            self.assertRaises(AttributeError, session.first.write, 5)
            self.fails(gpt2.ERR_ARGUMENT, "still runs", session.first.write,
                       Broken((2, lambda _: session.forward([1]))))
            dropped = [session.sequence()]
            session.first.write(Broken((0, lambda piece: dropped.clear() or session.n_free_pages
                                        and len(piece))))
            session.sequence()  # the one that was dropped is closed now
            self.assertEqual([bytes(session.forward([3]))], self.alone(self.ids + [3]))

    def test_no_room(self):
        with self.model.session(n_sequences=2, n_pages=2) as session:
            a = session.sequence()
            self.fails(gpt2.ERR_SEQUENCE, "all 2 sequences", session.sequence)
            self.fails(gpt2.ERR_SEQUENCE, "all 2 sequences", session.first.fork)
            session.forward(self.ids)
            batch = [(session.first, [1], 1), (a, [1] * 65, 1)]
            self.fails(gpt2.ERR_PAGES, "2 more pages", session.forward_batch, batch)
            self.assertEqual((session.position, a.position, session.n_free_pages),
                             (len(self.ids), 0, 1))
            session.first.close()  # empties it
            self.assertEqual((session.position, session.n_free_pages), (0, 2))
            self.assertEqual([self.run_one(a, [1] * 65)], self.alone([1] * 65))

    def test_wrong_batches(self):
        n_vocab = self.model.info.n_vocab
        with self.model.session(n_sequences=2, logit_rows=3) as session, \
                session.sequence() as a, self.model.session() as other:
            first = session.first
            bits = self.run_one(a, self.ids)
            for status, words, batch in (
                    (gpt2.ERR_ARGUMENT, "n_items is 0", []),
                    (gpt2.ERR_ARGUMENT, "earlier item", [(a, [1], 0), (a, [2], 0)]),
                    (gpt2.ERR_ARGUMENT, "n_logit_rows is 4", [(a, [1] * 4, 4)]),
                    (gpt2.ERR_ARGUMENT, "item 1: n_tokens is 0", [(first, [1], 0), (a, [], 0)]),
                    (gpt2.ERR_TOKEN, f"item 1: token 1 is {n_vocab}",
                     [(first, [1], 0), (a, [1, n_vocab], 0)])):
                self.fails(status, words, session.forward_batch, batch)
            for n_rows in (-1, 1 << 64):
                self.assertRaises(OverflowError, session.forward_batch, [(a, [1], n_rows)])
            self.assertRaises(TypeError, session.forward_batch, [(a, [1], 1.5)])
            with self.assertRaisesRegex(ValueError, "another session"):
                session.forward_batch([(other.first, [1], 0)])
            self.assertEqual((first.ids, a.ids), ([], self.ids))
            self.assertEqual(bytes(session.logits()), bits)
            self.fails(gpt2.ERR_ROW, "item is 1", session.logits, item=1)
            self.fails(gpt2.ERR_ROW, "item is 1", session.sample, item=1)
            self.fails(gpt2.ERR_ROW, "row is 0", session.logits, 0)

    def test_numbers_too_large(self):
        with self.model.session() as session:
            session.forward(self.ids)
            for wrong in (lambda: session.first.truncate(1 << 32),  # ctypes makes this 0
                          lambda: session.first.fork(1 << 32), lambda: session.logits(1 << 32),
                          lambda: session.logits(item=1 << 64), lambda: session.logits(item=-1),
                          lambda: session.sample(row=1 << 32),
                          lambda: self.model.session(n_sequences=1 << 32)):
                self.assertRaises(OverflowError, wrong)
            self.assertEqual(session.first.ids, self.ids)

    def test_wrong_names(self):
        for wrong in (dict(kv_type="f8"), dict(on_full="slide")):
            with self.assertRaisesRegex(ValueError, "wanted '"):
                self.model.session(**wrong)

    def test_closed(self):
        session = self.model.session(n_sequences=4)
        a, b, c = (session.sequence() for _ in range(3))
        a.close()
        a.close()
        calls = (lambda s: s.position, lambda s: s.ids, lambda s: s.fork(), lambda s: s.truncate(0),
                 lambda s: s.save(), lambda s: s.restore(b""), lambda s: s.write(io.BytesIO()),
                 lambda s: session.forward_batch([(s, [1], 0)]))
        with session.sequence() as again:  # has the number of 'a'
            for call in calls:
                with self.assertRaisesRegex(ValueError, "the sequence is closed"):
                    call(a)
            self.assertEqual(again.ids, [])
        first = session.first
        session.forward([1])
        session.reset()
        again = session.sequence(), session.sequence()
        for call in calls:
            with self.assertRaisesRegex(ValueError, "the sequence is closed"):
                call(b)
        self.assertEqual(first.ids, [])
        b.close()
        del c  # neither closes a sequence of now
        self.assertEqual([sequence.ids for sequence in again], [[], []])
        session.close()
        for call in calls:
            with self.assertRaisesRegex(ValueError, "the session is closed"):
                call(again[0])
        again[0].close()

    def test_sequences_are_closed_with_their_last_reference(self):
        with self.model.session(n_sequences=2, n_pages=1) as session:
            for i in range(5):
                a = session.sequence()
                self.run_one(a, [i])
                del a
                self.assertEqual(session.n_free_pages, 1)
            holder = [session.sequence()]
            thread = threading.Thread(target=holder.clear)
            thread.start()
            thread.join()
            session.sequence().close()
            session.forward([1])
            session.first  # another object of sequence 0
            self.assertEqual(session.position, 1)
        with self.model.session(n_sequences=2, n_pages=1) as session:
            a = session.sequence()
            self.run_one(a, [1])
            text = session.generator()
            text.start([1], 2)
            del a  # a step has its page
            session.step([text])
            self.assertEqual((text.finish, len(text.ids)), (None, 1))


class Generators(Binding):
    def test_text_is_the_programs(self):
        sampling = dict(temperature=0.9, min_p=0.05, repetition_penalty=1.2, seed=7)
        wanted = program("generate", "-m", MODEL, "-p", PROMPT, "-n", 40, "--no-echo", "--temp", 0.9,
                         "--top-k", 0, "--top-p", 1, "-s", 7)
        with self.model.session() as session:
            text = session.generator()
            pieces = list(text.start(PROMPT, 40, temperature=0.9, seed=7))
            self.assertEqual("".join(pieces) + "\n", wanted.decode())
            self.assertEqual((text.text, text.finish, text.error), ("".join(pieces), "length", ""))
            self.assertEqual(self.model.decode(text.ids), text.text)
            self.assertEqual(session.first.ids, self.ids + text.ids[:-1])
            session.reset()
            list(text.start(PROMPT, 40, **sampling))
            self.assertNotEqual(text.text + "\n", wanted.decode())

    def test_many_together(self):
        prompts = [PROMPT, "I", self.ids[:4], b"Mr. Wick"]
        stops = [["th"], [], ["e ", "a"], []]

        def start(text, i, sequence):
            text.start(prompts[i], 10 + 5 * i, sequence=sequence, seed=i, top_k=30, dry_multiplier=1)

        alone = []
        for i in range(4):
            with self.model.session() as session:
                text = session.generator(stop_strings=stops[i])
                start(text, i, None)
                alone.append(("".join(text), text.finish, text.ids))
        self.assertEqual({"length", "string"}, {finish for _, finish, _ in alone})
        with self.model.session(2, n_sequences=4) as session:
            sequences = [session.first, *(session.sequence() for _ in range(3))]
            texts = [session.generator(stop_strings=stops[i]) for i in range(4)]
            for i in range(4):
                start(texts[i], i, sequences[i])
            pieces = [""] * 4
            while any(text.finish is None for text in texts):
                pieces = [a + b for a, b in zip(pieces, session.step(texts))]
            self.assertEqual([(text.text, text.finish, text.ids) for text in texts], alone)
            self.assertEqual(pieces, [text for text, _, _ in alone])
            self.assertEqual(session.step([]), [])
            sequences[1].close()    # of a text that has ended
            texts[0].start("I", 1, sequence=sequences[0])
            self.assertEqual(session.step(texts), [texts[0].text, "", "", ""])
            texts[2].start("I", 1, sequence=sequences[2])
            sequences[2].close()
            self.assertRaisesRegex(ValueError, "closed", session.step, texts)
            with self.model.session() as other:
                self.assertRaisesRegex(ValueError, "another session", other.step, texts[:1])

    def test_stops(self):
        drawn = self.model.encode("one two\u00e9 three")
        with self.model.session() as session:
            for stops, text, finish in (
                    (dict(stop_strings=["o\u00e9", "nothing"]), "one tw", "string"),
                    (dict(stop_strings=["two\u00e9 t".encode()]), "one ", "string"),
                    (dict(stop_ids=drawn[-1:]), self.model.decode(drawn[:-1]), "token"),
                    (dict(), "one two\u00e9 three", "length")):
                session.reset()
                generator = session.generator(**stops)
                self.assertEqual("".join(generator.start("I", len(drawn), forced(drawn))), text)
                self.assertEqual((generator.text, generator.finish), (text, finish))
            drawn[1] = self.model.info.eot_token
            generator = session.generator(ignore_eot=True)
            list(generator.start("I", len(drawn), forced(drawn)))
            self.assertEqual((generator.ids, generator.finish), (drawn, "length"))
            for wrong, error in ((dict(stop_strings=["a\0b"]), ValueError),
                                 (dict(stop_strings=[""]), gpt2.Error),
                                 (dict(stop_ids=[1 << 20]), gpt2.Error)):
                self.assertRaises(error, session.generator, **wrong)

    def test_an_end_that_is_an_error(self):
        with self.model.session(n_ctx=200, n_pages=1) as session:
            for finish, status, prepare in (("cancelled", gpt2.ERR_CANCELLED, session.cancel),
                                            ("deadline", gpt2.ERR_DEADLINE,
                                             lambda: session.set_timeout(0)),
                                            ("pages", gpt2.ERR_PAGES, lambda: None)):
                session.reset()
                text = session.generator().start(PROMPT, 100, temperature=0)
                prepare()
                self.fails(status, finish[:4], lambda: list(text))
                self.assertEqual(text.finish, finish)
            self.assertEqual(len(text.ids), 64 - len(self.ids) + 1)
            session.reset()
            text = session.generator().start(PROMPT, 5, bias=[-math.inf] * self.model.info.n_vocab)
            self.fails(gpt2.ERR_NONFINITE, "infinity", lambda: list(text))
            text = session.generator()
            self.assertRaises(ValueError, text.step)
            self.fails(gpt2.ERR_CONTEXT, "200", text.start, [1] * 201)
            self.fails(gpt2.ERR_ARGUMENT, "temperature", text.start, "", temperature=-1)
            self.assertEqual(session.first.ids, self.ids)  # the last one was taken back, and ran again
            self.assertRaises(ValueError, text.start, "I", sequence=self.model.session().first)

    def test_the_callback(self):
        seen = []

        def look(position, logits):
            seen.append((position, len(logits)))
            if len(seen) == 3:
                raise KeyError("mine")

        with self.model.session() as session:
            text = session.generator().start(PROMPT, 9, callback=look)
            with self.assertRaisesRegex(KeyError, "mine"):
                list(text)
            n = len(self.ids)
            self.assertEqual(seen, [(n + i, self.model.info.n_vocab) for i in range(3)])
            self.assertEqual(len(text.ids), 2)
            logits = session.logits()
            for call in (session.sample, lambda **kw: session.sample_logits(logits, **kw),
                         lambda **kw: session.sample_candidates(logits, **kw)):
                self.fails(gpt2.ERR_CANCELLED, "callback", call, callback=lambda *_: True)

    def test_sampling_of_ones_own_logits(self):
        session = self.model.session()
        logits = session.forward(self.ids)
        best = gpt2.likeliest(logits, 5)
        for row in (logits, logits.tolist()):
            got = session.sample_candidates(row, n=5)
            self.assertEqual([token for token, _ in got], [token for token, _ in best])
            for (_, p), (_, wanted) in zip(got, best):
                self.assertAlmostEqual(p, wanted, places=6)
            self.assertEqual(session.sample_logits(row, seed=4, position=len(self.ids)),
                             session.sample(seed=4))
        token = best[0][0]
        self.assertEqual(len(session.sample_candidates(logits, top_k=3)), 3)
        self.assertEqual(session.sample_candidates(logits, allowed_ids=[token])[0], (token, 1.0))
        for change in (dict(banned_ids=[token]), dict(bias={token: -math.inf}),
                       dict(bias=[-math.inf if i == token else 0.0 for i in range(len(logits))])):
            self.assertEqual(session.sample_logits(logits, temperature=0, **change), best[1][0])
        self.assertEqual(session.sample_logits(logits, temperature=0, history=[token],
                                               presence_penalty=1e9), best[1][0])
        for error, wrong in ((TypeError, dict(temperatur=1)), (TypeError, dict(struct_size=[1])),
                             (TypeError, dict(_fields_=1)), (OverflowError, dict(top_k=1 << 32)),
                             (ValueError, dict(allowed_ids=[])), (ValueError, dict(bias=[0.0]))):
            self.assertRaises(error, session.sample, **wrong)
        self.assertRaises(TypeError, session.sample, gpt2.Sampling(), top_k=1)
        self.assertRaises(ValueError, session.sample_logits, logits[1:])
        self.assertRaises(ValueError, session.sample_logits, bytes(logits))

    def test_scores_of_ones_own_logits(self):
        session = self.model.session()
        logits = session.forward(self.ids)
        n_vocab = len(logits)
        peak = max(logits)
        norm = peak + math.log(sum(math.exp(x - peak) for x in logits))
        row = [x - norm for x in logits]
        best = sorted(range(n_vocab), key=lambda id_: -row[id_])
        for token in (best[0], best[-1], 0, n_vocab - 1):
            members = [token, 7, 8, n_vocab - 1]
            for given in (logits, logits.tolist()):
                score = session.score_logits(given, token, n_likeliest=3, class_ids=members)
                self.assertEqual((score.id, score.rank),
                                 (token, 1 + sum(x > row[token] for x in row)))
                self.assertAlmostEqual(score.logprob, row[token], places=6)
                self.assertAlmostEqual(score.entropy, -sum(x * math.exp(x) for x in row), places=5)
                self.assertAlmostEqual(score.class_prob,
                                       sum(math.exp(row[id_]) for id_ in set(members)), places=6)
                self.assertEqual([id_ for id_, _ in score.likeliest], best[:3])
                for id_, logprob in score.likeliest:
                    self.assertAlmostEqual(logprob, row[id_], places=5)
        score = session.score_logits([-math.inf] + [0.0] * (n_vocab - 1), 0)
        self.assertEqual(score[:3], (0, n_vocab, -math.inf))
        self.assertEqual(score[4:], (0.0, []))
        self.fails(gpt2.ERR_TOKEN, "token is -1", session.score_logits, logits, -1)
        self.fails(gpt2.ERR_NONFINITE, "NaN", session.score_logits, [math.nan] * n_vocab, 0)
        for error, words, options in (
                (gpt2.Error, "n_likeliest is -1", dict(n_likeliest=-1)),
                (gpt2.Error, "n_likeliest is", dict(n_likeliest=n_vocab + 1)),
                (ValueError, "class_ids has -1", dict(class_ids=[-1])),
                (ValueError, f"class_ids has {n_vocab}", dict(class_ids=[n_vocab])),
                (OverflowError, "outside the range", dict(token=1 << 32)),
                (ValueError, "logits have shape", dict(logits=logits[1:]))):
            with self.assertRaisesRegex(error, words):
                session.score_logits(**{"logits": logits, "token": 0, **options})

    def test_mirostat_keeps_its_state(self):
        def draws(session, sampling):
            session.reset()
            session.forward(self.ids)
            for _ in range(12):
                yield session.sample(sampling)
                session.forward([1])

        with self.model.session() as session:
            sampling = gpt2.Sampling(mirostat_tau=1.0, mirostat_eta=0.5)
            before, other = list(draws(session, sampling)), list(draws(session, sampling))
            self.assertNotEqual(sampling._mu.value, 2.0)
            self.assertNotEqual(before, other)
            again = list(draws(session, gpt2.Sampling(mirostat_tau=1.0, mirostat_eta=0.5)))
            self.assertEqual(again, before)
            mu = sampling._mu.value
            session.reset()
            list(session.generator().start(PROMPT, 12, sampling))
            self.assertEqual(sampling._mu.value, mu)  # a generator has a state of its own

    def test_offsets(self):
        text = "It\u00e9 \U0001f642 was"
        ids = self.model.encode(text)
        offsets = self.model.token_offsets(ids)
        for at, token in zip(offsets, ids):
            self.assertEqual(text.encode()[at.first_byte:at.end_byte], self.model.decode_bytes([token]))
            self.assertEqual(len(text.encode()[:at.first_byte].decode(errors="ignore")), at.first_char)
        self.assertEqual(offsets[-1].end_char, len(text))
        with self.assertRaises(gpt2.Error):
            self.model.token_offsets([1 << 20])


class Taps(Binding):
    def test_parts_are_the_programs(self):
        wanted, n = traced(), len(self.ids)
        found = {name: bytearray(data) for name, (_, data) in wanted.items()}
        for name, (shape, _) in wanted.items():  # what no part has stays: masked, right of it
            for i in range(0, len(found[name]), 4):
                if len(shape) == 2 or i // 4 % n <= i // 4 // n % n:
                    found[name][i:i + 4] = b"none"

        def take(tap):
            self.assertEqual((tap.first_row + first, tap.sequence), (tap.first_position, 0))
            self.assertEqual(len(tap.rows), tap.n_rows)
            for row, position in zip(tap.rows, range(tap.first_position, n)):
                start = (max(0, tap.head) * n + position) * wanted[tap.name][0][-1] * 4
                self.assertEqual(len(row), tap.n_columns)
                found[tap.name][start:start + 4 * len(row)] = bytes(row)

        with self.model.session(logit_rows=n) as session, session.tap(take):
            for first, end in ((0, 3), (3, n)):
                session.forward(self.ids[first:end])
        self.assertEqual(len(found), 3 + 11 * self.model.info.n_layer)
        for name, (_, data) in wanted.items():
            self.assertEqual(bytes(found[name]), data, name)

    def test_a_change(self):
        def ablate(tap):
            seen.append(repr(tap))
            if tap.layer == 1:
                for row in tap.rows:
                    for i in range(factor, len(row)):
                        row[i] = 0.0

        logits = []
        for factor in (0, 128):
            seen = []
            session = self.model.session()
            with session.tap(ablate, "attn.out"):
                logits.append(self.run_ids(session))
                self.assertEqual(seen[0], "<gpt2.Tap h.0.attn.out: [3, 128]>")
                self.assertEqual(len(seen), 2 * self.model.info.n_layer)
            self.assertEqual(self.run_ids(session), self.run_ids(self.model.session()))
            self.assertEqual(len(seen), 2 * self.model.info.n_layer)
        self.assertNotEqual(logits[0], logits[1])
        self.assertEqual(logits[1], self.run_ids(self.model.session()))

    def test_who_ends_a_run(self):
        alone = self.run_ids(self.model.session())
        session = self.model.session(n_sequences=2)
        other = session.sequence()
        number = other.number

        def fail(tap):
            if tap.sequence == number and tap.layer == 1:
                raise ZeroDivisionError("from the tap")

        with session.tap(lambda tap: tap.layer == 2, "mlp.fc"):
            self.fails(gpt2.ERR_CANCELLED, "h.2.mlp.fc", session.forward, self.ids)
            with self.assertRaisesRegex(ValueError, "a tap already"), session.tap(fail):
                pass
        with session.tap(fail, "block"):
            with self.assertRaisesRegex(ZeroDivisionError, "from the tap"):
                session.forward_batch([(other, self.ids, 1)])
            generator = session.generator().start(PROMPT, 5, sequence=other)
            with self.assertRaisesRegex(ZeroDivisionError, "from the tap"):
                session.step([generator])
            self.assertEqual((generator.finish, other.position), ("cancelled", 0))
            self.assertEqual(self.run_ids(session), alone)
        with self.assertRaisesRegex(ValueError, "no activation 'attn', wanted some of .*ln_1"):
            with session.tap(fail, "attn"):
                pass
        self.assertEqual(self.run_ids(session), alone)
        with session.tap(fail):
            session.close()

    def test_a_view_that_is_kept(self):
        kept = []
        session = self.model.session()
        with session.tap(lambda tap: kept.extend(tap.rows), "mlp.act"):
            session.forward(self.ids)
        session.close()
        del session
        gc.collect()
        self.assertEqual(sum(len(bytes(row)) for row in kept),
                         4 * len(self.ids) * self.model.info.n_layer * self.model.info.n_inner)


class Activations(Binding):
    def setUp(self):
        try:
            import numpy  # noqa: F401
        except ImportError:
            self.skipTest("no numpy here")

    def test_arrays_are_the_programs(self):
        wanted, n = traced(), len(self.ids)
        for logit_rows in (0, 3, n):
            session = self.model.session(logit_rows=logit_rows)
            found = session.activations(self.ids)
            self.assertEqual({name: (list(array.shape), array.tobytes())
                              for name, array in found.items()}, wanted)
            self.assertEqual(session.position, n)

    def test_as_in_transformers(self):
        n, info = len(self.ids), self.model.info
        found = self.model.session().activations(self.ids, "hidden_states", "attentions")
        self.assertEqual([a.shape for a in found.hidden_states],
                         [(n, info.n_embd)] * (info.n_layer + 1))
        self.assertEqual([a.shape for a in found.attentions],
                         [(info.n_head, n, n)] * info.n_layer)
        names = ["embed", "h.0.block", "h.1.block", "h.2.block", "ln_f"]
        for array, name in zip(found.hidden_states, names):
            self.assertIs(array, found[name])
        self.assertIs(found.attentions[2], found["h.2.attn.probs"])
        self.assertRegex(repr(found), r"^<gpt2.Activations: embed \[\d+, 128\], .*\.\.\., ln_f")
        with self.assertRaisesRegex(KeyError, "h.3.mlp.act was not taken, only embed, "):
            found["h.3.mlp.act"]

    def test_a_text_goes_on(self):
        whole = self.model.session().activations(self.ids, "attn.scores", "hidden_states")
        session = self.model.session(logit_rows=2)
        session.forward(self.ids[:4])
        found = session.activations(self.ids[4:], "attn.scores", "hidden_states")
        self.assertEqual(found["h.3.attn.scores"].tobytes(),
                         whole["h.3.attn.scores"][:, 4:].tobytes())
        self.assertEqual(found.hidden_states[-1].tobytes(), whole.hidden_states[-1][4:].tobytes())

    def test_errors(self):
        session = self.model.session(n_ctx=20)
        session.forward(self.ids[:2])
        self.fails(gpt2.ERR_CONTEXT, "", session.activations, [1] * 19, "ln_f")  # one by one
        self.assertEqual(session.first.ids, self.ids[:2])
        self.fails(gpt2.ERR_ARGUMENT, "", session.activations, [])
        with self.assertRaisesRegex(ValueError, 'on_full="stop"'):
            self.model.session(on_full="shift").activations(self.ids)
        with mock.patch.dict(sys.modules, {"numpy": None}):
            with self.assertRaisesRegex(ImportError, "pip install numpy"):
                session.activations(self.ids)


class Words(Binding):
    def test_reprs(self):
        model = gpt2.Model(MODEL)
        session = model.session(n_sequences=2)
        session.forward(self.ids)
        other, generator = session.first.fork(), session.generator()
        n = len(self.ids)
        for thing, wanted in (
                (model, "<gpt2.Model: 4 layers of 128, 2560 tokens, 256 positions>"),
                (session, f"<gpt2.Session: {n} of 256 positions>"),
                (other, f"<gpt2.Sequence 1 of <gpt2.Session: {n} of 256 positions>>"),
                (generator, "<gpt2.Generator: 0 tokens, finish=None>"),
                (gpt2.Sampling(temperature=0.5, banned_ids=[1]),
                 "gpt2.Sampling(temperature=0.5, banned_ids=[1])"),
                (gpt2.Error(-3, "why"), "Error(-3, 'why')")):
            self.assertEqual(repr(thing), wanted)
        self.assertRegex(repr(model.info), r"^ModelInfo\(n_vocab=2560, .*, file_types=2\)$")
        for thing in (other, session, model):
            thing.close()
            self.assertRegex(repr(thing), r"^<gpt2\.\w+, closed>$")

    def test_wrong_types(self):
        session = self.model.session()
        ids = "wants a list of ids"
        for call, words in (
                (lambda: session.forward("text"), f"forward\\(\\) {ids}; encode\\(\\) makes them"),
                (lambda: session.forward(b"text"), f"forward\\(\\) {ids}; encode\\(\\) makes them"),
                (lambda: session.forward(5), f"forward\\(\\) {ids}: 'int'"),
                (lambda: session.forward([1.5]), f"forward\\(\\) {ids}: 'float'|{ids}: integer"),
                (lambda: session.forward_batch([(session.first, "text", 1)]), f"batch.* {ids}; enc"),
                (lambda: session.forward_batch([self.ids]), r"wants items \(sequence, .*, not \[\d"),
                (lambda: self.model.decode("text"), f"decode\\(\\) {ids}; encode"),
                (lambda: self.model.encode([1]), "encode\\(\\) wants str or bytes, not list"),
                (lambda: list(session.generate(5)), f"start\\(\\) {ids}: 'int'")):
            with self.assertRaisesRegex(TypeError, words):
                call()
        self.assertEqual(session.position, 0)

    def test_drafts(self):
        with self.model.session(logit_rows=9) as session:
            prompt = "I was a gentleman, and I was a gentleman, and"  # which goes on so
            plain = "".join(session.generate(prompt, n=100, temperature=0))
            session.reset()
            generator = session.generator(draft_max=8).start(prompt, 100, temperature=0)
            self.assertEqual("".join(generator), plain)
            n_drafted, n_right = generator.drafted
            self.assertTrue(0 < n_right <= n_drafted)
            session.reset()
            self.assertEqual("".join(session.generate(prompt, n=100, temperature=0, draft_max=8)),
                             plain)
            self.fails(gpt2.ERR_ARGUMENT, "draft_max is 9, wanted 0 to 8", session.generator,
                       draft_max=9)

    def test_the_token_that_begins_a_text(self):
        self.assertEqual(self.model.bos_token, self.model.info.eot_token)
        files = {name: read_bytes(MODEL, name)
                 for name in ("config.json", "model.safetensors", "vocab.json", "merges.txt")}
        files["tokenizer_config.json"] = b'{"bos_token": "!"}'
        self.assertEqual([gpt2.Model.from_files(files).bos_token], self.model.encode("!"))
        del files["vocab.json"], files["merges.txt"]
        self.assertEqual(gpt2.Model.from_files(files).bos_token, -1)


class Errors(Binding):
    def test_no_model(self):
        self.fails(gpt2.ERR_FILE, os.path.join("no-such-model", "config.json"), gpt2.Model,
                   "no-such-model")

    def test_a_session_goes_on_after_errors(self):
        alone = self.run_ids(self.model.session())
        n_vocab = self.model.info.n_vocab
        with self.model.session(n_ctx=30) as session:
            self.fails(gpt2.ERR_ROW, "no logits", session.logits)
            self.fails(gpt2.ERR_TOKEN, str(n_vocab), session.forward, [1, n_vocab])
            self.fails(gpt2.ERR_CONTEXT, "31 tokens", session.forward, [1] * 31)
            self.assertEqual(session.position, 0)
            self.assertEqual(self.run_ids(session), alone)
            self.fails(gpt2.ERR_ARGUMENT, "temperature", session.sample, temperature=-1)
            self.assertEqual(self.run_ids(session), alone)
            self.fails(gpt2.ERR_TOKEN, f"id 2 is {n_vocab}, wanted 0 to {n_vocab - 1}",
                       self.model.decode, [1, 1, n_vocab])

    def test_cancel(self):
        alone = self.run_ids(self.model.session())
        session = self.model.session()
        session.cancel()
        self.fails(gpt2.ERR_CANCELLED, "cancel", session.forward, self.ids)
        self.assertEqual(session.position, 0)
        self.assertEqual(self.run_ids(session), alone)

    def test_timeout(self):
        alone = self.run_ids(self.model.session())
        session = self.model.session()
        for passed in (0, -5):
            session.set_timeout(passed)
            self.fails(gpt2.ERR_DEADLINE, "deadline", session.forward, self.ids)
        for far in (3600, None):
            session.set_timeout(far)
            self.assertEqual(self.run_ids(session), alone)

    def test_numbers_too_large(self):
        session = self.model.session()
        for wrong in (lambda: session.forward([1 << 32]), lambda: session.sample(top_k=1 << 32),
                      lambda: self.model.session(threads=1 << 32),
                      lambda: session.sample(seed=1 << 64)):
            self.assertRaises(OverflowError, wrong)

    def test_closed(self):
        model = gpt2.Model(MODEL)
        session = model.session()
        for thing in (session, model, session, model):
            thing.close()
        for call in (lambda: session.forward([1]), lambda: session.position, session.cancel,
                     session.sequence, lambda: session.n_free_pages,
                     lambda: model.encode("a"), model.session):
            with self.assertRaisesRegex(ValueError, "closed"):
                call()


class Loading(Binding):
    NAMES = ("config.json", "model.safetensors", "vocab.json", "merges.txt")

    def files(self):
        return {name: read_bytes(MODEL, name) for name in self.NAMES}

    def same(self, model):
        self.assertEqual(model.encode(PROMPT), self.ids)
        self.assertEqual(self.run_ids(model.session()), self.run_ids(self.model.session()))

    def test_from_bytes(self):
        files = self.files()
        kinds = (bytes, bytearray, memoryview, lambda data: memoryview(bytearray(data)))
        for kind in kinds:
            self.same(gpt2.Model.from_files({name: kind(data) for name, data in files.items()}))
        with open(os.path.join(MODEL, "model.safetensors"), "rb") as file:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                self.same(gpt2.Model.from_files({**files, "model.safetensors": mapped}, threads=2))
                # closing it here raises BufferError if the load still borrows it

    def test_from_file_objects(self):
        class Short(io.BytesIO):
            def read(self, size=-1):
                return super().read(min(size, 1000))

        for kind in (io.BytesIO, Short):
            self.same(gpt2.Model.from_files({n: kind(d) for n, d in self.files().items()},
                                            threads=2))
        with contextlib.ExitStack() as stack:
            self.same(gpt2.Model.from_files(
                {name: stack.enter_context(open(os.path.join(MODEL, name), "rb"))
                 for name in self.NAMES}))

    def test_no_tokenizer(self):
        files = {name: data for name, data in self.files().items() if name[0] in "cm"}
        del files["merges.txt"]
        with self.assertRaisesRegex(ValueError, "no tokenizer"):
            gpt2.Model.from_files(files).encode("a")

    def test_wrong_files(self):
        files = self.files()
        self.fails(gpt2.ERR_FILE, "config.json: is not among the sources", gpt2.Model.from_files,
                   {"model.safetensors": files["model.safetensors"]})
        self.fails(gpt2.ERR_ARGUMENT, 'is "config.yaml"', gpt2.Model.from_files,
                   {"config.yaml": b"", **files})
        self.fails(gpt2.ERR_FORMAT, "config.json", gpt2.Model.from_files,
                   {**files, "config.json": b"{"})
        with self.assertRaises(TypeError):
            gpt2.Model.from_files({**files, "config.json": "text"})

    def test_errors_of_file_objects(self):
        class Broken(io.BytesIO):
            def read(self, size=-1):
                raise OSError("the disk is gone")

        class Early(io.BytesIO):
            def read(self, size=-1):
                return b""

        class Long(io.BytesIO):
            def read(self, size=-1):
                return bytes(size + 1)

        weights = self.files()["model.safetensors"]
        for threads in (1, 2):
            with self.assertRaisesRegex(OSError, "the disk is gone"):
                gpt2.Model.from_files({**self.files(), "model.safetensors": Broken(weights)},
                                      threads)
            with self.assertRaisesRegex(ValueError, "wanted up to"):
                gpt2.Model.from_files({**self.files(), "model.safetensors": Long(weights)}, threads)
            self.fails(gpt2.ERR_FILE, "model.safetensors: ends at byte 0", gpt2.Model.from_files,
                       {**self.files(), "model.safetensors": Early(weights)}, threads)

    def test_progress(self):
        for load in (lambda progress, threads=1: gpt2.Model(MODEL, threads, progress),
                     lambda progress, threads=1: gpt2.Model.from_files(self.files(), threads,
                                                                       progress)):
            for threads in (1, 2):
                seen = []
                self.same(load(lambda *numbers: seen.append(numbers), threads))
                self.assertEqual(seen, sorted(seen))
                self.assertEqual(seen[-1][0], seen[-1][1])
            self.fails(gpt2.ERR_CANCELLED, "progress", load, lambda done, total: True)
            with self.assertRaisesRegex(KeyError, "mine"):
                load(lambda done, total: {}["mine"])


    def test_tensor(self):
        info, embeddings = self.model.info, self.model.tensor("wte.weight")
        self.assertEqual(embeddings.shape, (info.n_vocab, info.n_embd))
        with open(os.path.join(MODEL, "model.safetensors"), "rb") as file:
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
            name = next(name for name in header if name.endswith("wte.weight"))
            self.assertEqual(header[name]["dtype"], "F16")
            begin, end = header[name]["data_offsets"]
            file.seek(begin, os.SEEK_CUR)
            wanted = struct.unpack(f"<{(end - begin) // 2}e", file.read(end - begin))
        self.assertEqual(embeddings.tobytes(), struct.pack(f"{len(wanted)}f", *wanted))
        self.assertEqual(embeddings[2, 3], wanted[2 * info.n_embd + 3])
        self.assertEqual(self.model.tensor("transformer.h.1.ln_1.bias").shape, (info.n_embd,))
        self.assertEqual(self.model.tensor("h.3.mlp.c_fc.weight").shape, (info.n_embd, info.n_inner))
        with self.assertRaisesRegex(gpt2.Error, 'name is "wte", wanted that of a weight'):
            self.model.tensor("wte")

    def test_weight_type(self):
        names = {"f32": gpt2_c.TYPE_F32, "f16": gpt2_c.TYPE_F16, "bf16": gpt2_c.TYPE_BF16,
                 "q8": gpt2_c.TYPE_Q8, "q4": gpt2_c.TYPE_Q4}
        for name, number in names.items():
            for model in (gpt2.Model(MODEL, weight_type=name),
                          gpt2.Model.from_files(self.files(), weight_type=name)):
                self.assertEqual(model.info.memory_type, number)
                if number == self.model.info.weight_type or name == "f32":
                    self.same(model)
                else:
                    self.assertNotEqual(self.run_ids(model.session()),
                                        self.run_ids(self.model.session()))
        sizes = [gpt2.Model(MODEL, weight_type=name).info.memory_bytes
                 for name in ("q4", "q8", "bf16", "f32")]
        for small, large in zip(sizes, sizes[1:]):
            self.assertLess(small, 0.75 * large)
        with self.assertRaisesRegex(ValueError, "q5"):
            gpt2.Model(MODEL, weight_type="q5")


class Lifetimes(Binding):
    def test_a_session_keeps_its_model(self):
        model = gpt2.Model(MODEL)
        session = model.session()
        object_of_model = weakref.ref(model._object)
        model.close()
        del model
        gc.collect()
        self.assertIsNotNone(object_of_model())
        self.assertEqual(self.run_ids(session), self.run_ids(self.model.session()))
        del session
        gc.collect()
        self.assertIsNone(object_of_model())

    def test_logits_keep_their_memory(self):
        session = self.model.session()
        logits = session.forward(self.ids)
        bits = bytes(logits)
        object_of_session = weakref.ref(session._object)
        session.close()
        gc.collect()
        self.assertEqual(bytes(logits), bits)
        self.assertIsNotNone(object_of_session())
        del logits
        gc.collect()
        self.assertIsNone(object_of_session())

    def test_logits_are_no_copy(self):
        session = self.model.session()
        logits = session.forward(self.ids)
        before = logits.tolist()
        session.forward([1])
        self.assertNotEqual(logits.tolist(), before)
        self.assertEqual(logits.tolist(), session.logits().tolist())
        self.assertEqual((logits.format, logits.shape), ("f", (self.model.info.n_vocab,)))
        with self.assertRaises(TypeError):
            logits[0] = 0.0

    def test_all_logits(self):
        n, n_vocab = len(self.ids), self.model.info.n_vocab
        session = self.model.session(n_sequences=2, logit_rows=5)
        session.forward(self.ids)
        rows = session.all_logits()
        self.assertEqual((rows.format, rows.shape, rows.readonly), ("f", (5, n_vocab), True))
        self.assertEqual(bytes(rows), b"".join(bytes(session.logits(n - 5 + i)) for i in range(5)))
        self.assertEqual(rows[4, 7], session.logits()[7])
        session.forward(self.ids[:2])
        self.assertEqual(session.all_logits().shape, (2, n_vocab))
        other = session.sequence()
        batch = session.forward_batch([(session.first, [1, 2], 3), (other, self.ids, 3)])
        for item in (0, 1):
            self.assertEqual(bytes(session.all_logits(item)), b"".join(map(bytes, batch[item])))
        next(session.generate("It"))
        self.assertEqual(bytes(session.all_logits()), bytes(session.logits()))
        session.reset()
        self.fails(gpt2.ERR_ROW, "no logits", session.all_logits)

    def test_logits_in_numpy(self):
        try:
            import numpy
        except ImportError:
            self.skipTest("no numpy here")
        session = self.model.session()
        for make in (numpy.asarray, lambda view: numpy.frombuffer(view, dtype=numpy.float32)):
            made = make(session.forward([1]))
            self.assertEqual(made.dtype, numpy.float32)
            before = made.copy()
            session.forward([2])
            self.assertFalse((made == before).all())
            del session  # the memory of 'made' is its
            gc.collect()
            self.assertEqual(made.shape, before.shape)
            session = self.model.session()

    def test_a_child_process_goes_on(self):
        session = self.model.session(threads=2)
        wanted = self.run_ids(session)
        time.sleep(0.05)  # its other thread sleeps, too
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            try:
                same = self.run_ids(session) == wanted
                session.close()  # would wait for threads that are not here
                os._exit(0 if same else 1)
            except BaseException:
                os._exit(2)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertEqual(self.run_ids(session), wanted)

    def test_the_library_is_the_named_one(self):
        with open("/proc/self/maps", encoding="utf-8") as file:
            self.assertIn(os.path.realpath(LIBRARY), file.read())
        self.assertEqual("gpt2 " + gpt2.version(), program("--version").decode().strip())


if __name__ == "__main__":
    unittest.main()
