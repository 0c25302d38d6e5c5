"""The C interface of libgpt2, by ctypes: what include/gpt2.h declares, and how it is called.

The shared library is the one that the environment variable GPT2_LIBRARY names, else libgpt2.so
beside this file, which an installed package has, else build/libgpt2.so of the checkout that this
file lies in, else the system's.
"""
import array
import contextlib
import ctypes
import os
import weakref
from ctypes import (POINTER, byref, c_char_p, c_float, c_int32, c_int64, c_size_t, c_uint8,
                    c_uint32, c_uint64, c_void_p)
from typing import Any, Callable, Dict, Iterable, Iterator, Optional, Tuple

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
TAP_COUNT = 14
LAST_ROW = -1
TYPE_F32 = 0
TYPE_F16 = 1
TYPE_BF16 = 2
TYPE_Q8 = 3
TYPE_Q4 = 4
TYPE_F64 = 5
TYPE_Q4_0 = 6
TYPE_Q4_1 = 7
TYPE_Q5_0 = 8
TYPE_Q5_1 = 9
TYPE_Q4_K = 10
TYPE_Q5_K = 11
TYPE_Q6_K = 12
TYPE_AS_FILE = -1
FULL_STOP = 0
FULL_SHIFT = 1
FILE_MAP = 0
FILE_READ = 1
FINISH_NOT_YET = 0
FINISH_TOKEN = 1
FINISH_STRING = 2
FINISH_LENGTH = 3
FINISH_CONTEXT = 4
FINISH_PAGES = 5
FINISH_CANCELLED = 6
FINISH_DEADLINE = 7
FINISH_ERROR = 8

__all__ = ["Error", "ERR_ARGUMENT", "ERR_TOKEN", "ERR_CONTEXT", "ERR_ROW", "ERR_BUFFER",
           "ERR_PIECE", "ERR_SEQUENCE", "ERR_PAGES", "ERR_STATE", "ERR_MEMORY", "ERR_THREAD",
           "ERR_FILE", "ERR_FORMAT", "ERR_UNSUPPORTED", "ERR_CANCELLED", "ERR_DEADLINE",
           "ERR_NONFINITE"]


