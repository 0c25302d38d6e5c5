"""Sequences: the texts of a session."""
import ctypes
from ctypes import POINTER, byref, c_int32, c_size_t
from typing import TYPE_CHECKING, Any, List, Optional, Union

from . import c

if TYPE_CHECKING:
    from .session import Session


class Sequence:
    """One text of a session.  It is open until close(), or until nothing refers to it any more."""

    _number: Optional[int] = None  # if it is closed

    def __init__(self, session: "Session", number: int) -> None:
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

    def _number_in(self, session: "Session") -> int:
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
        except c.Error as error:
            if error.status != c.ERR_BUFFER:  # which tells the size
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
