"""Text for the tokenizer's long comparison: chunks of many kinds of characters, mixed at random."""
import base64
import json
import random
import re

EOT = "<|endoftext|>"
SEED = 60606
CHUNK = 1 << 20     # characters, about; a text is a part of a chunk or all of it

CONTRACTIONS = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'T", "'RE", "'VE", "'M", "'LL",
                "'D", "'Ve", "'lL", "''s", "''ll", "'ve've", "'s's", "'st", "'res", "'r", "'l",
                "'v", " 's", " 'll", "'", "''", "’s", "‘ll", "ʼd", "'ſ", "'\u0301s", "'s\u0301",
                "\n's", "1's", "'1", "_'re", "'re_", "\u00a0'm", "'m\u00a0"]
SPACES = [" ", " ", " ", "  ", "   ", "\t", "\n", "\n", "\r\n", "\r", "\v", "\f", "\x1c", "\x1d",
          "\x1e", "\x1f", "\x85", "\u00a0", "\u1680", "\u180e", "\u2000", "\u2003", "\u2009",
          "\u200a", "\u200b", "\u2028", "\u2029", "\u202f", "\u205f", "\u2060", "\u3000", "\ufeff"]
NUMBERS = "0123456789" * 3 + "٠١٢٣٤٥٦٧٨٩०१२३४५६७८९০১২๐๑๒①②ⅣⅧ½¼²³₀₁𝟘𝟙𝟜㊿㈠一二三〇൧༣᠑𐒠𑁦🄀²"
MARKS = ("\u0301\u0308\u0327\u0300\u0323\u0345\u0488\u0591\u05b0\u064b\u0651\u093c\u094d\u0e31\u0e49"
         "\u1dc4\u20d0\u20dd\u20e3\u302a\u3099\ufe00\ufe0f\ufe20\u200c\u200d\u0903\u0f71\U000e0100")
EMOJI = ["👋", "🌍", "🦙", "🚀", "✅", "❤️", "☺︎", "1️⃣", "#️⃣", "😶‍🌫️", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👨🏽‍💻", "🇩🇪", "🇯🇵", "🇺",
         "👍🏿", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "🫠", "🪿", "‍", "\u200d\u200d", "♂️", "\ufe0f"]
NEAR_EOT = [EOT, EOT, EOT + EOT, "<|endoftex", "<|endoftext|", "<|endoftext", "|endoftext|>",
            "<|endoftext|>>", "<<|endoftext|>", "<|endoftext |>", "<|Endoftext|>", "<|endoftext|\u200b>",
            "<|<|endoftext|>|>", "<|endof<|endoftext|>text|>", "<|", "|>", "endoftext", "<|endoftext\n|>",
            " <|endoftext|>", "<|endoftext|> ", "<|endoftext|>'s", "'<|endoftext|>", "<|im_start|>",
            "<|end", "<|endoftext|>\n\n", "\n\n<|endoftext|>", "＜|endoftext|＞", "<｜endoftext｜>"]
CODE = ["def f(x):\n", "    return", "\t\tif (", "){\n", "}\n\n", "#include <", ">", "->", "::", "!=", "===",
        "//", "/* ", " */", "\"\"\"", "\\n", "\\u00e9", "0x", "1e-5", "i++", ";\n", "&&", "||", "self.", "_x",
        "__init__", "camelCase", "SCREAMING_CASE", "kebab-case", "@", "$", "%s", "`", "~", "^", "<div ",
        "class=\"a\"", "</div>\n", "        ", "    ", "\t", "[", "]", "(", ")", ",", ", ", "lambda", "=>", "…"]
# Runs of code points: letters of many scripts, and blocks where some are not assigned.
SCRIPTS = [(0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x24F), (0x250, 0x2FF), (0x370, 0x3FF), (0x400, 0x52F),
           (0x531, 0x587), (0x904, 0x97F), (0x980, 0x9FF), (0xA00, 0xDFF), (0xE01, 0xE5B), (0xE80, 0xFFF),
           (0x1000, 0x109F), (0x10A0, 0x10FF), (0x1200, 0x137F), (0x13A0, 0x167F), (0x1780, 0x17FF),
           (0x1800, 0x18AF), (0x1E00, 0x1FFF), (0x2C00, 0x2DFF), (0xA000, 0xA4CF), (0xA720, 0xABFF),
           (0x10000, 0x10FFF), (0x11000, 0x11FFF), (0x12000, 0x143FF), (0x16800, 0x18CFF),
           (0x1D400, 0x1D7FF), (0x1E000, 0x1EEFF)]
ASIAN = [(0x3041, 0x30FF), (0x4E00, 0x9FFF), (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0xAC00, 0xD7A3),
         (0x3000, 0x303F), (0xFF01, 0xFF9F), (0x20000, 0x2A6DF), (0x30000, 0x323AF), (0x1100, 0x11FF)]
RIGHT_TO_LEFT = [(0x590, 0x5FF), (0x600, 0x6FF), (0x700, 0x74F), (0x750, 0x77F), (0x8A0, 0x8FF),
                 (0xFB1D, 0xFDFF), (0xFE70, 0xFEFF), (0x200E, 0x200F), (0x202A, 0x202E)]
SYMBOLS = [(0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E), (0xA1, 0xBF), (0x2010, 0x2027),
           (0x2030, 0x205E), (0x20A0, 0x20C0), (0x2100, 0x23FF), (0x2500, 0x27BF), (0x2900, 0x2BFF)]
