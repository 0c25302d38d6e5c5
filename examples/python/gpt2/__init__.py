"""libgpt2 from Python: this package, and nothing but the standard library.

    import gpt2

    model = gpt2.Model("examples/demo-model")
    with model.session(threads=2) as session:
        for piece in session.generate("Once upon", n=50, temperature=0.8, seed=1):
            print(piece, end="", flush=True)

A model also loads from memory or from open files, without a directory:

    model = gpt2.Model.from_files({"config.json": config, "model.safetensors": open(path, "rb"),
                                   "vocab.json": vocab, "merges.txt": merges})

A generator says where and why its text ended; several of a session run together:

    with model.session(n_sequences=2) as session:
        texts = [session.generator(stop_strings=["\n"]) for _ in range(2)]
        texts[0].start("Once upon a time", n=50)
        texts[1].start("It was", n=50, sequence=session.sequence(), temperature=0.8, min_p=0.1)
        while any(text.finish is None for text in texts):
            session.step(texts)
        print([(text.text, text.finish) for text in texts])

A session holds several texts, which may share a beginning:

    with model.session(n_sequences=2) as session:
        session.forward(model.encode("Once upon"))
        with session.first.fork() as other:
            rows = session.forward_batch([(session.first, model.encode(" a time"), 1),
                                          (other, model.encode(" a hill"), 1)])
            best = gpt2.likeliest(rows[1][-1], 5)        # what may come next in 'other'

With numpy: the activations inside of the model, as transformers has them.

    found = session.activations(model.encode("It was"), "hidden_states", "attentions")
    found.hidden_states[-1], found.attentions[0], found["h.0.attn.probs"]

With numpy: how likely a model finds given texts (gpt2.score).

    model.score("It was a long way.").logprobs           # of each token, a numpy array
    model.surprisal("It was a long way.").words          # of each word, in bits

    python3 -m gpt2 [MODEL] [PROMPT]        writes a text and says what may come next
"""
import heapq
import math
from typing import List, Tuple

from . import c
from .c import *  # noqa: F403: Error and ERR_*
from .generator import Generator
from .model import Model, Offsets
from .sampling import Sampling
from .sequence import Sequence
from .session import Session, TokenScore
from .taps import Activations, Tap

__all__ = ["Model", "Session", "Sequence", "Generator", "Sampling", "Offsets", "TokenScore", "Tap",
           "Activations", "likeliest", "version", *c.__all__]


def version() -> str:
    """The version of the library in use."""
    return str(c.lib.gpt2_version(), "ascii")


def likeliest(logits: "memoryview[float]", n: int) -> List[Tuple[int, float]]:
    """The `n` likeliest tokens and their probabilities."""
    best = heapq.nlargest(n, range(len(logits)), key=logits.__getitem__)
    total = sum(math.exp(x - logits[best[0]]) for x in logits)
    return [(token, math.exp(logits[token] - logits[best[0]]) / total) for token in best]
