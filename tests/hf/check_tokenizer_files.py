#!/usr/bin/env python3
"""Compares libgpt2 with Hugging Face on tokenizers of all forms that it reads.

    python3 tests/hf/check_tokenizer_files.py --library build/libgpt2.so \\
        --tokenizer ../shared/tokenizer --corpus ../shared/corpus --work build [--full]

Each tokenizer is drawn at random: the first merges of GPT-2, a pre_tokenizer, added tokens with flags.  It
is written as tokenizer.json, its merges as strings or, as transformers 5 writes them, as pairs; or as
vocab.json and merges.txt with added_tokens_decoder in tokenizer_config.json, or with added_tokens.json and
special_tokens_map.json; or as tokenizer.json with those files beside it, which name other flags and more
tokens, for GPT2TokenizerFast or PreTrainedTokenizerFast.  Two more are not drawn: small ones that tokenizers
trained by the rules of StarCoder and of CodeParrot, on code.  tokenizers reads the first two forms,
transformers' AutoTokenizer the others.  The ids of every text must be equal, with and without special tokens, whole and
in parts; and where each token is in the text, if no token takes white space.
"""
import argparse
import ctypes
import functools
import json
import os
import random
import shutil
import sys
import unicodedata

from check_tokenizer import LibGpt2
from harness import Record, Report, say
from texts import SPACES, Texts

SEED = 4646
HERE = os.path.dirname(os.path.abspath(__file__))
EOT = "<|endoftext|>"
PATTERN = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
TIKTOKEN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
TEXTS_OF_EACH = 50  # texts of one tokenizer
CONTENTS = ["<|pad|>", "<mask>", "[CLS]", "<s>", "</s>", "<|im_start|>", "<|im", "im_start|>", "word", "or",
            "a", "the", "The end", "x\u0301", "é", "日本", "🦙", "123", "12", "'s", "''", "_",
            "<|endoftext|>x", "|>", "#", "e\u0301", "ſ", "\u200d"]
FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
WORDS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


# ------------------------------------------------------------------------------------- the tokenizers

def byte_characters():
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {**{b: chr(b) for b in printable}, **{b: chr(256 + i) for i, b in enumerate(others)}}


class Vocabulary:
    """GPT-2's alphabet and its first merges."""

    def __init__(self, directory):
        with open(os.path.join(directory, "merges.txt"), encoding="utf-8") as file:
            self.merges = [tuple(line.split()) for line in file.read().split("\n")[1:] if line]

    def first(self, n_merges, with_eot):
        merges = self.merges[:n_merges]
        symbols = [*byte_characters().values(), *(a + b for a, b in merges)]
        return {s: i for i, s in enumerate(symbols + ([EOT] if with_eot else []))}, merges


def level(**changes):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True,
            **changes}


def digits(individual):
    return {"type": "Digits", "individual_digits": individual}


def split(pattern, behavior, invert):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": invert}


def sequence(*steps):
    return {"type": "Sequence", "pretokenizers": list(steps)}


# StarCoder's is Digits, then ByteLevel; CodeParrot's is ByteLevel alone.
PIECES = [level(), level(), level(add_prefix_space=True), level(use_regex=False),
          level(add_prefix_space=True, use_regex=False), sequence(level()),
          sequence(level(add_prefix_space=True)),
          sequence(digits(True), level()), sequence(digits(False), level()),
          sequence(digits(True), level(use_regex=False)), sequence(digits(False), level(use_regex=False)),
          sequence(split(PATTERN, "Isolated", False), level(use_regex=False)),
          sequence(split(TIKTOKEN, "Removed", True), level(use_regex=False)),
          sequence(split(PATTERN, "Isolated", False), digits(True), level(use_regex=False)),
          sequence(split(PATTERN, "Isolated", False), digits(False), level()),
          sequence(digits(False), digits(True), level())]


# Those that put tokens around a text do nothing without special tokens.
TEMPLATE = {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "!", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"!": {"id": "!", "ids": [0], "tokens": ["!"]}}}
POSTS = [None, level(trim_offsets=False), level(trim_offsets=False), TEMPLATE,
         {"type": "Sequence", "processors": [level(trim_offsets=False), TEMPLATE]}]


