#!/usr/bin/env python3
"""Compares libgpt2's token ids with those of tiktoken and of Hugging Face tokenizers.

    pip install tiktoken tokenizers
    python3 tests/hf/check_tokenizer.py --library build/libgpt2.so \\
        --tokenizer ../shared/tokenizer --corpus ../shared/corpus [--quick]

One line for each check; the exit status is 0 if no check failed.  A folder that is not there skips
its checks.  Nothing is downloaded: tiktoken's encoding is built from r50k_base.tiktoken.

tokenizers before 0.21 splits by Unicode 14.  A string that it splits otherwise only for a letter or
number it does not know, where tiktoken knows it, is counted apart and is no failure.
"""
import argparse
import base64
import ctypes
import json
import os
import random
import shutil
import sys
import tempfile

from harness import Record

PATTERN = r"""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""
EOT = "<|endoftext|>"
ENCODE_MORE = 2  # GPT2_ENCODE_MORE
SEED = 20201  # of every random choice here
HERE = os.path.dirname(os.path.abspath(__file__))
DEMO = os.path.join(HERE, "..", "..", "examples", "demo-model")


# ------------------------------------------------------------------------------- the three sides

class Params(ctypes.Structure):  # gpt2_tokenizer_params
    _fields_ = [("struct_size", ctypes.c_uint32), ("reserved", ctypes.c_uint32),
                ("errbuf", ctypes.c_char_p), ("errbuf_size", ctypes.c_size_t)]


class EncoderParams(ctypes.Structure):
    _fields_ = [("struct_size", ctypes.c_uint32), ("reserved", ctypes.c_uint32),
                ("max_piece_bytes", ctypes.c_size_t),
                ("errbuf", ctypes.c_char_p), ("errbuf_size", ctypes.c_size_t)]


class LibGpt2:
    """A tokenizer and an encoder of the library at 'path'.

    'record' (harness.py), if any, hashes the vocabulary, every text and all its ids.
    """
    name = "libgpt2"

    def __init__(self, path, directory, record=None, max_piece_bytes=1 << 20):
        self.record = record
        if record:
            names = ("vocab.json", "merges.txt", "tokenizer.json")
            paths = [os.path.join(directory, name) for name in names]
            record.given_files(*(path for path in paths if os.path.exists(path)))
        self.lib = lib = ctypes.CDLL(os.path.abspath(path))
        self.max_piece_bytes = max_piece_bytes
        pointer, size = ctypes.c_void_p, ctypes.c_size_t
        lib.gpt2_tokenizer_load.argtypes = [ctypes.c_char_p, pointer, pointer]
        lib.gpt2_tokenizer_free.argtypes = [pointer]
        lib.gpt2_tokenizer_n_vocab.argtypes = [pointer]
        lib.gpt2_tokenizer_eot.argtypes = [pointer]
        lib.gpt2_tokenizer_token_bytes.argtypes = [pointer, ctypes.c_int32, pointer, pointer]
        lib.gpt2_decode.argtypes = [pointer, pointer, size, pointer, size, pointer, pointer, size]
        lib.gpt2_token_offsets.argtypes = [pointer, pointer, size, pointer]
        lib.gpt2_encoder_params_init.argtypes = [pointer, size]
        lib.gpt2_encoder_create.argtypes = [pointer, pointer, pointer]
        lib.gpt2_encoder_free.argtypes = [pointer]
        lib.gpt2_encoder_error.argtypes = [pointer]
        lib.gpt2_encoder_error.restype = ctypes.c_char_p
        lib.gpt2_encode.argtypes = [pointer, ctypes.c_char_p, size, ctypes.c_uint32, pointer, size,
                                    pointer]
        line = ctypes.create_string_buffer(256)
        params = Params(ctypes.sizeof(Params), 0, ctypes.addressof(line), len(line))
        self.tokenizer, self.encoder = ctypes.c_void_p(), ctypes.c_void_p()
        if lib.gpt2_tokenizer_load(os.fsencode(directory), ctypes.byref(params),
                                   ctypes.byref(self.tokenizer)) != 0:
            raise RuntimeError(line.value.decode("utf-8", "replace"))
        encoder_params = EncoderParams()
        lib.gpt2_encoder_params_init(ctypes.byref(encoder_params), ctypes.sizeof(encoder_params))
        encoder_params.max_piece_bytes = max_piece_bytes
        if lib.gpt2_encoder_create(self.tokenizer, ctypes.byref(encoder_params),
                                   ctypes.byref(self.encoder)) != 0:
            raise RuntimeError("no encoder")
        self.eot = lib.gpt2_tokenizer_eot(self.tokenizer)
        self.n_vocab = lib.gpt2_tokenizer_n_vocab(self.tokenizer)
        self.ids = (ctypes.c_int32 * 1024)()
        self.n = ctypes.c_size_t()
        self.n_ref = ctypes.byref(self.n)

    def close(self):
        self.lib.gpt2_encoder_free(self.encoder)
        self.lib.gpt2_tokenizer_free(self.tokenizer)

    def encode(self, data, special=False):
        """The ids of text or bytes; decodes them again and insists on the same bytes."""
        if isinstance(data, str):
            data = data.encode("utf-8")
        if len(data) > len(self.ids):
            self.ids = (ctypes.c_int32 * (2 * len(data)))()
        status = self.lib.gpt2_encode(self.encoder, data, len(data), int(special), self.ids,
                                      len(self.ids), self.n_ref)
        if status != 0:
            raise RuntimeError(self.lib.gpt2_encoder_error(self.encoder).decode())
        n = self.n.value
        back = ctypes.create_string_buffer(len(data) + 1)
        status = self.lib.gpt2_decode(self.tokenizer, self.ids, n, back, len(data), self.n_ref, None, 0)
        if status != 0 or back.raw[:self.n.value] != data:
            raise RuntimeError(f"decode(encode(x)) is not x = {data[:60]!r}")
        if self.record:
            self.record.given(data, special)
            self.record.got(memoryview(self.ids).cast("B")[:4 * n].tobytes())
        return self.ids[:n]

    def encode_parts(self, data, cuts, special=False):
        """The ids of bytes that come in parts, cut at the offsets 'cuts'."""
        room = len(data) + self.max_piece_bytes + 64
        if room > len(self.ids):
            self.ids = (ctypes.c_int32 * room)()
        n, start = 0, 0
        for end in [*cuts, len(data)]:
            flags = int(special) | (ENCODE_MORE if end < len(data) else 0)
            status = self.lib.gpt2_encode(self.encoder, data[start:end], end - start, flags,
                                          ctypes.byref(self.ids, 4 * n), len(self.ids) - n,
                                          self.n_ref)
            if status != 0:
                raise RuntimeError(self.lib.gpt2_encoder_error(self.encoder).decode())
            n += self.n.value
            start = end
        return self.ids[:n]

    def token_bytes(self, token):
        where = ctypes.c_void_p()
        status = self.lib.gpt2_tokenizer_token_bytes(self.tokenizer, token, ctypes.byref(where), self.n_ref)
        if status != 0:
            raise RuntimeError(f"gpt2_tokenizer_token_bytes({token}): {status}")
        token_bytes = ctypes.string_at(where, self.n.value)
        if self.record:
            self.record.got(token_bytes)
        return token_bytes

    def encode_many(self, texts, special=False):
        return [self.encode(text, special) for text in texts]

    def offsets(self, text, special=False):
        """The ids, and the first and the end character of each; insists on the places of the bytes."""
        data, ids = text.encode("utf-8"), self.encode(text, special)
        found = (ctypes.c_size_t * (4 * len(ids)))()
        if self.lib.gpt2_token_offsets(self.tokenizer, (ctypes.c_int32 * len(ids))(*ids), len(ids), found):
            raise RuntimeError("no offsets")
        end = 0
        for i, id_ in enumerate(ids):
            first, end_before, end = found[4 * i], end, found[4 * i + 1]
            if first != end_before or data[first:end] != self.token_bytes(id_):
                raise RuntimeError(f"token {i} is not at its bytes: {text[:60]!r}")
        if self.record:
            self.record.got(list(found))
        return ids, [(found[i], found[i + 1]) for i in range(2, len(found), 4)]


class TikToken:
    name = "tiktoken"

    @staticmethod
    def read_ranks(path):
        with open(path, "rb") as file:
            return {base64.b64decode(token): int(rank)
                    for token, rank in (line.split() for line in file if line.strip())}

    def __init__(self, ranks):
        import tiktoken
        self.encoding = tiktoken.Encoding("gpt2", pat_str=PATTERN, mergeable_ranks=ranks,
                                          special_tokens={EOT: len(ranks)})

    def encode_many(self, texts, special=False):
        if special:
            return self.encoding.encode_batch(texts, num_threads=2, allowed_special="all")
        return self.encoding.encode_ordinary_batch(texts, num_threads=2)


class HfTokenizers:
    name = "tokenizers"

    def __init__(self, directory):
        import tokenizers
        self.level = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        self.plain, self.with_special = (self.make(tokenizers, directory) for _ in range(2))
        self.with_special.add_special_tokens([EOT])

    def make(self, tokenizers, directory):
        model = tokenizers.models.BPE.from_file(os.path.join(directory, "vocab.json"),
                                                os.path.join(directory, "merges.txt"))
        tokenizer = tokenizers.Tokenizer(model)
        tokenizer.pre_tokenizer = self.level
        tokenizer.decoder = tokenizers.decoders.ByteLevel()
        return tokenizer

    def encode_many(self, texts, special=False):
        tokenizer = self.with_special if special else self.plain
        return [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]

    def offsets(self, text, special=False):
        tokenizer = self.with_special if special else self.plain
        encoding = tokenizer.encode(text, add_special_tokens=False)
        return encoding.ids, encoding.offsets

    def is_other(self, character):
        """True if the pattern takes it for none of letter, number, white space."""
        return len(self.level.pre_tokenize_str("!" + character)) == 1


class Classes:
    """tiktoken's opinion on single characters, whatever the vocabulary."""

    def __init__(self):
        import tiktoken
        self.test = tiktoken.Encoding("classes", pat_str=r"[\p{L}\p{N}]", special_tokens={},
                                      mergeable_ranks={bytes([i]): i for i in range(256)})

    def is_letter_or_number(self, character):
        return bool(self.test.encode_ordinary(character))


