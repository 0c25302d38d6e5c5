"""What continues a text."""
import ctypes
from typing import TYPE_CHECKING, Any, Iterable, Iterator, List, Optional, Tuple, Union

from . import c
from .sampling import Sampling, sampling_of
from .sequence import Sequence

if TYPE_CHECKING:
    from .session import Session

_FINISHES = {c.FINISH_NOT_YET: None, c.FINISH_TOKEN: "token", c.FINISH_STRING: "string",
             c.FINISH_LENGTH: "length", c.FINISH_CONTEXT: "context", c.FINISH_PAGES: "pages",
             c.FINISH_CANCELLED: "cancelled", c.FINISH_DEADLINE: "deadline",
             c.FINISH_ERROR: "error"}
_ERRORS = {"context": c.ERR_CONTEXT, "pages": c.ERR_PAGES, "cancelled": c.ERR_CANCELLED,
           "deadline": c.ERR_DEADLINE, "error": c.ERR_NONFINITE}


class Generator:
    """What continues a text: `for piece in generator.start(prompt)`.  Or Session.step(), which runs
    several together.  It is for one text after another.

    `finish` is None while the text goes on, then why it ended: "token" (<|endoftext|> or a stop
    id), "string", "length", "context", "pages", "cancelled", "deadline" or "error".
    `ids`: the tokens that were drawn.  The last one has not been run, so it is not in the sequence.
    """

    def __init__(self, session: "Session", stop_ids: Iterable[int],
                 stop_strings: Iterable[Union[str, bytes]], ignore_eot: bool,
                 draft_max: int) -> None:
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
                             n_stop_strings=len(strings), draft_max=draft_max)
        params.stop_ids, params.stop_strings = ids, (ctypes.c_char_p * len(strings))(*strings)
        self._object = c.Object(c.lib.gpt2_generator_create, c.lib.gpt2_generator_free,
                                (session._ready(),), params, session._object)
        self._sequence: Optional[Sequence] = None

    def __repr__(self) -> str:
        return f"<gpt2.Generator: {len(self.ids)} tokens, finish={self.finish!r}>"

    def start(self, prompt: Union[str, bytes, Iterable[int]] = "", n: int = -1,
              sampling: Optional[Sampling] = None, *, sequence: Optional[Sequence] = None,
              **fields: Any) -> "Generator":
        """Begins to continue `sequence`, or the session's first, with the prompt: text or ids.  It
        runs nothing yet.  At most `n` tokens; -1: no limit.

        An empty prompt goes on from the last token of the sequence, which runs again, and in an
        empty one from <|endoftext|>.
        """
        session = self._session
        sequence = session.first if sequence is None else sequence
        number, sampling = sequence._number_in(session), sampling_of(sampling, fields)
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

    @property
    def drafted(self) -> Tuple[int, int]:
        """How many tokens of this text were guessed, and how many guesses were right."""
        counts = ctypes.c_uint64(), ctypes.c_uint64()
        c.check(c.lib.gpt2_generator_drafted(self._object, *map(ctypes.byref, counts)))
        return counts[0].value, counts[1].value

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
            raise c.Error(_ERRORS[self.finish], self.error)

    def _check(self, session: "Session") -> None:
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
