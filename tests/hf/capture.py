"""The activations of a Hugging Face GPT-2 under the names of libgpt2's taps."""
from unittest import mock

import numpy as np
import torch


def capture(model, ids):
    """Run `ids` through a GPT-2 or GPTBigCode of eager attention; {tap name: float32 array}.

    Masked scores are the smallest float in transformers; here they are -inf, as in libgpt2.
    """
    taps, handles = {}, []
    multi_query = getattr(model.config, "multi_query", False)

    def keep(name, value):
        taps[name] = value[0].detach().numpy().copy()   # [0]: there is one text in the batch

    def output_of(module, name):
        handles.append(module.register_forward_hook(
            lambda _m, _i, out: keep(name, out[0] if isinstance(out, tuple) else out)))

    def keep_by_head(name, value):
        keep(name, value.transpose(1, 2) if multi_query else value)     # else [query, head, key]

    def probs_of(module, name):
        handles.append(module.register_forward_pre_hook(
            lambda _m, inputs: keep_by_head(name, inputs[0])))

    def input_of(module, name):
        handles.append(module.register_forward_pre_hook(lambda _m, inputs: keep(name, inputs[0])))

    gpt2 = model.transformer
    output_of(gpt2.drop, "embed")
    for i, block in enumerate(gpt2.h):
        output_of(block.ln_1, f"h.{i}.ln_1")
        output_of(block.attn.c_attn, f"h.{i}.attn.qkv")
        probs_of(block.attn.attn_dropout, f"h.{i}.attn.probs")
        input_of(block.attn.c_proj, f"h.{i}.attn.ctx")
        output_of(block.attn.c_proj, f"h.{i}.attn.out")
        output_of(block.ln_2, f"h.{i}.ln_2")
        output_of(block.mlp.c_fc, f"h.{i}.mlp.fc")
        output_of(block.mlp.act, f"h.{i}.mlp.act")
        output_of(block.mlp.c_proj, f"h.{i}.mlp.out")
        output_of(block, f"h.{i}.block")
    output_of(gpt2.ln_f, "ln_f")
    output_of(model.lm_head, "logits")

    softmax = torch.nn.functional.softmax
    scores = []

    def softmax_of_scores(x, *args, **kwargs):
        scores.append(x)
        return softmax(x, *args, **kwargs)

    try:
        with torch.inference_mode(), \
                mock.patch.object(torch.nn.functional, "softmax", softmax_of_scores):
            model(torch.tensor([ids]), use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    assert len(scores) == len(gpt2.h), "eager attention calls softmax once a layer"
    for i, x in enumerate(scores):
        masked = x == torch.finfo(x.dtype).min
        keep_by_head(f"h.{i}.attn.scores", x.masked_fill(masked, -torch.inf))
    return {name: taps[name] for name in tap_names(len(gpt2.h))}


BLOCK_TAPS = ["ln_1", "attn.qkv", "attn.scores", "attn.probs", "attn.ctx", "attn.out", "ln_2",
              "mlp.fc", "mlp.act", "mlp.out", "block"]


def tap_names(n_layer):
    """Every tap in the order in which a forward pass computes them."""
    blocks = [f"h.{i}.{tap}" for i in range(n_layer) for tap in BLOCK_TAPS]
    return ["embed", *blocks, "ln_f", "logits"]


def greedy(model, ids, n):
    """The `n` greedy ids after `ids`, run one by one over the cache, and how narrowly they won.

    The second value is the smallest distance of a largest logit from the one behind it.
    (generate() needs torch.distributed, which Debian's torch 1.13 cannot import.)
    """
    new, margin, past = [], np.inf, None
    step = torch.tensor([ids])
    with torch.inference_mode():
        for _ in range(n):
            out = model(step, past_key_values=past, use_cache=True)
            best = out.logits[0, -1].topk(2)
            margin = min(margin, float(best.values[0] - best.values[1]))
            new.append(int(best.indices[0]))
            past, step = out.past_key_values, best.indices[None, :1]
    return new, margin