# ------------------------------------------------------------------------------------- the checks

class Report:
    """'classes' is None where our side runs alone: then it is hashed, and nothing is compared."""

    def __init__(self, classes):
        self.classes = classes
        self.n_failed = 0
        self.n_passed = 0
        self.n_skipped = 0

    def skip(self, text):
        self.n_skipped += 1
        print("skipped", text, flush=True)

    def line(self, good, text):
        if self.classes is None:
            return
        self.n_passed += good
        self.n_failed += not good
        print("ok     " if good else "FAILED ", text, flush=True)

    def compare(self, what, ours, others, texts, special=False, batch=8192):
        """Encodes an iterable of texts on all sides."""
        n_texts = n_ids = n_older = 0
        differences = []
        chunk = []

        def flush():
            nonlocal n_texts, n_ids, n_older
            mine = ours.encode_many(chunk, special)
            n_texts += len(chunk)
            n_ids += sum(map(len, mine))
            for other in others:
                theirs = other.encode_many(chunk, special)
                for text, a, b in zip(chunk, mine, theirs):
                    if a == b:
                        continue
                    if isinstance(other, HfTokenizers) and self.of_newer_unicode(other, text):
                        n_older += 1
                    else:
                        differences.append((other.name, text, a, b))
            chunk.clear()

        for text in texts:
            chunk.append(text)
            if len(chunk) == batch:
                flush()
        flush()
        names = " and ".join(other.name for other in others)
        detail = f"{what}: {n_texts:,} texts, {n_ids:,} ids, {len(differences)} differ from {names}"
        if n_older:
            detail += f" ({n_older:,} hold characters newer than tokenizers' Unicode)"
        self.line(not differences, detail)
        for name, text, a, b in differences[:5]:
            print(f"       {name}: {text[:60]!r}\n         ours   {a[:20]}\n         theirs {b[:20]}")

    def of_newer_unicode(self, hf, text):
        return any(hf.is_other(c) and self.classes.is_letter_or_number(c)
                   for c in set(text) if c > "\x7f")


