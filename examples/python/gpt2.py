"""libgpt2 from Python: one file, nothing but the standard library.

    import gpt2

    model = gpt2.Model("examples/demo-model")
    with model.session(threads=2) as session:
        for piece in session.generate("Once upon", n=50, temperature=0.8, seed=1):
            print(piece, end="", flush=True)

A model also loads from memory or from open files, without a directory:

    model = gpt2.Model.from_files({"config.json": config, "model.safetensors": open(path, "rb"),
                                   "vocab.json": vocab, "merges.txt": merges})

    python3 gpt2.py [MODEL] [PROMPT]        writes a text and says what may come next

The shared library is the one that the environment variable GPT2_LIBRARY names, else
build/libgpt2.so of the checkout that this file lies in, else the system's.
"""
import array
import codecs
import ctypes
import heapq
import json
import math
import os
import sys
import threading
import weakref
from ctypes import (POINTER, byref, c_char_p, c_float, c_int32, c_int64, c_size_t, c_uint32,
                    c_uint64, c_void_p)
from typing import (Any, BinaryIO, Callable, Iterable, Iterator, List, Mapping, Optional, Tuple,
                    Union)

__all__ = ["Model", "Session", "Error", "likeliest", "version"]

OK = 0
ERR_ARGUMENT = -1
ERR_TOKEN = -2
ERR_CONTEXT = -3
ERR_ROW = -4
ERR_BUFFER = -5
ERR_PIECE = -6
ERR_MEMORY = -20
ERR_THREAD = -21
ERR_FILE = -40
ERR_FORMAT = -41
ERR_UNSUPPORTED = -42
ERR_CANCELLED = -60
ERR_DEADLINE = -61
ERR_NONFINITE = -80

ENCODE_SPECIAL = 1
LAST_ROW = -1


