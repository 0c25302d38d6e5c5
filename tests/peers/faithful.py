#!/usr/bin/env python3
"""Who does what the config says?  Measures it and writes the table of docs/verification.md.

    faithful.py --work DIR --tokenizer DIR --report FILE [--llama CONVERTER WORKER BACKENDS]
                [--ctranslate2 DIR] [--only WORDS]

For each peculiarity that a config.json, the files beside it or a tokenizer may have, it writes a small
model with random weights and gives the same directory to transformers, libgpt2, llama.cpp and
CTranslate2.  Of each it takes all logits of a text, the ids of the text where these are the peculiarity,
or the ids that end a text, and compares them with those of transformers.  A program that was not
installed has "not measured".  With --only, the rows whose names contain the words are only printed.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional, Tuple

import numpy
import torch
import transformers
from tokenizers import ByteLevelBPETokenizer

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "hf"), str(ROOT / "examples" / "python")]

import gpt2                             # noqa: E402
import models                           # noqa: E402
from bench_peers import write_section   # noqa: E402

LIMIT = 1e-3            # the largest difference of logits that agree
# The rms difference of a row, in that of the same program's plain row, which may be its own rounding.
AS_PLAIN = 1.1
N_CTX = 64
END = "<|endoftext|>"
TEXT = "The ship <mast> came home.<|end|> It's 1875, and nobody saw the <mast>!"
SENTENCES = ["The ship came home in the evening, and nobody saw it.",
             "It's the year 1875; they'll sail again when the wind is good.",
             "There is no evil in the sea, said the old captain to his men.",
             "Nobody knows how many ships the captain and his men have seen."]
MARKS = "<!-- faithful begin -->", "<!-- faithful end -->"
REFERENCE, OURS, LLAMA, CTRANSLATE2 = "transformers", "libgpt2", "llama.cpp", "CTranslate2"
PROGRAMS = REFERENCE, OURS, LLAMA, CTRANSLATE2


class Row(NamedTuple):
    """A peculiarity."""
    name: str
    config: Dict[str, Any] = {}         # where it differs from the plain model's
    without: Tuple[str, ...] = ()       # keys that config.json lacks
    meant: Dict[str, Any] = {}          # what it means in transformers' words, where they are others
    layout: str = "plain"               # of the file: models.py
    tokenizer: str = "GPT-2's"          # make_tokenizer() knows them
    question: str = "logits"            # or "ids", of TEXT and then their logits, or "ends"


BIGCODE = dict(model_type="gpt_bigcode", architectures=["GPTBigCodeForCausalLM"],
               activation_function="gelu_pytorch_tanh")
ROWS = [
    Row("none: the plain model"),
    *(Row(f"`activation_function` {name}", dict(activation_function=name))
      for name in ("gelu", "gelu_pytorch_tanh", "gelu_fast", "quick_gelu", "relu", "silu", "tanh", "mish")),
    Row("`scale_attn_by_inverse_layer_idx` true", dict(scale_attn_by_inverse_layer_idx=True)),
    Row("`scale_attn_weights` false", dict(scale_attn_weights=False)),
    Row("`n_inner` that is not 4 `n_embd`", dict(n_inner=96)),
    Row("`layer_norm_epsilon` 1e-3", dict(layer_norm_epsilon=1e-3)),
    Row("no `n_ctx` beside `n_positions`", without=("n_ctx",)),
    Row("`n_ctx` without `n_positions`", without=("n_positions",), meant=dict(n_positions=N_CTX)),
    Row("a head of its own", dict(tie_word_embeddings=False)),
    Row("a file without biases", layout="no biases"),
    Row("a file with names without `transformer.`", layout="no prefix"),
    Row("a file with masks", layout="masks"),
    Row("`vocab_size` padded to 50304", dict(vocab_size=50304)),
    Row("a byte-level vocabulary other than GPT-2's", dict(vocab_size=320, bos_token_id=0, eos_token_id=0),
        tokenizer="small", question="ids"),
    Row("an added token in a text", dict(vocab_size=50258), tokenizer="added", question="ids"),
    Row("an added special token in a text", dict(vocab_size=50258), tokenizer="special", question="ids"),
    Row("another end: config.json and the tokenizer name 50257", dict(vocab_size=50258, eos_token_id=50257),
        tokenizer="end", question="ends"),
    Row("another end: only the tokenizer names 50257", dict(vocab_size=50258),
        without=("bos_token_id", "eos_token_id"), tokenizer="end", question="ends"),
    Row("GPTBigCode with `multi_query`", dict(multi_query=True, **BIGCODE)),
    Row("GPTBigCode without `multi_query`", dict(multi_query=False, **BIGCODE)),
]


class Refused(Exception):
    """A program's message; it has no answer."""


class Answer(NamedTuple):
    """What a program says to a row's question."""
    logits: Optional[numpy.ndarray] = None      # [len(ids), n_vocab]
    ids: Optional[list] = None                  # of TEXT; None of a program that has no tokenizer
    ends: Optional[list] = None


