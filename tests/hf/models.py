"""The random-weight models of `make check-hf`: their shapes, their weights, their files."""
import dataclasses
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel


@dataclasses.dataclass(frozen=True)
class Spec:
    name: str
    config: dict                # of GPT2Config, where it differs from the 124M model
    weights: str = "random"     # every parameter random; or "hf": Hugging Face's own initialisation
    dtype: torch.dtype = torch.float32
    layout: str = "plain"       # how the file differs from what save_pretrained() writes: EDITS
    long: int = 150             # ids in the longer prompt, at most n_positions


def small(vocab_size, n_positions, n_layer, n_head, n_embd, **more):
    return dict(vocab_size=vocab_size, n_positions=n_positions, n_layer=n_layer, n_head=n_head,
                n_embd=n_embd, **more)


SMALL = [
    Spec("gelu-new", small(97, 513, 2, 7, 35, activation_function="gelu_new"), long=513),
    Spec("gelu", small(1003, 200, 7, 3, 36, activation_function="gelu")),
    Spec("gelu-fast", small(3, 8, 1, 3, 60, activation_function="gelu_fast")),
    Spec("gelu-tanh", small(1003, 190, 3, 4, 48, activation_function="gelu_pytorch_tanh",
                            n_inner=77, layer_norm_epsilon=1e-3)),
    Spec("relu", small(97, 130, 2, 1, 33, activation_function="relu",
                       n_inner=31, layer_norm_epsilon=1e-12)),
    Spec("untied", small(257, 160, 3, 5, 40, tie_word_embeddings=False)),
    Spec("inverse-layer", small(301, 160, 7, 2, 24, scale_attn_by_inverse_layer_idx=True)),
    Spec("unscaled", small(97, 160, 2, 3, 36, scale_attn_weights=False)),
    Spec("reordered", small(97, 160, 4, 3, 36, scale_attn_by_inverse_layer_idx=True,
                            reorder_and_upcast_attn=True)),
    Spec("head-dim-1", small(50, 100, 2, 7, 7)),
    Spec("head-dim-130", small(97, 100, 2, 1, 130)),
    Spec("wide-vocab", small(15511, 80, 2, 1, 17)),
    Spec("hf-init", small(1003, 160, 3, 4, 80), weights="hf"),
    Spec("float16", small(1003, 160, 2, 5, 60), dtype=torch.float16),
    Spec("bfloat16", small(1003, 160, 2, 5, 60), dtype=torch.bfloat16),
    Spec("float16-untied", small(97, 160, 2, 3, 51, tie_word_embeddings=False),
         dtype=torch.float16),
    Spec("no-prefix", small(97, 160, 2, 3, 36), layout="no prefix"),
    Spec("masks", small(97, 160, 2, 3, 36), layout="masks"),
    Spec("no-biases", small(97, 160, 2, 3, 36), layout="no biases"),
    Spec("tied-head", small(97, 160, 2, 3, 36), layout="tied head"),
    Spec("tinygrad", small(1003, 200, 3, 3, 96)),
    Spec("tinygrad-odd", small(97, 160, 4, 7, 35)),
]
LARGE = [
    Spec("124M-hf-init", {}, weights="hf", long=80),
    Spec("124M-random", {}, layout="original", long=80),
]
FULL = [
    Spec("355M-random", dict(n_embd=1024, n_layer=24, n_head=16), long=80),
]


def build(spec):
    """The model of `spec` in float32, holding exactly the values that save() writes."""
    seed = zlib.crc32(spec.name.encode())
    torch.manual_seed(seed)
    config = GPT2Config(bos_token_id=None, eos_token_id=None, **spec.config)
    model = GPT2LMHeadModel._from_config(config, attn_implementation="eager").eval()
    for block in model.transformer.h:
        # The reordered scores are the same, but torch 1.13's baddbmm(beta=0) adds 0 times what its
        # uninitialised output happens to hold, which may be NaN.
        block.attn.reorder_and_upcast_attn = False
    if spec.weights == "random":
        randomise(model, torch.Generator().manual_seed(seed))
    if spec.layout == "no biases":
        for name, parameter in model.named_parameters():
            if name.endswith(".bias"):
                parameter.data.zero_()
    return model.to(spec.dtype).float()


def randomise(model, generator):
    """Give every parameter, biases and gains too, values at the scale of a trained model's.

    Scores stay below about 10, so that float32 can give probabilities to 1e-6; so q and k are
    smaller where nothing divides their products.
    """
    config = model.config
    head_dim = config.n_embd // config.n_head
    c_attn_scale = 0.7 if config.scale_attn_weights else 0.7 / head_dim ** 0.25
    for name, parameter in model.named_parameters():
        noise = torch.empty_like(parameter).normal_(generator=generator)
        if name.endswith(".bias"):
            parameter.data = 0.2 * noise
        elif ".ln_" in name:
            parameter.data = 1 + 0.2 * noise
        elif name.endswith(("wte.weight", "wpe.weight", "lm_head.weight")):
            parameter.data = 0.3 * noise
        else:
            scale = c_attn_scale if name.endswith("c_attn.weight") else 1
            parameter.data = scale * noise / parameter.shape[0] ** 0.5    # Conv1D: [in, out]
    model.tie_weights()


def save(model, spec, directory):
    """Write `model` as `spec` says its files look; `model` is float32 again afterwards."""
    model.to(spec.dtype)
    bare = spec.layout in ("no prefix", "original")
    (model.transformer if bare else model).save_pretrained(directory)
    model.float()
    if spec.layout in EDITS:
        path = Path(directory) / "model.safetensors"
        tensors = load_file(path)
        EDITS[spec.layout](tensors, model.config)
        save_file(tensors, path, metadata={"format": "pt"})


def add_original_masks(tensors, config):
    """As in the file of openai-community/gpt2: no prefix, a float mask in every block."""
    n = config.n_positions
    for i in range(config.n_layer):
        tensors[f"h.{i}.attn.bias"] = torch.ones(n, n).tril().view(1, 1, n, n)


def add_masks(tensors, config):
    """As transformers 4.0 to 4.26 saved them."""
    n = config.n_positions
    for i in range(config.n_layer):
        mask = torch.ones(n, n, dtype=torch.uint8).tril().view(1, 1, n, n)
        tensors[f"transformer.h.{i}.attn.bias"] = mask.bool() if i else mask
        tensors[f"transformer.h.{i}.attn.masked_bias"] = torch.tensor(-1e4)


def drop_biases(tensors, _config):
    for name in [name for name in tensors if name.endswith(".bias")]:
        del tensors[name]


def add_tied_head(tensors, _config):
    tensors["lm_head.weight"] = tensors["transformer.wte.weight"].clone()


EDITS = {
    "original": add_original_masks,
    "masks": add_masks,
    "no biases": drop_biases,
    "tied head": add_tied_head,
}


def prompts(spec, config):
    """{what: ids}: "Hello." in GPT-2's vocabulary, and a random text over several blocks of 64."""
    n_vocab, n_positions = config.vocab_size, config.n_positions
    rng = np.random.default_rng(zlib.crc32(spec.name.encode()))
    return {
        "short": [15496 % n_vocab, 13 % n_vocab],
        "long": rng.integers(n_vocab, size=min(spec.long, n_positions)).tolist(),
    }
