#!/usr/bin/env python3
"""Make the demo model: a small GPT-2 of English prose, in Hugging Face's format.

From a folder of plain-text books this script makes a byte-level BPE vocabulary,
trains a GPT-2 on the books, and writes config.json, model.safetensors (F16),
vocab.json and merges.txt. It needs PyTorch, numpy, tokenizers and safetensors;
no GPU. See README.md beside it for the books and for what to expect.
"""
import argparse
import json
import math
import os
import re
import time
import unicodedata

import torch
import torch.nn.functional as F
from safetensors.numpy import save
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn

TRAIN = ["great-expectations.txt", "pride-and-prejudice.txt", "sherlock-holmes.txt",
         "treasure-island.txt", "war-of-the-worlds.txt"]
HELD_OUT = "alice29.txt"    # never trained on
EOT = "<|endoftext|>"

# ------------------------------------------------------------------- the text

HEADING = re.compile(r"(chapter|adventure|part|book) ([ivxlc]+|\d+|one|two|three|four|five|six)\b.{0,60}"
                     r"|[ivxlc]+\.|\d+", re.I)
PLAIN = str.maketrans({"\u2018": "'", "\u2019": "'", "`": "'", "\u201c": '"', "\u201d": '"',
                       "\u2014": "--", "\u2013": "-", "_": "", "\r": "", "\u00e6": "ae"})


def chapters(path):
    """A book as chapters; a chapter is a list of paragraphs, each one line of ASCII.

    Headings, tables of contents and front matter go: a heading ends a chapter,
    and what is shorter than 2000 characters between two headings is no chapter.
    """
    with open(path, encoding="utf-8", newline="") as f:
        text = f.read().translate(PLAIN)
    text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    text = re.sub(r"-{2,}", "--", text)
    text = re.sub(r"\. \. \.( \.)?", "...", text)
    found, chapter, after_heading = [], [], True
    for raw in re.split(r"\n[ \t]*\n", text):
        para = " ".join(raw.split())
        title = after_heading and len(para) < 60 and re.search(r"\w$", para)
        if HEADING.fullmatch(para) or title or (re.match(r"\w", para) and para.upper() == para):
            found.append(chapter)
            chapter, after_heading = [], True
        elif re.search(r"[a-z]", para) and not para.startswith("["):
            chapter.append(para)
            after_heading = False
    found.append(chapter)
    return [c for c in found if sum(map(len, c)) >= 2000]


def documents(chapter_list, size=3000):
    """Pieces of about `size` characters that start and end with a paragraph."""
    docs = []
    for chapter in chapter_list:
        piece = []
        for para in chapter:
            piece.append(para)
            if sum(map(len, piece)) >= size:
                docs.append("\n\n".join(piece))
                piece = []
        if piece:
            docs.append("\n\n".join(piece))
    return docs


# ------------------------------------------------------------- the vocabulary