# ---- the models

def make_tokenizer(kind, gpt2_files):
    if kind == "small":
        trained = ByteLevelBPETokenizer()
        trained.train_from_iterator(SENTENCES, vocab_size=320, min_frequency=1, special_tokens=[END],
                                    show_progress=False)
        return transformers.GPT2TokenizerFast(tokenizer_object=trained._tokenizer)
    made = transformers.GPT2TokenizerFast(str(gpt2_files / "vocab.json"), str(gpt2_files / "merges.txt"),
                                          **({"eos_token": "<|end|>"} if kind == "end" else {}))
    if kind == "added":
        made.add_tokens(["<mast>"])
    if kind == "special":
        made.add_special_tokens({"additional_special_tokens": ["<|end|>"]})
    return made


def write_model(row, directory, gpt2_files):
    shape = dict(vocab_size=50257, n_positions=N_CTX, n_ctx=N_CTX, n_layer=2, n_head=4, n_embd=64,
                 bos_token_id=50256, eos_token_id=50256)
    spec = models.Spec("faithful", {**shape, **row.config}, layout=row.layout)
    models.write(spec, directory)
    config = {key: value for key, value in models.config_file(spec).items() if key not in row.without}
    (directory / "config.json").write_text(json.dumps(config))
    make_tokenizer(row.tokenizer, gpt2_files).save_pretrained(directory)


# ---- the programs

def gist(text, *paths):
    """What a program's error output says, in one line without paths."""
    for path in paths:
        text = text.replace(f"{path}/", "").replace(str(path), path.name)
    text = re.sub(r":\n\s+", ": ", text)
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()] or ["no word of why"]
    errors = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b|.*\berror\b", line)]
    return textwrap.shorten((errors or lines)[-1], 200, placeholder=" …")


def run(command, work, lines=(), **environment):
    """The answers of a process to lines, or the output of one without any."""
    done = subprocess.run([str(word) for word in command], input="".join(f"{line}\n" for line in lines),
                          capture_output=True, text=True, env={**os.environ, **environment})
    if done.returncode != 0:
        raise Refused(gist(done.stderr, work, ROOT))
    return done.stdout.splitlines()


class Transformers:
    version = f"{transformers.__version__} with torch {torch.__version__.split('a')[0]}"

    def ask(self, row, directory, ids, **meant):
        try:
            model = transformers.AutoModelForCausalLM.from_pretrained(
                directory, attn_implementation="eager", **meant).eval()
            if row.question == "ends":
                return Answer(ends=[model.generation_config.eos_token_id])
            said = None
            if row.question == "ids":
                ids = said = transformers.AutoTokenizer.from_pretrained(directory)(TEXT)["input_ids"]
            with torch.no_grad():
                return Answer(model(torch.tensor([ids])).logits[0].numpy(), said)
        except (ValueError, RuntimeError, OSError) as error:
            raise Refused(gist(f"{type(error).__name__}: {error}", directory)) from None


class Libgpt2:
    version = gpt2.version()

    def ask(self, row, directory, ids):
        try:
            with gpt2.Model(directory) as model:
                if row.question == "ends":
                    return Answer(ends=[model.info.eot_token])
                said = model.encode(TEXT, special=True) if row.question == "ids" else None
                with model.session(logit_rows=len(ids)) as session:
                    session.forward(ids)
                    return Answer(numpy.array([session.logits(i) for i in range(len(ids))]), said)
        except (gpt2.Error, ValueError) as error:
            raise Refused(gist(str(error), directory)) from None


class Worker:
    """A program behind the protocol of ctranslate2_worker.py."""

    def __init__(self):
        self.version = None

    def ask(self, row, directory, ids):
        work = directory.parent
        file, converted = work / "logits", work / f"for-{type(self).__name__}"
        lines = {"ends": ["ends"], "ids": [f"encode {TEXT}"], "logits": []}[row.question]
        if row.question != "ends":
            lines.append(f"all-logits {','.join(map(str, ids))} {file}")
        ready, *answers = self.run(directory, converted, lines)
        self.version = ready.removeprefix("ready ")
        said = [int(word) for word in answers[0].split(",")] if answers[0] not in ("none", "done") else None
        if row.question == "ends":
            return Answer(ends=said)
        return Answer(numpy.fromfile(file, "<f4").reshape(len(ids), -1), said)


class Llama(Worker):
    def __init__(self, converter, worker, backends):
        super().__init__()
        self.converter, self.worker = converter, [worker, backends]

    def run(self, directory, converted, lines):
        run([sys.executable, Path(__file__).with_name("run_converter.py"), self.converter, directory,
             "--outtype", "f32", "--outfile", converted], directory.parent)
        return run([*self.worker, converted], directory.parent, lines)