def code_points(quick):
    step = 37 if quick else 1
    for c in range(0, 0x110000, step):
        if not 0xD800 <= c < 0xE000:
            yield chr(c)


def contexts(quick):
    for c in code_points(quick):
        yield f"a{c}b"
        yield f" {c}"
        yield f"{c}{c} 1{c}\n"


POOLS = [
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "etaoin shrdlu ", "0123456789", "     ",
    "\n\n\t\r\v\f\x1c\x85\u00a0\u1680\u2003\u2028\u2029\u202f\u3000 ", "'\"!?.,;:-_()[]{}<>|/\\@#$%^&*+=~`",
    "éèêëàâäöüßñçøåæœšžłđþ", "абвгдежзийклмнопрстуфхцчшщъыьэюя", "αβγδεζηθικλμνξοπρστυφχψω",
    "אבגדהוזחטיכלמנסעפצקרשת", "ابتثجحخدذرزسشصضطظعغفقكلمنهوي", "हिन्दीभाषा", "ไทยภาษา", "កាន់តែពិសេស",
    "漢字仮名交文我想在工作", "ひらがなカタカナー", "한국어문장", "\u0301\u0308\u0327\u20dd\u200d\ufe0f\u200b",
    "½¼²³ⅣⅧ①②㊿৪५६𝟘𝟙", "👋🌍🦙🚀😶‍🌫️✅👩‍👩‍👧‍👦🇩🇪", "𝒜𝓑𐍈𐎠𠀀𪛖",
]
WORDS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'RE", "'", "’s", "it's", "we'll", " the",
         "  ", " \n", "\n\n", "\t\t", EOT, "<|", "|>", "<|endoftext", "endoftext|>", " 100", "3.14",
         "http://", "I'm", "don't", "'sS", "''s", " 's"]


