#!/usr/bin/env python3
"""Compares libgpt2's error with that of PyTorch's float32, on trained models.

The library continues prompts greedily and keeps all logits of each step.  transformers then runs
the same ids in float64, which is the reference, and in float32.  For each model:

- the library's id is the reference's wherever the reference's two largest logits are more than
  1e-3 apart;
- the root mean square error of the library's logits is no larger than that of PyTorch's in float32,
  and with --full, where there are enough of them to ask, neither is the largest error (it is shown
  alone for the models of --also: docs/verification.md says why).

Prompts are cut from the texts of a folder at random, with a fixed seed: one length for each batch,
short ones as likely as long ones on a logarithmic scale, up to the model's whole context.
"""
import argparse
import ctypes
import json
import os
import random
import sys
import time
from pathlib import Path

from check_tokenizer import ALPHABET, LibGpt2
from harness import Record, Report, say

SEED = 31415
N_NEW = 64
BATCH = 8
N_PROMPTS = {False: 48, True: 1000}     # by --full
GAP = 1e-3


class SessionParams(ctypes.Structure):  # gpt2_session_params
    _fields_ = [("struct_size", ctypes.c_uint32), ("cpu_mask", ctypes.c_uint32),
                ("n_threads", ctypes.c_int32), ("n_ctx", ctypes.c_int32),
                ("n_batch", ctypes.c_int32), ("n_logit_rows", ctypes.c_int32),
                ("errbuf", ctypes.c_char_p), ("errbuf_size", ctypes.c_size_t),
                ("parallel_for", ctypes.c_void_p), ("parallel_for_user", ctypes.c_void_p),
                ("n_sequences", ctypes.c_int32), ("n_pages", ctypes.c_int32),
                ("kv_type", ctypes.c_int32), ("on_full", ctypes.c_int32),
                ("n_keep", ctypes.c_int32), ("reserved", ctypes.c_int32)]


class SampleParams(ctypes.Structure):   # gpt2_sample_params
    _fields_ = [("struct_size", ctypes.c_uint32), ("temperature", ctypes.c_float),
                ("top_k", ctypes.c_int32), ("top_p", ctypes.c_float), ("seed", ctypes.c_uint64),
                ("stream", ctypes.c_uint64), ("position", ctypes.c_int64)]


class Session:
    """A model and a session of the library at `path`; `settings` are fields of SessionParams."""

    def __init__(self, path, model_dir, n_vocab, record, **settings):
        self.lib, self.n_vocab = ctypes.CDLL(os.path.abspath(path)), n_vocab
        self.record = record
        record.given_files(model_dir)
        pointer, size, int32 = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int32
        for name, types in {
                "gpt2_model_load": [ctypes.c_char_p, pointer, pointer],
                "gpt2_model_free": [pointer],
                "gpt2_session_params_init": [pointer, size],
                "gpt2_session_create": [pointer, pointer, pointer],
                "gpt2_session_free": [pointer],
                "gpt2_session_reset": [pointer],
                "gpt2_forward": [pointer, pointer, size, size],
                "gpt2_session_logits": [pointer, int32, pointer],
                "gpt2_sample_params_init": [pointer, size],
                "gpt2_sample": [pointer, int32, pointer, pointer]}.items():
            getattr(self.lib, name).argtypes = types
        self.model, self.session = pointer(), pointer()
        self.call("gpt2_model_load", os.fsencode(model_dir), None, ctypes.byref(self.model))
        params = SessionParams()
        self.call("gpt2_session_params_init", ctypes.byref(params), ctypes.sizeof(params))
        for name, value in settings.items():
            setattr(params, name, value)
        self.call("gpt2_session_create", self.model, ctypes.byref(params),
                  ctypes.byref(self.session))
        self.greedily = SampleParams()
        self.call("gpt2_sample_params_init", ctypes.byref(self.greedily),
                  ctypes.sizeof(self.greedily))
        self.greedily.temperature = 0

    def close(self):
        self.lib.gpt2_session_free(self.session)
        self.lib.gpt2_model_free(self.model)

    def call(self, name, *arguments):
        status = getattr(self.lib, name)(*arguments)
        if status != 0:
            raise RuntimeError(f"{name}: status {status}")

    def greedy(self, ids, n):
        """The `n` ids after `ids`, and the bytes of the logits [n, n_vocab] that chose them."""
        new, logits = [], []
        where, chosen = ctypes.c_void_p(), ctypes.c_int32()
        self.call("gpt2_session_reset", self.session)
        step = ids
        for _ in range(n):
            tokens = (ctypes.c_int32 * len(step))(*step)
            self.call("gpt2_forward", self.session, tokens, len(step), 1)
            self.call("gpt2_session_logits", self.session, -1, ctypes.byref(where))
            logits.append(ctypes.string_at(where, 4 * self.n_vocab))
            self.call("gpt2_sample", self.session, -1, ctypes.byref(self.greedily),
                      ctypes.byref(chosen))
            new.append(chosen.value)
            step = [chosen.value]
        self.record.given(ids)
        self.record.got(new, *logits)
        return new, b"".join(logits)


class Error:
    """The largest and the root mean square difference from the reference."""

    def __init__(self):
        self.largest = self.squares = self.n = 0.0

    def add(self, logits, reference):
        difference = (logits.double() - reference).flatten()
        largest = float(difference.abs().max())
        self.largest = self.largest if largest <= self.largest else largest     # NaN stays
        self.squares += float(difference.dot(difference))
        self.n += len(difference)

    def rms(self):
        return (self.squares / self.n) ** 0.5


