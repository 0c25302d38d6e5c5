"""The random-weight models of `make check-hf`: their shapes, their weights, their files.

Every weight comes from a seed, the model's name, by SHAKE-128: the same bytes on every machine, without
numpy or torch.
"""
import dataclasses
import hashlib
import json
import random
import struct
from array import array


@dataclasses.dataclass(frozen=True)
class Spec:
    name: str
    config: dict                # where it differs from the 124M model
    weights: str = "random"     # every parameter random; or "hf": as Hugging Face initialises a model
    dtype: str = "F32"
    layout: str = "plain"       # how the file differs from what save_pretrained() writes: see tensors()
    long: int = 150             # ids in the longer prompt, at most n_positions


def small(vocab_size, n_positions, n_layer, n_head, n_embd, **more):
    return dict(vocab_size=vocab_size, n_positions=n_positions, n_layer=n_layer, n_head=n_head,
                n_embd=n_embd, **more)


def bigcode(name, dtype="F32", layout="plain", long=150, **config):
    """A GPTBigCode, with multi-query attention where `config` does not say otherwise."""
    shape = dict(vocab_size=97, n_positions=160, n_layer=2, n_head=5, n_embd=40)
    return Spec(name, {**shape, "model_type": "gpt_bigcode", "architectures": ["GPTBigCodeForCausalLM"],
                       "multi_query": True, "activation_function": "gelu_pytorch_tanh", **config},
                dtype=dtype, layout=layout, long=long)


ACTIVATIONS = ["gelu_new", "gelu", "gelu_fast", "gelu_pytorch_tanh", "gelu_accurate", "gelu_python",
               "quick_gelu", "relu", "silu", "swish", "tanh", "mish"]
SMALL = [
    Spec("gelu-new", small(97, 513, 2, 7, 35, activation_function="gelu_new"), long=513),
    Spec("gelu", small(1003, 200, 7, 3, 36, activation_function="gelu")),
    Spec("gelu-fast", small(3, 8, 1, 3, 60, activation_function="gelu_fast")),
    Spec("gelu-tanh", small(1003, 190, 3, 4, 48, activation_function="gelu_pytorch_tanh",
                            n_inner=77, layer_norm_epsilon=1e-3)),
    Spec("relu", small(97, 130, 2, 1, 33, activation_function="relu",
                       n_inner=31, layer_norm_epsilon=1e-12)),
    Spec("silu", small(97, 160, 2, 3, 36, activation_function="silu")),
    Spec("swish", small(97, 160, 2, 3, 36, activation_function="swish", n_inner=50)),
    Spec("quick-gelu", small(97, 160, 2, 3, 36, activation_function="quick_gelu")),
    Spec("gelu-python", small(97, 160, 2, 3, 36, activation_function="gelu_python")),
    Spec("gelu-accurate", small(97, 160, 2, 3, 36, activation_function="gelu_accurate")),
    Spec("tanh", small(97, 160, 2, 3, 36, activation_function="tanh")),
    Spec("mish", small(97, 160, 2, 3, 36, activation_function="mish")),
    Spec("untied", small(257, 160, 3, 5, 40, tie_word_embeddings=False)),
    Spec("inverse-layer", small(301, 160, 7, 2, 24, scale_attn_by_inverse_layer_idx=True)),
    Spec("unscaled", small(97, 160, 2, 3, 36, scale_attn_weights=False)),
    Spec("reordered", small(97, 160, 4, 3, 36, scale_attn_by_inverse_layer_idx=True,
                            reorder_and_upcast_attn=True)),
    Spec("head-dim-1", small(50, 100, 2, 7, 7)),
    Spec("head-dim-130", small(97, 100, 2, 1, 130)),
    Spec("wide-vocab", small(15511, 80, 2, 1, 17)),
    Spec("hf-init", small(1003, 160, 3, 4, 80), weights="hf"),
    Spec("float16", small(1003, 160, 2, 5, 60), dtype="F16"),
    Spec("bfloat16", small(1003, 160, 2, 5, 60), dtype="BF16"),
    Spec("float16-untied", small(97, 160, 2, 3, 51, tie_word_embeddings=False),
         dtype="F16"),
    Spec("no-prefix", small(97, 160, 2, 3, 36), layout="no prefix"),
    Spec("masks", small(97, 160, 2, 3, 36), layout="masks"),
    Spec("no-biases", small(97, 160, 2, 3, 36), layout="no biases"),
    Spec("tied-head", small(97, 160, 2, 3, 36), layout="tied head"),
    *(bigcode(f"bigcode-{activation}-{kind}", activation_function=activation,
              multi_query=kind == "query", tie_word_embeddings=(i + (kind == "query")) % 2 == 0)
      for i, activation in enumerate(ACTIVATIONS) for kind in ("query", "heads")),
    bigcode("bigcode-default", layout="no class defaults"),
    bigcode("bigcode-16-heads", n_head=16, n_embd=48, n_positions=200, n_inner=33),
    bigcode("bigcode-50-heads", n_head=50, n_embd=100),
    bigcode("bigcode-heads", multi_query=False, n_head=16, n_embd=48, n_positions=200),
    bigcode("bigcode-1-head", n_head=1, n_embd=17),
    bigcode("bigcode-1-head-each", multi_query=False, n_head=1, n_embd=17),
    bigcode("bigcode-unscaled", scale_attn_weights=False, attention_softmax_in_fp32=False),
    bigcode("bigcode-inverse-layer", scale_attn_by_inverse_layer_idx=True,
            scale_attention_softmax_in_fp32=False),
    bigcode("bigcode-8192", n_positions=8192, long=700),
    bigcode("bigcode-float16", dtype="F16"),
    bigcode("bigcode-heads-bfloat16", multi_query=False, tie_word_embeddings=False, dtype="BF16"),
    bigcode("bigcode-called-gpt2", layout="called gpt2"),
    bigcode("bigcode-no-prefix", multi_query=False, layout="no prefix"),
    Spec("tinygrad", small(1003, 200, 3, 3, 96)),
    Spec("tinygrad-odd", small(97, 160, 4, 7, 35)),
]