def flags(rng, content, special=None):
    token = {"content": content, **{flag: rng.random() < 0.3 for flag in FLAGS}}
    if special is not None:
        token["special"] = special
    return token


def added_tokens(rng, vocab):
    """Added tokens with the ids that they have to have; a token of white space where none has rstrip."""
    tokens = [flags(rng, content) for content in rng.sample(CONTENTS, rng.randrange(0, 8))]
    if EOT in vocab or rng.random() < 0.5:
        tokens.insert(rng.randrange(len(tokens) + 1), flags(rng, EOT, True))
    if not any(token["rstrip"] or token["lstrip"] for token in tokens):
        tokens += [flags(rng, content) | {"lstrip": False, "rstrip": False}
                   for content in rng.sample(["  ", "\n", " x", "x ", "\u00a0n"], rng.randrange(0, 3))]
    next_id = len(vocab)
    for token in tokens:
        token["id"] = vocab.get(token["content"], next_id)
        next_id += token["content"] not in vocab
    return tokens


def write(directory, name, value):
    with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False)


def write_json(rng, directory, vocab, merges, as_pairs, tokens):
    """tokenizer.json, in the order of tokenizers."""
    write(directory, "tokenizer.json", {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": tokens,
        "normalizer": None, "pre_tokenizer": rng.choice(PIECES),
        "post_processor": rng.choice(POSTS), "decoder": level(),
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                  "ignore_merges": False, "vocab": vocab,
                  "merges": [list(m) if as_pairs else " ".join(m) for m in merges]}})


def word_of(rng, content):
    """A word of special_tokens_map.json: a string or an object."""
    if rng.random() < 0.5:
        return content
    return {"content": content, **{flag: rng.random() < 0.3 for flag in FLAGS[:4]}}