class Error(Exception):
    """A call of the library failed: `status` is one of ERR_*, `line` says what went wrong."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(status, line)
        self.status = status
        self.line = line

    def __str__(self) -> str:
        return self.line


ReadCallback = ctypes.CFUNCTYPE(c_int32, c_void_p, c_uint64, c_void_p, c_size_t, POINTER(c_size_t))
ProgressCallback = ctypes.CFUNCTYPE(c_int32, c_void_p, c_uint64, c_uint64)
WriteCallback = ctypes.CFUNCTYPE(c_int32, c_void_p, c_void_p, c_size_t)
LogitsCallback = ctypes.CFUNCTYPE(c_int32, c_void_p, c_int64, c_void_p, c_int32)


class Source(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("bytes", c_void_p), ("n_bytes", c_uint64),
                ("read", ReadCallback), ("user", c_void_p)]


class ModelParams(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("n_threads", c_int32),
                ("errbuf", c_void_p), ("errbuf_size", c_size_t),
                ("progress", ProgressCallback), ("progress_user", c_void_p),
                ("weight_type", c_int32), ("file_access", c_int32),
                ("shortlist", c_int32), ("reserved", c_int32)]


class ModelInfo(ctypes.Structure):
    """What gpt2.h says of gpt2_model_info."""
    n_vocab: int
    n_positions: int
    n_embd: int
    n_layer: int
    n_head: int
    n_inner: int
    activation: int
    tied_head: int
    weight_type: int
    eot_token: int
    layer_norm_epsilon: float
    n_parameters: int
    memory_bytes: int
    memory_type: int
    n_kv_head: int
    file_types: int
    _fields_ = [("struct_size", c_uint32), ("n_vocab", c_int32), ("n_positions", c_int32),
                ("n_embd", c_int32), ("n_layer", c_int32), ("n_head", c_int32),
                ("n_inner", c_int32), ("activation", c_int32), ("tied_head", c_int32),
                ("weight_type", c_int32), ("eot_token", c_int32), ("layer_norm_epsilon", c_float),
                ("n_parameters", c_uint64), ("memory_bytes", c_uint64),
                ("memory_type", c_int32), ("n_kv_head", c_int32),
                ("file_types", c_uint32), ("reserved", c_int32)]

    def __repr__(self) -> str:
        names = [field[0] for field in self._fields_]
        fields = [f"{name}={getattr(self, name)}" for name in names
                  if name not in ("struct_size", "reserved")]
        return f"ModelInfo({', '.join(fields)})"


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
                ("callback", LogitsCallback), ("callback_user", c_void_p)]


class Candidate(ctypes.Structure):
    _fields_ = [("id", c_int32), ("probability", c_float)]


class GeneratorParams(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("ignore_eot", c_int32),
                ("stop_ids", POINTER(c_int32)), ("n_stop_ids", c_size_t),
                ("stop_strings", POINTER(c_char_p)), ("n_stop_strings", c_size_t),
                ("errbuf", c_void_p), ("errbuf_size", c_size_t),
                ("shortlist", c_int32), ("draft_max", c_int32)]


class Generated(ctypes.Structure):
    _fields_ = [("id", c_int32), ("finish", c_int32), ("text", c_void_p), ("n_bytes", c_size_t)]


class Offsets(ctypes.Structure):
    """Where a token is in a text: what gpt2.h says of gpt2_offsets."""
    _fields_ = [("first_byte", c_size_t), ("end_byte", c_size_t), ("first_char", c_size_t),
                ("end_char", c_size_t)]


class ScoreParams(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("n_likeliest", c_int32),
                ("class_mask", POINTER(c_uint8))]


class TokenScore(ctypes.Structure):
    _fields_ = [("id", c_int32), ("rank", c_int32), ("logprob", ctypes.c_double),
                ("entropy", ctypes.c_double), ("class_prob", ctypes.c_double)]


class TokenLogprob(ctypes.Structure):
    _fields_ = [("id", c_int32), ("logprob", c_float)]


class ScoreItem(ctypes.Structure):
    _fields_ = [("sequence", c_int32), ("reserved", c_int32), ("tokens", c_void_p),
                ("n_tokens", c_size_t), ("n_prefix", c_size_t), ("scores", c_void_p),
                ("likeliest", c_void_p)]


class Tap(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("kind", c_int32), ("layer", c_int32),
                ("head", c_int32), ("first_row", c_int32), ("first_position", c_int32),
                ("n_rows", c_int32), ("n_columns", c_int32), ("row_stride", c_size_t),
                ("data", c_void_p), ("sequence", c_int32), ("reserved", c_int32)]


TapCallback = ctypes.CFUNCTYPE(c_int32, c_void_p, POINTER(Tap))

FUNCTIONS = {  # name: result, parameters
    "gpt2_version": (c_char_p,),
    "gpt2_strerror": (c_char_p, c_int32),
    "gpt2_model_params_init": (c_int32, POINTER(ModelParams), c_size_t),
    "gpt2_model_load": (c_int32, c_char_p, POINTER(ModelParams), POINTER(c_void_p)),
    "gpt2_model_load_sources": (c_int32, POINTER(Source), c_size_t, POINTER(ModelParams),
                                POINTER(c_void_p)),
    "gpt2_model_tensor": (c_int32, c_void_p, c_char_p, POINTER(c_int64), POINTER(c_float), c_size_t,
                          c_char_p, c_size_t),
    "gpt2_model_write": (c_int32, c_void_p, c_char_p, WriteCallback, c_void_p, c_char_p, c_size_t),
    "gpt2_model_free": (None, c_void_p),
    "gpt2_model_info_init": (c_int32, POINTER(ModelInfo), c_size_t),
    "gpt2_model_get_info": (c_int32, c_void_p, POINTER(ModelInfo)),
    "gpt2_model_tokenizer": (c_void_p, c_void_p),
    "gpt2_model_tokenizer_error": (c_char_p, c_void_p),
    "gpt2_tokenizer_bos": (c_int32, c_void_p),
    "gpt2_decode": (c_int32, c_void_p, POINTER(c_int32), c_size_t, c_char_p, c_size_t,
                    POINTER(c_size_t), c_char_p, c_size_t),
    "gpt2_token_offsets": (c_int32, c_void_p, POINTER(c_int32), c_size_t, POINTER(Offsets)),
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
    "gpt2_sample_logits": (c_int32, c_void_p, c_void_p, POINTER(SampleParams), POINTER(c_int32)),
    "gpt2_sample_candidates": (c_int32, c_void_p, c_void_p, POINTER(SampleParams),
                               POINTER(Candidate), c_size_t, POINTER(c_size_t)),
    "gpt2_generator_params_init": (c_int32, POINTER(GeneratorParams), c_size_t),
    "gpt2_generator_create": (c_int32, c_void_p, POINTER(GeneratorParams), POINTER(c_void_p)),
    "gpt2_generator_free": (None, c_void_p),
    "gpt2_generator_start": (c_int32, c_void_p, c_int32, POINTER(c_int32), c_size_t, c_int64,
                             POINTER(SampleParams)),
    "gpt2_generator_step": (c_int32, POINTER(c_void_p), c_size_t, POINTER(Generated)),
    "gpt2_generator_error": (c_char_p, c_void_p),
    "gpt2_generator_drafted": (c_int32, c_void_p, POINTER(c_uint64), POINTER(c_uint64)),
    "gpt2_score_params_init": (c_int32, POINTER(ScoreParams), c_size_t),
    "gpt2_score": (c_int32, c_void_p, POINTER(ScoreItem), c_size_t, POINTER(ScoreParams)),
    "gpt2_score_logits": (c_int32, c_void_p, c_void_p, c_int32, POINTER(ScoreParams),
                          POINTER(TokenScore), POINTER(TokenLogprob)),
    "gpt2_session_set_tap": (c_int32, c_void_p, TapCallback, c_void_p, c_uint32),
    "gpt2_tap_name": (c_int32, c_int32, c_int32, c_char_p, c_size_t),
}


def _open_library() -> ctypes.CDLL:
    here = os.path.dirname(os.path.abspath(__file__))
    built = [os.path.join(here, *path, "libgpt2.so") for path in ((), ("..", "..", "..", "build"))]
    system = "libgpt2.so.1"  # with the number of the ABI that is declared here
    path = os.environ.get("GPT2_LIBRARY") or next(filter(os.path.exists, built), system)
    try:
        library = ctypes.CDLL(path)
    except OSError as error:
        raise ImportError(f"{error}: `make` builds it, GPT2_LIBRARY names another one") from None
    for name, (result, *parameters) in FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, parameters
    return library


lib = _open_library()


def check(status: int, line: Optional[bytes] = None) -> None:
    if status != OK:
        raise Error(status, (line or lib.gpt2_strerror(status)).decode("utf-8", "replace"))


def _tap_kind(kind: int) -> str:
    name = ctypes.create_string_buffer(32)
    check(lib.gpt2_tap_name(kind, 0, name, len(name)))
    return name.value.decode().replace("h.0.", "")


TAP_KINDS = [_tap_kind(kind) for kind in range(TAP_COUNT)]  # "embed", "ln_1", "attn.qkv", ...


def params_of(struct: Any, init: Any, **fields: Any) -> Any:
    """A params struct with the library's defaults, but for `fields`."""
    params = struct()
    check(init(byref(params), ctypes.sizeof(params)))
    set_fields(params, **fields)
    return params


