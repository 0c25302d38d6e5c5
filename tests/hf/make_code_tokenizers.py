#!/usr/bin/env python3
"""Trains small tokenizers by the rules of StarCoder and of CodeParrot, with Hugging Face's tokenizers.

    python3 tests/hf/make_code_tokenizers.py

Writes tests/hf/starcoder-small.json and codeparrot-small.json as tokenizers saves them.  They learn from
text and code of this project at the time; check_tokenizer_files.py compares what they do, so they need not
be made again when that changes.
"""
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
EOT = "<|endoftext|>"
FIM = ["<fim_prefix>", "<fim_middle>", "<fim_suffix>", "<fim_pad>", "<filename>", "<gh_stars>", "<issue_start>",
       "<jupyter_code>", "<empty_output>", "<commit_before>"]
LEVEL = {"add_prefix_space": False, "trim_offsets": True, "use_regex": True}


def train(name, pre_tokenizer, special, post_processor):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizer, decoders.ByteLevel()
    if post_processor is not None:
        tokenizer.post_processor = post_processor
    trainer = trainers.BpeTrainer(vocab_size=1500, special_tokens=special, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    files = [*(ROOT / "lib").rglob("*.c"), *(ROOT / "examples" / "python").glob("*.py"),
             ROOT / "tests" / "data" / "alice.txt"]
    tokenizer.train_from_iterator((path.read_text(encoding="utf-8") for path in sorted(files)), trainer)
    tokenizer.save(str(HERE / f"{name}-small.json"), pretty=False)


def main():
    train("starcoder", pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                                pre_tokenizers.ByteLevel(**LEVEL)]), [EOT, *FIM], None)
    train("codeparrot", pre_tokenizers.ByteLevel(**LEVEL), [EOT], processors.ByteLevel(trim_offsets=True))


if __name__ == "__main__":
    main()