CONTROLS = [chr(c) for c in (*range(0x20), *range(0x7F, 0xA0))] + ["\0"] * 8 + ["\ufffd", "\ufffe", "\uffff"]
# Private use, non-characters and unassigned planes.
NOWHERE = [(0xE000, 0xF8FF), (0xFDD0, 0xFDEF), (0xFFF0, 0xFFFF), (0x1FFFE, 0x1FFFF), (0x40000, 0xDFFFF),
           (0xE0000, 0xE0FFF), (0xF0000, 0x10FFFF), (0x0378, 0x0379), (0x1CD00, 0x1CEFF)]


class Texts:
    """The pieces that texts are made of: `corpus` is a list of texts, `tokens` of GPT-2's tokens."""

    def __init__(self, corpus, tokens):
        self.words = [word for text in corpus for word in re.findall(r"\S+", text)]
        self.tokens = tokens
        self.kinds = [self.prose, self.prose, self.prose, self.odd_case, self.of_tokens, self.contracted,
                      self.spaced, self.numbered, self.marked, self.of(EMOJI), self.within(SCRIPTS),
                      self.within(ASIAN), self.within(RIGHT_TO_LEFT), self.within(SYMBOLS),
                      self.of(CODE), self.json, self.urls, self.base64, self.runs, self.anything,
                      self.within(NOWHERE), self.of(CONTROLS), self.of(NEAR_EOT)]

    def chunk(self, number):
        """The texts of one chunk: the same for a number whoever asks, all of about one length."""
        rng = random.Random(f"{SEED}/{number}")
        size = round(32 * (CHUNK / 32) ** rng.random())
        n = 0
        while n < CHUNK:
            text = self.text(rng, size)
            n += len(text)
            yield text

    def text(self, rng, size):
        """Pieces of one kind, from a single piece up to hundreds, spaces before some."""
        parts, n = [], 0
        while n < size:
            part = rng.choice(self.kinds)(rng, round(300 ** rng.random()))
            if rng.random() < 0.3:
                part = "".join(rng.choices(SPACES, k=rng.randrange(1, 4))) + part
            parts.append(part[:size])
            n += len(parts[-1])
        return "".join(parts)

    @staticmethod
    def of(pieces):
        return lambda rng, n: "".join(rng.choices(pieces, k=n))

    @staticmethod
    def within(ranges):
        """Characters of one or two ranges, now and then cut into words."""
        def make(rng, n):
            chosen = rng.choices(ranges, k=2)
            text = "".join(chr(rng.randint(*rng.choice(chosen))) for _ in range(n))
            step = rng.choice((n, 3, 7))
            return " ".join(text[i:i + step] for i in range(0, n, step))
        return make

    def prose(self, rng, n):
        return rng.choice((" ", " ", " ", "  ", "\n", "\u00a0")).join(rng.choices(self.words, k=n))

    def odd_case(self, rng, n):
        changes = (str.upper, str.title, str.swapcase, lambda word: word[::-1], lambda word: word[:2])
        return " ".join(rng.choice(changes)(word) for word in rng.choices(self.words, k=n))

    def of_tokens(self, rng, n):
        return "".join(rng.choices(self.tokens, k=n))

    def contracted(self, rng, n):
        ends = rng.choices(CONTRACTIONS, k=n)
        gaps = rng.choices(("", " ", "  ", "\n", "'"), k=n)
        return "".join(map("".join, zip(rng.choices(self.words, k=n), ends, gaps)))

    def spaced(self, rng, n):
        runs = [rng.choice(SPACES) * rng.randrange(1, 9) for _ in range(n)]
        words = rng.choices(self.words + [""], k=n) if rng.random() < 0.7 else [""] * n
        return "".join(map("".join, zip(runs, words)))

    def numbered(self, rng, n):
        text = "".join(rng.choices(NUMBERS, k=n))
        step = rng.choice((n, 1, 2, 3, 6))
        return rng.choice((" ", ",", ".", "", ":")).join(text[i:i + step] for i in range(0, n, step))

    def marked(self, rng, n):
        letters = rng.choice(("abcdeinosu", "שאל", "कखग", "กขค", "かきは", "1 '"))
        return "".join(rng.choice(letters) + "".join(rng.choices(MARKS, k=rng.randrange(4)))
                       for _ in range(n))

    def json(self, rng, n):
        value = {word: rng.choice((rng.random(), rng.randrange(1 << 40), None, [word, {}], word[::-1]))
                 for word in rng.choices(self.words, k=n)}
        return json.dumps(value, indent=rng.choice((None, 2, "\t")), ensure_ascii=rng.random() < 0.5)

    def urls(self, rng, n):
        return "\n".join(f"https://www.{a}.com/{b}?q={c}&n={rng.randrange(10**6)}#%20{a}"
                         for a, b, c in zip(*(rng.choices(self.words, k=n // 3 + 1) for _ in range(3))))

    def base64(self, rng, n):
        return base64.b64encode(rng.randbytes(3 * n)).decode()

    def runs(self, rng, n):
        """One short string again and again.  tiktoken takes quadratic time for a piece."""
        unit = rng.choice(("a", " ", "\n", "=", "-", "ab", "0", "é", "漢", "👋", "\u0301", ".", "ha", "!?",
                           " a", "\t ", "\0", "'s", "<|", chr(rng.randrange(0x3000)), rng.choice(self.words)))
        return (unit * round(n * 20 ** rng.random()))[:8000]

    def anything(self, rng, n):
        points = (rng.randrange(0x110000 - 0x800) for _ in range(n))
        return "".join(chr(c if c < 0xD800 else c + 0x800) for c in points)