def set_fields(struct: Any, **fields: Any) -> None:
    for name, value in fields.items():
        setattr(struct, name, value)
        if isinstance(value, int) and getattr(struct, name) != value:  # ctypes cuts in silence
            raise OverflowError(f"{name} is {value}, outside the range of its type in gpt2.h")


def score_params(n_vocab: int, n_likeliest: int, class_ids: Optional[Iterable[int]]) -> Any:
    """A ScoreParams; `class_ids`: the tokens of a class, None for none."""
    params = params_of(ScoreParams, lib.gpt2_score_params_init, n_likeliest=n_likeliest)
    if class_ids is not None:
        mask = (c_uint8 * -(-n_vocab // 8))()
        for id_ in class_ids:
            if not 0 <= id_ < n_vocab:
                raise ValueError(f"class_ids has {id_}, wanted 0 to {n_vocab - 1}")
            mask[id_ // 8] |= 1 << id_ % 8
        params.class_mask = mask
    return params


def choice(name: str, value: str, choices: Dict[str, int]) -> int:
    if value not in choices:
        raise ValueError(f"{name} is {value!r}, wanted {' or '.join(map(repr, choices))}")
    return choices[value]


class Object:
    """An object of the library: freed with the last reference to it, as is what it `needs`."""

    def __init__(self, create: Any, free: Any, given: Tuple[Any, ...], params: Any,
                 needs: Any = None) -> None:
        line = ctypes.create_string_buffer(1024)
        params.errbuf, params.errbuf_size = ctypes.addressof(line), len(line)
        self._as_parameter_ = c_void_p()  # what ctypes passes to C in place of this object
        self._free, self._needs = free, needs
        check(create(*given, byref(params), byref(self._as_parameter_)), line.value)

    def __del__(self) -> None:
        self._free(self._as_parameter_)


session_objects: "weakref.WeakSet[Object]" = weakref.WeakSet()


def _after_fork() -> None:
    for session in list(session_objects):
        lib.gpt2_session_after_fork(session)


os.register_at_fork(after_in_child=_after_fork)


def ids_of(tokens: Iterable[int], call: str) -> Any:
    """Tokens as an array of C, for `call`; a number that is no int32 raises OverflowError."""
    if isinstance(tokens, (str, bytes, bytearray)):
        raise TypeError(f"{call} wants a list of ids; encode() makes them from a text")
    try:
        numbers = array.array("i", tokens)
    except TypeError as error:
        raise TypeError(f"{call} wants a list of ids: {error}") from None
    return (c_int32 * len(numbers)).from_buffer(numbers)


class Buffer(ctypes.Structure):
    """Python's Py_buffer: it gives the address of bytes that are read-only, too."""
    _fields_ = [("buf", c_void_p), ("obj", c_void_p), ("len", ctypes.c_ssize_t),
                ("itemsize", ctypes.c_ssize_t), ("readonly", ctypes.c_int), ("ndim", ctypes.c_int),
                ("format", c_void_p), ("shape", c_void_p), ("strides", c_void_p),
                ("suboffsets", c_void_p), ("internal", c_void_p)]


@contextlib.contextmanager
def borrowed(data: Any) -> Iterator[Buffer]:
    """The buffer of an object, which stays in place until the end."""
    buffer = Buffer()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(data), byref(buffer), 0)
    try:
        yield buffer
    finally:
        ctypes.pythonapi.PyBuffer_Release(byref(buffer))


class Callbacks:
    """The callbacks of one call.  It raises the first exception of one of them at its end."""

    def __init__(self) -> None:
        self.error: Optional[BaseException] = None

    def __enter__(self) -> Any:
        return self

    def __exit__(self, _: Any, error: Any, __: Any) -> None:
        if self.error is not None and (error is None or isinstance(error, Error)):
            raise self.error from None

    def raise_error(self) -> None:
        """Raises the exception of a callback, once."""
        if self.error is not None:
            error, self.error = self.error, None
            raise error

    def safe(self, call: Callable[..., bool]) -> Callable[..., int]:
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
        return WriteCallback(self.safe(write_all))

    def logits(self, call: "Callable[[int, memoryview[float]], Optional[bool]]") -> Any:
        def change(_: Any, position: int, address: int, n_vocab: int) -> bool:
            floats = (c_float * n_vocab).from_address(address)
            return bool(call(position, memoryview(floats).cast("B").cast("f")))
        return LogitsCallback(self.safe(change))

    def taps(self, call: Callable[[Tap], Optional[bool]]) -> Any:
        return TapCallback(self.safe(lambda _, tap: bool(call(tap.contents))))