class Error(Exception):
    """A call of the library failed: `status` is one of ERR_*, `line` says what went wrong."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(status, line)
        self.status = status
        self.line = line

    def __str__(self) -> str:
        return self.line


# ------------------------------------------------------------------------------- the C interface

ReadCallback = ctypes.CFUNCTYPE(c_int32, c_void_p, c_uint64, c_void_p, c_size_t, POINTER(c_size_t))
ProgressCallback = ctypes.CFUNCTYPE(c_int32, c_void_p, c_uint64, c_uint64)


class Source(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("bytes", c_void_p), ("n_bytes", c_uint64),
                ("read", ReadCallback), ("user", c_void_p)]


class ModelParams(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("n_threads", c_int32),
                ("errbuf", c_void_p), ("errbuf_size", c_size_t),
                ("progress", ProgressCallback), ("progress_user", c_void_p)]


class ModelInfo(ctypes.Structure):
    """What gpt2.h says of gpt2_model_info."""
    _fields_ = [("struct_size", c_uint32), ("n_vocab", c_int32), ("n_positions", c_int32),
                ("n_embd", c_int32), ("n_layer", c_int32), ("n_head", c_int32),
                ("n_inner", c_int32), ("activation", c_int32), ("tied_head", c_int32),
                ("weight_type", c_int32), ("eot_token", c_int32), ("layer_norm_epsilon", c_float),
                ("n_parameters", c_uint64), ("memory_bytes", c_uint64)]


class EncoderParams(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("reserved", c_uint32), ("max_piece_bytes", c_size_t),
                ("errbuf", c_void_p), ("errbuf_size", c_size_t)]


class SessionParams(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("cpu_mask", c_uint32), ("n_threads", c_int32),
                ("n_ctx", c_int32), ("n_batch", c_int32), ("n_logit_rows", c_int32),
                ("errbuf", c_void_p), ("errbuf_size", c_size_t),
                ("parallel_for", c_void_p), ("parallel_for_user", c_void_p)]


class SampleParams(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("temperature", c_float), ("top_k", c_int32),
                ("top_p", c_float), ("seed", c_uint64), ("stream", c_uint64), ("position", c_int64)]


FUNCTIONS = {  # name: result, parameters
    "gpt2_version": (c_char_p,),
    "gpt2_strerror": (c_char_p, c_int32),
    "gpt2_model_params_init": (c_int32, POINTER(ModelParams), c_size_t),
    "gpt2_model_load": (c_int32, c_char_p, POINTER(ModelParams), POINTER(c_void_p)),
    "gpt2_model_load_sources": (c_int32, POINTER(Source), c_size_t, POINTER(ModelParams),
                                POINTER(c_void_p)),
    "gpt2_model_free": (None, c_void_p),
    "gpt2_model_info_init": (c_int32, POINTER(ModelInfo), c_size_t),
    "gpt2_model_get_info": (c_int32, c_void_p, POINTER(ModelInfo)),
    "gpt2_model_tokenizer": (c_void_p, c_void_p),
    "gpt2_decode": (c_int32, c_void_p, POINTER(c_int32), c_size_t, c_char_p, c_size_t,
                    POINTER(c_size_t), c_char_p, c_size_t),
    "gpt2_encoder_params_init": (c_int32, POINTER(EncoderParams), c_size_t),
    "gpt2_encoder_create": (c_int32, c_void_p, POINTER(EncoderParams), POINTER(c_void_p)),
    "gpt2_encoder_free": (None, c_void_p),
    "gpt2_encoder_error": (c_char_p, c_void_p),
    "gpt2_encode": (c_int32, c_void_p, c_char_p, c_size_t, c_uint32, POINTER(c_int32), c_size_t,
                    POINTER(c_size_t)),
    "gpt2_session_params_init": (c_int32, POINTER(SessionParams), c_size_t),
    "gpt2_session_create": (c_int32, c_void_p, POINTER(SessionParams), POINTER(c_void_p)),
    "gpt2_session_free": (None, c_void_p),
    "gpt2_session_reset": (c_int32, c_void_p),
    "gpt2_session_position": (c_int32, c_void_p),
    "gpt2_session_n_ctx": (c_int32, c_void_p),
    "gpt2_session_error": (c_char_p, c_void_p),
    "gpt2_session_cancel": (None, c_void_p),
    "gpt2_clock_ns": (c_uint64,),
    "gpt2_session_set_deadline": (c_int32, c_void_p, c_uint64),
    "gpt2_session_after_fork": (c_int32, c_void_p),
    "gpt2_session_logits": (c_int32, c_void_p, c_int32, POINTER(POINTER(c_float))),
    "gpt2_forward": (c_int32, c_void_p, POINTER(c_int32), c_size_t, c_size_t),
    "gpt2_sample_params_init": (c_int32, POINTER(SampleParams), c_size_t),
    "gpt2_sample": (c_int32, c_void_p, c_int32, POINTER(SampleParams), POINTER(c_int32)),
}


def _open_library() -> ctypes.CDLL:
    checkout = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    built = os.path.join(checkout, "build", "libgpt2.so")
    system = "libgpt2.so.1"  # with the number of the ABI that is declared here
    path = os.environ.get("GPT2_LIBRARY") or (built if os.path.exists(built) else system)
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        raise ImportError(f"{error}: `make` builds it, GPT2_LIBRARY names another one") from None
    for name, (result, *parameters) in FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, parameters
    return library


_lib = _open_library()


def _check(status: int, line: Optional[bytes] = None) -> None:
    if status != OK:
        raise Error(status, (line or _lib.gpt2_strerror(status)).decode("utf-8", "replace"))


def _params(struct: Any, init: Any, **fields: Any) -> Any:
    """A params struct with the library's defaults, but for `fields`."""
    params = struct()
    _check(init(byref(params), ctypes.sizeof(params)))
    for name, value in fields.items():
        setattr(params, name, value)
        if isinstance(value, int) and getattr(params, name) != value:  # ctypes cuts in silence
            raise OverflowError(f"{name} is {value}, too large for libgpt2")
    return params


class _Object:
    """An object of the library: freed with the last reference to it, as is what it `needs`."""

    def __init__(self, create: Any, free: Any, given: Tuple[Any, ...], params: Any,
                 needs: Any = None) -> None:
        line = ctypes.create_string_buffer(1024)
        params.errbuf, params.errbuf_size = ctypes.addressof(line), len(line)
        self._as_parameter_ = c_void_p()  # what ctypes passes to C in place of this object
        self._free, self._needs = free, needs
        _check(create(*given, byref(params), byref(self._as_parameter_)), line.value)

    def __del__(self) -> None:
        self._free(self._as_parameter_)


_session_objects: "weakref.WeakSet[_Object]" = weakref.WeakSet()