class CTranslate2(Worker):
    def __init__(self, package):
        super().__init__()
        self.package = package

    def run(self, directory, converted, lines):
        return run([sys.executable, Path(__file__).with_name("ctranslate2_worker.py"), directory, converted],
                   directory.parent, lines, PYTHONPATH=self.package)


# ---- the table

def compare_logits(theirs, wanted, plain):
    """The words, and the rms difference of logits of one shape."""
    if theirs.shape != wanted.shape:
        return f"{theirs.shape[1]} logits a token, not {wanted.shape[1]}", None
    differences = numpy.nan_to_num(numpy.abs(theirs - wanted), nan=numpy.inf).astype(float)
    largest, rms = differences.max(), (differences ** 2).mean() ** 0.5
    if largest <= LIMIT and numpy.array_equal(theirs.argmax(1), wanted.argmax(1)):
        return "agrees", rms
    like = ", as plain" if plain and rms <= AS_PLAIN * plain else ""
    return f"differs by {largest:{'.0f' if largest >= 1 else '.1g'}}{like}", rms


def cell(answer, wanted, plain):
    """What a program's answer is beside that of transformers, and the rms difference."""
    if answer.ends is not None:
        return "ends at " + ", ".join(map(str, answer.ends)), None
    if wanted.ids is not None and answer.ids is not None and answer.ids != wanted.ids:
        return f"other ids: {len(answer.ids)}, not {len(wanted.ids)}", None
    words, rms = compare_logits(answer.logits, wanted.logits, plain)
    if wanted.ids is not None and answer.ids is None:
        words += ", given the ids"
    return words, rms


def measure(row, programs, work, gpt2_files, plain, said):
    """The cells of a row.  `plain`: the rms differences of the first row; `said` gets the messages."""
    directory = work / "model"
    write_model(row, directory, gpt2_files)
    vocab_size = min(row.config.get("vocab_size", 50257), 50257)
    ids, cells = [position * 7919 % vocab_size for position in range(40)], {}
    try:
        wanted, cells[REFERENCE] = programs[REFERENCE].ask(row, directory, ids), "the reference"
    except Refused as refused:
        cells[REFERENCE] = "refuses"
        said.append((REFERENCE, row.name, str(refused)))
        wanted = programs[REFERENCE].ask(row, directory, ids, **row.meant)
    if wanted.ends:
        cells[REFERENCE] = cell(wanted, wanted, None)[0]
    for name in PROGRAMS[1:]:
        if name not in programs:
            cells[name] = "not measured"
            continue
        try:
            answer = programs[name].ask(row, directory, ids if row.question != "ids" else wanted.ids)
            cells[name], rms = cell(answer, wanted, plain.get(name))
            if row is ROWS[0]:
                plain[name] = rms
        except Refused as refused:
            cells[name] = "refuses"
            said.append((name, row.name, str(refused)))
    return [cells[name] for name in PROGRAMS]


def section(table, programs, said):
    versions = [f"{name} {programs[name].version}" if name in programs else f"{name} not measured"
                for name in PROGRAMS]
    lines = [f"Measured on {time.strftime('%Y-%m-%d')}. Versions: {'; '.join(versions)}.", "",
             "| peculiarity | " + " | ".join(PROGRAMS) + " |", "|---" * (len(PROGRAMS) + 1) + "|"]
    lines += [f"| {row} | {' | '.join(cells)} |" for row, cells in table]
    if said:
        lines += ["", "What those said that refuse:", ""]
    lines += [f"- {name}, {row}: {message}" for name, row, message in said]
    return "\n".join(line if line[:1] in ("", "|") else textwrap.fill(
        line, 100, subsequent_indent="  " * line.startswith("- "), break_long_words=False,
        break_on_hyphens=False) for line in lines) + "\n"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--llama", nargs=3, metavar=("CONVERTER", "WORKER", "BACKENDS"))
    parser.add_argument("--ctranslate2", metavar="PACKAGE")
    parser.add_argument("--only")
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    programs = {REFERENCE: Transformers(), OURS: Libgpt2()}
    if args.llama:
        programs[LLAMA] = Llama(*args.llama)
    if args.ctranslate2:
        programs[CTRANSLATE2] = CTranslate2(args.ctranslate2)
    table, plain, said = [], {}, []
    for row in ROWS:
        if args.only and args.only not in row.name:
            continue
        shutil.rmtree(args.work, ignore_errors=True)
        args.work.mkdir(parents=True)
        table.append((row.name, measure(row, programs, args.work, args.tokenizer, plain, said)))
        print(f"{row.name}: {'; '.join(table[-1][1])}", flush=True)
    shutil.rmtree(args.work, ignore_errors=True)
    text = section(table, programs, said)
    print(f"\n{text}", end="")
    if not args.only:
        write_section(args.report, text, MARKS)
        print(f"\nwritten to {args.report}")


if __name__ == "__main__":
    main()
