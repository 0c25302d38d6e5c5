"""Comparisons of arrays with numpy, and how large a difference may be."""
import numpy as np
from safetensors.numpy import load_file

from harness import ProgramError

# Largest absolute difference allowed, by the kind of tap.
TOLERANCE = {
    "embed": 0,
    "ln_1": 1e-5,
    "attn.qkv": 1e-4,
    "attn.scores": 1e-4,
    "attn.probs": 1e-6,
    "attn.ctx": 1e-4,
    "attn.out": 1e-4,
    "ln_2": 1e-5,
    "mlp.fc": 1e-4,
    "mlp.act": 1e-4,
    "mlp.out": 1e-4,
    "block": 1e-4,
    "ln_f": 1e-5,
    "logits": 1e-3,
}


def kind_of(name):
    """h.3.attn.qkv is of the kind attn.qkv."""
    return name.split(".", 2)[2] if name.startswith("h.") else name


def largest_difference(ours, theirs):
    """inf where the shapes, the -inf or the NaN of two arrays are not the same."""
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return np.inf
    masked = np.isneginf(theirs)
    if not np.array_equal(masked, np.isneginf(ours)):
        return np.inf
    difference = np.abs(np.subtract(ours, theirs, where=~masked, out=np.zeros_like(ours)))
    return float(np.nan_to_num(difference, nan=np.inf).max())


def compare_taps(ours, theirs):
    """Hold `ours` to the tolerances: ({kind: largest difference}, first fault or None)."""
    differences = dict.fromkeys(TOLERANCE, 0.0)
    if set(ours) != set(theirs):
        return differences, f"taps {sorted(set(ours) ^ set(theirs))} are on one side only"
    fault = None
    for name, expected in theirs.items():
        kind = kind_of(name)
        difference = largest_difference(ours[name], expected)
        differences[kind] = max(differences[kind], difference)
        if difference > TOLERANCE[kind] and not fault:
            fault = f"{name} differs by {difference:.3g}, allowed {TOLERANCE[kind]:g}"
    if not fault and not np.array_equal(ours["logits"].argmax(1), theirs["logits"].argmax(1)):
        fault = "argmax of the logits differs"
    return differences, fault


def read_taps(path, ids):
    """The taps in a file of `gpt2 trace`, which must be those of `ids`."""
    taps = load_file(path)
    tokens = taps.pop("tokens").tolist()
    if tokens != ids:
        raise ProgramError(f"gpt2 trace: ran {tokens}, not {ids}")
    return taps