def _after_fork() -> None:
    for session in list(_session_objects):
        _lib.gpt2_session_after_fork(session)


os.register_at_fork(after_in_child=_after_fork)


def _ids(tokens: Iterable[int]) -> Any:
    """Tokens as an array of C; a number that is no int32 raises OverflowError."""
    numbers = array.array("i", tokens)
    return (c_int32 * len(numbers)).from_buffer(numbers)


File = Union[bytes, bytearray, memoryview, BinaryIO]
Progress = Callable[[int, int], Optional[bool]]


class _Buffer(ctypes.Structure):
    """Python's Py_buffer: it gives the address of bytes that are read-only, too."""
    _fields_ = [("buf", c_void_p), ("obj", c_void_p), ("len", ctypes.c_ssize_t),
                ("itemsize", ctypes.c_ssize_t), ("readonly", ctypes.c_int), ("ndim", ctypes.c_int),
                ("format", c_void_p), ("shape", c_void_p), ("strides", c_void_p),
                ("suboffsets", c_void_p), ("internal", c_void_p)]


class _Load:
    """What one load borrows.  It raises the first exception of a callback at its end."""

    def __init__(self) -> None:
        self.error: Optional[BaseException] = None
        self._buffers: List[_Buffer] = []

    def __enter__(self) -> "_Load":
        return self

    def __exit__(self, _: Any, error: Any, __: Any) -> None:
        for buffer in self._buffers:
            ctypes.pythonapi.PyBuffer_Release(byref(buffer))
        if self.error is not None and (error is None or isinstance(error, Error)):
            raise self.error from None

    def _safe(self, call: Callable[..., bool]) -> Callable[..., int]:
        def run(*arguments: Any) -> int:
            try:
                return int(call(*arguments))
            except BaseException as error:  # it must not go through C
                self.error = self.error or error
                return 1
        return run

    def progress(self, progress: Progress) -> Any:
        return ProgressCallback(self._safe(lambda _, done, total: bool(progress(done, total))))

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
        return ReadCallback(self._safe(read))

    def sources(self, files: Mapping[str, File]) -> Tuple[Any, int]:
        """The array of sources and its length."""
        sources = (Source * len(files))()
        for source, (name, file) in zip(sources, files.items()):
            source.name = name.encode()
            buffer = _Buffer()
            try:
                ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(file), byref(buffer), 0)
            except TypeError:  # no buffer
                if not hasattr(file, "read"):
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
    return _lib.gpt2_version().decode()


