"""Models: weights and tokenizer."""
import ctypes
import os
import threading
from ctypes import byref, c_int32, c_size_t
from typing import (TYPE_CHECKING, Any, BinaryIO, Callable, Iterable, List, Mapping, NamedTuple,
                    Optional, Tuple, Union, overload)

from . import c
from .session import Session

if TYPE_CHECKING:
    from .score import Scores, Surprisal

File = Union[bytes, bytearray, memoryview, BinaryIO]
Progress = Callable[[int, int], Optional[bool]]


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


class Offsets(NamedTuple):
    """Where a token is in a text, in bytes and in characters; `end` is behind it."""
    first_byte: int
    end_byte: int
    first_char: int
    end_char: int


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
            weight_type=c.choice("weight_type", weight_type, {
                "file": c.TYPE_AS_FILE, "f32": c.TYPE_F32, "f16": c.TYPE_F16,
                "bf16": c.TYPE_BF16, "q8": c.TYPE_Q8, "q4": c.TYPE_Q4}))
        if progress is not None:
            params.progress = load.progress(progress)
        self._object: Optional[c.Object] = c.Object(function, c.lib.gpt2_model_free, given, params)
        self.info: c.ModelInfo = c.params_of(c.ModelInfo, c.lib.gpt2_model_info_init)
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

        The weights keep the types that they have in memory.  Model(path) opens a native file at
        once.  Other names are "model.safetensors" and "config.json" for transformers, and
        "model.gguf".
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
        if status != c.ERR_BUFFER:  # which tells the size
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

    @overload
    def score(self, texts: Union[str, bytes], prefix: Any = "", **options: Any) -> "Scores": ...

    @overload
    def score(self, texts: Iterable[Union[str, bytes]], prefix: Any = "",
              **options: Any) -> "List[Scores]": ...

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
                on_full: str = "stop", n_keep: int = 0) -> Session:
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