def train_bpe(docs, vocab_size, out):
    """Write GPT-2's vocab.json (256 bytes, merges in order, <|endoftext|>) and merges.txt."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    trained.train_from_iterator(docs, trainers.BpeTrainer(
        vocab_size=vocab_size - 1, show_progress=False, special_tokens=[],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    merges = [m if isinstance(m, str) else " ".join(m)
              for m in json.loads(trained.to_str())["model"]["merges"]]
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]   # GPT-2's order of the bytes
    hidden = 256 - len(shown)
    symbols = [chr(b) for b in shown] + [chr(256 + i) for i in range(hidden)]
    symbols += [m.replace(" ", "") for m in merges] + [EOT]
    vocab = {s: i for i, s in enumerate(symbols)}
    assert len(vocab) == len(symbols) == vocab_size
    write(out, "vocab.json", json.dumps(vocab, ensure_ascii=False, separators=(",", ":")).encode() + b"\n")
    write(out, "merges.txt", "\n".join(["#version: 0.2", *merges, ""]).encode())


def load_bpe(out):
    bpe = Tokenizer(models.BPE.from_file(f"{out}/vocab.json", f"{out}/merges.txt"))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    bpe.decoder = decoders.ByteLevel()
    return bpe


def stream(bpe, docs):
    """<|endoftext|> doc <|endoftext|> doc … <|endoftext|> as one row of ids."""
    eot = bpe.token_to_id(EOT)
    ids = [eot]
    for enc in bpe.encode_batch(docs):
        ids += enc.ids + [eot]
    return torch.tensor(ids)


# ------------------------------------------------------------------ the model

class Product(torch.autograd.Function):
    """a @ b, and its gradients, from operands rounded to bfloat16: CPUs multiply those faster."""

    @staticmethod
    def forward(ctx, a, b):
        a, b = a.bfloat16(), b.bfloat16()
        ctx.save_for_backward(a, b)
        return (a @ b).float()

    @staticmethod
    def backward(ctx, g):
        a, b = ctx.saved_tensors
        g = g.bfloat16()
        return (g @ b.transpose(-2, -1)).float(), (a.transpose(-2, -1) @ g).float()


def product(a, b):
    return Product.apply(a, b) if torch.is_grad_enabled() else a @ b    # measured in float32


class Conv1D(nn.Module):
    """GPT-2's linear layer: y = x W + b with W stored [in, out]."""

    def __init__(self, n_in, n_out, std):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_in, n_out) * std)
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x):
        y = product(x.reshape(-1, x.shape[-1]), self.weight) + self.bias
        return y.view(*x.shape[:-1], -1)


class Attention(nn.Module):
    def __init__(self, c, proj_std):
        super().__init__()
        self.n_head, self.p = c.n_head, c.dropout
        self.c_attn = Conv1D(c.n_embd, 3 * c.n_embd, 0.02)
        self.c_proj = Conv1D(c.n_embd, c.n_embd, proj_std)

    def forward(self, x, mask):
        b, t, n = x.shape
        q, k, v = self.c_attn(x).view(b, t, 3, self.n_head, -1).permute(2, 0, 3, 1, 4)
        scores = product(q * q.shape[-1] ** -0.5, k.transpose(-2, -1)) + mask[:t, :t]
        ctx = product(scores.softmax(-1), v)
        return F.dropout(self.c_proj(ctx.transpose(1, 2).reshape(b, t, n)), self.p, self.training)


class MLP(nn.Module):
    def __init__(self, c, proj_std):
        super().__init__()
        self.p = c.dropout
        self.c_fc = Conv1D(c.n_embd, 4 * c.n_embd, 0.02)
        self.c_proj = Conv1D(4 * c.n_embd, c.n_embd, proj_std)

    def forward(self, x):
        y = self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))     # gelu_new
        return F.dropout(y, self.p, self.training)


class Block(nn.Module):
    def __init__(self, c, proj_std):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(c.n_embd), nn.LayerNorm(c.n_embd)
        self.attn, self.mlp = Attention(c, proj_std), MLP(c, proj_std)

    def forward(self, x, mask):
        x = x + self.attn(self.ln_1(x), mask)
        return x + self.mlp(self.ln_2(x))


class GPT2(nn.Module):
    """Parameters have Hugging Face's names; the head is wte, transposed."""

    def __init__(self, c):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(c.vocab, c.n_embd), nn.Embedding(c.n_ctx, c.n_embd)
        for table in (self.wte, self.wpe):
            nn.init.normal_(table.weight, std=0.02)
        self.h = nn.ModuleList(Block(c, 0.02 / math.sqrt(2 * c.n_layer)) for _ in range(c.n_layer))
        self.ln_f = nn.LayerNorm(c.n_embd)
        self.mask = torch.full((c.n_ctx, c.n_ctx), -math.inf).triu(1)

    def forward(self, ids):
        x = self.wte(ids) + self.wpe.weight[:ids.shape[1]]
        for block in self.h:
            x = block(x, self.mask)
        x = self.ln_f(x)
        return product(x.flatten(0, 1), self.wte.weight.T).view(*ids.shape, -1)


# --------------------------------------------------------- measure and sample

