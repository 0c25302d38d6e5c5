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
import array
import contextlib
import ctypes
import heapq
import math
import os
import threading
from ctypes import POINTER, byref, c_float, c_int32, c_size_t
from typing import (TYPE_CHECKING, Any, BinaryIO, Callable, Dict, Iterable, Iterator, List, Mapping,
                    NamedTuple, Optional, Sequence as Items, Tuple, Union)

from . import c
from .c import *  # noqa: F403: Error and ERR_*
from .c import ERR_BUFFER, Error
from .taps import Activations, Tap, activations, kinds_of

if TYPE_CHECKING:
    from .score import Surprisal

__all__ = ["Model", "Session", "Sequence", "Generator", "Sampling", "Offsets", "TokenScore", "Tap",
           "Activations", "likeliest", "version", *c.__all__]

File = Union[bytes, bytearray, memoryview, BinaryIO]
Progress = Callable[[int, int], Optional[bool]]
TapCallback = Callable[[Tap], Optional[bool]]
LogitsCallback = Callable[[int, "memoryview[float]"], Optional[bool]]


class _Load(c.Callbacks):
    """What one load borrows."""

    def __init__(self) -> None:
        super().__init__()
        self._buffers: List[c.Buffer] = []

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        for buffer in self._buffers:
            ctypes.pythonapi.PyBuffer_Release(byref(buffer))
        super().__exit__(kind, error, trace)

    def progress(self, progress: Progress) -> Any:
        return c.ProgressCallback(self.safe(lambda _, done, total: bool(progress(done, total))))

    def reader(self, file: BinaryIO) -> Any:
        lock = threading.Lock()  # the threads that load share the file's position

        def read(_: Any, offset: int, to: int, capacity: int, n_read: Any) -> bool:
            with lock:
                file.seek(offset)
                data = file.read(capacity)
            if len(data) > capacity:
                raise ValueError(f"read() gave {len(data)} bytes, wanted up to {capacity}")
            ctypes.memmove(to, data, len(data))
            n_read[0] = len(data)
            return False
        return c.ReadCallback(self.safe(read))

    def sources(self, files: Mapping[str, File]) -> Tuple[Any, int]:
        """The array of sources and its length."""
        sources = (c.Source * len(files))()
        for source, (name, file) in zip(sources, files.items()):
            source.name = name.encode()
            buffer = c.Buffer()
            try:
                ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(file), byref(buffer), 0)
            except TypeError:  # no buffer
                if isinstance(file, (bytes, bytearray, memoryview)) or not hasattr(file, "read"):
                    raise
                source.n_bytes = file.seek(0, os.SEEK_END)
                source.read = self.reader(file)
            else:
                self._buffers.append(buffer)
                source.bytes, source.n_bytes = buffer.buf, buffer.len
        return sources, len(files)


# ------------------------------------------------------------------------------- for programs

def version() -> str:
    """The version of the library in use."""
    return str(c.lib.gpt2_version(), "ascii")


class Offsets(NamedTuple):
    """Where a token is in a text, in bytes and in characters; `end` is behind it."""
    first_byte: int
    end_byte: int
    first_char: int
    end_char: int


class TokenScore(NamedTuple):
    """What the model says about one token.  Natural logarithms."""
    id: int
    rank: int                           # 1 + how many tokens have larger logits
    logprob: float                      # -inf if its logit is that
    entropy: float                      # of the distribution that the token is from
    class_prob: float                   # of the class; 0.0 without one
    likeliest: List[Tuple[int, float]]  # tokens and their log-probabilities, the likeliest first


