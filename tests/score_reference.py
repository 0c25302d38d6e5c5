#!/usr/bin/env python3
"""Checks what `gpt2 score` writes against the definitions, computed here in float64.

    tests/score_reference.py PROGRAM MODEL tokens|words|choices|html TEXT_FILE [OPTIONS OF score...]

The logits are those of `gpt2 trace`, and ids those of `gpt2 tokenize`; both have tests of their own.
All else is computed again from these and from vocab.json, with nothing but Python's library.
"""

import html.parser
import json
import math
import os
import re
import struct
import subprocess
import sys
import tempfile

SPACE = b" \t\n\v\f\r"
EOT = b"<|endoftext|>"
# of Latin-1, and of the direction of text
CONTROL = "[\x80-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"


def byte_of_character():
    """The bytes that the characters of vocab.json mean."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in plain]
    table = {chr(b): b for b in plain}
    table.update({chr(256 + i): b for i, b in enumerate(others)})
    return table


class Reference:
    def __init__(self, program, model):
        self.program, self.model = program, model
        with open(os.path.join(model, "vocab.json"), encoding="utf-8") as file:
            vocab = json.load(file)
        table = byte_of_character()
        self.bytes = {
            i: EOT if t == EOT.decode() else bytes(table[c] for c in t) for t, i in vocab.items()
        }
        self.eot = vocab.get(EOT.decode(), -1)
        with open(os.path.join(model, "config.json"), encoding="utf-8") as file:
            self.n_vocab = json.load(file)["vocab_size"]

    def run(self, command, *arguments, text=b""):
        return subprocess.run(
            [self.program, command, "-m", self.model, *arguments], input=text, check=True,
            stdout=subprocess.PIPE,
        ).stdout

    def encode(self, text, special=False):
        options = ["--special"] if special else []
        return [int(i) for i in self.run("tokenize", *options, text=text).split()] if text else []

    def rows(self, ids):
        """ids[i] -> the log-probabilities of all tokens behind it, and its logits"""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "trace")
            self.run("trace", "--tokens", ",".join(map(str, ids)), "-o", path)
            with open(path, "rb") as file:
                data = file.read()
        n = struct.unpack("<Q", data[:8])[0]
        begin, end = json.loads(data[8 : 8 + n])["logits"]["data_offsets"]
        floats = struct.unpack(f"<{(end - begin) // 4}f", data[8 + n + begin : 8 + n + end])
        result = []
        for i in range(len(ids)):
            row = floats[i * self.n_vocab : (i + 1) * self.n_vocab]
            largest = max(row)
            log_sum = largest + math.log(math.fsum(math.exp(x - largest) for x in row))
            result.append(([x - log_sum for x in row], row))
        return result

    def class_logprob(self, logprobs, ids):
        return math.log(math.fsum(math.exp(logprobs[i]) for i in ids))

    def is_spaced(self, i):
        return self.bytes[i][:1] in [bytes([c]) for c in SPACE]

    def make_classes(self):
        known = [i for i in sorted(self.bytes) if i < self.n_vocab]
        self.begins_word = [i for i in known if i == self.eot or self.is_spaced(i)]
        self.begins_text = [i for i in known if not self.is_spaced(i)]


def near(got, wanted, what):
    if got is None or wanted is None:
        assert got is wanted, f"{what}: got {got}, wanted {wanted}"
    else:
        bound = 1e-6 * max(1, abs(wanted)) + 1e-8  # 9 digits are written
        assert abs(got - wanted) <= bound, f"{what}: got {got}, wanted {wanted}"


class Text:
    """A text, its lead, and the score of each token."""

    def __init__(self, reference, text, options):
        special = "--special" in options
        prefix = b""
        if "--prefix" in options:
            prefix = os.fsencode(options[options.index("--prefix") + 1])
        lead = [] if "--no-bos" in options or reference.eot < 0 else [reference.eot]
        lead += reference.encode(prefix, special)
        self.n_lead = len(lead)
        self.ids = lead + reference.encode(text, special)
        self.rows = reference.rows(self.ids)
        self.text = text
        self.begin = []
        at = 0
        for i in self.ids[self.n_lead :]:
            self.begin.append(at)
            at += len(reference.bytes[i])
        assert at == len(text), "the tokens are not the text"
        self.begin.append(at)

    def logprob(self, i):
        return None if i == 0 else self.rows[i - 1][0][self.ids[i]]

    def characters(self):
        """For each byte the character that it is in, from 0; characters are code points."""
        result = []
        n = -1
        at = 0
        while at < len(self.text):
            length = 1
            for size in (4, 3, 2):
                try:
                    if len(self.text[at : at + size].decode()) == 1:
                        length = size
                        break
                except UnicodeDecodeError:
                    pass
            n += 1
            result += [n] * length
            at += length
        return result


def check_tokens(reference, text, options):
    n_top = 3
    got = [
        json.loads(line)
        for line in reference.run(
            "score", "--by", "token", "--jsonl", "--base", "e", "--top", str(n_top), *options,
            text=text.text,
        ).splitlines()
    ]
    characters = text.characters()
    assert len(got) == len(text.ids) - text.n_lead, f"{len(got)} rows for {len(text.ids)} ids"
    for k, row in enumerate(got):
        i = text.n_lead + k
        what = f"token {k}"
        token = reference.bytes[text.ids[i]]
        begin, end = text.begin[k], text.begin[k + 1]
        assert row["id"] == text.ids[i], f"{what}: {row}"
        assert row["text"] == token.decode(errors="replace"), f"{what}: {row}, wanted {token}"
        assert (row["first_byte"], row["end_byte"]) == (begin, end), f"{what}: {row}"
        wanted = (characters[begin], characters[end - 1] + 1)
        assert (row["first_char"], row["end_char"]) == wanted, f"{what}: {row}, wanted {wanted}"
        logprob = text.logprob(i)
        near(row["surprisal_nats"], None if logprob is None else -logprob, f"{what}: surprisal")
        if logprob is None:
            assert row["rank"] is None and row["entropy_nats"] is None and row["top"] == []
            continue
        logprobs, logits = text.rows[i - 1]
        rank = 1 + sum(x > logits[text.ids[i]] for x in logits)
        assert row["rank"] == rank, f"{what}: {row}, wanted rank {rank}"
        near(row["entropy_nats"], math.fsum(-p * math.exp(p) for p in logprobs), f"{what}: entropy")
        best = sorted(range(len(logits)), key=lambda j: (-logits[j], j))[:n_top]
        assert [t["id"] for t in row["top"]] == best, f"{what}: {row}, wanted {best}"
        for t in row["top"]:
            near(t["surprisal_nats"], -logprobs[t["id"]], f"{what}: top")
            assert t["text"] == reference.bytes.get(t["id"], b"").decode(errors="replace")
    return f"{len(got)} tokens"


def words_of(text, special):
    """(begin, end) of each word with the white space in front of it"""
    spans = []
    at = 0
    for part in re.split(b"(" + re.escape(EOT) + b")", text) if special else [text]:
        if special and part == EOT:
            spans.append((at, at + len(part)))
        else:
            pattern = rb"[ \t-\r]*[^ \t-\r]+|[ \t-\r]+"
            spans += [(at + m.start(), at + m.end()) for m in re.finditer(pattern, part)]
        at += len(part)
    return spans


def check_words(reference, text, options):
    reference.make_classes()
    got = [
        json.loads(line)
        for line in reference.run(
            "score", "--by", "word", "--jsonl", "--base", "e", "--word-correction", *options,
            text=text.text,
        ).splitlines()
    ]
    characters = [*text.characters(), 1 << 30]
    spans = words_of(text.text, "--special" in options)
    assert len(got) == len(spans), f"{len(got)} words, wanted {len(spans)}"
    for k, (row, (begin, end)) in enumerate(zip(got, spans)):
        what = f"word {k}"
        inside = [text.n_lead + j for j in range(len(text.begin) - 1) if begin <= text.begin[j] < end]
        tokens = [text.ids[i] for i in inside]
        word = text.text[begin:end]
        shown = end - len(word.lstrip(SPACE))
        assert row["text"] == word.lstrip(SPACE).decode(errors="replace"), f"{what}: {row}"
        assert (row["first_byte"], row["end_byte"]) == (shown, end), f"{what}: {row}"
        assert row["first_char"] == characters[shown] or shown == end, f"{what}: {row}"
        assert row["end_char"] == characters[end - 1] + 1, f"{what}: {row}"
        assert row["tokens"] == len(inside), f"{what}: {row}, wanted {tokens}"
        if inside[0] == 0:
            assert row["surprisal_nats"] is None and row["corrected_surprisal_nats"] is None
            continue
        logprob = math.fsum(text.logprob(i) for i in inside)
        near(row["surprisal_nats"], -logprob, f"{what}: surprisal")
        before = text.rows[inside[0] - 1][0]
        if reference.is_spaced(tokens[0]):
            logprob -= reference.class_logprob(before, reference.begins_word)
        elif text.ids[inside[0] - 1] == reference.eot:
            logprob -= reference.class_logprob(before, reference.begins_text)
        elif tokens[0] == reference.eot:
            logprob -= reference.class_logprob(before, reference.begins_word)
        if tokens[-1] != reference.eot:
            logprob += reference.class_logprob(text.rows[inside[-1]][0], reference.begins_word)
        near(row["corrected_surprisal_nats"], -logprob, f"{what}: corrected")
    return f"{len(got)} words"


def check_choices(reference, data, options):
    """The file has contexts and continuations."""
    got = [
        json.loads(line)
        for line in reference.run("score", "--choices", "-", "--jsonl", *options, text=data).splitlines()
    ]
    with open(os.path.join(reference.model, "config.json"), encoding="utf-8") as file:
        n_ctx = json.load(file)["n_positions"]
    n = 0
    for number, line in enumerate(data.splitlines(), 1):
        given, *continuations = line.split(b"\t")
        sums = []
        for k, continuation in enumerate(continuations, 1):
            # as lm-evaluation-harness's TemplateLM.loglikelihood() and _encode_pair()
            context = given.rstrip(SPACE)
            end = given[len(context) :] + continuation
            front = reference.encode(context) if context else [reference.eot]
            behind = reference.encode(context + end)[len(front) if context else 0 :]
            ids = (front + behind)[-(n_ctx + 1) :]
            rows = reference.rows(ids[:-1])[-len(behind) :]
            sums.append(math.fsum(row[0][i] for row, i in zip(rows, behind)))
            greedy = all(max(row[1]) == row[1][i] for row, i in zip(rows, behind))
            row, n = got[n], n + 1
            what = f"line {number}, choice {k}: {row}"
            assert (row["line"], row["choice"], row["tokens"]) == (number, k, len(behind)), what
            assert row["is_greedy"] == greedy, what
            assert row["text"] == continuation.decode(), what
            near(row["logprob_nats"], sums[-1], what)
        of_line = got[n - len(sums) : n]
        best = sums.index(max(sums))
        assert [r["is_likeliest"] for r in of_line] == [int(i == best) for i in range(len(sums))]
    assert n == len(got), f"{len(got)} rows, wanted {n}"
    return f"{n} choices"


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.shown, self.spans, self.tags = [], "", [], set()

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag != "meta":
            self.open.append(tag)
        if tag == "span" and "main" in self.open:
            self.spans.append(dict(attributes))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}>"

    def handle_data(self, data):
        if "main" in self.open and not {"i", "b"} & set(self.open):
            self.shown += data


def pictures(data, plain, code_point):
    """What the page shows for bytes: pictures of control characters but those in `plain`."""
    text = data.decode(errors="replace")
    text = "".join(c if c in plain or ord(c) >= 32 else chr(0x2400 + ord(c)) for c in text)
    text = text.replace("\x7f", "\u2421")
    return re.sub(CONTROL, lambda found: code_point.format(ord(found[0])), text)


def check_html(reference, text, options):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "page.html")
        reference.run("score", "--html", path, *options, text=text.text)
        with open(path, encoding="utf-8", newline="") as file:
            source = file.read()
    page = Page()
    page.feed(source)
    assert page.open == [], page.open
    assert page.tags == {"html", "head", "meta", "title", "style", "body", "header", "div", "span", "main",
                         "footer"} | (page.tags & {"i", "b", "code"}), page.tags
    assert "http" not in source.replace(text.text.decode(errors="replace"), "")
    shown = pictures(text.text, "\n\t", "U+{:04X}")
    assert not re.search(CONTROL, source), "a control character stands in the page"
    assert page.shown == shown, f"the page shows {page.shown!r}, wanted {shown!r}"
    assert len(page.spans) == len(text.ids) - text.n_lead
    for k, span in enumerate(page.spans):
        logprob = text.logprob(text.n_lead + k)
        details = span["data-i"].split("\n")
        if logprob is None:
            assert details == ["not scored"] and "class" not in span
            continue
        bits = -logprob / math.log(2)
        assert span["class"] in [f"s{min(int(bits + d), 15)}" for d in (-1e-5, 1e-5)], (span, bits)
        token = reference.bytes[text.ids[text.n_lead + k]]
        assert details[0] == pictures(token, "", "[U+{:04X}]").replace("\u240a", "\u21b5"), span
        assert details[1] == f"id {text.ids[text.n_lead + k]}", span
        assert abs(float(details[4].split()[1]) - bits) <= 0.0006, (span, bits)
        assert len(details) == 7 + 5, span
    return f"{len(page.spans)} tokens"


def main():
    program, model, what, path, *options = sys.argv[1:]
    reference = Reference(program, model)
    with open(path, "rb") as file:
        data = file.read()
    if what == "choices":
        print(check_choices(reference, data, options))
        return
    checks = {"tokens": check_tokens, "words": check_words, "html": check_html}
    print(checks[what](reference, Text(reference, data, options), options))


main()
