"""libgpt2 as a model of lm-evaluation-harness (https://pypi.org/project/lm_eval), named "libgpt2".

    python3 -m gpt2_lm_eval --model libgpt2 --model_args pretrained=examples/demo-model,threads=2 \\
        --tasks lambada_openai

It runs the harness's own command line.  A program may use the class without the harness, too: a
request is anything whose `args` are a tuple.

Requests, texts and numbers are those of the harness's own class for Hugging Face models, HFLM: what
is too long loses its beginning, and <|endoftext|> stands before a text without context.  Nothing
here imports torch.
"""
import sys
from typing import Any, Dict, Iterable, List, Tuple

import gpt2
import gpt2.score

try:
    from lm_eval.api.model import LM
    from lm_eval.api.registry import register_model
except ImportError:
    LM = object

    def register_model(*_: str) -> Any:
        return lambda model: model

__all__ = ["LibGPT2"]

MAX_TOKENS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
SAMPLING = ("temperature", "top_k", "top_p", "min_p", "typical_p", "repetition_penalty",
            "no_repeat_ngram_size", "seed")


@register_model("libgpt2")
class LibGPT2(LM):
    """A model of libgpt2 for lm-evaluation-harness."""

    def __init__(self, pretrained: str, threads: int = 1, batch_size: Any = 8, max_length: int = 0,
                 max_gen_toks: int = 256, max_batch_size: Any = None, device: Any = None) -> None:
        """`pretrained`: a Hugging Face directory.  `threads`: 0 for one per CPU.
        `batch_size`: texts that are generated together; "auto" is 8.  `max_length`: of the context,
        0 for the model's.  `max_gen_toks`: tokens to generate if a request does not say.
        The harness passes max_batch_size and device, which have no effect."""
        super().__init__()
        self.model = gpt2.Model(pretrained)
        if self.model.info.eot_token < 0:
            raise ValueError(f"{pretrained} has no <|endoftext|>, which stands before each text")
        self._scorer = gpt2.score.Scorer(self.model, int(threads), int(max_length))
        self.batch_size = 8 if str(batch_size).startswith("auto") else int(batch_size)
        self.threads, self.max_length = int(threads), self._scorer.n_ctx
        self.max_gen_toks = int(max_gen_toks)

    def loglikelihood(self, requests: List[Any], disable_tqdm: bool = False
                      ) -> List[Tuple[float, bool]]:
        """For each (context, continuation): the log-probability of the continuation, and whether
        each of its tokens is the likeliest."""
        pairs = []
        for context, continuation in (request.args for request in requests):
            before, after = self._pair(context, continuation)
            if len(after) > self.max_length:
                raise ValueError(f"a continuation has {len(after)} tokens, wanted at most "
                                 f"{self.max_length}")
            ids = (before + after)[-(self.max_length + 1):]
            pairs.append((ids, len(ids) - len(after)))
        return [(float(scores.logprobs.sum()),
                 bool((scores.likeliest_ids[:, 0] == scores.ids).all()))
                for scores in self._scorer.score_ids(pairs, n_likeliest=1)]

    def _pair(self, context: str, continuation: str) -> Tuple[List[int], List[int]]:
        """The tokens of both.  They become tokens together: what the context alone does not give,
        is the continuation."""
        eot = self.model.info.eot_token
        before, ids = self._encode(context.rstrip()), self._encode(context + continuation)
        if before:
            return before, ids[len(before):]
        return (ids[:1], ids[1:]) if ids[:1] == [eot] else ([eot], ids)

    def _encode(self, text: str) -> List[int]:
        return self.model.encode(text, special=True)

    def loglikelihood_rolling(self, requests: List[Any], disable_tqdm: bool = False
                              ) -> List[float]:
        """For each (text,): its log-probability.  Windows do not overlap, but the last one has the
        whole context."""
        windows: List[Tuple[List[int], int]] = []
        counts = []
        for (text,) in (request.args for request in requests):
            ids = [self.model.info.eot_token] + self._encode(text)
            counts.append(len(windows))
            for end in range(1, len(ids), self.max_length):
                stop = min(end + self.max_length, len(ids))
                begin = max(0, stop - self.max_length - 1)
                windows.append((ids[begin:stop], end - begin))
        counts.append(len(windows))
        sums = [float(scores.logprobs.sum()) for scores in self._scorer.score_ids(windows)]
        return [sum(sums[a:b], 0.0) for a, b in zip(counts, counts[1:])]

    def generate_until(self, requests: List[Any], disable_tqdm: bool = False) -> List[str]:
        """For each (context, options): what the model writes behind the context, up to the first of
        options["until"]; greedy, unless the options ask for sampling."""
        texts: List[str] = [""] * len(requests)
        waiting = list(enumerate(request.args for request in requests))[::-1]
        with self.model.session(self.threads, self.max_length,
                                n_sequences=self.batch_size) as session:
            free = [session.first, *(session.sequence() for _ in range(self.batch_size - 1))]
            running: Dict[int, Tuple[gpt2.Generator, gpt2.Sequence]] = {}
            while waiting or running:
                while waiting and free:
                    i, (context, options) = waiting.pop()
                    free[-1].truncate(0)
                    running[i] = self._start(i, session, free[-1], context, options), free.pop()
                session.step(generator for generator, _ in running.values())
                for i, (generator, sequence) in list(running.items()):
                    if generator.finish is not None:
                        if generator.error:
                            raise RuntimeError(generator.error)
                        texts[i] = generator.text
                        free.append(running.pop(i)[1])
        return texts

    def _start(self, i: int, session: gpt2.Session, sequence: gpt2.Sequence, context: str,
               options: Dict[str, Any]) -> gpt2.Generator:
        left = {name: value for name, value in options.items() if value is not None}
        until = left.pop("until", [])
        lengths = [left.pop(name) for name in MAX_TOKENS if name in left]
        n = int(lengths[0]) if lengths else self.max_gen_toks
        if n >= self.max_length:
            raise ValueError(f"{n} tokens to generate, wanted fewer than {self.max_length}")
        do_sample = left.pop("do_sample", None)
        sampling = {name: left.pop(name) for name in SAMPLING if name in left}
        if left:
            raise ValueError(f"generation option {next(iter(left))!r}, wanted {_words(SAMPLING)}")
        sampling.setdefault("temperature", 1 if do_sample else 0)
        if do_sample is False:
            sampling["temperature"] = 0
        ids = self._encode(context)[-(self.max_length - n):]
        generator = session.generator(stop_strings=[
            text for text in ([until] if isinstance(until, str) else until) if text])
        return generator.start(ids, n, sequence=sequence, stream=i, **sampling)


def _words(names: Iterable[str]) -> str:
    return ", ".join(names)


def main() -> None:
    try:
        from lm_eval.__main__ import cli_evaluate
    except ImportError as error:
        sys.exit(f"gpt2_lm_eval.py: {error}: pip install lm_eval")
    cli_evaluate()


if __name__ == "__main__":
    main()