class Model:
    """Weights and tokenizer, for any number of sessions and threads."""

    def __init__(self, path: Union[str, "os.PathLike[str]"], threads: int = 1,
                 progress: Optional[Progress] = None, weight_type: str = "file",
                 verify: bool = False) -> None:
        """Reads a Hugging Face directory, or opens a native file, which write() and `gpt2 convert`
        make.

        `threads` load it; 0: one per CPU.  `progress(done, total)` is called with how many bytes of
        the weights have been read.  If it returns True, the load ends with ERR_CANCELLED; an
        exception that it raises ends the load, too, and is raised here.

        `weight_type` is that of the weights in memory: "f32", "f16", "bf16", "q8", "q4", or "file"
        for the type that each matrix has in the file.  "q8" and "q4" have 8 and 4 bits a weight,
        rounded while loading.

        A native file is mapped, so no process may cut it short while it is in use.  `verify` reads
        it into memory instead and compares its checksum.
        """
        with _Load() as load:
            self._load(load, c.lib.gpt2_model_load, (os.fsencode(path),), threads, progress,
                       weight_type, verify)

    @classmethod
    def from_files(cls, files: Mapping[str, File], threads: int = 1,
                   progress: Optional[Progress] = None, weight_type: str = "file") -> "Model":
        """A model whose files are not in a directory: "config.json" and "model.safetensors", and
        "vocab.json" with "merges.txt", or "tokenizer.json", for a tokenizer; or
        "native.safetensors", which is copied.  "model.safetensors.index.json" with the shards that
        it names may stand for "model.safetensors".

        A file is bytes (or bytearray, mmap, any contiguous buffer), which are not copied, or a
        binary file object that can seek.  The other arguments are as in Model().
        """
        model = cls.__new__(cls)
        with _Load() as load:
            model._load(load, c.lib.gpt2_model_load_sources, load.sources(files), threads, progress,
                        weight_type, True)
        return model

    def _load(self, load: _Load, function: Any, given: Tuple[Any, ...], threads: int,
              progress: Optional[Progress], weight_type: str, copy: bool) -> None:
        params = c.params_of(
            c.ModelParams, c.lib.gpt2_model_params_init, n_threads=threads,
            file_access=c.FILE_READ if copy else c.FILE_MAP,
            weight_type=_choice("weight_type", weight_type, {
                "file": c.TYPE_AS_FILE, "f32": c.TYPE_F32, "f16": c.TYPE_F16,
                "bf16": c.TYPE_BF16, "q8": c.TYPE_Q8, "q4": c.TYPE_Q4}))
        if progress is not None:
            params.progress = load.progress(progress)
        self._object: Optional[c.Object] = c.Object(function, c.lib.gpt2_model_free, given, params)
        self.info = c.params_of(c.ModelInfo, c.lib.gpt2_model_info_init)
        c.check(c.lib.gpt2_model_get_info(self._object, byref(self.info)))

    def __repr__(self) -> str:
        if self._object is None:
            return "<gpt2.Model, closed>"
        info = self.info
        return (f"<gpt2.Model: {info.n_layer} layers of {info.n_embd}, {info.n_vocab} tokens, "
                f"{info.n_positions} positions>")

    def tensor(self, name: str) -> "memoryview[float]":
        """A weight as floats: tensor("wte.weight")[id, column], tensor("h.0.ln_1.bias")[column].

        Names and shapes are Hugging Face's.  numpy.asarray() takes what it returns without a copy.
        """
        shape, detail = (ctypes.c_int64 * 2)(), ctypes.create_string_buffer(1024)

        def read(values: Any, n_values: int) -> None:
            status = c.lib.gpt2_model_tensor(self._open(), name.encode(), shape, values, n_values,
                                             detail, len(detail))
            c.check(status, detail.value)

        read(None, 0)
        values = (ctypes.c_float * (shape[0] * shape[1]))()
        read(values, len(values))
        is_vector = shape[1] == 1
        return memoryview(values).cast("B").cast("f", shape[:1] if is_vector else shape[:])

    def write(self, file: Any, name: str = "native.safetensors") -> None:
        """Writes a file of the model to a file object, in pieces: file.write(bytes).

        The weights keep the types that they have in memory.  Model(path) opens a native file at once.
        Other names are "model.safetensors" and "config.json" for transformers, and "model.gguf".
        """
        detail = ctypes.create_string_buffer(1024)
        with c.Callbacks() as callbacks:
            status = c.lib.gpt2_model_write(self._open(), name.encode(),
                                            callbacks.writer(file.write), None, detail, len(detail))
            c.check(status, detail.value)

    def close(self) -> None:
        """Lets the model go; it is freed when its last session is.  Twice is as good as once."""
        self._object = None

    def __enter__(self) -> "Model":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _open(self) -> c.Object:
        if self._object is None:
            raise ValueError("the model is closed")
        return self._object

    def _tokenizer(self) -> int:
        tokenizer: Optional[int] = c.lib.gpt2_model_tokenizer(self._open())
        if tokenizer is None:
            why = c.lib.gpt2_model_tokenizer_error(self._open()).decode()
            raise ValueError("the model has no tokenizer" + (": " + why if why else ""))
        return tokenizer

    @property
    def bos_token(self) -> int:
        """The id of the token that begins a text, or -1: the tokenizer's bos_token, else
        <|endoftext|>, which is info.eot_token."""
        model = self._open()
        return int(c.lib.gpt2_tokenizer_bos(c.lib.gpt2_model_tokenizer(model)))

    def encode(self, text: Union[str, bytes], special: bool = False) -> List[int]:
        """The ids of a text.  `special`: "<|endoftext|>" in it is that one token."""
        if not isinstance(text, (str, bytes)):
            raise TypeError(f"encode() wants str or bytes, not {type(text).__name__}")
        data = text.encode() if isinstance(text, str) else text
        model, tokenizer = self._open(), self._tokenizer()
        params = c.params_of(c.EncoderParams, c.lib.gpt2_encoder_params_init,
                             max_piece_bytes=max(len(data), 1))  # enough for any text so long
        encoder = c.Object(c.lib.gpt2_encoder_create, c.lib.gpt2_encoder_free, (tokenizer,),
                           params, model)
        ids, n_ids = (c_int32 * (2 * len(data)))(), c_size_t()
        status = c.lib.gpt2_encode(encoder, data, len(data), c.ENCODE_SPECIAL if special else 0,
                                   ids, len(ids), byref(n_ids))
        c.check(status, c.lib.gpt2_encoder_error(encoder))
        return ids[:n_ids.value]

    def decode_bytes(self, tokens: Iterable[int]) -> bytes:
        """The bytes of tokens: decode_bytes(encode(x)) == x for all bytes x."""
        model, tokenizer = self._open(), self._tokenizer()  # 'model' holds it until we are done
        ids, n_bytes = c.ids_of(tokens, "decode()"), c_size_t()
        detail = ctypes.create_string_buffer(1024)
        status = c.lib.gpt2_decode(tokenizer, ids, len(ids), None, 0, byref(n_bytes), detail,
                                   len(detail))
        if status != ERR_BUFFER:  # which tells the size
            c.check(status, detail.value)
        text = ctypes.create_string_buffer(n_bytes.value)
        status = c.lib.gpt2_decode(tokenizer, ids, len(ids), text, len(text), byref(n_bytes),
                                   detail, len(detail))
        c.check(status, detail.value)
        return text.raw

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of tokens; bytes that are not UTF-8 become U+FFFD."""
        return self.decode_bytes(tokens).decode("utf-8", "replace")

    def token_offsets(self, tokens: Iterable[int]) -> List[Offsets]:
        """Where each token of a text is in it.  `tokens` are all of the text, from its beginning.

        A token that has only a part of a character counts that character.
        """
        model, tokenizer = self._open(), self._tokenizer()  # 'model' holds it until we are done
        ids = c.ids_of(tokens, "token_offsets()")
        offsets = (c.Offsets * len(ids))()
        c.check(c.lib.gpt2_token_offsets(tokenizer, ids, len(ids), offsets))
        return [Offsets(at.first_byte, at.end_byte, at.first_char, at.end_char) for at in offsets]

    def score(self, texts: Any, prefix: Any = "", **options: Any) -> Any:
        """How likely the model finds each token of texts: gpt2.score.Scorer.score().  It needs
        numpy."""
        from . import score
        return score.score(self, texts, prefix, **options)

    def surprisal(self, text: Union[str, bytes], prefix: Union[str, bytes] = "", **options: Any
                  ) -> "Surprisal":
        """The surprisal of each token and each word of a text: gpt2.score.Scorer.surprisal()."""
        from . import score
        return score.surprisal(self, text, prefix, **options)

    def session(self, threads: int = 1, n_ctx: int = 0, logit_rows: int = 0, *,
                n_sequences: int = 1, n_pages: int = 0, kv_type: str = "f32",
                on_full: str = "stop", n_keep: int = 0) -> "Session":
        """A session with a new, empty text.

        `threads`: 0 for one per CPU.
        `n_ctx`: max positions of a text, 0 for the model's max.
        `logit_rows`: of how many last tokens forward() keeps the logits, and forward_batch() of all
        its sequences together; 0: of one, and of one for each sequence.
        `n_sequences`: texts that can be open at the same time.
        `n_pages`: pages of the KV cache, each 64 positions; 0: enough for all texts.
        `kv_type`: "f32", or "f16" for half the memory.
        `on_full`: at the end of the context "stop" fails with ERR_CONTEXT; "shift" cuts the text:
        its first `n_keep` tokens and the newest half of the others stay.
        """
        return Session(self, threads, n_ctx, logit_rows, n_sequences, n_pages, kv_type, on_full,
                       n_keep)


def _choice(name: str, value: str, choices: Dict[str, int]) -> int:
    if value not in choices:
        raise ValueError(f"{name} is {value!r}, wanted {' or '.join(map(repr, choices))}")
    return choices[value]


class Sampling:
    """How tokens are chosen: the fields of gpt2_sample_params by the names that gpt2.h gives them,
    such as Sampling(temperature=0.8, top_k=40, repetition_penalty=1.1).

    `bias`: {id: number}, or a number for each id of the vocabulary, added to the logits.
    `history`, `dry_breakers`, `banned_ids`, `allowed_ids`: ids.
    `callback(position, logits)` may change the logits, a memoryview of floats that ends with the
    call; if it returns True or raises an exception, no token is chosen.

    For draws without a generator, a Sampling keeps the state of mirostat from one to the next.
    """

    def __init__(self, bias: Union[None, Mapping[int, float], Items[float]] = None,
                 callback: Optional[LogitsCallback] = None, **fields: Any) -> None:
        self._given_as = {"bias": bias, "callback": callback, **fields}
        self._params = c.params_of(c.SampleParams, c.lib.gpt2_sample_params_init)
        self._callbacks = c.Callbacks()
        self._n_bias: Optional[int] = None
        for name, count in (("history", "n_history"), ("dry_breakers", "n_dry_breakers"),
                            ("banned_ids", "n_banned"), ("allowed_ids", "n_allowed")):
            if fields.get(name) is not None:
                ids = c.ids_of(fields.pop(name), name)
                if name == "allowed_ids" and not ids:
                    raise ValueError("allowed_ids is empty, wanted at least one id")
                c.set_fields(self._params, **{name: ids, count: len(ids)})
        if isinstance(bias, Mapping):
            self._params.bias_ids = c.ids_of(bias, "bias")
            self._params.bias_values = (c_float * len(bias))(*bias.values())
            self._params.n_biases = len(bias)
        elif bias is not None:
            self._n_bias = len(bias)
            self._params.bias = (c_float * len(bias))(*bias)
        if callback is not None:
            self._params.callback = self._callbacks.logits(callback)
        for name in fields:
            if not isinstance(getattr(c.SampleParams(), name, None), (int, float)):
                raise TypeError(f"there is no sampling parameter {name!r}")
        c.set_fields(self._params, **fields)
        self._mu = c_float(2 * self._params.mirostat_tau)

    def __repr__(self) -> str:
        given = [f"{name}={value!r}" for name, value in self._given_as.items() if value is not None]
        return f"gpt2.Sampling({', '.join(given)})"

    def _given(self, model: Model, mu: bool = True) -> Any:
        """The params for a call; `mu`: with the state of mirostat."""
        if self._n_bias not in (None, model.info.n_vocab):
            raise ValueError(f"bias has {self._n_bias} numbers, wanted {model.info.n_vocab}")
        self._params.mirostat_mu = ctypes.pointer(self._mu) if mu else None
        self._callbacks.error = None
        return byref(self._params)


def _sampling(sampling: Optional[Sampling], fields: Dict[str, Any]) -> Sampling:
    if sampling is None:
        return Sampling(**fields)
    if fields:
        raise TypeError(f"{', '.join(fields)}: given beside a Sampling")
    return sampling


class Session:
    """Texts being read and written.  One thread at a time may use it, but for cancel().

    forward(), generate() and position are about sequence 0, which is always open.  It is `first`
    where a Sequence is wanted; sequence() and fork() open others.
    """

    def __init__(self, model: Model, threads: int, n_ctx: int, logit_rows: int, n_sequences: int,
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
            kv_type=_choice("kv_type", kv_type, {"f32": c.TYPE_F32, "f16": c.TYPE_F16}),
            on_full=_choice("on_full", on_full, {"stop": c.FULL_STOP, "shift": c.FULL_SHIFT}),
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
    def first(self) -> "Sequence":
        """Sequence 0, the text of forward() and generate().  Closing it empties it."""
        return Sequence(self, 0)

    def sequence(self) -> "Sequence":
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

    def forward_batch(self, items: Iterable[Tuple["Sequence", Iterable[int], int]]
                      ) -> "List[List[memoryview[float]]]":
        """forward() of several sequences together: items are (sequence, tokens, logit_rows).

        Returns a list for each item: the logits of its last `logit_rows` tokens, each as from
        logits().  More than it has tokens means all.  Each sequence gets the bits that it gets
        alone.  All or nothing: if it fails, every sequence is as before.
        """
        given = [(sequence._number_in(self), c.ids_of(tokens, "forward_batch()"), n_rows)
                 for sequence, tokens, n_rows in items]
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
        sampling, token = _sampling(sampling, fields), c_int32()
        with sampling._callbacks:
            self._call(c.lib.gpt2_batch_sample, item, row, sampling._given(self.model),
                       byref(token))
        return token.value

    def sample_logits(self, logits: Any, sampling: Optional[Sampling] = None,
                      **fields: Any) -> int:
        """sample() from logits of yours: n_vocab floats, as from logits() or in numpy.float32."""
        sampling, token = _sampling(sampling, fields), c_int32()
        with sampling._callbacks, c.borrowed(self._floats(logits)) as floats:
            self._call(c.lib.gpt2_sample_logits, floats.buf, sampling._given(self.model),
                       byref(token))
        return token.value

    def sample_candidates(self, logits: Any, sampling: Optional[Sampling] = None, *,
                          n: Optional[int] = None, **fields: Any) -> List[Tuple[int, float]]:
        """What sample_logits() would draw from: (token, probability), the most probable first; all,
        or the first `n`."""
        sampling, n_kept = _sampling(sampling, fields), c_size_t()
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
                  ignore_eot: bool = False) -> "Generator":
        """A generator, to start().  Its texts end before a token of `stop_ids`, before the first of
        `stop_strings` that is complete, and before <|endoftext|> unless it is ignored."""
        return Generator(self, stop_ids, stop_strings, ignore_eot)

    def step(self, generators: Iterable["Generator"]) -> List[str]:
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
                 stop_strings: Iterable[Union[str, bytes]] = (), **fields: Any) -> Iterator[str]:
        """Runs the prompt and yields what follows it, in pieces of whole characters.

        Ends after `n` tokens, before <|endoftext|> or a stop, or when the context is full, unless
        the session shifts.  After `n` tokens all that has been yielded has been run: another
        generate() goes on from there.  A text with an empty prompt begins with <|endoftext|>.
        `sampling`, or its fields by name, is as in sample().
        """
        generator = self.generator(stop_ids, stop_strings)
        generator.start(prompt, n, sampling=sampling, **fields)
        yield from generator
        if generator.finish == "length" and (self._shifts or self.position < self.n_ctx):
            self.forward(generator.ids[-1:] or generator._prompt)


class Generator:
    """What continues a text: `for piece in generator.start(prompt)`.  Or Session.step(), which runs
    several together.  It is for one text after another.

    `finish` is None while the text goes on, then why it ended: "token" (<|endoftext|> or a stop
    id), "string", "length", "context", "pages", "cancelled", "deadline" or "error".
    `ids`: the tokens that were drawn.  The last one has not been run, so it is not in the sequence.
    """

    def __init__(self, session: Session, stop_ids: Iterable[int],
                 stop_strings: Iterable[Union[str, bytes]], ignore_eot: bool) -> None:
        """Use Session.generator()."""
        self._session = session
        self.finish: Optional[str] = None
        self.ids: List[int] = []
        self._pieces: List[str] = []
        strings = [text.encode() if isinstance(text, str) else text for text in stop_strings]
        for text in strings:
            if b"\0" in text:
                raise ValueError(f"the stop string {text!r} has a NUL")
        ids = c.ids_of(stop_ids, "stop_ids")
        params = c.params_of(c.GeneratorParams, c.lib.gpt2_generator_params_init,
                             ignore_eot=int(ignore_eot), n_stop_ids=len(ids),
                             n_stop_strings=len(strings))
        params.stop_ids, params.stop_strings = ids, (ctypes.c_char_p * len(strings))(*strings)
        self._object = c.Object(c.lib.gpt2_generator_create, c.lib.gpt2_generator_free,
                                (session._ready(),), params, session._object)
        self._sequence: Optional[Sequence] = None

    def __repr__(self) -> str:
        return f"<gpt2.Generator: {len(self.ids)} tokens, finish={self.finish!r}>"

    def start(self, prompt: Union[str, bytes, Iterable[int]] = "", n: int = -1,
              sampling: Optional[Sampling] = None, *, sequence: Optional["Sequence"] = None,
              **fields: Any) -> "Generator":
        """Begins to continue `sequence`, or the session's first, with the prompt: text or ids.  It
        runs nothing yet.  At most `n` tokens; -1: no limit.

        An empty prompt goes on from the last token of the sequence, which runs again, and in an
        empty one from <|endoftext|>.
        """
        session = self._session
        sequence = session.first if sequence is None else sequence
        number, sampling = sequence._number_in(session), _sampling(sampling, fields)
        params = sampling._given(session.model, mu=False)
        ids = (session.model.encode(prompt) if isinstance(prompt, (str, bytes)) else
               list(c.ids_of(prompt, "start()")))
        again: List[int] = []
        if not ids:
            ids = again = sequence.ids[-1:]
            if again:
                sequence.truncate(sequence.position - 1)
            elif session.model.info.eot_token < 0:
                raise ValueError("the prompt is empty and the model has no <|endoftext|>: "
                                 "give a prompt")
            else:
                ids = [session.model.info.eot_token]
        prompt_ids = c.ids_of(ids, "start()")
        status = c.lib.gpt2_generator_start(self._object, number, prompt_ids, len(prompt_ids), n,
                                            params)
        if status != c.OK:
            line = c.lib.gpt2_session_error(session._ready())
            if again:
                session.forward_batch([(sequence, again, 1)])
            c.check(status, line)
        # what the library borrows until the text has ended
        self._prompt, self._sampling, self._sequence = prompt_ids, sampling, sequence
        self.finish, self.ids, self._pieces = None, [], []
        return self

    @property
    def text(self) -> str:
        """What has been written so far."""
        return "".join(self._pieces)

    @property
    def error(self) -> str:
        """Why it could not go on, in one line; else ""."""
        return str(c.lib.gpt2_generator_error(self._object), "utf-8", "replace")

    def step(self) -> str:
        """Session.step() of this one alone."""
        return self._session.step([self])[0]

    def __iter__(self) -> Iterator[str]:
        """The pieces up to the end of the text.  Raises Error if it could not go on: if `error` is
        not ""."""
        while self.finish is None:
            piece = self.step()
            if piece:
                yield piece
        if self.error:
            raise Error(_ERRORS[self.finish], self.error)

    def _check(self, session: Session) -> None:
        """For a step of `session`.  When the text has ended, its sequence may be closed."""
        if self._sequence is None:
            raise ValueError("the generator has not been started")
        if self._session is not session:
            raise ValueError("the generator is of another session")
        if self.finish is None:
            self._sequence._number_in(session)

    def _take(self, result: c.Generated) -> str:
        if result.id >= 0:
            self.ids.append(result.id)
        self.finish = _FINISHES[result.finish]
        piece = ctypes.string_at(result.text, result.n_bytes).decode("utf-8", "replace")
        if piece:
            self._pieces.append(piece)
        return piece


_FINISHES = {c.FINISH_NOT_YET: None, c.FINISH_TOKEN: "token", c.FINISH_STRING: "string",
             c.FINISH_LENGTH: "length", c.FINISH_CONTEXT: "context", c.FINISH_PAGES: "pages",
             c.FINISH_CANCELLED: "cancelled", c.FINISH_DEADLINE: "deadline",
             c.FINISH_ERROR: "error"}
_ERRORS = {"context": c.ERR_CONTEXT, "pages": c.ERR_PAGES, "cancelled": c.ERR_CANCELLED,
           "deadline": c.ERR_DEADLINE, "error": c.ERR_NONFINITE}


class Sequence:
    """One text of a session.  It is open until close(), or until nothing refers to it any more."""

    _number: Optional[int] = None  # if it is closed

    def __init__(self, session: Session, number: int) -> None:
        """Use Session.sequence(), Session.first or fork()."""
        self._session = session
        self._number = number
        self._dropped = session._dropped

    def __del__(self) -> None:
        if self._number:  # any thread may be here: the session closes it later
            self._dropped.append(self._number)

    def __repr__(self) -> str:
        if not self._is_open():
            return "<gpt2.Sequence, closed>"
        return f"<gpt2.Sequence {self._number} of {self._session!r}>"

    def close(self) -> None:
        """Frees what no other sequence uses.  Twice is as good as once.  Logits stay."""
        if self._is_open():
            self._call(c.lib.gpt2_sequence_close)
        if self._number:
            self._number = None

    def __enter__(self) -> "Sequence":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _is_open(self) -> bool:
        return (self._number is not None and self._session._object is not None and
                (self._number == 0 or self._dropped is self._session._dropped))

    def _number_in(self, session: Session) -> int:
        """Its number, for a call on `session`."""
        if self._session is not session:
            raise ValueError("the sequence is of another session")
        session._open()
        if not self._is_open():
            raise ValueError("the sequence is closed")
        assert self._number is not None
        return self._number

    def _call(self, function: Any, *arguments: Any) -> None:
        self._session._call(function, self._number_in(self._session), *arguments)

    @property
    def number(self) -> int:
        """What a Tap calls it; 0 is the session's first."""
        return self._number_in(self._session)

    @property
    def position(self) -> int:
        """Tokens of the text, those that "shift" cut off included: the position of the next one."""
        position = c_int32()
        self._call(c.lib.gpt2_sequence_position, byref(position))
        return position.value

    @property
    def ids(self) -> List[int]:
        """The tokens in the context: the whole text, or what "shift" left of it."""
        ids, n_ids = POINTER(c_int32)(), c_size_t()
        self._call(c.lib.gpt2_sequence_ids, byref(ids), byref(n_ids))
        return ids[:n_ids.value]

    def fork(self, position: Optional[int] = None) -> "Sequence":
        """A new sequence with the first `position` tokens of this one; None: with all.  It shares
        their keys and values."""
        number = c_int32()
        self._call(c.lib.gpt2_sequence_fork, self.position if position is None else position,
                   byref(number))
        return Sequence(self._session, number.value)

    def truncate(self, position: int) -> None:
        """Takes back all tokens from `position` on."""
        self._call(c.lib.gpt2_sequence_truncate, position)

    def save(self) -> bytes:
        """Its state as bytes: tokens, keys and values, for restore() here or in another process."""
        n_bytes = c_size_t()
        try:
            self._call(c.lib.gpt2_sequence_save, None, 0, byref(n_bytes))
        except Error as error:
            if error.status != ERR_BUFFER:  # which tells the size
                raise
        state = ctypes.create_string_buffer(n_bytes.value)
        self._call(c.lib.gpt2_sequence_save, state, len(state), byref(n_bytes))
        return state.raw

    def write(self, file: Any) -> None:
        """Writes what save() returns to a file object, in pieces: file.write(bytes).

        If it raises an exception, this ends with it.  The session stays as it was; the file has a
        part of the state, which restore() refuses.  file.write() must not use the session.
        """
        with c.Callbacks() as callbacks:
            self._call(c.lib.gpt2_sequence_write, callbacks.writer(file.write), None)

    def restore(self, state: Union[bytes, bytearray, memoryview]) -> None:
        """Makes it the sequence that was saved.  It has no logits before its next token has run."""
        with c.borrowed(state) as buffer:
            self._call(c.lib.gpt2_sequence_restore, buffer.buf, buffer.len)


def likeliest(logits: "memoryview[float]", n: int) -> List[Tuple[int, float]]:
    """The `n` likeliest tokens and their probabilities."""
    best = heapq.nlargest(n, range(len(logits)), key=logits.__getitem__)
    total = sum(math.exp(x - logits[best[0]]) for x in logits)
    return [(token, math.exp(logits[token] - logits[best[0]]) / total) for token in best]
