"""How likely a model finds given texts, as numpy arrays.

    import gpt2

    model = gpt2.Model("examples/demo-model")
    scores = model.score("It was a long way.", n_likeliest=3)
    print(scores.logprobs.sum(), scores.ranks, scores.likeliest_ids)
    for word, bits in model.surprisal("It was a long way.").words:
        print(f"{bits:8.3f}  {word}")

Who scores often keeps a Scorer, which has the memory for it: model.score() makes one each time.
"""
import ctypes
import math
import re
from dataclasses import dataclass
from typing import (Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence as Items,
                    Tuple, Union)

try:
    import numpy as np
except ImportError as error:
    raise ImportError("gpt2.score needs numpy, which is missing: pip install numpy") from error

import gpt2
from gpt2 import c

__all__ = ["Scorer", "Scores", "Surprisal", "Spans", "score", "surprisal", "word_beginnings"]

PAGE = 64               # positions in a page of the KV cache
N_LOGIT_ROWS = 64       # so many rows are scored together
MAX_TEXTS = 32          # texts in one call
MIN_PAGES = 32          # of the KV cache

WHITESPACE = " \t\n\v\f\r"

TOKEN_SCORE = np.dtype(c.TokenScore)
TOKEN_LOGPROB = np.dtype(c.TokenLogprob)


@dataclass
class Scores:
    """What the model says about n tokens, each given all before it.  Natural logarithms."""
    ids: np.ndarray                             # [n] the tokens
    logprobs: np.ndarray                        # [n] log-probabilities
    ranks: np.ndarray                           # [n] 1 + how many tokens have larger logits
    entropies: np.ndarray                       # [n] of the distributions the tokens are from
    likeliest_ids: np.ndarray                   # [n, n_likeliest] from the likeliest on
    likeliest_logprobs: np.ndarray              # [n, n_likeliest]
    class_probs: Optional[np.ndarray] = None    # [n + 1] of the class; the last: behind the text
    byte_offsets: Optional[np.ndarray] = None   # [n, 2] where each begins and ends in the text
    char_offsets: Optional[np.ndarray] = None   # [n, 2] the same in characters


@dataclass
class Spans:
    """Parts of a text and their surprisals; a loop over it gives pairs (text, surprisal)."""
    texts: List[str]
    char_offsets: np.ndarray    # [n, 2] where each begins and ends in the text
    surprisals: np.ndarray      # [n] nan where nothing predicts the text's first token

    def __iter__(self) -> Iterator[Tuple[str, float]]:
        return zip(self.texts, self.surprisals.tolist())

    def __len__(self) -> int:
        return len(self.texts)


@dataclass
class Surprisal:
    """The surprisal of a text: -log(probability), to the base `base`."""
    text: str
    base: float
    tokens: Spans
    words: Spans


class _Part(NamedTuple):
    """Tokens to score in one sequence: ids[n_prefix:], given those before them."""
    ids: Items[int]
    n_prefix: int


