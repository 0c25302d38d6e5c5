#!/usr/bin/env python3
"""Writes tests/data/demo-model.safetensors: what transformers computes for the demo model.

transformers runs in float64 here, so that what a test measures against the file is the error of
libgpt2 and not the sum of two.  (make check-hf compares with transformers in float32.)

For three sequences of 11 ids, s0 and s1 text and s2 random, the file holds, all F32:

    sN.tokens           [11]
    sN.TAP              the taps of libgpt2 (include/gpt2.h): embed, h.L.block of every block L,
                        ln_f and logits; for s0 every tap of block 0 too.  Masked scores are -inf.
    sN.probs            [n_vocab], softmax of the last row of sN.logits
    sN.greedy           [16], the first 4 ids of sN.tokens and the 12 greedy ids that follow

Its metadata names the versions and the SHA-256 of the model.safetensors that gave the numbers.
"""
import argparse
import hashlib
import sys
from pathlib import Path

from harness import Record, Report, say

TEXTS = ["It was a bright morning, and the captain was already upon the deck of the ship.",
         "\"I do not know,\" said she, \"whether you will ever come to see us again; but I hope.\""]
N_TOKENS = 11
N_PROMPT = 4
N_GREEDY = 12
MOST_BYTES = 600 * 1024
CLOSE = 1e-5    # between two machines


def sequences(model_dir, n_vocab):
    import numpy as np
    import transformers
    tokenizer = transformers.GPT2Tokenizer.from_pretrained(model_dir)
    for text in TEXTS:
        yield tokenizer.encode(text)[:N_TOKENS]
    yield np.random.default_rng(11).integers(n_vocab, size=N_TOKENS).tolist()


def reference(model_dir):
    """The tensors and the metadata of the file."""
    import numpy as np
    import torch
    import transformers

    from capture import capture, greedy
    model = transformers.GPT2LMHeadModel.from_pretrained(
        model_dir, attn_implementation="eager", torch_dtype=torch.float64).eval()
    tensors = {}
    for number, ids in enumerate(sequences(model_dir, model.config.vocab_size)):
        taps = {name: tap for name, tap in capture(model, ids).items()
                if not name.startswith("h.") or name.endswith(".block")
                or number == 0 and name.startswith("h.0.")}
        taps["probs"] = torch.tensor(taps["logits"][-1]).softmax(-1).numpy()
        prompt = ids[:N_PROMPT]
        taps["tokens"] = np.array(ids)
        taps["greedy"] = np.array(prompt + greedy(model, prompt, N_GREEDY)[0])
        tensors.update({f"s{number}.{name}": tap.astype(np.float32) for name, tap in taps.items()})
    weights = (Path(model_dir) / "model.safetensors").read_bytes()
    return tensors, {
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "model.safetensors sha256": hashlib.sha256(weights).hexdigest(),
    }


def check(path, tensors, metadata):
    """Compares the stored file with a reference computed now."""
    from safetensors import safe_open

    from compare import largest_difference
    report = Report()
    with safe_open(path, "numpy") as stored:
        key = "model.safetensors sha256"
        report.check(stored.metadata()[key] == metadata[key],
                     f"{path} is of another model.safetensors: run make_demo_reference.py")
        report.check(set(stored.keys()) == set(tensors), f"{path} holds other tensors")
        for name in sorted(set(stored.keys()) & set(tensors)):
            difference = largest_difference(stored.get_tensor(name), tensors[name])
            report.check(difference <= CLOSE, f"{path}: {name} differs by {difference:.3g}")
    return report.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="directory of the demo model")
    parser.add_argument("--check", action="store_true", help="compare FILE, do not write it")
    parser.add_argument("file", type=Path, metavar="FILE", help="tests/data/demo-model.safetensors")
    parser.add_argument("--ours", action="store_true", help="only the hashes of the two files")
    args = parser.parse_args()
    if args.check:
        record = Record()
        record.given_files(args.model, args.file)
        record.say()
    if args.ours:
        return Report().close()
    import transformers
    from safetensors.numpy import save_file
    transformers.utils.logging.set_verbosity_error()

    tensors, metadata = reference(args.model)
    if args.check:
        return check(args.file, tensors, metadata)
    args.file.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, args.file, metadata)
    size = args.file.stat().st_size
    say(f"{args.file}: {len(tensors)} tensors, {size} bytes")
    return 0 if size <= MOST_BYTES else f"{args.file} is larger than {MOST_BYTES} bytes"


if __name__ == "__main__":
    sys.exit(main())
