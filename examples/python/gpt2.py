"""libgpt2 from Python: one file, nothing but the standard library.

    import gpt2

    model = gpt2.Model("examples/demo-model")
    with model.session(threads=2) as session:
        for piece in session.generate("Once upon", n=50, temperature=0.8, seed=1):
            print(piece, end="", flush=True)

A model also loads from memory or from open files, without a directory:

    model = gpt2.Model.from_files({"config.json": config, "model.safetensors": open(path, "rb"),
                                   "vocab.json": vocab, "merges.txt": merges})

A session holds several texts, and runs them together:

    with model.session(n_sequences=2) as session:
        session.forward(model.encode("Once upon"))
        with session.first.fork() as other:
            rows = session.forward_batch([(session.first, model.encode(" a time"), 1),
                                          (other, model.encode(" a hill"), 1)])
            best = gpt2.likeliest(rows[1][-1], 5)        # what may come next in 'other'

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
from typing import (Any, BinaryIO, Callable, Dict, Iterable, Iterator, List, Mapping, Optional,
                    Tuple, Union)

__all__ = ["Model", "Session", "Sequence", "Error", "likeliest", "version"]

OK = 0
ERR_ARGUMENT = -1
ERR_TOKEN = -2
ERR_CONTEXT = -3
ERR_ROW = -4
ERR_BUFFER = -5
ERR_PIECE = -6
ERR_SEQUENCE = -7
ERR_PAGES = -8
ERR_STATE = -9
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
TYPE_F32 = 0
TYPE_F16 = 1
FULL_STOP = 0
FULL_SHIFT = 1


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
WriteCallback = ctypes.CFUNCTYPE(c_int32, c_void_p, c_void_p, c_size_t)


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
                ("parallel_for", c_void_p), ("parallel_for_user", c_void_p),
                ("n_sequences", c_int32), ("n_pages", c_int32), ("kv_type", c_int32),
                ("on_full", c_int32), ("n_keep", c_int32), ("reserved", c_int32)]


class BatchItem(ctypes.Structure):
    _fields_ = [("sequence", c_int32), ("reserved", c_int32), ("tokens", c_void_p),
                ("n_tokens", c_size_t), ("n_logit_rows", c_size_t)]


class SampleParams(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("temperature", c_float), ("top_k", c_int32),
                ("top_p", c_float), ("seed", c_uint64), ("stream", c_uint64), ("position", c_int64),
                ("top_n_sigma", c_float), ("min_p", c_float), ("typical_p", c_float),
                ("xtc_probability", c_float), ("xtc_threshold", c_float),
                ("mirostat_tau", c_float), ("mirostat_eta", c_float),
                ("penalty_window", c_int32), ("ignores_prompt", c_int32),
                ("repetition_penalty", c_float), ("frequency_penalty", c_float),
                ("presence_penalty", c_float), ("dry_multiplier", c_float), ("dry_base", c_float),
                ("dry_allowed_length", c_int32), ("no_repeat_ngram_size", c_int32),
                ("mirostat_mu", POINTER(c_float)), ("bias", POINTER(c_float)),
                ("bias_ids", POINTER(c_int32)), ("bias_values", POINTER(c_float)),
                ("n_biases", c_size_t), ("history", POINTER(c_int32)), ("n_history", c_size_t),
                ("dry_breakers", POINTER(c_int32)), ("n_dry_breakers", c_size_t),
                ("banned_ids", POINTER(c_int32)), ("n_banned", c_size_t),
                ("allowed_ids", POINTER(c_int32)), ("n_allowed", c_size_t),
                ("callback", c_void_p), ("callback_user", c_void_p)]


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
    "gpt2_session_n_free_pages": (c_int32, c_void_p),
    "gpt2_forward": (c_int32, c_void_p, POINTER(c_int32), c_size_t, c_size_t),
    "gpt2_forward_batch": (c_int32, c_void_p, POINTER(BatchItem), c_size_t),
    "gpt2_batch_logits": (c_int32, c_void_p, c_size_t, c_int32, POINTER(POINTER(c_float))),
    "gpt2_sequence_open": (c_int32, c_void_p, POINTER(c_int32)),
    "gpt2_sequence_close": (c_int32, c_void_p, c_int32),
    "gpt2_sequence_fork": (c_int32, c_void_p, c_int32, c_int32, POINTER(c_int32)),
    "gpt2_sequence_truncate": (c_int32, c_void_p, c_int32, c_int32),
    "gpt2_sequence_position": (c_int32, c_void_p, c_int32, POINTER(c_int32)),
    "gpt2_sequence_ids": (c_int32, c_void_p, c_int32, POINTER(POINTER(c_int32)),
                          POINTER(c_size_t)),
    "gpt2_sequence_save": (c_int32, c_void_p, c_int32, c_void_p, c_size_t, POINTER(c_size_t)),
    "gpt2_sequence_write": (c_int32, c_void_p, c_int32, WriteCallback, c_void_p),
    "gpt2_sequence_restore": (c_int32, c_void_p, c_int32, c_void_p, c_size_t),
    "gpt2_sample_params_init": (c_int32, POINTER(SampleParams), c_size_t),
    "gpt2_batch_sample": (c_int32, c_void_p, c_size_t, c_int32, POINTER(SampleParams),
                          POINTER(c_int32)),
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
    _set(params, **fields)
    return params


def _set(struct: Any, **fields: Any) -> None:
    for name, value in fields.items():
        setattr(struct, name, value)
        if isinstance(value, int) and getattr(struct, name) != value:  # ctypes cuts in silence
            raise OverflowError(f"{name} is {value}, outside the range of its type in gpt2.h")


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


class _Callbacks:
    """The callbacks of one call.  It raises the first exception of one of them at its end."""

    def __init__(self) -> None:
        self.error: Optional[BaseException] = None

    def __enter__(self) -> Any:
        return self

    def __exit__(self, _: Any, error: Any, __: Any) -> None:
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

    def writer(self, write: Callable[[bytes], Optional[int]]) -> Any:
        def write_all(_: Any, address: int, n_bytes: int) -> bool:
            n_written = write(ctypes.string_at(address, n_bytes))
            if n_written is not None and n_written != n_bytes:
                raise OSError(f"write() took {n_written} bytes of {n_bytes}")
            return False
        return WriteCallback(self._safe(write_all))


class _Load(_Callbacks):
    """What one load borrows."""

    def __init__(self) -> None:
        super().__init__()
        self._buffers: List[_Buffer] = []

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        for buffer in self._buffers:
            ctypes.pythonapi.PyBuffer_Release(byref(buffer))
        super().__exit__(kind, error, trace)

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
        self._shifts = on_full == "shift"
        params = _params(
            SessionParams, _lib.gpt2_session_params_init, n_threads=threads, n_ctx=n_ctx,
            n_logit_rows=logit_rows, n_sequences=n_sequences, n_pages=n_pages,
            kv_type=_choice("kv_type", kv_type, {"f32": TYPE_F32, "f16": TYPE_F16}),
            on_full=_choice("on_full", on_full, {"stop": FULL_STOP, "shift": FULL_SHIFT}),
            n_keep=n_keep)
        self._object: Optional[_Object] = _Object(
            _lib.gpt2_session_create, _lib.gpt2_session_free, (model._open(),), params,
            model._object)
        _session_objects.add(self._object)
        self._dropped: List[int] = []  # open sequences without a Sequence; a new list at each reset

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

    def _ready(self) -> _Object:
        """The session, after it has closed the sequences that nothing refers to."""
        session = self._open()
        while self._dropped:
            number = self._dropped.pop()
            if _lib.gpt2_sequence_close(session, number) != OK:  # file.write() of a save called
                self._dropped.append(number)
                break
        return session

    def _call(self, function: Any, *arguments: Any) -> None:
        session = self._ready()
        for value, kind in zip(arguments, function.argtypes[1:]):
            if isinstance(value, int) and kind(value).value != value:  # ctypes cuts in silence
                raise OverflowError(f"{function.__name__}: {value} is outside the range of {kind}")
        status = function(session, *arguments)
        if status != OK:
            _check(status, _lib.gpt2_session_error(session))

    @property
    def position(self) -> int:
        """Tokens run so far: the position of the next one."""
        return _lib.gpt2_session_position(self._open())

    @property
    def n_ctx(self) -> int:
        """Max positions of a text."""
        return _lib.gpt2_session_n_ctx(self._open())

    @property
    def n_free_pages(self) -> int:
        """Pages of the KV cache that no sequence uses."""
        return _lib.gpt2_session_n_free_pages(self._ready())

    @property
    def first(self) -> "Sequence":
        """Sequence 0, the text of forward() and generate().  Closing it empties it."""
        return Sequence(self, 0)

    def sequence(self) -> "Sequence":
        """Opens an empty sequence."""
        number = c_int32()
        self._call(_lib.gpt2_sequence_open, byref(number))
        return Sequence(self, number.value)

    def reset(self) -> None:
        """Starts a new, empty text, and closes all other sequences."""
        self._call(_lib.gpt2_session_reset)
        self._dropped = []

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

    def forward_batch(self, items: Iterable[Tuple["Sequence", Iterable[int], int]]
                      ) -> List[List[memoryview]]:
        """forward() of several sequences together: items are (sequence, tokens, logit_rows).

        Returns a list for each item: the logits of its last `logit_rows` tokens, each as from
        logits().  More than it has tokens means all.  Each sequence gets the bits that it gets
        alone.  All or nothing: if it fails, every sequence is as before.
        """
        given = [(sequence._number_in(self), _ids(tokens), n_rows)
                 for sequence, tokens, n_rows in items]
        batch = (BatchItem * len(given))()
        for item, (number, ids, n_rows) in zip(batch, given):
            _set(item, sequence=number, n_tokens=len(ids), n_logit_rows=n_rows)
            item.tokens = ctypes.addressof(ids)
        self._call(_lib.gpt2_forward_batch, batch, len(batch))
        return [[self.logits(row, item) for row in range(max(0, len(ids) - n_rows), len(ids))]
                for item, (_, ids, n_rows) in enumerate(given)]

    def logits(self, row: int = LAST_ROW, item: int = 0) -> memoryview:
        """The n_vocab logits after token `row` of the last forward(), or of item `item` of the last
        forward_batch(): one of those that it kept.

        A read-only view of floats without a copy: numpy.asarray(view), view.tolist(), view[id].
        Its floats are good until the next call of the session, and its memory for as long as the
        view lives, even when the session is closed.
        """
        start = POINTER(c_float)()
        self._call(_lib.gpt2_batch_logits, item, row, byref(start))
        floats = (c_float * self.model.info.n_vocab).from_address(ctypes.addressof(start.contents))
        floats.owner = self._object
        return memoryview(floats).cast("B").cast("f").toreadonly()

    def sample(self, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0, seed: int = 0,
               stream: int = 0, row: int = LAST_ROW, item: int = 0) -> int:
        """Draws the next token, and does not run it.  `temperature` 0: the likeliest.  `row` and
        `item` are as in logits()."""
        params = _params(SampleParams, _lib.gpt2_sample_params_init, temperature=temperature,
                         top_k=top_k, top_p=top_p, seed=seed, stream=stream)
        token = c_int32()
        self._call(_lib.gpt2_batch_sample, item, row, byref(params), byref(token))
        return token.value

    def generate(self, prompt: Union[str, bytes] = "", n: int = 128, temperature: float = 1.0,
                 top_k: int = 0, top_p: float = 1.0, seed: int = 0,
                 stream: int = 0) -> Iterator[str]:
        """Runs the prompt and yields what follows it, in pieces of whole characters.

        Ends after `n` tokens, before <|endoftext|>, or when the context is full, unless the session
        shifts.  What has been yielded has been run: another generate() goes on from there.  A text
        that begins with an empty prompt begins with <|endoftext|>.
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
            # the last token needs no position
            context_is_full = self.position == self.n_ctx and not self._shifts
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

    def close(self) -> None:
        """Frees what no other sequence uses.  Twice is as good as once.  Logits stay."""
        if self._is_open():
            self._call(_lib.gpt2_sequence_close)
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
    def position(self) -> int:
        """Tokens of the text, those that "shift" cut off included: the position of the next one."""
        position = c_int32()
        self._call(_lib.gpt2_sequence_position, byref(position))
        return position.value

    @property
    def ids(self) -> List[int]:
        """The tokens in the context: the whole text, or what "shift" left of it."""
        ids, n_ids = POINTER(c_int32)(), c_size_t()
        self._call(_lib.gpt2_sequence_ids, byref(ids), byref(n_ids))
        return ids[:n_ids.value]

    def fork(self, position: Optional[int] = None) -> "Sequence":
        """A new sequence with the first `position` tokens of this one; None: with all.  It shares
        their keys and values."""
        number = c_int32()
        self._call(_lib.gpt2_sequence_fork, self.position if position is None else position,
                   byref(number))
        return Sequence(self._session, number.value)

    def truncate(self, position: int) -> None:
        """Takes back all tokens from `position` on."""
        self._call(_lib.gpt2_sequence_truncate, position)

    def save(self) -> bytes:
        """Its state as bytes: tokens, keys and values, for restore() here or in another process."""
        n_bytes = c_size_t()
        try:
            self._call(_lib.gpt2_sequence_save, None, 0, byref(n_bytes))
        except Error as error:
            if error.status != ERR_BUFFER:  # which tells the size
                raise
        state = ctypes.create_string_buffer(n_bytes.value)
        self._call(_lib.gpt2_sequence_save, state, len(state), byref(n_bytes))
        return state.raw

    def write(self, file: Any) -> None:
        """Writes what save() returns to a file object, in pieces: file.write(bytes).

        If it raises an exception, this ends with it.  The session stays as it was; the file has a
        part of the state, which restore() refuses.  file.write() must not use the session.
        """
        with _Callbacks() as callbacks:
            self._call(_lib.gpt2_sequence_write, callbacks.writer(file.write), None)

    def restore(self, state: Union[bytes, bytearray, memoryview]) -> None:
        """Makes it the sequence that was saved.  It has no logits before its next token has run."""
        buffer = _Buffer()
        ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(state), byref(buffer), 0)
        try:
            self._call(_lib.gpt2_sequence_restore, buffer.buf, buffer.len)
        finally:
            ctypes.pythonapi.PyBuffer_Release(byref(buffer))


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
