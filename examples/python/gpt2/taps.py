"""Activations: what the points inside of the forward pass show."""
from ctypes import c_float
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Set, Tuple

from . import c

if TYPE_CHECKING:
    import numpy

    from .session import Session

__all__ = ["Activations", "Tap"]

# what Activations.hidden_states and Activations.attentions are made of
GROUPS = {"hidden_states": ("embed", "block", "ln_f"), "attentions": ("attn.probs",)}


def _numpy() -> Any:
    try:
        import numpy
    except ImportError as error:
        raise ImportError("arrays of activations need numpy, which is missing: pip install numpy"
                          ) from error
    return numpy


class Tap:
    """A part of an activation: `n_rows` tokens of one text, in attn.scores and attn.probs of one
    head.  Its floats are those of the run, which goes on with them as the callback leaves them.

    `kind` is the point without its layer.  `layer` is -1 outside of the blocks, `head` where there
    is none.  The other numbers are what gpt2.h says of gpt2_tap; `sequence` is a Sequence.number.
    """

    def __init__(self, struct: c.Tap, owner: Any) -> None:
        self.kind, self.layer = c.TAP_KINDS[struct.kind], int(struct.layer)
        self.head, self.sequence = int(struct.head), int(struct.sequence)
        self.first_row, self.first_position = int(struct.first_row), int(struct.first_position)
        self.n_rows, self.n_columns = int(struct.n_rows), int(struct.n_columns)
        self._stride = int(struct.row_stride)
        floats = c_float * ((self.n_rows - 1) * self._stride + self.n_columns)
        self._floats = floats.from_address(struct.data)
        setattr(self._floats, "owner", owner)  # the memory stays, if a view outlives the callback

    def __repr__(self) -> str:
        head = f", head {self.head}" if self.head >= 0 else ""
        return f"<gpt2.Tap {self.name}{head}: [{self.n_rows}, {self.n_columns}]>"

    @property
    def name(self) -> str:
        """Such as "h.3.attn.probs": the name in the file of `gpt2 trace`."""
        return self.kind if self.layer < 0 else f"h.{self.layer}.{self.kind}"

    @property
    def rows(self) -> "List[memoryview[float]]":
        """A view of each row, without a copy."""
        view = memoryview(self._floats).cast("B").cast("f")
        return [view[i * self._stride:i * self._stride + self.n_columns]
                for i in range(self.n_rows)]

    @property
    def array(self) -> "numpy.ndarray":
        """[n_rows, n_columns] as a numpy array, without a copy."""
        made: "numpy.ndarray" = _numpy().ndarray(
            (self.n_rows, self.n_columns), "f", self._floats, strides=(4 * self._stride, 4))
        return made


class Activations(Dict[str, "numpy.ndarray"]):
    """Arrays by the names of their points: found["h.3.mlp.act"]."""

    def __repr__(self) -> str:
        shapes = [f"{name} {list(array.shape)}" for name, array in self.items()]
        if len(shapes) > 4:
            shapes[2:-1] = ["..."]
        return f"<gpt2.Activations: {', '.join(shapes)}>"

    def __missing__(self, name: str) -> "numpy.ndarray":
        raise KeyError(f"{name} was not taken, only {', '.join(self)}")

    @property
    def _n_layer(self) -> int:
        return 1 + max((int(name.split(".")[1]) for name in self if name.startswith("h.")),
                       default=-1)

    @property
    def hidden_states(self) -> "Tuple[numpy.ndarray, ...]":
        """As in transformers: what goes into each block, and the last one's output after ln_f:
        n_layer + 1 arrays [n_tokens, n_embd]."""
        blocks = [self[f"h.{layer}.block"] for layer in range(self._n_layer - 1)]
        return (self["embed"], *blocks, self["ln_f"])

    @property
    def attentions(self) -> "Tuple[numpy.ndarray, ...]":
        """As in transformers: n_layer arrays [n_head, n_tokens, n_positions], whose rows sum to 1.
        The positions are those of the whole text, what stood before the tokens included."""
        return tuple(self[f"h.{layer}.attn.probs"] for layer in range(self._n_layer))


def kinds_of(names: Iterable[str]) -> Set[str]:
    """The kinds of points; no names: all."""
    kinds: Set[str] = set()
    for name in names:
        kinds.update(GROUPS.get(name, (name,)))
    for name in kinds.difference(c.TAP_KINDS):
        wanted = ", ".join([*GROUPS, *c.TAP_KINDS])
        raise ValueError(f"there is no activation {name!r}, wanted some of {wanted}")
    return kinds or set(c.TAP_KINDS)


def activations(session: "Session", tokens: Iterable[int], names: Tuple[str, ...]) -> Activations:
    """Session.activations()."""
    np, found, kinds = _numpy(), Activations(), kinds_of(names)
    ids, past = list(c.ids_of(tokens, "activations()")), session.position
    if session._shifts:
        raise ValueError('activations() wants a session of on_full="stop"')

    def take(tap: Tap) -> None:
        first = tap.first_position - past
        rows = slice(first, first + tap.n_rows)
        if tap.name not in found and tap.head >= 0:
            shape = (session.model.info.n_head, len(ids), past + len(ids))
            found[tap.name] = np.full(shape, 0 if tap.kind == "attn.probs" else -np.inf, "f")
        elif tap.name not in found:
            found[tap.name] = np.empty((len(ids), tap.n_columns), "f")
        if tap.head >= 0:
            found[tap.name][tap.head, rows, :tap.n_columns] = tap.array
        else:
            found[tap.name][rows] = tap.array

    # ln_f and logits are there for the rows whose logits the session keeps
    n_together = session._logit_rows if kinds & {"ln_f", "logits"} else max(1, len(ids))
    with session.tap(take, *kinds):
        try:
            for first in range(0, max(1, len(ids)), n_together):
                session.forward(ids[first:first + n_together])
        except BaseException:
            session.first.truncate(past)
            raise
    return found