def random_texts(rng, n):
    for _ in range(n):
        parts = []
        for _ in range(rng.randrange(1, 12)):
            kind = rng.random()
            if kind < 0.25:
                parts.append(rng.choice(WORDS))
            elif kind < 0.35:  # anything, unassigned and astral included
                c = rng.randrange(0x110000 - 0x800)
                parts.append(chr(c if c < 0xD800 else c + 0x800))
            elif kind < 0.45:
                parts.append(chr(rng.randrange(0x3000)))
            else:
                pool = rng.choice(POOLS)
                parts.append("".join(rng.choice(pool) for _ in range(rng.randrange(1, 9))))
        yield "".join(parts)


def long_texts(rng, n):
    """Pieces too long for the simple algorithm, of few different characters."""
    alphabets = ["a", "ab", "abc", "etaoinshrdlu", " ", "\n", "\n ", "-", "-=", "!?.", "0123456789",
                 "漢字仮名", "한국어", "👋🌍", "\u0301a", "ÃÂ", "的", "ab'"] + POOLS
    for i in range(n):
        pool = alphabets[i % len(alphabets)]
        length = rng.choice((30, 31, 32, 33, 34, 63, 64, 65, 255, 256, 257, 300, 1000, 5000))
        yield "".join(rng.choice(pool) for _ in range(length))


# GPT-2's alphabet: the character that stands for each byte in vocab.json and merges.txt.
PRINTABLE = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
OTHERS = [b for b in range(256) if b not in PRINTABLE]
ALPHABET = [chr(b) if b in PRINTABLE else chr(256 + OTHERS.index(b)) for b in range(256)]