def write_pair(directory, vocab, merges):
    write(directory, "vocab.json", vocab)
    with open(os.path.join(directory, "merges.txt"), "w", encoding="utf-8") as file:
        file.write("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))


def write_others(rng, directory, vocab, tokens, legacy, config):
    """What stands beside: added_tokens_decoder in tokenizer_config.json, or two files more."""
    names = [token["content"] for token in tokens if token["content"].strip() == token["content"]]
    words = {key: rng.choice(names) for key in WORDS if names and rng.random() < 0.4}
    if EOT in names or EOT in vocab:
        words = {"bos_token": EOT, "eos_token": EOT, "unk_token": EOT, **words}
    if not legacy:
        config["added_tokens_decoder"] = {
            str(t["id"]): {k: v for k, v in t.items() if k != "id"}
            for t in sorted(tokens, key=lambda token: token["id"])}
        config.update(words)
        if names and rng.random() < 0.3:
            config["additional_special_tokens"] = rng.sample(names, 1)
        if rng.random() < 0.3:  # does not count beside added_tokens_decoder
            write(directory, "special_tokens_map.json", {"eos_token": "<none>"})
    else:
        write(directory, "added_tokens.json", {t["content"]: t["id"] for t in tokens})
        special = {key: word_of(rng, content) for key, content in words.items()}
        others = [name for name in names if name not in words.values()]
        if others and rng.random() < 0.3:
            special["additional_special_tokens"] = [word_of(rng, rng.choice(others))]
        write(directory, "special_tokens_map.json", special)
    write(directory, "tokenizer_config.json", config)


def write_beside(rng, directory, vocab, tokens):
    """Beside a tokenizer.json: some of its tokens with other flags, and new ones; some of the words."""
    config = {"add_prefix_space": rng.random() < 0.3, "model_max_length": 1024}
    name = rng.choice([None, "GPT2Tokenizer", "GPT2TokenizerFast", "PreTrainedTokenizerFast"])
    if name is not None:
        config["tokenizer_class"] = name
    if rng.random() < 0.3:
        del config["add_prefix_space"]
    again = [{**flags(rng, t["content"]), "id": t["id"]} for t in tokens if rng.random() < 0.6]
    for token, before in ((a, t) for a in again for t in tokens if t["id"] == a["id"]):
        # tokenizers would look for it in both passes: docs/verification.md
        if not before["special"]:
            token["normalized"] = before["normalized"]
    next_id = max([len(vocab) - 1, *(t["id"] for t in tokens)]) + 1
    known = {t["content"] for t in tokens} | {EOT}
    if len(again) == len(tokens):  # else another id would be free
        for content in [c for c in rng.sample(CONTENTS, 2) if c not in known and c not in vocab]:
            again.append({**flags(rng, content), "id": next_id})
            next_id += 1
    write_others(rng, directory, vocab, again, rng.random() < 0.5, config)


def write_tokenizer(rng, directory, vocabulary):
    """One at random; returns its form and the added tokens' texts."""
    vocab, merges = vocabulary.first(rng.choice([0, 100, 1000, 5000]), rng.random() < 0.8)
    form = rng.choice(["strings", "pairs", "decoder", "legacy", "beside"])
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    write(directory, "config.json", {"model_type": "gpt2"})
    tokens = added_tokens(rng, vocab)
    if form in ("decoder", "legacy"):
        write_pair(directory, vocab, merges)
        write_others(rng, directory, vocab, tokens, form == "legacy",
                     {"add_prefix_space": rng.random() < 0.3, "tokenizer_class": "GPT2Tokenizer",
                      "model_max_length": 1024, "clean_up_tokenization_spaces": False})
    else:
        write_json(rng, directory, vocab, merges, form == "pairs", tokens)
    if form == "beside":
        write_beside(rng, directory, vocab, tokens)
    return form, [token["content"] for token in tokens]


def write_trained(rng, directory, name):
    """A file of make_code_tokenizers.py, its merges as strings or as pairs."""
    with open(os.path.join(HERE, f"{name}-small.json"), encoding="utf-8") as file:
        tokenizer = json.load(file)
    form = rng.choice(["strings", "pairs"])
    if form == "strings":
        tokenizer["model"]["merges"] = [" ".join(pair) for pair in tokenizer["model"]["merges"]]
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    write(directory, "tokenizer.json", tokenizer)
    return form, [token["content"] for token in tokenizer["added_tokens"]]


# ------------------------------------------------------------------------------------------ the texts

def known(text):
    """Without what Unicode 14 lacks: tokenizers 0.20 splits by that."""
    return "".join(c for c in text if unicodedata.category(c) not in ("Cn", "Cs"))


def make_text(rng, texts, contents):
    parts = []
    for _ in range(rng.randrange(1, 12)):
        kind = rng.random()
        if kind < 0.4 and contents:
            parts.append(rng.choice(contents))
        elif kind < 0.5:
            parts.append(rng.choice([EOT, *CONTENTS]))
        elif kind < 0.75:
            parts.append("".join(rng.choices(SPACES, k=rng.randrange(1, 4))))
        else:
            parts.append(texts.text(rng, rng.randrange(1, 20)))
    return known("".join(parts))


# ----------------------------------------------------------------------------------------- comparing

class Theirs:
    def __init__(self, directory, form):
        from tokenizers import Tokenizer
        from transformers import AutoTokenizer
        if form in ("strings", "pairs"):
            self.tokenizer = Tokenizer.from_file(os.path.join(directory, "tokenizer.json"))
            self.eos = self.n_vocab = None
        else:
            fast = AutoTokenizer.from_pretrained(directory)
            self.tokenizer, self.eos = fast._tokenizer, fast.eos_token_id
            self.n_vocab = len(fast)

    def encode(self, text, special):
        self.tokenizer.encode_special_tokens = not special
        return self.tokenizer.encode(text, add_special_tokens=False)


def places(ours, ids, data):
    """The first and the end character of each token; None if the text is not what the tokens are."""
    if b"".join(map(ours.token_bytes, ids)) != data:
        return None
    found = (ctypes.c_size_t * (4 * len(ids)))()
    if ours.lib.gpt2_token_offsets(ours.tokenizer, (ctypes.c_int32 * len(ids))(*ids), len(ids), found):
        raise RuntimeError("no offsets")
    return [(found[i], found[i + 1]) for i in range(2, len(found), 4)]


def first_difference(ours, theirs):
    n = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
    return f"at {n}: {list(ours[n:n + 6])}, wanted {list(theirs[n:n + 6])}"


def compare(report, rng, texts, write_files, number, arguments, record):
    directory = os.path.join(arguments.work, "tokenizer-files")
    form, contents = write_files(rng, directory)
    try:
        ours = LibGpt2(arguments.library, directory, None, 1 << 14)
    except RuntimeError as error:  # the one combination of flags that is refused
        report.check("has white space at an end" in str(error), f"tokenizer {number}, {form}: {error}")
        return
    files = [open(os.path.join(directory, name), "rb").read() for name in sorted(os.listdir(directory))]
    record.given(*files)
    # these take white space out of the text or put some in
    keeps_text = not any(key in file for file in files
                         for key in (b'strip": true', b'add_prefix_space": true'))
    record.got(ours.eot, ours.n_vocab)
    theirs = None if arguments.ours else Theirs(directory, form)
    wrong = None
    if theirs and theirs.eos is not None and theirs.eos != ours.eot:
        wrong = f"ends a text with {ours.eot}, wanted {theirs.eos}"
    if theirs and theirs.n_vocab not in (None, ours.n_vocab):
        wrong = wrong or f"has {ours.n_vocab} tokens, wanted {theirs.n_vocab}"
    for _ in range(TEXTS_OF_EACH):
        text = make_text(rng, texts, contents)
        data = text.encode()
        special = rng.random() < 0.7
        cuts = sorted(rng.randrange(len(data) + 1) for _ in range(rng.randrange(4)))
        ids = list(ours.encode_parts(data, [], special))
        record.given(data, special)
        record.got(ids)
        if list(ours.encode_parts(data, cuts, special)) != ids:
            wrong = wrong or f"{text!r} in parts {cuts}: other ids than as a whole"
        if theirs is None:
            continue
        found, where = theirs.encode(text, special), places(ours, ids, data)
        if ids != found.ids:
            wrong = wrong or f"{text!r}, special {special}: {first_difference(ids, found.ids)}"
        elif keeps_text and where is not None and where != found.offsets:
            wrong = wrong or f"{text!r}: places {first_difference(where, found.offsets)}"
    report.check(wrong is None, f"tokenizer {number}, {form}: {wrong}")
    ours.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--library", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--ours", action="store_true", help="only our side, for its hashes")
    parser.add_argument("--full", action="store_true", help="300,000 texts instead of 3,000")
    parser.add_argument("--only", help="the tokenizer of this number alone, as 17 or \"starcoder 3\"")
    arguments = parser.parse_args()
    corpus = []
    for name in ("alice29.txt", "lcet10.txt"):
        with open(os.path.join(arguments.corpus, name), encoding="utf-8", errors="ignore") as file:
            corpus.append(file.read(100000))
    texts = Texts(corpus, ["the", " of", "ing", " 19", "\n\n", "  "])
    vocabulary = Vocabulary(arguments.tokenizer)
    report, record = Report(), Record()
    made = [(number, texts, functools.partial(write_tokenizer, vocabulary=vocabulary))
            for number in range(6000 if arguments.full else 60)]
    with open(os.path.join(HERE, "texts.py"), encoding="utf-8") as file:
        code = Texts([file.read()], ["    ", "\n        ", "def ", "0x1", "3.14", "_", "->", "\t"])
    made += [(f"{name} {number}", code, functools.partial(write_trained, name=name))
             for name in ("starcoder", "codeparrot") for number in range(200 if arguments.full else 4)]
    for number, its_texts, write_files in made:
        if arguments.only in (None, str(number)):
            compare(report, random.Random(f"{SEED}/{number}"), its_texts, write_files, number, arguments,
                    record)
    record.say()
    return report.close()


if __name__ == "__main__":
    sys.exit(main())
