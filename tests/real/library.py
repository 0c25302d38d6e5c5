"""libgpt2.so through ctypes, as far as check_real.py and quality.py need it.  Standard library only."""
import array
import ctypes as c
import hashlib
import math

LAST_ROW = -1
ENCODE_SPECIAL = 1
TAP_LN_F = 12
TYPE_AS_FILE = -1
TYPES = {"f32": 0, "f16": 1, "bf16": 2, "q8": 3, "q4": 4}  # of weights
SCORE_ROWS = 64       # gpt2_score() computes that many rows of logits at once, at most
SCORE_SEQUENCES = 16  # that one call scores


class ModelInfo(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("n_vocab", c.c_int32), ("n_positions", c.c_int32),
                ("n_embd", c.c_int32), ("n_layer", c.c_int32), ("n_head", c.c_int32),
                ("n_inner", c.c_int32), ("activation", c.c_int32), ("tied_head", c.c_int32),
                ("weight_type", c.c_int32), ("eot_token", c.c_int32),
                ("layer_norm_epsilon", c.c_float), ("n_parameters", c.c_uint64),
                ("memory_bytes", c.c_uint64)]


class ModelParams(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("n_threads", c.c_int32), ("errbuf", c.c_void_p),
                ("errbuf_size", c.c_size_t), ("progress", c.c_void_p),
                ("progress_user", c.c_void_p), ("weight_type", c.c_int32),
                ("reserved", c.c_int32)]


class SessionParams(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("cpu_mask", c.c_uint32), ("n_threads", c.c_int32),
                ("n_ctx", c.c_int32), ("n_batch", c.c_int32), ("n_logit_rows", c.c_int32),
                ("errbuf", c.c_void_p), ("errbuf_size", c.c_size_t),
                ("parallel_for", c.c_void_p), ("parallel_for_user", c.c_void_p),
                ("n_sequences", c.c_int32), ("n_pages", c.c_int32), ("kv_type", c.c_int32),
                ("on_full", c.c_int32), ("n_keep", c.c_int32), ("reserved", c.c_int32)]


class SampleParams(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("temperature", c.c_float), ("top_k", c.c_int32),
                ("top_p", c.c_float), ("seed", c.c_uint64), ("stream", c.c_uint64),
                ("position", c.c_int64)]


class ScoreParams(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("n_likeliest", c.c_int32),
                ("class_mask", c.c_char_p)]


class TokenScore(c.Structure):
    _fields_ = [("id", c.c_int32), ("rank", c.c_int32), ("logprob", c.c_double),
                ("entropy", c.c_double), ("class_prob", c.c_double)]


class ScoreItem(c.Structure):
    _fields_ = [("sequence", c.c_int32), ("reserved", c.c_int32), ("tokens", c.c_void_p),
                ("n_tokens", c.c_size_t), ("n_prefix", c.c_size_t), ("scores", c.c_void_p),
                ("likeliest", c.c_void_p)]


class Tap(c.Structure):
    _fields_ = [("struct_size", c.c_uint32), ("kind", c.c_int32), ("layer", c.c_int32),
                ("head", c.c_int32), ("first_row", c.c_int32), ("first_position", c.c_int32),
                ("n_rows", c.c_int32), ("n_columns", c.c_int32), ("row_stride", c.c_size_t),
                ("data", c.POINTER(c.c_float))]


TapCallback = c.CFUNCTYPE(c.c_int32, c.c_void_p, c.POINTER(Tap))


class Refused(Exception):
    """A call of the library that failed, in its own words."""


def initial(library, function, params):
    """Params with the library's defaults."""
    status = getattr(library, function)(c.byref(params), c.c_size_t(c.sizeof(params)))
    if status != 0:
        raise Refused(f"{function}: status {status}")
    return params


def int32s(ids):
    return (c.c_int32 * len(ids))(*ids)


