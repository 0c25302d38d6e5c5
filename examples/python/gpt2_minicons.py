"""The scorer of minicons (https://pypi.org/project/minicons) over libgpt2, without torch.

    from gpt2_minicons import IncrementalLMScorer

    scorer = IncrementalLMScorer("examples/demo-model")
    scorer.sequence_score(["It was a long way.", "It was a way long."], bos_token=True)
    scorer.token_score("It was a long way.", surprisal=True, base_two=True, bow_correction=True)

Its methods have the names, arguments, defaults and meaning of minicons 0.3.39.  What differs:

- Where minicons gives or takes tensors, these are numpy arrays of float64: x.mean(0).item() is the
  same for both.
- What prepare_text() and prime_text() return is for compute_stats() alone.
- word_score() gives words.  minicons' own gives tokens for GPT-2, with a warning: it compares "way"
  with "\u0120way".  And with prob=True it multiplies probabilities, as word_score_tokenized() does.
"""
import math
import re
from typing import Any, Callable, Dict, List, Tuple, Union

import numpy as np

import gpt2
import gpt2.score

__all__ = ["IncrementalLMScorer"]

Texts = Union[str, List[str]]
Prepared = Tuple[List[List[int]], List[int]]    # ids of each text; how many are not scored, minus 1


def _mean(scores: Any) -> float:
    return float(scores.mean(0).item())


