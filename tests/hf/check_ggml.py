#!/usr/bin/env python3
"""Compares the numbers that quantised weights stand for with ggml's, bit for bit: Q8_0, Q4_0, IQ4_NL.

Random blocks are written twice: in ggml's layout, which gguf.quants.dequantize() of ggml's Python package
reads, and as the embeddings of a native file (docs/native.md), which libgpt2 reads.  The last model of each
kind has every finite scale.  What is seen of libgpt2's numbers:

- embeddings: the tap "embed" of each token.  Positions are -0.0, which changes no bit of what it is added to;
- products: the head is the same matrix.  A tap replaces the rows of ln_f by 127 at one place and zeros
  elsewhere.  Such a row is quantised without error, so a logit is 127 d q, rounded once.

A width that is no multiple of 32 has numbers behind it in the last block, which nothing may see.
"""
import argparse
import ctypes
import json
import math
import random
import struct
import sys
import time
from pathlib import Path

import numpy as np
from check_accuracy import Session
from harness import Record, Report, say

SEED = 80440
N_POSITIONS = 256
TABLES = {      # a q of 4 bits is an index; None: it is the number itself, with 128 added
    "Q8_0": None,
    "Q4_0": range(-8, 8),
    "IQ4_NL": (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113),
}
FINITE = [sign | bits for sign in (0, 0x8000) for bits in range(0x7c00)]    # every finite F16
SHAPES = [(32, 213), (64, 256), (96, 213), (33, 100), (48, 117), (64, len(FINITE) // 2 + 21)]
TAP_EMBED, TAP_LN_F = 0, 12


class Blocks:
    """Random blocks of 32: scales d [n_vocab, n_blocks], as bits of F16, and q [n_vocab, n_blocks, 32]."""

    def __init__(self, rng, kind, n_embd, n_vocab):
        self.kind, self.n_embd, self.n_vocab = kind, n_embd, n_vocab
        n_blocks = -(-n_embd // 32)
        scales = (FINITE if n_vocab * n_blocks >= len(FINITE) else []).copy()
        scales += rng.choices(FINITE, k=n_vocab * n_blocks - len(scales))
        rng.shuffle(scales)
        self.d = np.array(scales, "<u2").reshape(n_vocab, n_blocks)
        q = np.frombuffer(rng.randbytes(n_vocab * n_blocks * 32), np.uint8).reshape(n_vocab, n_blocks, 32)
        self.q = q & 15 if TABLES[kind] else q

    def in_ggml(self):
        """Rows of ggml's blocks: a scale, then int8 or the halves of a block as halves of bytes."""
        codes = self.q[..., :16] | self.q[..., 16:] << 4 if TABLES[self.kind] else self.q ^ 128
        scales = self.d.view(np.uint8).reshape(*self.d.shape, 2)
        return np.concatenate([scales, codes], axis=2).reshape(self.n_vocab, -1)

    def in_panels(self):
        """lib/kernels/quantised.h: for each 64 outputs, or what is left of them, block by block."""
        n_blocks, missing = self.d.shape[1], -self.n_vocab % 16
        scales = np.pad(self.d, ((0, missing), (0, 0)))
        quads = np.pad(self.q, ((0, missing), (0, 0), (0, 0))).reshape(-1, n_blocks, 8, 4)
        if TABLES[self.kind]:
            quads = quads[:, :, 0::2] | quads[:, :, 1::2] << 4
        panels = []
        for first in range(0, len(scales), 64):
            d = np.ascontiguousarray(scales[first:first + 64].T).view(np.uint8)
            q = quads[first:first + 64].transpose(1, 2, 0, 3).reshape(n_blocks, -1)
            panels.append(np.concatenate([d, q], axis=1).tobytes())
        return b"".join(panels)


# ------------------------------------------------------------------------------- native files

def checksum(data):
    """lib/base/checksum.c, megabyte by megabyte."""
    def step(lane, word):
        lane = (lane ^ word) * 0x9e3779b97f4a7c15 & 0xffffffffffffffff
        return (lane << 31 | lane >> 33) & 0xffffffffffffffff

    total = 0
    for first in range(0, len(data), 1 << 20):
        part = data[first:first + (1 << 20)]
        lanes = [total, 1, 2, 3]
        for i, (word,) in enumerate(struct.iter_unpack("<Q", part + bytes(-len(part) % 8))):
            lanes[i % 4] = step(lanes[i % 4], word)
        total = len(part)
        for lane in lanes:
            total = step(total, lane)
    return total


class NativeFile:
    """Tensors one behind the other, each at a multiple of 64."""

    def __init__(self):
        self.header, self.data, self.n_paddings = {}, bytearray(), 0

    def _add(self, name, dtype, shape, data):
        self.header[name] = {"dtype": dtype, "shape": shape,
                             "data_offsets": [len(self.data), len(self.data) + len(data)]}
        self.data += data

    def add(self, name, dtype, shape, data):
        self._add(name, dtype, shape, data)
        n_bytes = -len(self.data) % 64
        if n_bytes:
            self._add(f"padding.{self.n_paddings}", "U8", [n_bytes], bytes(n_bytes))
            self.n_paddings += 1

    def add_floats(self, name, shape, value):
        self.add(name, "F32", shape, struct.pack("<f", value) * math.prod(shape))

    def write(self, path, config, n_directory_bytes):
        """`n_directory_bytes`: of the tensors in the directory."""
        self._add("checksums", "U64", [3], bytes(24))
        metadata = {"libgpt2": "2", "config": json.dumps(config)}
        header = json.dumps({"__metadata__": metadata, **self.header}).encode()
        header += b" " * (-(len(header) + 8) % 64)
        file = struct.pack("<Q", len(header)) + header + self.data[:-24]
        directory = 8 + len(header) + n_directory_bytes
        path.write_bytes(file + struct.pack("<3Q", directory, checksum(file[:directory]),
                                            checksum(file[directory:])))


def write_model(path, blocks):
    """A model of one layer of zeros whose embeddings and head are `blocks`."""
    n_embd, n_inner, file = blocks.n_embd, 16, NativeFile()
    file.add("n_parameters", "U64", [1], bytes(8))     # only told by gpt2_model_get_info()
    n_directory_bytes = len(file.data)
    file.add_floats("wpe.weight", [N_POSITIONS, n_embd], -0.0)
    for name in ("h.0.ln_1", "h.0.ln_2", "ln_f"):
        file.add_floats(f"{name}.weight", [n_embd], 1.0)
        file.add_floats(f"{name}.bias", [n_embd], 0.0)
    for name, n_in, n_out in (("attn.c_attn", n_embd, 3 * n_embd), ("attn.c_proj", n_embd, n_embd),
                              ("mlp.c_fc", n_embd, n_inner), ("mlp.c_proj", n_inner, n_embd)):
        file.add_floats(f"h.0.{name}.bias", [n_out], 0.0)
        file.add_floats(f"h.0.{name}.panels", [n_out + -n_out % 16, n_in], 0.0)
    if TABLES[blocks.kind]:
        file.add("wte.table", "U8", [16], bytes(q + 128 for q in TABLES[blocks.kind]))
    panels, n_out = blocks.in_panels(), blocks.n_vocab + -blocks.n_vocab % 16
    file.add("wte.panels", "U8", [n_out, len(panels) // n_out], panels)
    file.write(path, {"model_type": "gpt2", "vocab_size": blocks.n_vocab, "n_positions": N_POSITIONS,
                      "n_embd": n_embd, "n_layer": 1, "n_head": 1, "n_inner": n_inner}, n_directory_bytes)


# ------------------------------------------------------------------------------- our side

class Tap(ctypes.Structure):    # gpt2_tap
    _fields_ = [("struct_size", ctypes.c_uint32), ("kind", ctypes.c_int32), ("layer", ctypes.c_int32),
                ("head", ctypes.c_int32), ("first_row", ctypes.c_int32),
                ("first_position", ctypes.c_int32), ("n_rows", ctypes.c_int32),
                ("n_columns", ctypes.c_int32), ("row_stride", ctypes.c_size_t),
                ("data", ctypes.POINTER(ctypes.c_float)), ("sequence", ctypes.c_int32),
                ("reserved", ctypes.c_int32)]


TapCallback = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.POINTER(Tap))


def run(session, ids, n_logit_rows, kind, see):
    """Runs `ids` from an empty text.  see(first, rows) gets the rows of a tap, which it may change."""
    def on_tap(_, tap):
        tap = tap.contents
        rows = np.ctypeslib.as_array(tap.data, [(tap.n_rows - 1) * tap.row_stride + tap.n_columns])
        see(tap.first_row, np.lib.stride_tricks.as_strided(
            rows, [tap.n_rows, tap.n_columns], [4 * tap.row_stride, 4]))
        return 0

    callback = TapCallback(on_tap)
    session.call("gpt2_session_reset", session.session)
    session.call("gpt2_session_set_tap", session.session, callback, None, 1 << kind)
    session.call("gpt2_forward", session.session, (ctypes.c_int32 * len(ids))(*ids), len(ids), n_logit_rows)
    session.call("gpt2_session_set_tap", session.session, TapCallback(), None, 0)


def our_embeddings(session, n_embd, n_vocab):
    embeddings = np.full([n_vocab, n_embd], np.nan, np.float32)
    for first in range(0, n_vocab, N_POSITIONS):
        ids = range(first, min(first + N_POSITIONS, n_vocab))

        def keep(row, rows, first=first):
            embeddings[first + row:first + row + len(rows)] = rows

        run(session, ids, 0, TAP_EMBED, keep)
    return embeddings


def our_products(session, n_embd, n_vocab):
    """127 times the columns of the head: [n_embd, n_vocab]"""
    def replace(row, rows):
        rows[:] = 127 * np.eye(n_embd, dtype=np.float32)[row:row + len(rows)]

    run(session, [0] * n_embd, n_embd, TAP_LN_F, replace)
    where = ctypes.c_void_p()
    session.call("gpt2_session_logits", session.session, 0, ctypes.byref(where))
    return np.frombuffer(ctypes.string_at(where, 4 * n_embd * n_vocab), np.float32).reshape(n_embd, n_vocab)


def ours(library, path, blocks, record):
    """The embeddings and the products of a model."""
    write_model(path, blocks)
    session = Session(library, path, blocks.n_vocab, record, n_logit_rows=blocks.n_embd)
    session.lib.gpt2_session_set_tap.argtypes = [ctypes.c_void_p, TapCallback, ctypes.c_void_p,
                                                 ctypes.c_uint32]
    found = [get(session, blocks.n_embd, blocks.n_vocab) for get in (our_embeddings, our_products)]
    session.close()
    path.unlink()
    record.got(*(part.astype("<f4").tobytes() for part in found))
    return found


# ------------------------------------------------------------------------------- theirs

def theirs(blocks):
    from gguf import GGMLQuantizationType, quants
    weights = quants.dequantize(blocks.in_ggml(), GGMLQuantizationType[blocks.kind])[:, :blocks.n_embd]
    products = (127 * weights.T.astype(np.float64)).astype(np.float32)
    return weights, products + np.float32(0)    # a sum that begins with 0 is never -0


def bits(floats):
    return np.ascontiguousarray(floats).view(np.uint32)


def fault(got, wanted):
    """The first number whose bits differ; None if there is none."""
    differ = np.argwhere(bits(got) != bits(wanted))
    if len(differ) == 0:
        return None
    place = tuple(differ[0])
    return f"{len(differ):,} differ, the first at {differ[0].tolist()}: {got[place]!r} for {wanted[place]!r}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--library", required=True)
    parser.add_argument("--work", required=True, type=Path, help="folder for the native files")
    parser.add_argument("--ours", action="store_true", help="our side alone, and its hashes")
    args = parser.parse_args()

    record, report = Record(), Report()
    say(f"weights against ggml's, seed {SEED}")
    say("kind     n_embd   n_vocab    weights      -0.0   embeddings     products")
    for kind in TABLES:
        for n_embd, n_vocab in SHAPES:
            started = time.monotonic()
            blocks = Blocks(random.Random(f"{SEED} {kind} {n_embd} {n_vocab}"), kind, n_embd, n_vocab)
            found = ours(args.library, args.work / f"{kind}.safetensors", blocks, record)
            if args.ours:
                continue
            wanted = theirs(blocks)
            words = []
            for what, got, right in zip(("embeddings", "products"), found, wanted):
                wrong = fault(got, right)
                words.append("equal" if wrong is None else "differ")
                report.check(wrong is None, f"{kind}, {n_embd} by {n_vocab}: {what}: {wrong}")
            n_negative_zeros = int(((wanted[0] == 0) & np.signbit(wanted[0])).sum())
            say(f"{kind:<7}{n_embd:>8}{n_vocab:>10,}{wanted[0].size:>11,}{n_negative_zeros:>10,}"
                f"{words[0]:>13}{words[1]:>13}{time.monotonic() - started:>7.1f} s")
    record.say()
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
