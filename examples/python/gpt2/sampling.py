"""How tokens are chosen."""
import ctypes
from ctypes import byref, c_float
from typing import (TYPE_CHECKING, Any, Callable, Dict, Mapping, Optional, Sequence as Items,
                    Union)

from . import c

if TYPE_CHECKING:
    from .model import Model

LogitsCallback = Callable[[int, "memoryview[float]"], Optional[bool]]


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

    def _given(self, model: "Model", mu: bool = True) -> Any:
        """The params for a call; `mu`: with the state of mirostat."""
        if self._n_bias not in (None, model.info.n_vocab):
            raise ValueError(f"bias has {self._n_bias} numbers, wanted {model.info.n_vocab}")
        self._params.mirostat_mu = ctypes.pointer(self._mu) if mu else None
        self._callbacks.error = None
        return byref(self._params)


def sampling_of(sampling: Optional[Sampling], fields: Dict[str, Any]) -> Sampling:
    if sampling is None:
        return Sampling(**fields)
    if fields:
        raise TypeError(f"{', '.join(fields)}: given beside a Sampling")
    return sampling