def _letters() -> Dict[int, str]:
    """What stands for each byte in vocab.json: printable characters for themselves."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {**{byte: chr(byte) for byte in printable},
            **{byte: chr(256 + i) for i, byte in enumerate(others)}}


class IncrementalLMScorer:
    """minicons.scorer.IncrementalLMScorer for a model of libgpt2."""

    def __init__(self, model: Union[str, gpt2.Model], threads: int = 1) -> None:
        """`model`: a Hugging Face directory, or a gpt2.Model."""
        self.model = gpt2.Model(model) if isinstance(model, str) else model
        self._scorer = gpt2.score.Scorer(self.model, threads)
        self._letters = _letters()
        ids = range(self.model.info.n_vocab)
        data = self.model.decode_bytes(ids)
        self._bytes = [data[at.first_byte:at.end_byte] for at in self.model.token_offsets(ids)]
        self._begins = np.array([token[:1] == b" " for token in self._bytes])

    def encode(self, text: Texts, bos_token: bool = False, eos_token: bool = False
               ) -> List[List[int]]:
        """The ids of each text.  "<|endoftext|>" in it is that token; bos_token and eos_token put
        one in front and at the end."""
        around = ["<|endoftext|>" * bool(bos_token), "<|endoftext|>" * bool(eos_token)]
        if any(around) and self.model.info.eot_token < 0:
            raise ValueError("the model has no <|endoftext|> for bos_token and eos_token")
        texts = [text] if isinstance(text, str) else text
        return [self.model.encode(around[0] + text + around[1], special=True) for text in texts]

    def decode(self, idx: List[int]) -> List[str]:
        """The text of each token, without the space around it."""
        return [self.model.decode([token]).strip() for token in idx]

    def prepare_text(self, text: Texts, bos_token: bool = False, eos_token: bool = False
                     ) -> Prepared:
        ids = self.encode(text, bos_token, eos_token)
        return ids, [0] * len(ids)

    def prime_text(self, preamble: Texts, stimuli: Texts, separator: Texts = " ",
                   bos_token: bool = False, eos_token: bool = False) -> Prepared:
        preambles = [preamble] if isinstance(preamble, str) else preamble
        stimuli = [stimuli] if isinstance(stimuli, str) else stimuli
        separators = [separator] * len(preambles) if isinstance(separator, str) else separator
        if not len(preambles) == len(stimuli) == len(separators):
            raise ValueError(f"there are {len(preambles)} prefixes, {len(stimuli)} stimuli and "
                             f"{len(separators)} separators, wanted as many of each")
        offsets = []
        for ids in self.encode(preambles):
            # without bos_token, minicons does not count <|endoftext|>, its padding
            n_ids = len(ids) + 1 if bos_token else len(ids) - ids.count(self.model.info.eot_token)
            if n_ids < 1:
                raise ValueError("a prefix is empty: give one, or bos_token=True")
            offsets.append(n_ids - 1)
        return self.encode([a + b + c for a, b, c in zip(preambles, separators, stimuli)],
                           bos_token, eos_token), offsets

    def compute_stats(self, batch: Prepared, rank: bool = False, prob: bool = False,
                      base_two: bool = False, return_tensors: bool = False,
                      bow_correction: bool = False) -> Any:
        """For each text the log-probabilities of its tokens but the first: a list, or an array with
        `return_tensors`.  With `rank` also the ranks: (scores, ranks)."""
        _check_kind(prob=prob, base_two=base_two)
        scores, ranks = [], []
        for found in self._scorer.score_ids(
                [(ids, offset + 1) for ids, offset in zip(*batch)],
                class_ids=np.flatnonzero(self._begins) if bow_correction else None):
            score = self._corrected(found) if bow_correction else found.logprobs
            score = score / math.log(2) if base_two else np.exp(score) if prob else score
            scores.append(score if return_tensors else score.tolist())
            ranks.append(found.ranks.tolist())
        return (scores, ranks) if rank else scores

    def _corrected(self, scores: gpt2.score.Scores) -> Any:
        """Log-probabilities with the correction for the beginning of words: the probability that a
        word begins counts for the token before."""
        if not len(scores.ids):
            return scores.logprobs
        assert scores.class_probs is not None
        after = np.log(scores.class_probs[1:]) * np.append(self._begins[scores.ids[1:]], True)
        return scores.logprobs + after - np.append(0.0, after[:-1])

    def sequence_score(self, batch: Texts, reduction: Callable[[Any], Any] = _mean,
                       base_two: bool = False, bow_correction: bool = False, **kwargs: Any
                       ) -> List[Any]:
        """What `reduction` makes of the log-probabilities of each text: their mean."""
        scores = self.compute_stats(self.prepare_text(batch, **kwargs), base_two=base_two,
                                    bow_correction=bow_correction, return_tensors=True)
        return [reduction(score) for score in scores]

    def conditional_score(self, prefix: Texts, stimuli: Texts, separator: Texts = " ",
                          reduction: Callable[[Any], Any] = _mean, prob: bool = False,
                          base_two: bool = False, bow_correction: bool = False, **kw: Any
                          ) -> List[Any]:
        """The same for the stimuli behind prefixes."""
        scores = self.compute_stats(self.prime_text(prefix, stimuli, separator, **kw), prob=prob,
                                    base_two=base_two, bow_correction=bow_correction,
                                    return_tensors=True)
        return [reduction(score) for score in scores]

    def token_score(self, batch: Texts, surprisal: bool = False, prob: bool = False,
                    base_two: bool = False, rank: bool = False, decode: bool = False,
                    bow_correction: bool = False, **kwargs: Any) -> List[List[Tuple[Any, ...]]]:
        """For each text a list of (token, score), or (token, score, rank).  The first token has
        score and rank 0."""
        _check_kind(surprisal=surprisal, prob=prob)
        tokenized = self.prepare_text(batch, **kwargs)
        scores, ranks = self.compute_stats(tokenized, True, prob, base_two, True, bow_correction)
        made = []
        for ids, score, places in zip(tokenized[0], scores, ranks):
            tokens = self.decode(ids) if decode else [
                "".join(self._letters[byte] for byte in self._bytes[token]) for token in ids]
            columns = [tokens, [0.0] + (-score if surprisal else score).tolist(), [0] + places]
            made.append(list(zip(*columns[:2 + bool(rank)])))
        return made

    def word_score(self, batch: Texts, surprisal: bool = False, prob: bool = False,
                   base_two: bool = False, rank: bool = False, bow_correction: bool = False
                   ) -> List[List[Tuple[str, float]]]:
        """For each text a list of (word, score): the sum over the tokens of a word, which is a run
        of letters, digits and ', or one of .,!?;  Other characters belong to no word.  `rank` has
        no effect."""
        made = []
        texts = [batch] if isinstance(batch, str) else batch
        for text, tokens in zip(texts, self.token_score(texts, surprisal, prob, base_two,
                                                        bow_correction=bow_correction)):
            at = [where.end_char for where in self.model.token_offsets(
                self.model.encode(text, special=True))]
            words = [(match.group(), match.span())
                     for match in re.finditer(r"[\w']+|[.,!?;]", text)]
            made.append([(word, _reduced([score for (_, score), last in zip(tokens, at)
                                          if begin < last <= end], prob))
                         for word, (begin, end) in words])
        return made

    def word_score_tokenized(self, batch: Texts, tokenize_function: Callable[[str], List[str]],
                             bow_correction: bool = False, bos_token: bool = False,
                             eos_token: bool = False, surprisal: bool = False, prob: bool = False,
                             base_two: bool = False, return_tensors: bool = False
                             ) -> List[List[Tuple[str, Any]]]:
        """For each text a list of (word, score), for the words that `tokenize_function` makes."""
        _check_kind(surprisal=surprisal, prob=prob)
        texts = [batch] if isinstance(batch, str) else batch
        scores = self.compute_stats(self.prepare_text(texts, bos_token, eos_token), prob=prob,
                                    base_two=base_two, bow_correction=bow_correction,
                                    return_tensors=True)
        made = []
        for text, score in zip(texts, scores):
            score, words, begin = -score if surprisal else score, [], 0
            for i, word in enumerate(" ".join(tokenize_function(text)).split(" ")):
                parts = tokenize_function(word)
                joined = " ".join(parts)
                n_tokens = len(self.model.encode(" " * (i > 0) + joined, special=True))
                end = begin + 1 + max(0, n_tokens - len(parts))
                value = score[begin:end].prod() if prob else score[begin:end].sum()
                words.append((joined, value if return_tensors else value.item()))
                begin = end
            made.append(words)
        return made


def _check_kind(surprisal: bool = False, prob: bool = False, base_two: bool = False) -> None:
    if prob and (surprisal or base_two):
        raise ValueError(f"prob=True with {'surprisal' if surprisal else 'base_two'}=True: "
                         "wanted one of them")


def _reduced(scores: List[float], prob: bool) -> float:
    return math.prod(scores) if prob else sum(scores, 0.0)
