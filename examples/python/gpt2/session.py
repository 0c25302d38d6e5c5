"""Sessions: texts being read and written."""
import array
import contextlib
import ctypes
from ctypes import POINTER, byref, c_float, c_int32, c_size_t
from typing import (TYPE_CHECKING, Any, Callable, Iterable, Iterator, List, NamedTuple, Optional,
                    Tuple, Union)

from . import c
from .generator import Generator
from .sampling import Sampling, sampling_of
from .sequence import Sequence
from .taps import Activations, Tap, activations, kinds_of

if TYPE_CHECKING:
    from .model import Model

TapCallback = Callable[[Tap], Optional[bool]]


class TokenScore(NamedTuple):
    """What the model says about one token.  Natural logarithms."""
    id: int
    rank: int                           # 1 + how many tokens have larger logits
    logprob: float                      # -inf if its logit is that
    entropy: float                      # of the distribution that the token is from
    class_prob: float                   # of the class; 0.0 without one
    likeliest: List[Tuple[int, float]]  # tokens and their log-probabilities, the likeliest first


class Session:
    """Texts being read and written.  One thread at a time may use it, but for cancel().

    forward(), generate() and position are about sequence 0, which is always open.  It is `first`
    where a Sequence is wanted; sequence() and fork() open others.
    """

    def __init__(self, model: "Model", threads: int, n_ctx: int, logit_rows: int, n_sequences: int,
                 n_pages: int, kv_type: str, on_full: str, n_keep: int) -> None:
        """Use Model.session()."""
        self.model = model
        self._logit_rows = logit_rows or 1
        self._kept: List[int] = []  # rows of logits of each item of the last run; missing: 1
        self._taps: List[c.Callbacks] = []  # of the tap, if there is one
        self._shifts = on_full == "shift"
        params = c.params_of(
            c.SessionParams, c.lib.gpt2_session_params_init, n_threads=threads, n_ctx=n_ctx,
            n_logit_rows=logit_rows, n_sequences=n_sequences, n_pages=n_pages,
            kv_type=c.choice("kv_type", kv_type, {"f32": c.TYPE_F32, "f16": c.TYPE_F16}),
            on_full=c.choice("on_full", on_full, {"stop": c.FULL_STOP, "shift": c.FULL_SHIFT}),
            n_keep=n_keep)
        self._object: Optional[c.Object] = c.Object(
            c.lib.gpt2_session_create, c.lib.gpt2_session_free, (model._open(),), params,
            model._object)
        c.session_objects.add(self._object)
        self._dropped: List[int] = []  # open sequences without a Sequence; a new list at each reset

    def __repr__(self) -> str:
        if self._object is None:
            return "<gpt2.Session, closed>"
        return f"<gpt2.Session: {self.position} of {self.n_ctx} positions>"

    def close(self) -> None:
        """Lets the session go; it is freed with the last view of its logits."""
        self._object = None

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _open(self) -> c.Object:
        if self._object is None:
            raise ValueError("the session is closed")
        return self._object

    def _ready(self) -> c.Object:
        """The session, after it has closed the sequences that nothing refers to."""
        session = self._open()
        while self._dropped:
            number = self._dropped.pop()
            if c.lib.gpt2_sequence_close(session, number) != c.OK:  # file.write() of a save called
                self._dropped.append(number)
                break
        return session

    def _call(self, function: Any, *arguments: Any) -> None:
        session = self._ready()
        for value, kind in zip(arguments, function.argtypes[1:]):
            if isinstance(value, int) and kind(value).value != value:  # ctypes cuts in silence
                raise OverflowError(f"{function.__name__}: {value} is outside the range of {kind}")
        status = function(session, *arguments)
        if status != c.OK:
            for callbacks in self._taps:
                callbacks.raise_error()
            c.check(status, c.lib.gpt2_session_error(session))

    @property
    def position(self) -> int:
        """Tokens run so far: the position of the next one."""
        return int(c.lib.gpt2_session_position(self._open()))

    @property
    def n_ctx(self) -> int:
        """Max positions of a text."""
        return int(c.lib.gpt2_session_n_ctx(self._open()))

    @property
    def n_free_pages(self) -> int:
        """Pages of the KV cache that no sequence uses."""
        return int(c.lib.gpt2_session_n_free_pages(self._ready()))

    @property
    def first(self) -> Sequence:
        """Sequence 0, the text of forward() and generate().  Closing it empties it."""
        return Sequence(self, 0)

    def sequence(self) -> Sequence:
        """Opens an empty sequence."""
        number = c_int32()
        self._call(c.lib.gpt2_sequence_open, byref(number))
        return Sequence(self, number.value)

    def reset(self) -> None:
        """Starts a new, empty text, and closes all other sequences."""
        self._call(c.lib.gpt2_session_reset)
        self._dropped = []

    def cancel(self) -> None:
        """Ends the forward() that another thread runs, or else the next, with ERR_CANCELLED."""
        c.lib.gpt2_session_cancel(self._open())

    def set_timeout(self, seconds: Optional[float]) -> None:
        """A forward() that runs `seconds` from now ends with ERR_DEADLINE; None: no such end."""
        deadline = 0 if seconds is None else c.lib.gpt2_clock_ns() + max(0, int(seconds * 1e9))
        self._call(c.lib.gpt2_session_set_deadline, deadline)

    def forward(self, tokens: Iterable[int]) -> "memoryview[float]":
        """Appends tokens, one or more, to the text and runs them.  Returns logits() of the last."""
        ids = c.ids_of(tokens, "forward()")
        self._call(c.lib.gpt2_forward, ids, len(ids), self._logit_rows)
        self._kept = [min(self._logit_rows, len(ids))]
        return self.logits()

    def forward_batch(self, items: Iterable[Tuple[Sequence, Iterable[int], int]]
                      ) -> "List[List[memoryview[float]]]":
        """forward() of several sequences together: items are (sequence, tokens, logit_rows).

        Returns a list for each item: the logits of its last `logit_rows` tokens, each as from
        logits().  More than it has tokens means all.  Each sequence gets the bits that it gets
        alone.  All or nothing: if it fails, every sequence is as before.
        """
        given = []
        for one in items:
            try:
                sequence, tokens, n_rows = one
            except (TypeError, ValueError):
                raise TypeError("forward_batch() wants items (sequence, tokens, logit_rows), not "
                                f"{one!r}") from None
            given.append((sequence._number_in(self), c.ids_of(tokens, "forward_batch()"), n_rows))
        batch = (c.BatchItem * len(given))()
        for item, (number, ids, n_rows) in zip(batch, given):
            c.set_fields(item, sequence=number, n_tokens=len(ids), n_logit_rows=n_rows)
            item.tokens = ctypes.addressof(ids)
        self._call(c.lib.gpt2_forward_batch, batch, len(batch))
        self._kept = [min(n_rows, len(ids)) for _, ids, n_rows in given]
        return [[self.logits(row, item) for row in range(max(0, len(ids) - n_rows), len(ids))]
                for item, (_, ids, n_rows) in enumerate(given)]

    def logits(self, row: int = c.LAST_ROW, item: int = 0) -> "memoryview[float]":
        """The n_vocab logits after token `row` of the last forward(), or of item `item` of the last
        forward_batch(): one of those that it kept.

        A read-only view of floats without a copy: numpy.asarray(view), view.tolist(), view[id].
        Its floats are good until the next call of the session, and its memory for as long as the
        view lives, even when the session is closed.
        """
        return self._floats_before(item, row, 1).cast("f").toreadonly()

    def all_logits(self, item: int = 0) -> "memoryview[float]":
        """All rows of logits that the last forward() kept, or the last forward_batch() of its item
        `item`: [n_rows, n_vocab], as logits() without a copy.

        numpy.asarray(view)[-1] is the last row.  Without numpy it is view[n_rows - 1, id].
        """
        n_rows = self._kept[item] if 0 <= item < len(self._kept) else 1
        floats = self._floats_before(item, c.LAST_ROW, n_rows)
        return floats.cast("f", (n_rows, self.model.info.n_vocab)).toreadonly()

    def _floats_before(self, item: int, row: int, n_rows: int) -> "memoryview[int]":
        """The bytes of `n_rows` rows of logits, which follow each other; `row` is the last."""
        last, n_vocab = POINTER(c_float)(), self.model.info.n_vocab
        self._call(c.lib.gpt2_batch_logits, item, row, byref(last))
        first = ctypes.addressof(last.contents) - 4 * n_vocab * (n_rows - 1)
        floats = (c_float * (n_rows * n_vocab)).from_address(first)
        setattr(floats, "owner", self._object)
        return memoryview(floats).cast("B")

    @contextlib.contextmanager
    def tap(self, callback: TapCallback, *kinds: str) -> Iterator[None]:
        """Inside of the `with`, callback(Tap) reads parts of the activations of every run, and may
        change them: with session.tap(callback, "attn.probs", "block").  No kinds: all.

        If it returns True, the run ends with ERR_CANCELLED.  An exception that it raises ends the
        run, too, and is raised by it.  Then the text is as before.  It must not use the session,
        but for cancel().
        """
        if self._taps:
            raise ValueError("the session has a tap already")
        session, callbacks = self._open(), c.Callbacks()
        mask = sum(1 << c.TAP_KINDS.index(kind) for kind in kinds_of(kinds))
        function = callbacks.taps(lambda tap: callback(Tap(tap, session)))
        self._call(c.lib.gpt2_session_set_tap, function, None, mask)
        self._taps = [callbacks]
        try:
            yield
        finally:
            self._taps = []
            c.lib.gpt2_session_set_tap(session, c.TapCallback(), None, 0)

    def activations(self, tokens: Iterable[int], *kinds: str) -> Activations:
        """forward(tokens), and the activations of these tokens as numpy arrays by name:
        activations(ids, "hidden_states", "attentions") has hidden_states and attentions as
        transformers gives them, activations(ids, "mlp.act")["h.3.mlp.act"] has one array.

        `kinds`: those of docs/python.md; none: all.  If "ln_f" or "logits" is one of them, and so
        for "hidden_states", as many tokens run together as the session has `logit_rows`: 64 are
        fast.
        """
        return activations(self, tokens, kinds)

    def sample(self, sampling: Optional[Sampling] = None, *, row: int = c.LAST_ROW, item: int = 0,
               **fields: Any) -> int:
        """Draws the next token, and does not run it.  `row` and `item` are as in logits().

        `sampling`, or its fields by name: temperature=0 chooses the likeliest.
        """
        sampling, token = sampling_of(sampling, fields), c_int32()
        with sampling._callbacks:
            self._call(c.lib.gpt2_batch_sample, item, row, sampling._given(self.model),
                       byref(token))
        return token.value

    def sample_logits(self, logits: Any, sampling: Optional[Sampling] = None,
                      **fields: Any) -> int:
        """sample() from logits of yours: n_vocab floats, as from logits() or in numpy.float32."""
        sampling, token = sampling_of(sampling, fields), c_int32()
        with sampling._callbacks, c.borrowed(self._floats(logits)) as floats:
            self._call(c.lib.gpt2_sample_logits, floats.buf, sampling._given(self.model),
                       byref(token))
        return token.value

    def sample_candidates(self, logits: Any, sampling: Optional[Sampling] = None, *,
                          n: Optional[int] = None, **fields: Any) -> List[Tuple[int, float]]:
        """What sample_logits() would draw from: (token, probability), the most probable first; all,
        or the first `n`."""
        sampling, n_kept = sampling_of(sampling, fields), c_size_t()
        n_vocab = self.model.info.n_vocab
        candidates = (c.Candidate * (n_vocab if n is None else min(max(0, n), n_vocab)))()
        with sampling._callbacks, c.borrowed(self._floats(logits)) as floats:
            self._call(c.lib.gpt2_sample_candidates, floats.buf, sampling._given(self.model),
                       candidates, len(candidates), byref(n_kept))
        return [(kept.id, kept.probability) for kept in candidates[:n_kept.value]]

    def score_logits(self, logits: Any, token: int, *, n_likeliest: int = 0,
                     class_ids: Optional[Iterable[int]] = None) -> TokenScore:
        """How likely `token` is by logits as in sample_logits(), such as those that it was drawn
        from.  `n_likeliest` tokens are told; `class_ids`: tokens whose probability all together is
        told, too."""
        n_vocab = self.model.info.n_vocab
        params = c.score_params(n_vocab, n_likeliest, class_ids)
        score, likeliest = c.TokenScore(), (c.TokenLogprob * min(max(0, n_likeliest), n_vocab))()
        with c.borrowed(self._floats(logits)) as floats:
            self._call(c.lib.gpt2_score_logits, floats.buf, token, byref(params), byref(score),
                       likeliest)
        return TokenScore(score.id, score.rank, score.logprob, score.entropy, score.class_prob,
                          [(likely.id, likely.logprob) for likely in likeliest])

    def _floats(self, logits: Any) -> Any:
        """`logits` if they lie in memory as the library wants them, else a copy."""
        try:
            view = memoryview(logits)
        except TypeError:
            view = memoryview(array.array("f", logits))
        if view.format != "f" or view.shape != (self.model.info.n_vocab,) or not view.c_contiguous:
            raise ValueError(f"logits have shape {view.shape} and format {view.format!r}, wanted "
                             f"({self.model.info.n_vocab},) and 'f'")
        return view

    def generator(self, stop_ids: Iterable[int] = (),
                  stop_strings: Iterable[Union[str, bytes]] = (),
                  ignore_eot: bool = False, draft_max: int = 0) -> Generator:
        """A generator, to start().  Its texts end before a token of `stop_ids`, before the first of
        `stop_strings` that is complete, and before <|endoftext|> unless it is ignored.

        `draft_max`: how many tokens a step may guess from the text so far, and check in one call;
        at most `logit_rows` - 1 of the session.  The same text, often faster."""
        return Generator(self, stop_ids, stop_strings, ignore_eot, draft_max)

    def step(self, generators: Iterable[Generator]) -> List[str]:
        """Draws the next token of all generators that have not finished, in one batch.

        Returns the piece of text that became certain of each, often "": whole characters, no part
        of a stop string.  Each text is the one that its generator writes alone.
        """
        given = list(generators)
        if not given:
            return []
        for generator in given:
            generator._check(self)
        self._ready()
        pointers = (ctypes.c_void_p * len(given))(*(g._object._as_parameter_.value for g in given))
        results = (c.Generated * len(given))()
        self._kept = []
        status = c.lib.gpt2_generator_step(pointers, len(given), results)
        if status != c.OK:
            c.check(status, c.lib.gpt2_session_error(self._open()))
        pieces = [generator._take(result) for generator, result in zip(given, results)]
        for callbacks in [*(generator._sampling._callbacks for generator in given), *self._taps]:
            callbacks.raise_error()
        return pieces

    def generate(self, prompt: Union[str, bytes, Iterable[int]] = "", n: int = 128,
                 sampling: Optional[Sampling] = None, *, stop_ids: Iterable[int] = (),
                 stop_strings: Iterable[Union[str, bytes]] = (), draft_max: int = 0,
                 **fields: Any) -> Iterator[str]:
        """Runs the prompt and yields what follows it, in pieces of whole characters.

        Ends after `n` tokens, before <|endoftext|> or a stop, or when the context is full, unless
        the session shifts.  After `n` tokens all that has been yielded has been run: another
        generate() goes on from there.  A text with an empty prompt begins with <|endoftext|>.
        `sampling`, or its fields by name, is as in sample(); `draft_max` as in generator().
        """
        generator = self.generator(stop_ids, stop_strings, draft_max=draft_max)
        generator.start(prompt, n, sampling=sampling, **fields)
        yield from generator
        if generator.finish == "length" and (self._shifts or self.position < self.n_ctx):
            self.forward(generator.ids[-1:] or generator._prompt)