def write_vocabulary(directory, tokens, merges):
    """Ids in the order of tokens."""
    with open(os.path.join(directory, "vocab.json"), "w", encoding="utf-8") as file:
        json.dump({token: i for i, token in enumerate(tokens)}, file)
    with open(os.path.join(directory, "merges.txt"), "w", encoding="utf-8") as file:
        file.write("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))


def check_classes(report, library, quick, record, live):
    """Every code point's class shows in the ids if a character's last byte merges with what is next
    to it in the same run.  GPT-2's own vocabulary has such merges for few characters only."""
    merges = [(ALPHABET[byte], end) for end in "a1!" for byte in range(256)]
    tokens = ALPHABET + [a + b for a, b in merges]
    ranks = {bytes(ALPHABET.index(c) for c in token): i for i, token in enumerate(tokens)}
    with tempfile.TemporaryDirectory() as directory:
        write_vocabulary(directory, tokens, merges)
        ours = LibGpt2(library, directory, record)
        others = [TikToken(ranks), HfTokenizers(directory)] if live else []
    report.compare("classes: every code point's" if not quick else "classes: a 37th of all code points'",
                   ours, others, (f"{c}a{c}1{c}!" for c in code_points(quick)))
    ours.close()


def check_odd_vocabularies(report, library, quick, record, live):
    """Vocabularies that no training makes: merges in random order, of symbols that are made later or
    never, and lines that stand twice.  Only the order of merging decides here."""
    rng = random.Random(SEED)
    n_vocabularies = 20 if quick else 400
    differences = n_texts = 0
    for _ in range(n_vocabularies):
        letters = "abcd"[:rng.randrange(1, 5)]
        made = list(letters)
        merges = []
        for _ in range(rng.randrange(1, 40)):
            pair = rng.choice(made), rng.choice(made)
            merges.append(pair)
            if len(pair[0] + pair[1]) <= 40:
                made.append(pair[0] + pair[1])
            else:
                merges.pop()
        rng.shuffle(merges)
        tokens = list(dict.fromkeys(ALPHABET + made))
        with tempfile.TemporaryDirectory() as directory:
            write_vocabulary(directory, tokens, merges)
            ours = LibGpt2(library, directory, record)
            hf = HfTokenizers(directory) if live else None
        texts = [token for token in tokens if token.isascii() and token.isalpha()]
        for _ in range(50):
            texts.append("".join(rng.choice(letters) for _ in range(rng.choice((5, 20, 32, 33, 100, 700)))))
        n_texts += len(texts)
        mine = ours.encode_many(texts)
        if live:
            differences += sum(a != b for a, b in zip(mine, hf.encode_many(texts)))
        ours.close()
    report.line(differences == 0, f"odd merges: {n_vocabularies} vocabularies, {n_texts:,} texts, "
                                  f"{differences} differ from tokenizers")


def check_tokenizer_json(report, library, directory, quick, title):
    """tokenizer.json as tokenizers saves it, its merges as strings and as pairs.  tokenizers reads the
    same file that we do."""
    import tokenizers
    saved = json.loads(HfTokenizers(directory).with_special.to_str())
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in saved["model"]["merges"]]
    for form in ("strings", "pairs"):
        saved["model"]["merges"] = merges if form == "strings" else [merge.split(" ") for merge in merges]
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "tokenizer.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(saved, file)
            ours, hf = LibGpt2(library, folder), HfTokenizers(directory)
            hf.with_special = tokenizers.Tokenizer.from_file(path)
        what = f"{title}: tokenizer.json, merges as {form}"
        n = 2500 if quick else 150000
        report.compare(f"{what}: random strings", ours, [hf], random_texts(random.Random(SEED + 2), n),
                       special=True)
        check_offsets(report, ours, [hf], quick, what)
        ours.close()