class Model:
    """Weights and tokenizer, for any number of sessions and threads."""

    def __init__(self, path: Union[str, "os.PathLike[str]"], threads: int = 1,
                 progress: Optional[Progress] = None) -> None:
        """Reads a Hugging Face directory.

        `threads` load it; 0: one per CPU.  `progress(done, total)` is called with how many bytes of
        the weights have been read.  If it returns True, the load ends with ERR_CANCELLED; an
        exception that it raises ends the load, too, and is raised here.
        """
        with _Load() as load:
            self._load(load, _lib.gpt2_model_load, (os.fsencode(path),), threads, progress)

    @classmethod
    def from_files(cls, files: Mapping[str, File], threads: int = 1,
                   progress: Optional[Progress] = None) -> "Model":
        """A model whose files are not in a directory: "config.json" and "model.safetensors", and
        "vocab.json" with "merges.txt" for a tokenizer.

        A file is bytes (or bytearray, mmap, any contiguous buffer), which are not copied, or a
        binary file object that can seek.  `threads` and `progress` are as in Model().
        """
        model = cls.__new__(cls)
        with _Load() as load:
            model._load(load, _lib.gpt2_model_load_sources, load.sources(files), threads, progress)
        return model

    def _load(self, load: _Load, function: Any, given: Tuple[Any, ...], threads: int,
              progress: Optional[Progress]) -> None:
        params = _params(ModelParams, _lib.gpt2_model_params_init, n_threads=threads)
        if progress is not None:
            params.progress = load.progress(progress)
        self._object: Optional[_Object] = _Object(function, _lib.gpt2_model_free, given, params)
        self.info = _params(ModelInfo, _lib.gpt2_model_info_init)
        _check(_lib.gpt2_model_get_info(self._object, byref(self.info)))

    def close(self) -> None:
        """Lets the model go; it is freed when its last session is.  Twice is as good as once."""
        self._object = None

    def __enter__(self) -> "Model":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _open(self) -> _Object:
        if self._object is None:
            raise ValueError("the model is closed")
        return self._object

    def _tokenizer(self) -> int:
        tokenizer = _lib.gpt2_model_tokenizer(self._open())
        if tokenizer is None:
            raise ValueError("the model has no tokenizer")
        return tokenizer

    def encode(self, text: Union[str, bytes], special: bool = False) -> List[int]:
        """The ids of a text.  `special`: "<|endoftext|>" in it is that one token."""
        data = text.encode() if isinstance(text, str) else text
        model, tokenizer = self._open(), self._tokenizer()
        params = _params(EncoderParams, _lib.gpt2_encoder_params_init,
                         max_piece_bytes=max(len(data), 1))  # enough for any text so long
        encoder = _Object(_lib.gpt2_encoder_create, _lib.gpt2_encoder_free, (tokenizer,), params,
                          model)
        ids, n_ids = (c_int32 * len(data))(), c_size_t()
        status = _lib.gpt2_encode(encoder, data, len(data), ENCODE_SPECIAL if special else 0,
                                  ids, len(ids), byref(n_ids))
        _check(status, _lib.gpt2_encoder_error(encoder))
        return ids[:n_ids.value]

    def decode_bytes(self, tokens: Iterable[int]) -> bytes:
        """The bytes of tokens: decode_bytes(encode(x)) == x for all bytes x."""
        model, tokenizer = self._open(), self._tokenizer()  # 'model' holds it until we are done
        ids, n_bytes = _ids(tokens), c_size_t()
        detail = ctypes.create_string_buffer(1024)
        status = _lib.gpt2_decode(tokenizer, ids, len(ids), None, 0, byref(n_bytes), detail,
                                  len(detail))
        if status != ERR_BUFFER:  # which tells the size
            _check(status, detail.value)
        text = ctypes.create_string_buffer(n_bytes.value)
        status = _lib.gpt2_decode(tokenizer, ids, len(ids), text, len(text), byref(n_bytes), detail,
                                  len(detail))
        _check(status, detail.value)
        return text.raw

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of tokens; bytes that are not UTF-8 become U+FFFD."""
        return self.decode_bytes(tokens).decode("utf-8", "replace")

    def session(self, threads: int = 1, n_ctx: int = 0, logit_rows: int = 1) -> "Session":
        """A new text.  `threads`: 0 for one per CPU.  `n_ctx`: positions it may reach, 0 for the
        model's most.  `logit_rows`: of how many last tokens forward() keeps the logits."""
        return Session(self, threads, n_ctx, logit_rows)