class Scorer:
    """Scores texts.  It has a session; one thread at a time may use it."""

    def __init__(self, model: gpt2.Model, threads: int = 1, n_ctx: int = 0) -> None:
        """`threads` and `n_ctx` are as in Model.session()."""
        self.model = model
        n_ctx = min(n_ctx or model.info.n_positions, model.info.n_positions)
        self.n_pages = max(MIN_PAGES, 2 * _pages(n_ctx) + 1)
        self.session = model.session(threads, n_ctx, N_LOGIT_ROWS, n_sequences=MAX_TEXTS + 2,
                                     n_pages=self.n_pages)
        self.n_ctx = self.session.n_ctx

    def __repr__(self) -> str:
        return f"<gpt2.score.Scorer of {self.model!r}, {self.n_ctx} positions>"

    def score(self, texts: Union[str, bytes, Iterable[Union[str, bytes]]],
              prefix: Union[str, bytes, Items[Union[str, bytes]]] = "", *, eot: bool = True,
              special: bool = False, n_likeliest: int = 0,
              class_ids: Optional[Iterable[int]] = None, stride: int = 0) -> Any:
        """The Scores of a text, or a list of them, for many texts.

        `prefix` stands before the text and is not scored: one for all, or one for each.  It and the
        text become tokens separately, so a space between them belongs to the text.
        `eot`: <|endoftext|> stands before all, if the model has one.  If nothing is before a text,
        its first token is not scored.
        `special`: "<|endoftext|>" in a text or a prefix is that one token.
        `class_ids`: tokens whose probability all together is told, too.
        `stride`: a text longer than the context is scored in windows, as by `gpt2 score`: 0 for
        windows without overlap, else how many tokens a window begins behind the one before.
        """
        alone = isinstance(texts, (str, bytes))
        given: List[Any] = [texts] if alone else list(texts)
        prefixes = [prefix] * len(given) if isinstance(prefix, (str, bytes)) else list(prefix)
        if len(prefixes) != len(given):
            raise ValueError(f"there are {len(prefixes)} prefixes, wanted 1 or {len(given)}")
        encoded = [self.model.encode(text, special) for text in given]
        before = [self._lead(text, eot, special) for text in prefixes]
        found = self.score_ids([(a + b, len(a)) for a, b in zip(before, encoded)],
                               n_likeliest=n_likeliest, class_ids=class_ids, stride=stride)
        for scores, ids in zip(found, encoded):
            at = np.array(self.model.token_offsets(ids), np.int64).reshape(-1, 4)
            at = at[len(ids) - len(scores.ids):]
            scores.byte_offsets, scores.char_offsets = at[:, :2], at[:, 2:]
        return found[0] if alone else found

    def score_ids(self, texts: Iterable[Tuple[Items[int], int]], *, n_likeliest: int = 0,
                  class_ids: Optional[Iterable[int]] = None, stride: int = 0) -> List[Scores]:
        """The same for tokens: texts are (ids, n_prefix), and ids[n_prefix:] are scored.  What
        begins with the same prefix runs it once.  n_prefix 0 counts as 1."""
        parts: List[_Part] = []
        counts = []
        params = c.score_params(self.model.info.n_vocab, n_likeliest, class_ids)
        for ids, n_prefix in texts:
            # one more token, so that the class is told behind the text, too
            ids = list(ids) + [0] * (class_ids is not None and len(ids) > 0)
            windows = list(self._windows(ids, max(1, n_prefix), stride))
            parts += windows
            counts.append(len(windows))
        scored, made = iter(self._run(parts, params)), []
        for n in counts:
            rows = [next(scored) for _ in range(n)]
            tokens = np.concatenate([np.empty(0, TOKEN_SCORE), *(row[0] for row in rows)])
            likeliest = np.concatenate([np.empty((0, n_likeliest), TOKEN_LOGPROB),
                                        *(row[1] for row in rows)])
            class_probs = None
            if class_ids is not None:
                class_probs = tokens["class_prob"]
                tokens, likeliest = tokens[:-1], likeliest[:-1]
            made.append(Scores(tokens["id"], tokens["logprob"], tokens["rank"], tokens["entropy"],
                               likeliest["id"], likeliest["logprob"], class_probs))
        return made

    def surprisal(self, text: Union[str, bytes], prefix: Union[str, bytes] = "", *,
                  base: float = 2, bow_correction: bool = False, eot: bool = True,
                  special: bool = False, stride: int = 0) -> Surprisal:
        """The surprisal of each token and each word of a text.

        A word ends before whitespace; <|endoftext|> is a word by itself.  The surprisal of a word
        is the sum of its tokens', with the whitespace in front of it.  So `gpt2 score --by word`
        has it.  The other arguments are as in score().  In the Surprisal of bytes each byte that is
        not UTF-8 is U+FFFD.

        `bow_correction`: a token " cat" tells that the word before has ended, and that "cat" is
        next.  The correction (Pimentel and Meister 2024; Oh and Schuler 2024) counts the end of a
        word to that word: p(word) is multiplied with the probability that its end is followed by
        whitespace or <|endoftext|>, and divided by the same at its beginning.  The first word of a
        text is divided by the probability of all tokens that do not begin with whitespace.
        """
        lead, ids = self._lead(prefix, eot, special), self.model.encode(text, special)
        given, n = lead + ids, len(ids)
        begins = word_beginnings(self.model) if bow_correction else None
        scores, = self.score_ids([(given, len(lead))], class_ids=begins, stride=stride)
        missing = [math.nan] * (n - len(scores.ids))    # nothing predicts the first token
        values = np.concatenate([missing, -scores.logprobs])

        at = np.array(self.model.token_offsets(ids), np.int64).reshape(-1, 4)
        data = text.encode() if isinstance(text, str) else text
        if not isinstance(text, str):   # a byte that is not UTF-8 counts as a character
            text = re.sub("[\udc80-\udcff]", "\ufffd", data.decode("utf-8", "surrogateescape"))
        is_eot = [id_ == self.model.info.eot_token for id_ in ids]
        is_space = [data[i:i + 1].isspace() for i in range(len(data))]
        spaced = [is_space[first] for first in at[:, 0]]
        starts = [i for i in range(n) if i == 0 or is_eot[i] or is_eot[i - 1] or
                  spaced[i] and not is_space[at[i, 0] - 1]]
        ends = starts[1:] + [n] * (n > 0)
        if begins is not None:
            assert scores.class_probs is not None
            within = np.concatenate([missing, np.log(scores.class_probs)])
            begin_text = [i for i in starts if not spaced[i] and not is_eot[i] and
                          given[len(lead) + i - 1:len(lead) + i] == [self.model.info.eot_token]]
            if begin_text:
                others = set(range(self.model.info.n_vocab)) - set(begins)
                outside: Any = self.score_ids(
                    [(given[:len(lead) + begin_text[-1]], len(lead))], stride=stride,
                    class_ids=[id_ for id_ in others if self.model.decode_bytes([id_])]
                    + [self.model.info.eot_token])[0].class_probs
            for i, end in zip(starts, ends):
                if i in begin_text:
                    values[i] += math.log(outside[i - len(missing)])
                elif spaced[i] or is_eot[i]:
                    values[i] += within[i]
                values[end - 1] -= 0 if is_eot[end - 1] else within[end]
        values = values / math.log(base)
        chars = at[:, 2:]
        spans = [(chars[i, 0], chars[end - 1, 1]) for i, end in zip(starts, ends)]
        words = np.array([(b - len(text[a:b].lstrip(WHITESPACE)), b) for a, b in spans],
                         np.int64).reshape(-1, 2)
        sums = np.array([values[i:end].sum() for i, end in zip(starts, ends)])
        return Surprisal(text, base, *(Spans([text[a:b] for a, b in where], where, numbers)
                                       for where, numbers in ((chars, values), (words, sums))))

    def _lead(self, prefix: Union[str, bytes], eot: bool, special: bool) -> List[int]:
        """What stands before a text: <|endoftext|> and the prefix."""
        has_eot = eot and self.model.info.eot_token >= 0
        return [self.model.info.eot_token] * has_eot + self.model.encode(prefix, special)

    def _windows(self, ids: List[int], n_prefix: int, stride: int) -> Iterator[_Part]:
        """What to run for a text of any length, so that each token behind the prefix is scored."""
        if not 0 <= stride < self.n_ctx:
            raise ValueError(f"stride is {stride}, wanted 0 to {self.n_ctx - 1}")
        size = self.n_ctx - (stride > 0)
        begin, n_done, n_inputs = 0, n_prefix - 1, len(ids) - 1
        while n_done < n_inputs:
            end = min(begin + size, n_inputs)
            if end > n_done:
                yield _Part(ids[begin:end + 1], n_done - begin + 1)
                n_done = end
            begin = begin + stride if stride else end

    def _run(self, parts: List[_Part], params: Any) -> List[Tuple[Any, Any]]:
        """Two arrays for each part: TOKEN_SCORE [n] and TOKEN_LOGPROB [n, n_likeliest]."""
        groups: Dict[Tuple[int, ...], List[int]] = {}
        for i, part in enumerate(parts):
            groups.setdefault(tuple(part.ids[:part.n_prefix]), []).append(i)
        found: Dict[int, Tuple[Any, Any]] = {}
        single = []
        for prefix, members in groups.items():
            if len(members) == 1 or len(prefix) == 1:
                single += members
                continue
            with self.session.sequence() as common:     # all of the prefix but its last token
                self.session.forward_batch([(common, prefix[:-1], 0)])
                n_common = len(prefix) - 1
                for batch in self._batches(parts, members, n_common):
                    rest = [_Part(parts[i].ids[n_common:], 1) for i in batch]
                    found.update(zip(batch, self._call(rest, common, params)))
        for batch in self._batches(parts, single, 0):
            found.update(zip(batch, self._call([parts[i] for i in batch], None, params)))
        return [found[i] for i in range(len(parts))]

    def _batches(self, parts: List[_Part], members: List[int], n_common: int
                 ) -> Iterator[List[int]]:
        """Members that fit into the session together; their first n_common tokens are there."""
        batch: List[int] = []
        n_free = n_max = self.n_pages - _pages(n_common)
        for i in members:
            n_pages = _pages(len(parts[i].ids) - 1) - n_common // PAGE
            if batch and (n_pages > n_free or len(batch) == MAX_TEXTS):
                yield batch
                batch, n_free = [], n_max
            batch.append(i)
            n_free -= n_pages
        if batch:
            yield batch

    def _call(self, parts: List[_Part], common: Optional[gpt2.Sequence], params: Any
              ) -> List[Tuple[Any, Any]]:
        """One call of gpt2_score(), in new sequences or forks of `common`."""
        items = (c.ScoreItem * len(parts))()
        kept, made = [], []
        for item, part in zip(items, parts):
            sequence = self.session.sequence() if common is None else common.fork()
            tokens, n = c.ids_of(part.ids, "score_ids()"), len(part.ids) - part.n_prefix
            scores = np.empty(n, TOKEN_SCORE)
            likeliest = np.empty((n, params.n_likeliest), TOKEN_LOGPROB)
            c.set_fields(item, sequence=sequence._number_in(self.session), n_tokens=len(tokens),
                         n_prefix=part.n_prefix, scores=scores.ctypes.data)
            item.tokens = ctypes.addressof(tokens)
            item.likeliest = likeliest.ctypes.data if params.n_likeliest else None
            kept.append((sequence, tokens))
            made.append((scores, likeliest))
        self.session._call(c.lib.gpt2_score, items, len(items), ctypes.byref(params))
        for sequence, _ in kept:
            sequence.close()
        return made


def _pages(n_positions: int) -> int:
    return -(-n_positions // PAGE)


def word_beginnings(model: gpt2.Model) -> List[int]:
    """The tokens that begin a word or end a text: whitespace is their first byte, or they are
    <|endoftext|>."""
    ids = range(model.info.n_vocab)
    data = model.decode_bytes(ids)
    return [id_ for id_, at in zip(ids, model.token_offsets(ids))
            if data[at.first_byte:at.end_byte][:1].isspace() or id_ == model.info.eot_token]


def score(model: gpt2.Model, texts: Any, prefix: Any = "", threads: int = 1,
          **options: Any) -> Any:
    """Scorer(model, threads).score(texts, prefix, **options)."""
    return Scorer(model, threads).score(texts, prefix, **options)


def surprisal(model: gpt2.Model, text: Union[str, bytes], prefix: Union[str, bytes] = "",
              threads: int = 1, **options: Any) -> Surprisal:
    """Scorer(model, threads).surprisal(text, prefix, **options)."""
    return Scorer(model, threads).surprisal(text, prefix, **options)