def corpus_ids(library, model_dir, corpus):
    """The ids of each text, without the characters that the vocabulary has no tokens for."""
    vocabulary = json.loads((model_dir / "vocab.json").read_text("utf-8"))
    tokenizer = LibGpt2(library, model_dir)
    ids = []
    for path in sorted(corpus.iterdir()):
        text = path.read_text("utf-8")
        known = {c for c in set(text) if all(ALPHABET[byte] in vocabulary for byte in c.encode())}
        ids.append(tokenizer.encode("".join(c for c in text if c in known)))
    tokenizer.close()
    return ids


def batches(texts, longest, n_prompts):
    """Prompts in batches of one length, 1 to `longest`."""
    rng = random.Random(SEED)
    for first in range(0, n_prompts, BATCH):
        length = round(longest ** rng.random())
        batch = []
        for _ in range(min(BATCH, n_prompts - first)):
            text = rng.choice(texts)
            start = rng.randrange(len(text) - length + 1)
            batch.append(text[start:start + length])
        yield batch


def new_logits(model, ids):
    """The logits of the last N_NEW of the positions of `ids`."""
    import torch
    with torch.inference_mode():
        hidden = model.transformer(ids, use_cache=False).last_hidden_state
        return model.lm_head(hidden[:, -N_NEW:])


def load(model_dir, dtype):
    from safetensors.torch import load_file
    from transformers import GPT2Config, GPT2LMHeadModel

    # from_pretrained(model_dir) insists on metadata that some files lack.
    return GPT2LMHeadModel.from_pretrained(
        None, config=GPT2Config.from_pretrained(model_dir), torch_dtype=dtype,
        state_dict=load_file(model_dir / "model.safetensors"), attn_implementation="eager").eval()


def continuations(library, model_dir, corpus, n_prompts, record):
    """The library's side: batches of (prompts, new ids, logits)."""
    config = json.loads((model_dir / "config.json").read_text())
    session = Session(library, model_dir, config["vocab_size"], record)
    # The last new id needs no position.
    longest = config["n_positions"] - N_NEW + 1
    for prompts in batches(corpus_ids(library, model_dir, corpus), longest, n_prompts):
        yield prompts, *zip(*(session.greedy(prompt, N_NEW) for prompt in prompts))
    session.close()


def check_model(report, model_dir, library, corpus, full, largest_counts, record):
    import numpy as np
    import torch
    n_prompts = N_PROMPTS[full]
    started, name = time.monotonic(), model_dir.name
    exact, single = load(model_dir, torch.float64), load(model_dir, torch.float32)
    ours, theirs = Error(), Error()
    n = n_clear = n_wrong = n_near = 0
    for prompts, new, logits in continuations(library, model_dir, corpus, n_prompts, record):
        logits = np.frombuffer(b"".join(logits), np.float32).reshape(len(prompts), N_NEW, -1)
        logits, new = torch.tensor(logits), torch.tensor(new)
        ids = torch.cat([torch.tensor(prompts), new[:, :-1]], 1)
        reference = new_logits(exact, ids)
        ours.add(logits, reference)
        theirs.add(new_logits(single, ids), reference)

        best = reference.topk(2)
        clear = best.values[..., 0] - best.values[..., 1] > GAP
        differs = new != best.indices[..., 0]
        n += new.numel()
        n_clear += int(clear.sum())
        n_near += int((differs & ~clear).sum())
        for prompt, step in torch.nonzero(differs & clear).tolist():
            n_wrong += 1
            if n_wrong <= 5:
                say(f"        {name}: {prompts[prompt][:12]} ({len(prompts[prompt])} ids), step {step}:"
                    f" {new[prompt, step]}, the reference has {best.indices[prompt, step, 0]}")
    say(f"{name:<11}{n_prompts:>8,}{n:>10,}{n_clear:>10,}{n_wrong:>8}{n_near:>8}"
        f"{ours.largest:>11.2e}{theirs.largest:>11.2e}{ours.rms():>11.2e}{theirs.rms():>11.2e}"
        f"{time.monotonic() - started:>7.0f} s")
    report.check(n_wrong == 0, f"{name}: {n_wrong} ids differ from the reference's")
    report.check(ours.rms() <= theirs.rms(),
                 f"{name}: error of {ours.rms():.3e} rms, PyTorch's is {theirs.rms():.3e}")
    if full and largest_counts:
        report.check(ours.largest <= theirs.largest,
                     f"{name}: largest error {ours.largest:.3e}, PyTorch's is {theirs.largest:.3e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--library", required=True)
    parser.add_argument("--corpus", required=True, type=Path, help="folder of texts")
    parser.add_argument("--full", action="store_true", help=f"{N_PROMPTS[True]} prompts a model, not"
                        f" {N_PROMPTS[False]}")
    parser.add_argument("--also", action="append", default=[], type=Path, metavar="MODEL",
                        help="a model whose largest error is shown, not judged")
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL", help="model directories")
    parser.add_argument("--ours", action="store_true", help="our side alone, and its hashes")
    args = parser.parse_args()
    if not args.ours:
        import torch
        from transformers.utils import logging
        logging.set_verbosity_error()
        torch.set_num_threads(2)

    record, report = Record(), Report()
    say(f"errors of the logits against float64, seed {SEED}, {N_NEW} ids a prompt")
    say("                                clear  differ, of them    largest error              rms")
    say("model       prompts       ids      gap   clear    near    libgpt2    PyTorch"
        "    libgpt2    PyTorch")
    for model_dir in args.also + args.models:
        if not (model_dir / "config.json").exists():
            report.skip(f"no model in {model_dir}")
            continue
        if args.ours:
            for _ in continuations(args.library, model_dir, args.corpus, N_PROMPTS[args.full], record):
                pass
            continue
        check_model(report, model_dir, args.library, args.corpus, args.full,
                    model_dir not in args.also, record)
    record.say()
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