def check_tiktoken_file(report, library, ranks, quick):
    """r50k_base.tiktoken alone.  tiktoken reads the same file; it names no end of text, so none is special."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(ranks, folder)
        ours = LibGpt2(library, folder)
    report.compare("r50k_base.tiktoken alone: random strings", ours, [TikToken(TikToken.read_ranks(ranks))],
                   random_texts(random.Random(SEED + 3), 2500 if quick else 150000))
    ours.close()


def check_vocabulary(report, ours, others, quick, corpus, title):
    if corpus is not None:
        for name in sorted(os.listdir(corpus)):
            with open(os.path.join(corpus, name), "rb") as file:
                data = file.read()
            try:
                text = data.decode("utf-8")
            except UnicodeDecodeError:
                text = data.decode("latin-1")
            report.compare(f"{title}: corpus {name}", ours, others, [text[:100000] if quick else text])
    rng = random.Random(SEED)
    report.compare(f"{title}: random strings", ours, others,
                   random_texts(rng, 5000 if quick else 100000))
    report.compare(f"{title}: long pieces", ours, others, long_texts(rng, 100 if quick else 2000), batch=64)
    report.compare(f"{title}: {'a 37th of all' if quick else 'all'} code points in three contexts",
                   ours, others, contexts(quick))
    if ours.eot >= 0:
        specials = ["", EOT, EOT + EOT, f"a {EOT} b", f"  {EOT}  x", f"\n\n{EOT}\n\n", f"<{EOT}>",
                    f"it'{EOT}s", f"<|endoftext{EOT}|>", f"   {EOT}", f"{EOT}   ", "<|endoftext|"]
        rng = random.Random(SEED)
        for _ in range(500 if quick else 20000):
            specials.append(EOT.join(random_texts(rng, rng.randrange(1, 4))))
        report.compare(f"{title}: with special tokens", ours, others, specials, special=True)


def check_offsets(report, ours, others, quick, title):
    """In characters; without a post-processor tokenizers leave spaces in, as with trim_offsets=False."""
    rng, differences, n_parts = random.Random(SEED + 1), [], 0
    texts = random_texts(rng, 2000 if quick else 20000)
    texts = [(text, False) for text in texts] + [
        (EOT.join(random_texts(rng, 3)), True) for _ in range(500 if ours.eot >= 0 else 0)]
    for text, special in texts:
        ids, mine = ours.offsets(text, special)
        n_parts += any(a[1] > b[0] for a, b in zip(mine, mine[1:]))
        for other in others:
            their_ids, theirs = other.offsets(text, special)
            if ids == their_ids and mine != theirs:
                differences.append(text)
    report.line(not differences and n_parts > 100, f"{title}: offsets, {len(texts):,} texts, {n_parts:,} of them"
                f" with parts of characters, {len(differences)} differ from tokenizers")
    for text in differences[:5]:
        print(f"       {text[:60]!r}")


def check_token_bytes(report, ours, others):
    tokens = [ours.token_bytes(i) for i in range(ours.n_vocab)]
    if not others:
        return
    tiktoken, hf = others
    wrong = [i for i, token in enumerate(tokens)
             if token != tiktoken.encoding.decode_single_token_bytes(i)]
    report.line(not wrong and ours.n_vocab == tiktoken.encoding.n_vocab,
                f"gpt2: bytes of {ours.n_vocab:,} tokens, {len(wrong)} differ from tiktoken")
    wrong = [i for i, token in enumerate(tokens)
             if token.decode("utf-8", "replace") != hf.plain.decode([i])]
    report.line(not wrong, f"gpt2: text of {ours.n_vocab:,} tokens, {len(wrong)} differ from tokenizers")


def has_files(directory, *names):
    return directory is not None and all(os.path.exists(os.path.join(directory, n)) for n in names)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--library", required=True)
    parser.add_argument("--tokenizer", help="folder of vocab.json, merges.txt, r50k_base.tiktoken")
    parser.add_argument("--corpus", help="folder of texts")
    parser.add_argument("--demo", default=DEMO, help="folder of the demo model's vocabulary")
    parser.add_argument("--quick", action="store_true", help="a slice of the work, about ten seconds")
    parser.add_argument("--ours", action="store_true", help="our side alone, and its hashes")
    arguments = parser.parse_args()
    live, record, classes = not arguments.ours, Record(), None
    if live:
        import tiktoken
        import tokenizers
        print(f"        tiktoken {tiktoken.__version__}, tokenizers {tokenizers.__version__}, seed {SEED}")
        classes = Classes()
    report = Report(classes)
    corpus = arguments.corpus if has_files(arguments.corpus, ".") else None
    if corpus is None:
        report.skip(f"corpus: no folder {arguments.corpus}")
    if has_files(arguments.tokenizer, "vocab.json", "merges.txt", "r50k_base.tiktoken"):
        ours = LibGpt2(arguments.library, arguments.tokenizer, record)
        ranks = os.path.join(arguments.tokenizer, "r50k_base.tiktoken")
        record.given_files(ranks)
        others = [TikToken(TikToken.read_ranks(ranks)), HfTokenizers(arguments.tokenizer)] if live else []
        check_token_bytes(report, ours, others)
        check_vocabulary(report, ours, others, arguments.quick, corpus, "gpt2")
        check_offsets(report, ours, others[1:], arguments.quick, "gpt2")
        ours.close()
        if live:
            check_tokenizer_json(report, arguments.library, arguments.tokenizer, arguments.quick, "gpt2")
            check_tiktoken_file(report, arguments.library, ranks, arguments.quick)
    else:
        report.skip(f"gpt2: no vocabulary in {arguments.tokenizer}")
    if has_files(arguments.demo, "vocab.json", "merges.txt"):
        ours = LibGpt2(arguments.library, arguments.demo, record)
        others = [HfTokenizers(arguments.demo)] if live else []
        check_vocabulary(report, ours, others, arguments.quick, corpus, "demo")
        check_offsets(report, ours, others, arguments.quick, "demo")
        ours.close()
        if live:
            check_tokenizer_json(report, arguments.library, arguments.demo, arguments.quick, "demo")
    else:
        report.skip(f"demo: no vocabulary in {arguments.demo}")
    check_classes(report, arguments.library, arguments.quick, record, live)
    check_odd_vocabularies(report, arguments.library, arguments.quick, record, live)
    record.say()
    print(f"{report.n_passed} passed, {report.n_failed} failed, {report.n_skipped} skipped")
    return 1 if report.n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