@torch.no_grad()
def loss_of(model, ids, n_ctx, text_bytes):
    """Nats a token and bits a byte, every token predicted once, in windows of n_ctx."""
    model.eval()
    n = len(ids) - 1
    total = 0.0
    for start in range(0, n, n_ctx * 32):
        for x, y in windows_in_order(ids, start, min(start + n_ctx * 32, n), n_ctx):
            total += F.cross_entropy(model(x).flatten(0, 1), y.flatten(), reduction="sum").item()
    model.train()
    return total / n, total / math.log(2) / text_bytes


def windows_in_order(ids, start, end, n_ctx):
    whole = (end - start) // n_ctx * n_ctx
    for a, b, width in ((start, start + whole, n_ctx), (start + whole, end, end - start - whole)):
        if b > a:
            yield ids[a:b].view(-1, width), ids[a + 1:b + 1].view(-1, width)


@torch.no_grad()
def sample(model, bpe, prompt, n, n_ctx, temperature, top_k=40, seed=1):
    model.eval()
    rng = torch.Generator().manual_seed(seed)
    eot = bpe.token_to_id(EOT)
    ids = [eot] + bpe.encode(prompt).ids
    for _ in range(n):
        logits = model(torch.tensor([ids[-n_ctx:]]))[0, -1]
        if temperature == 0:
            ids.append(int(logits.argmax()))
        else:
            best = logits.topk(top_k)
            pick = torch.multinomial((best.values / temperature).softmax(0), 1, generator=rng)
            ids.append(int(best.indices[pick]))
        if ids[-1] == eot:
            break
    model.train()
    return bpe.decode([i for i in ids if i != eot])


# ------------------------------------------------------------------ the files

def write(folder, name, data):
    """Whole or not at all: a reader never sees half a file."""
    with open(f"{folder}/{name}.tmp", "wb") as f:
        f.write(data)
    os.replace(f"{folder}/{name}.tmp", f"{folder}/{name}")