class Session:
    """One text, or several to score.  `with Session(model, ...) as session`."""

    def __init__(self, model, n_ctx, n_logit_rows=1, n_threads=0, n_sequences=1):
        self.model, self.lib = model, model.lib
        params = initial(self.lib, "gpt2_session_params_init", SessionParams())
        params.n_ctx, params.n_logit_rows, params.n_threads = n_ctx, n_logit_rows, n_threads
        params.n_sequences = n_sequences
        self.pointer = c.c_void_p()
        model.must(self.lib.gpt2_session_create(model.pointer, c.byref(params),
                                                c.byref(self.pointer)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.lib.gpt2_session_free(self.pointer)

    def must(self, status):
        if status != 0:
            detail = self.lib.gpt2_session_error(self.pointer).decode()
            raise Refused(detail or self.model.strerror(status))

    def forward(self, ids, n_logit_rows):
        self.must(self.lib.gpt2_forward(self.pointer, int32s(ids), c.c_size_t(len(ids)),
                                        c.c_size_t(n_logit_rows)))

    def logits(self, row=LAST_ROW):
        """array('f') of one row."""
        data = c.POINTER(c.c_float)()
        self.must(self.lib.gpt2_session_logits(self.pointer, c.c_int32(row), c.byref(data)))
        return array.array("f", c.string_at(data, 4 * self.model.info.n_vocab))

    def score(self, texts, class_mask):
        """For each (ids, n) an array of TokenScore, of its last n ids."""
        sequence, kept = c.c_int32(), []
        items = (ScoreItem * len(texts))()
        for i, (item, (ids, n)) in enumerate(zip(items, texts)):
            if i > 0:  # sequence 0 is open
                self.must(self.lib.gpt2_sequence_open(self.pointer, c.byref(sequence)))
                item.sequence = sequence.value
            kept.append((int32s(ids), (TokenScore * n)()))
            item.tokens, item.scores = (c.addressof(x) for x in kept[-1])
            item.n_tokens, item.n_prefix = len(ids), len(ids) - n
        params = initial(self.lib, "gpt2_score_params_init", ScoreParams())
        params.class_mask = class_mask
        self.must(self.lib.gpt2_score(self.pointer, items, c.c_size_t(len(items)), c.byref(params)))
        return [scores for _, scores in kept]

    def greedy(self):
        params = initial(self.lib, "gpt2_sample_params_init", SampleParams())
        params.temperature = 0
        chosen = c.c_int32()
        self.must(self.lib.gpt2_sample(self.pointer, c.c_int32(LAST_ROW), c.byref(params),
                                       c.byref(chosen)))
        return chosen.value


class Model:
    def __init__(self, library, directory, weight_type=TYPE_AS_FILE):
        self.lib = c.CDLL(library)
        self.lib.gpt2_strerror.restype = c.c_char_p
        self.lib.gpt2_session_error.restype = c.c_char_p
        self.lib.gpt2_encoder_error.restype = c.c_char_p
        self.lib.gpt2_model_tokenizer.restype = c.c_void_p
        detail = c.create_string_buffer(1000)
        params = initial(self.lib, "gpt2_model_params_init", ModelParams())
        params.n_threads = 0  # one per CPU
        params.weight_type = weight_type
        params.errbuf, params.errbuf_size = c.addressof(detail), len(detail)
        self.pointer = c.c_void_p()
        status = self.lib.gpt2_model_load(directory.encode(), c.byref(params), c.byref(self.pointer))
        if status != 0:
            raise Refused(detail.value.decode() or self.strerror(status))
        self.info = ModelInfo(struct_size=c.sizeof(ModelInfo))
        self.must(self.lib.gpt2_model_get_info(self.pointer, c.byref(self.info)))
        self.tokenizer = c.c_void_p(self.lib.gpt2_model_tokenizer(self.pointer))
        self.encoder = c.c_void_p()
        if self.tokenizer:
            self.must(self.lib.gpt2_encoder_create(self.tokenizer, None, c.byref(self.encoder)))

    def close(self):
        self.lib.gpt2_encoder_free(self.encoder)
        self.lib.gpt2_model_free(self.pointer)

    def strerror(self, status):
        return self.lib.gpt2_strerror(c.c_int32(status)).decode()

    def must(self, status):
        if status != 0:
            raise Refused(self.strerror(status))

    def encode(self, text):
        """Token ids; "<|endoftext|>" is that one token."""
        if not self.tokenizer:
            raise Refused("the directory has no vocab.json and merges.txt")
        data = text.encode()
        ids, n_ids = (c.c_int32 * (len(data) + 1))(), c.c_size_t()
        status = self.lib.gpt2_encode(self.encoder, data, c.c_size_t(len(data)),
                                      c.c_uint32(ENCODE_SPECIAL), ids, c.c_size_t(len(ids)),
                                      c.byref(n_ids))
        if status != 0:
            raise Refused(self.lib.gpt2_encoder_error(self.encoder).decode())
        return ids[:n_ids.value]

    def decode(self, ids):
        """Text; bytes that are no UTF-8 become U+FFFD."""
        return self.decode_bytes(ids).decode(errors="replace")

    def decode_bytes(self, ids):
        if not self.tokenizer:
            raise Refused("the directory has no vocab.json and merges.txt")
        text, n_bytes = c.create_string_buffer(1000 * len(ids) + 1), c.c_size_t()
        detail = c.create_string_buffer(1000)
        status = self.lib.gpt2_decode(self.tokenizer, int32s(ids), c.c_size_t(len(ids)), text,
                                      c.c_size_t(len(text)), c.byref(n_bytes), detail,
                                      c.c_size_t(len(detail)))
        if status != 0:
            raise Refused(detail.value.decode())
        return text.raw[:n_bytes.value]

    def rows(self, ids, n):
        """The logits of the last n tokens, row by row."""
        with Session(self, len(ids), n) as session:
            session.forward(ids, n)
            for row in range(len(ids) - n, len(ids)):
                yield session.logits(row)

    def scores(self, texts, without=None):
        """For each (ids, n) an array of TokenScore, of its last n ids given those before.

        With an id `without`, the log-probabilities are those of a model that never gives it.
        """
        class_mask = None
        if without is not None:
            others = (1 << self.info.n_vocab) - 1 ^ 1 << without
            class_mask = others.to_bytes((self.info.n_vocab + 7) // 8, "little")
        found = []
        for first in range(0, len(texts), SCORE_SEQUENCES):
            part = texts[first:first + SCORE_SEQUENCES]
            n_ctx = max(len(ids) for ids, _ in part) - 1
            with Session(self, n_ctx, SCORE_ROWS, n_sequences=len(part)) as session:
                found += session.score(part, class_mask)
        if without is not None:
            for score in (score for scores in found for score in scores):
                score.logprob -= math.log(score.class_prob)
        return found

    def ln_f(self, ids, position):
        """The final norm's output at one position."""
        found = []

        def keep(_, tap):
            piece = tap.contents
            row = position - piece.first_position
            if 0 <= row < piece.n_rows:
                first = row * piece.row_stride
                found.extend(piece.data[first:first + piece.n_columns])
            return 0

        with Session(self, len(ids), len(ids)) as session:
            callback = TapCallback(keep)
            session.must(self.lib.gpt2_session_set_tap(session.pointer, callback, None,
                                                       c.c_uint32(1 << TAP_LN_F)))
            session.forward(ids, len(ids))
        return found

    def greedy(self, ids, n, n_threads=0, enough=lambda new: False):
        """(the n ids that follow, a hash of every bit of their logits); fewer if `enough`."""
        new, bits = [], hashlib.sha256()
        with Session(self, len(ids) + n, 1, n_threads) as session:
            session.forward(ids, 1)
            while True:
                bits.update(session.logits().tobytes())
                new.append(session.greedy())
                if len(new) == n or enough(new):
                    return new, bits.hexdigest()
                session.forward(new[-1:], 1)