def drawn(number):
    """A model of a random configuration, the same for a number."""
    rng = random.Random(f"drawn/{number}")
    n_head = rng.choice([1, 2, 3, 5, 8, 13, 29])
    shape = dict(vocab_size=rng.randint(3, 700), n_positions=rng.randint(8, 400),
                 n_layer=rng.randint(1, 4), n_head=n_head, n_embd=n_head * rng.randint(1, 90 // n_head),
                 n_inner=rng.choice([None, rng.randint(1, 200)]),
                 activation_function=rng.choice(ACTIVATIONS),
                 layer_norm_epsilon=rng.choice([1e-5, 1e-3, 1e-12]),
                 tie_word_embeddings=rng.random() < 0.5, scale_attn_weights=rng.random() < 0.8)
    more = dict(dtype=rng.choice(["F32", "F32", "F16", "BF16"]),
                layout=rng.choice(["plain", "no prefix", "masks", "no biases"]), long=400)
    name = f"drawn-{number}"
    if rng.random() < 0.5:
        return bigcode(name, multi_query=rng.random() < 0.5, **shape, **more)
    shape.update(scale_attn_by_inverse_layer_idx=rng.random() < 0.3)
    return Spec(name, shape, **more)


SMALL += [drawn(number) for number in range(24)]
LARGE = [
    Spec("124M-hf-init", {}, weights="hf", long=80),
    Spec("124M-random", {}, layout="original", long=80),
]
FULL = [
    Spec("355M-random", dict(n_embd=1024, n_layer=24, n_head=16), long=80),
]


DEFAULTS = dict(
    architectures=["GPT2LMHeadModel"], model_type="gpt2", vocab_size=50257, n_positions=1024, n_embd=768,
    n_layer=12, n_head=12, n_inner=None, activation_function="gelu_new", layer_norm_epsilon=1e-5,
    tie_word_embeddings=True, scale_attn_weights=True, scale_attn_by_inverse_layer_idx=False,
    reorder_and_upcast_attn=False, bos_token_id=None, eos_token_id=None)


def config_of(spec):
    return {**DEFAULTS, **spec.config}


def is_bigcode(spec):
    return config_of(spec)["model_type"] == "gpt_bigcode"


def config_file(spec):
    """config.json"""
    config = config_of(spec)
    if spec.layout == "called gpt2":    # as some that were trained further are
        del config["multi_query"]
        config.update(model_type="gpt2", architectures=["GPT2LMHeadModel"])
    if spec.layout == "no class defaults":
        del config["multi_query"], config["activation_function"]
    return config


# ---- weights

def table(rms):
    """What makes a random byte the high byte of a float32: the float's sign and upper 7 exponent bits.

    The other bits of the float are random.  With high byte k the mean square is 35/6 * 16**(k - 63.5); two
    neighbours k are mixed so that the root mean square of all is `rms`.
    """
    k = next(k for k in range(127) if 35 / 6 * 16 ** (k - 63.5) >= rms * rms)
    share = (rms * rms / (35 / 6 * 16 ** (k - 63.5)) - 1 / 16) / (15 / 16)
    n = round(128 * share)
    half = bytes([k] * n + [k - 1] * (128 - n))
    return half + bytes(byte | 0x80 for byte in half)


def noise(name, n, rms):
    """`n` random float32, little-endian: sign and mantissa even, root mean square `rms`."""
    values = bytearray(hashlib.shake_128(name.encode()).digest(4 * n))
    values[3::4] = values[3::4].translate(table(rms))
    return bytes(values)


def constant(n, value):
    return struct.pack("<f", value) * n


def near_one(values):
    floats = array("f", values)
    return struct.pack(f"<{len(floats)}f", *(1 + x for x in floats))


def parameters(spec):
    """{name: (shape, float32 bytes)} of a GPT2LMHeadModel or a GPTBigCodeForCausalLM.

    Random: biases and gains too, at the scale of a trained model's.  Scores stay below about 10, so that
    float32 can give probabilities to 1e-6; so q and k are smaller where nothing divides their products.
    """
    config = config_of(spec)
    n_embd, n_layer = config["n_embd"], config["n_layer"]
    n_inner = config["n_inner"] or 4 * n_embd
    head_dim = n_embd // config["n_head"]
    n_kv = head_dim if config.get("multi_query") else n_embd
    c_attn_scale = 0.7 if config["scale_attn_weights"] else 0.7 / head_dim ** 0.25
    hf, made = spec.weights == "hf", {}

    def add(name, *shape):
        n = 1
        for size in shape:
            n *= size
        seed = f"{spec.name}/{name}"
        if name.endswith(".bias"):
            zero = hf or spec.layout == "no biases"
            values = constant(n, 0) if zero else noise(seed, n, 0.2)
        elif ".ln_" in name:
            values = constant(n, 1) if hf else near_one(noise(seed, n, 0.2))
        elif hf:
            values = noise(seed, n, 0.02 / (2 * n_layer) ** 0.5 if "c_proj" in name else 0.02)
        elif len(shape) == 2 and ".h." not in name:     # wte, wpe, lm_head
            values = noise(seed, n, 0.3)
        else:
            n_in = shape[1] if is_bigcode(spec) else shape[0]
            values = noise(seed, n, (c_attn_scale if "c_attn" in name else 1) / n_in ** 0.5)
        made[name] = (shape, values)

    def linear(name, n_in, n_out):      # Linear: [out, in]; Conv1D: [in, out]
        add(f"{name}.weight", *((n_out, n_in) if is_bigcode(spec) else (n_in, n_out)))
        add(f"{name}.bias", n_out)

    def norm(name):
        add(f"{name}.weight", n_embd)
        add(f"{name}.bias", n_embd)

    add("transformer.wte.weight", config["vocab_size"], n_embd)
    add("transformer.wpe.weight", config["n_positions"], n_embd)
    for i in range(n_layer):
        norm(f"transformer.h.{i}.ln_1")
        linear(f"transformer.h.{i}.attn.c_attn", n_embd, n_embd + 2 * n_kv)
        linear(f"transformer.h.{i}.attn.c_proj", n_embd, n_embd)
        norm(f"transformer.h.{i}.ln_2")
        linear(f"transformer.h.{i}.mlp.c_fc", n_embd, n_inner)
        linear(f"transformer.h.{i}.mlp.c_proj", n_inner, n_embd)
    norm("transformer.ln_f")
    if not config["tie_word_embeddings"]:
        add("lm_head.weight", config["vocab_size"], n_embd)
    return made


# ---- files

def rounded(values, dtype):
    """The bytes of float32 `values` in another type."""
    if dtype == "F32":
        return values
    if dtype == "BF16":     # cut off
        return b"".join(values[i + 2:i + 4] for i in range(0, len(values), 4))
    floats = array("f", values)
    return struct.pack(f"<{len(floats)}e", *floats)


def causal_mask(n, dtype):
    one, zero = (struct.pack("<f", 1), bytes(4)) if dtype == "F32" else (b"\1", b"\0")
    return dtype, (1, 1, n, n), b"".join(one * (i + 1) + zero * (n - 1 - i) for i in range(n))


def tensors(spec):
    """{name: (dtype, shape, bytes)} as `spec` says that its file looks."""
    made = {name: (spec.dtype, shape, rounded(values, spec.dtype))
            for name, (shape, values) in parameters(spec).items()}
    config = config_of(spec)
    if spec.layout in ("no prefix", "original"):
        made = {name.removeprefix("transformer."): tensor for name, tensor in made.items()}
    if spec.layout == "no biases":
        made = {name: tensor for name, tensor in made.items() if not name.endswith(".bias")}
    if spec.layout == "tied head":
        made["lm_head.weight"] = made["transformer.wte.weight"]
    for i in range(config["n_layer"]):
        if spec.layout == "original":   # as openai-community/gpt2: a float mask in every block
            made[f"h.{i}.attn.bias"] = causal_mask(config["n_positions"], "F32")
        if spec.layout == "masks":      # as transformers 4.0 to 4.26 saved them
            name = f"transformer.h.{i}.attn"
            made[f"{name}.bias"] = causal_mask(config["n_positions"], "BOOL" if i else "U8")
            made[f"{name}.masked_bias"] = "F32", (), struct.pack("<f", -1e4)
    return made


def write(spec, directory):
    """Writes config.json and model.safetensors, unless they are there."""
    if (directory / "model.safetensors").exists():
        return
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps(config_file(spec), indent=2) + "\n")
    made = dict(sorted(tensors(spec).items()))
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, shape, values) in made.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(values)]}
        at += len(values)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(directory / "writing", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, values in made.values():
            file.write(values)
    (directory / "writing").rename(directory / "model.safetensors")


def prompts(spec):
    """{what: ids}: "Hello." in GPT-2's vocabulary, and a random text over several blocks of 64."""
    config, rng = config_of(spec), random.Random(spec.name)
    n_vocab = config["vocab_size"]
    return {
        "short": [15496 % n_vocab, 13 % n_vocab],
        "long": [rng.randrange(n_vocab) for _ in range(min(spec.long, config["n_positions"]))],
    }