def export(model, c, out):
    config = {
        "architectures": ["GPT2LMHeadModel"], "model_type": "gpt2",
        "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
        "vocab_size": c.vocab, "n_positions": c.n_ctx, "n_ctx": c.n_ctx, "n_embd": c.n_embd,
        "n_layer": c.n_layer, "n_head": c.n_head, "n_inner": None,
        "attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": c.dropout, "initializer_range": 0.02,
        "bos_token_id": c.vocab - 1, "eos_token_id": c.vocab - 1,
        "scale_attn_weights": True, "tie_word_embeddings": True, "torch_dtype": "float16",
    }
    tensors = {f"transformer.{k}": v.detach().half().numpy() for k, v in model.named_parameters()}
    write(out, "config.json", json.dumps(config, indent=2).encode() + b"\n")
    write(out, "model.safetensors", save(tensors, metadata={"format": "pt"}))


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("corpus", help="folder that holds " + ", ".join(TRAIN + [HELD_OUT]))
    a.add_argument("out", help="folder to write the model's four files to")
    a.add_argument("--scratch", help="folder for a checkpoint; a second run goes on from it")
    a.add_argument("--threads", type=int, default=2)
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--vocab", type=int, default=2560, help="tokens, <|endoftext|> included (%(default)s)")
    a.add_argument("--n-ctx", type=int, default=256, help="positions (%(default)s)")
    a.add_argument("--n-embd", type=int, default=128, help="width (%(default)s)")
    a.add_argument("--n-layer", type=int, default=4, help="layers (%(default)s)")
    a.add_argument("--n-head", type=int, default=4, help="heads (%(default)s)")
    a.add_argument("--steps", type=int, default=5000, help="(%(default)s)")
    a.add_argument("--decay", type=int, default=2000, help="of them, at the end, with a falling rate (%(default)s)")
    a.add_argument("--batch", type=int, default=16, help="windows of n_ctx tokens a step (%(default)s)")
    a.add_argument("--lr", type=float, default=3e-3, help="(%(default)s)")
    a.add_argument("--warmup", type=int, default=100, help="steps (%(default)s)")
    a.add_argument("--weight-decay", type=float, default=0.1, help="on matrices only (%(default)s)")
    a.add_argument("--dropout", type=float, default=0.0, help="on what joins the residual (%(default)s)")
    c = a.parse_args()
    torch.set_num_threads(c.threads)
    torch.manual_seed(c.seed)
    os.makedirs(c.out, exist_ok=True)

    # Every 32nd chapter of the books is kept from training, to choose settings by;
    # the held-out book decides nothing.
    book = [ch for name in TRAIN for ch in chapters(f"{c.corpus}/{name}")]
    docs = {"train": documents([ch for i, ch in enumerate(book) if i % 32 != 16]),
            "chosen-by": documents(book[16::32]),
            "held-out": documents(chapters(f"{c.corpus}/{HELD_OUT}"))}
    train_bpe(docs["train"], c.vocab, c.out)
    bpe = load_bpe(c.out)
    ids = {k: stream(bpe, v) for k, v in docs.items()}
    size = {k: sum(map(len, v)) for k, v in docs.items()}
    for k in docs:
        print(f"{k}: {len(docs[k])} pieces, {size[k]} bytes, {len(ids[k])} tokens, "
              f"{size[k] / len(ids[k]):.2f} bytes a token")

    model = GPT2(c)
    params = list(model.parameters())
    print(f"{sum(p.numel() for p in params)} parameters")
    opt = torch.optim.AdamW([{"params": [p for p in params if p.dim() > 1], "weight_decay": c.weight_decay},
                             {"params": [p for p in params if p.dim() == 1], "weight_decay": 0.0}],
                            lr=c.lr, betas=(0.9, 0.99))
    first, spent = 0, 0.0
    saved = c.scratch and f"{c.scratch}/checkpoint.pt"
    if saved and os.path.exists(saved):
        state = torch.load(saved)
        model.load_state_dict(state["model"])
        opt.load_state_dict(state["opt"])
        first, spent = state["step"], state["spent"]
        print(f"going on from step {first}")

    def report(step, loss):
        now = spent + time.time() - began
        held = loss_of(model, ids["chosen-by"], c.n_ctx, size["chosen-by"])
        print(f"step {step}, {now:.0f} s: train {loss:.4f} nats/token; "
              "chosen-by %.4f nats/token, %.4f bits/byte" % held, flush=True)

    began, mean, at = time.time(), None, torch.arange(c.n_ctx + 1)
    for step in range(first, c.steps):
        rng = torch.Generator().manual_seed(c.seed * 1_000_003 + step)
        start = torch.randint(len(ids["train"]) - c.n_ctx, (c.batch, 1), generator=rng)
        rows = ids["train"][start + at]
        fall = max(0.0, 1 - (c.steps - step) / c.decay)      # 0 until the decay, then up to 1
        for group in opt.param_groups:
            group["lr"] = c.lr * min((step + 1) / c.warmup, 0.5 + 0.5 * math.cos(math.pi * fall))
        loss = F.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())
        opt.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(params, 1.0)
        opt.step()
        mean = loss.item() if mean is None else 0.98 * mean + 0.02 * loss.item()
        if (step + 1) % 500 == 0 and step + 1 < c.steps:
            report(step + 1, mean)
            export(model, c, c.out)
            if saved:
                os.makedirs(c.scratch, exist_ok=True)
                torch.save({"model": model.state_dict(), "opt": opt.state_dict(), "step": step + 1,
                            "spent": spent + time.time() - began}, saved + ".tmp")
                os.replace(saved + ".tmp", saved)
    print(f"trained: {c.steps} steps, {c.steps * c.batch * c.n_ctx} tokens, {spent + time.time() - began:.0f} s")

    export(model, c, c.out)
    for weights in ("F32", "F16"):
        for k in docs:
            print(f"{weights} {k}: %.4f nats/token, %.4f bits/byte" % loss_of(model, ids[k], c.n_ctx, size[k]))
        for p in params:
            p.data = p.data.half().float()
    for prompt in ("", "Once upon a time", "It was a"):
        for temperature in (0.0, 0.8):
            print(f"\n--- temperature {temperature}, prompt {prompt!r}:\n"
                  + sample(model, bpe, prompt, 200, c.n_ctx, temperature))


if __name__ == "__main__":
    main()