class Session:
    """A text being read and written.  One thread at a time may use it, but for cancel()."""

    def __init__(self, model: Model, threads: int = 1, n_ctx: int = 0, logit_rows: int = 1) -> None:
        self.model = model
        self._logit_rows = logit_rows
        params = _params(SessionParams, _lib.gpt2_session_params_init, n_threads=threads,
                         n_ctx=n_ctx, n_logit_rows=logit_rows)
        self._object: Optional[_Object] = _Object(
            _lib.gpt2_session_create, _lib.gpt2_session_free, (model._open(),), params,
            model._object)
        _session_objects.add(self._object)

    def close(self) -> None:
        """Lets the session go; it is freed with the last view of its logits."""
        self._object = None

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _open(self) -> _Object:
        if self._object is None:
            raise ValueError("the session is closed")
        return self._object

    def _call(self, function: Any, *arguments: Any) -> None:
        session = self._open()
        status = function(session, *arguments)
        if status != OK:
            _check(status, _lib.gpt2_session_error(session))

    @property
    def position(self) -> int:
        """Tokens run so far."""
        return _lib.gpt2_session_position(self._open())

    @property
    def n_ctx(self) -> int:
        """Positions that the text may reach."""
        return _lib.gpt2_session_n_ctx(self._open())

    def reset(self) -> None:
        """Starts a new, empty text."""
        self._call(_lib.gpt2_session_reset)

    def cancel(self) -> None:
        """Ends the forward() that another thread runs, or else the next, with ERR_CANCELLED."""
        _lib.gpt2_session_cancel(self._open())

    def set_timeout(self, seconds: Optional[float]) -> None:
        """A forward() that runs `seconds` from now ends with ERR_DEADLINE; None: no such end."""
        deadline = 0 if seconds is None else _lib.gpt2_clock_ns() + max(0, int(seconds * 1e9))
        self._call(_lib.gpt2_session_set_deadline, deadline)

    def forward(self, tokens: Iterable[int]) -> memoryview:
        """Appends tokens, one or more, to the text and runs them.  Returns logits() of the last."""
        ids = _ids(tokens)
        self._call(_lib.gpt2_forward, ids, len(ids), self._logit_rows)
        return self.logits()

    def logits(self, row: int = LAST_ROW) -> memoryview:
        """The n_vocab logits after token `row` of the last forward(): one of its last `logit_rows`.

        A read-only view of floats without a copy: numpy.asarray(view), view.tolist(), view[id].
        Its floats are good until the next call of the session, and its memory for as long as the
        view lives, even when the session is closed.
        """
        start = POINTER(c_float)()
        self._call(_lib.gpt2_session_logits, row, byref(start))
        floats = (c_float * self.model.info.n_vocab).from_address(ctypes.addressof(start.contents))
        floats.owner = self._object
        return memoryview(floats).cast("B").cast("f").toreadonly()

    def sample(self, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0, seed: int = 0,
               stream: int = 0, row: int = LAST_ROW) -> int:
        """Draws the next token, and does not run it.  `temperature` 0: the likeliest."""
        params = _params(SampleParams, _lib.gpt2_sample_params_init, temperature=temperature,
                         top_k=top_k, top_p=top_p, seed=seed, stream=stream)
        token = c_int32()
        self._call(_lib.gpt2_sample, row, byref(params), byref(token))
        return token.value

    def generate(self, prompt: Union[str, bytes] = "", n: int = 128, temperature: float = 1.0,
                 top_k: int = 0, top_p: float = 1.0, seed: int = 0,
                 stream: int = 0) -> Iterator[str]:
        """Runs the prompt and yields what follows it, in pieces of whole characters.

        Ends after `n` tokens, before <|endoftext|>, or when the context is full.  What has been
        yielded has been run: another generate() goes on from there.  A text that begins with an
        empty prompt begins with <|endoftext|>.
        """
        text = codecs.getincrementaldecoder("utf-8")("replace")
        ids = self.model.encode(prompt)
        if not ids and self.position == 0:
            if self.model.info.eot_token < 0:
                raise ValueError("the prompt is empty and the model has no <|endoftext|>: "
                                 "give a prompt")
            ids = [self.model.info.eot_token]
        if ids:
            self.forward(ids)
        context_is_full = False
        for _ in range(n):
            token = self.sample(temperature, top_k, top_p, seed, stream)
            if token == self.model.info.eot_token:
                break
            context_is_full = self.position == self.n_ctx  # the last token needs no position
            if not context_is_full:
                self.forward([token])
            piece = text.decode(self.model.decode_bytes([token]))
            if piece:
                yield piece
            if context_is_full:
                break
        rest = text.decode(b"", final=True)
        if rest:
            yield rest


def likeliest(logits: memoryview, n: int) -> List[Tuple[int, float]]:
    """The `n` likeliest tokens and their probabilities."""
    best = heapq.nlargest(n, range(len(logits)), key=logits.__getitem__)
    total = sum(math.exp(x - logits[best[0]]) for x in logits)
    return [(token, math.exp(logits[token] - logits[best[0]]) / total) for token in best]


# ------------------------------------------------------------------------------- a demo

def main(model_path: str = "examples/demo-model", prompt: str = "Once upon a time") -> None:
    with Model(model_path) as model, model.session() as session:
        print(prompt, end="")
        for piece in session.generate(prompt, n=50, temperature=0.8, top_k=40):
            print(piece, end="", flush=True)
        print("\n\nAfter this may come")
        for token, probability in likeliest(session.logits(), 5):
            print(f"{probability:8.2%}  {json.dumps(model.decode([token]), ensure_ascii=False)}")


if __name__ == "__main__":
    if len(sys.argv) > 3:
        sys.exit("usage: gpt2.py [MODEL] [PROMPT]")
    try:
        main(*sys.argv[1:])
    except (Error, ValueError) as error:
        sys.exit(f"gpt2.py: {error}")
