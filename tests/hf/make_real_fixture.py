#!/usr/bin/env python3
"""Write tests/real/demo-facts.json: facts of every kind of tests/real/check_real.py, computed by
transformers in float64 for the demo model, so that each kind is known to pass where it should; and
demo-sums.json beside it, whose prediction holds the sum of each region between two numbers.

    make_real_fixture.py --model examples/demo-model tests/real/demo-facts.json
"""
import argparse
import json
import math
from pathlib import Path

import torch
import transformers
from safetensors import safe_open

from capture import capture, greedy
from make_demo_reference import TEXTS, sequences

PROMPT = "The captain looked at"
OTHER = "\"I do not know,\" said she"
SCORED = "<|endoftext|>It was a bright morning, and the captain was already upon the deck."
ENDED = "“Yes.”"  # <|endoftext|> is not unlikely after it
EOT = "<|endoftext|>"
LOGITS = "s0.logits"  # in tests/data/demo-model.safetensors, of the first of TEXTS
CLOSE = 1e-4
PAIRS = Path(__file__).parent.parent / "real/demo-pairs.jsonl"  # as BLiMP's
SUITE = Path(__file__).parent.parent / "real/demo-suite.json"   # as SyntaxGym's
SUMS = Path(__file__).parent.parent / "real/demo-sums.json"     # the same, written here


class Reference:
    def __init__(self, directory):
        self.tokenizer = transformers.GPT2Tokenizer.from_pretrained(directory)
        self.model = transformers.GPT2LMHeadModel.from_pretrained(
            directory, attn_implementation="eager", torch_dtype=torch.float64).eval()
        self.fast_tokenizer = transformers.GPT2TokenizerFast.from_pretrained(directory)

    def greedy(self, text, n):
        ids, margin = greedy(self.model, self.tokenizer.encode(text), n)
        assert margin > CLOSE, f"a greedy id after {text!r} wins by {margin} only"
        return ids

    def log_probabilities(self, ids, without=()):
        """[len(ids) - 1], of each id but the first; the ids `without` are never given."""
        with torch.inference_mode():
            logits = self.model(torch.tensor([ids])).logits[0, :-1]
            logits[:, list(without)] = -torch.inf
        return logits.log_softmax(-1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0].tolist()

    def loglikelihood(self, context, continuation, without=()):
        n = len(self.tokenizer.encode(context))
        ids = self.tokenizer.encode(context + continuation)
        return sum(self.log_probabilities(ids, without)[n - 1:])

    def rolling(self, ids, most):
        """In windows that predict `most` ids and do not overlap; the last one sees `most` ids."""
        predicted = []
        for first in range(1, len(ids), most):
            end = min(first + most, len(ids))
            start = max(end - most - 1, 0)
            predicted += self.log_probabilities(ids[start:end])[first - end:]
        return predicted

    def accuracy(self, pairs):
        """How often the first text of a pair is the likelier one."""
        margins = [sum(self.log_probabilities(self.tokenizer.encode(good)))
                   - sum(self.log_probabilities(self.tokenizer.encode(bad))) for good, bad in pairs]
        assert min(abs(margin) for margin in margins) > CLOSE
        return sum(margin > 0 for margin in margins) / len(pairs)

    def regions(self, contents):
        """{number: surprisal of a region}; the first token of the text has none."""
        contents = [(number, content) for number, content in enumerate(contents, 1) if content]
        encoded = self.fast_tokenizer(" ".join(content for _, content in contents),
                                      return_offsets_mapping=True)
        surprisals = [0] + [-x for x in self.log_probabilities(encoded["input_ids"])]
        sums, first = dict.fromkeys(range(1, 10), 0), 0
        for number, content in contents:
            last = first + len(content)
            sums[number] = sum(surprisal for surprisal, (begin, end)
                               in zip(surprisals, encoded["offset_mapping"])
                               if first <= end <= last)  # the space before it is part of it
            first = last + 1
        return sums

    def loss(self, ids):
        with torch.inference_mode():
            batch = torch.tensor([ids])
            return float(self.model(batch, labels=batch).loss)


def facts(reference):
    encode, decode = reference.tokenizer.encode, reference.tokenizer.decode
    yield dict(kind="encode", text=SCORED, ids=encode(SCORED))

    new = reference.greedy(PROMPT, 12)
    yield dict(kind="greedy", prompt=PROMPT, new_ids=new, new_text=decode(new))
    yield dict(kind="program", prompt=PROMPT, n_new=len(new), runs=3, new_text=decode(new))
    yield dict(kind="greedy", prompt=OTHER, n_new=9, new_text=decode(reference.greedy(OTHER, 9)))

    text = decode(reference.greedy(PROMPT, 40))
    stop = [".", ","]
    assert any(s in text for s in stop)
    yield dict(kind="greedy_until", prompt=PROMPT, stop=stop, n_most=40,
               new_text=text[:min(text.index(s) for s in stop if s in text)])

    for continuation in (" the ship.", " her, and said nothing"):
        yield dict(kind="loglikelihood", context=PROMPT, continuation=continuation, relative=CLOSE,
                   sum=reference.loglikelihood(PROMPT, continuation))
    eot = encode(EOT)
    yield dict(kind="loglikelihood", context=ENDED, continuation=" she said.", without=EOT,
               sum=reference.loglikelihood(ENDED, " she said.", eot), tolerance=CLOSE)
    yield dict(kind="is_greedy", context=PROMPT, continuation=decode(new[:6]), greedy=True)
    yield dict(kind="is_greedy", context=PROMPT, continuation=decode(new[:3]) + " xylophone",
               greedy=False)
    yield dict(kind="likelier", context=PROMPT, more=" the ship", less=" xylophone")
    assert (reference.loglikelihood(PROMPT, " the ship")
            > reference.loglikelihood(PROMPT, " xylophone"))

    ids = encode(SCORED)
    whole = dict(kind="rolling", text=SCORED, relative=CLOSE, tolerance=CLOSE)
    yield dict(whole, per_token=reference.log_probabilities(ids))
    assert (len(ids) - 1) % 5, "the last window is to be a short one"
    yield dict(whole, max_length=5, per_token=reference.rolling(ids, 5))

    text = ENDED + " she said."
    yield dict(whole, text=text, per_token=reference.log_probabilities(encode(text), eot),
               without=EOT)
    yield dict(kind="probabilities", text=SCORED, relative=CLOSE,
               values=[math.exp(x) for x in reference.log_probabilities(ids)])

    yield dict(kind="loss", text=SCORED, loss=reference.loss(ids), above=CLOSE, below=CLOSE)
    rows = [reference.loss(ids[first:first + 5]) for first in (0, 4, 8)]
    yield dict(kind="loss", text=SCORED, rows=3, length=4, loss=sum(rows) / 3, above=CLOSE,
               below=CLOSE)

    taps = capture(reference.model, ids)
    for position in (0, 3):
        yield dict(kind="ln_f", ids=ids, position=position, tolerance=CLOSE, relative=0,
                   values=[float(x) for x in taps["ln_f"][position, :10]])


def suite_facts(reference):
    pairs = [json.loads(line) for line in PAIRS.read_text(encoding="utf-8").splitlines()]
    found = [reference.accuracy([(EOT + pair["sentence_good"], EOT + pair["sentence_bad"])
                                 for pair in pairs]),
             reference.accuracy([[f"{pair['one_prefix_prefix']} {pair[f'one_prefix_word_{x}']}"
                                  for x in ("good", "bad")] for pair in pairs])]
    for method, begin, accuracy in zip(("sentence", "one_prefix"), (EOT, ""), found):
        assert 0.2 < accuracy < 0.9, f"a vacuous accuracy of {accuracy}"
        yield dict(kind="blimp", method=method, begin=begin, accuracies={PAIRS.stem: accuracy},
                   tolerance=CLOSE, mean_tolerance=CLOSE)

    verdicts = ""
    for item in json.loads(SUITE.read_text(encoding="utf-8"))["items"]:
        one, other = (reference.regions([region["content"] for region in condition["regions"]])
                      for condition in item["conditions"])
        verdicts += "FT"[one[4] + one[5] < other[4] + other[5]
                         and (one[3] - other[3] > -2.5 or one[2] < 10)]
    assert min(verdicts.count("T"), verdicts.count("F")) > 1, verdicts
    yield dict(kind="syntaxgym", verdicts={SUITE.stem: verdicts}, share=1)

    contents = ["The captain", "café was", "", "“here”", ", said Alice ."]
    sums = reference.regions(contents)
    formula = " & ".join(f"[({n};%a%) > {x - 0.001:.4f}] & [({n};%a%) < {x + 0.001:.4f}]"
                         for n, x in sums.items() if x)
    regions = [dict(region_number=n, content=content) for n, content in enumerate(contents, 1)]
    SUMS.write_text(json.dumps(dict(
        meta=dict(name=SUMS.stem, metric="sum"),
        predictions=[dict(type="formula", formula=formula)],
        items=[dict(item_number=1, conditions=[dict(condition_name="a", regions=regions)])]),
        ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    yield dict(kind="syntaxgym", verdicts={SUMS.stem: "T"}, share=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="directory of the demo model")
    parser.add_argument("file", type=Path, metavar="FILE", help="tests/real/demo-facts.json")
    args = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()

    reference = Reference(args.model)
    all_facts = [*facts(reference), *suite_facts(reference)]
    first, *_ = sequences(args.model, reference.model.config.vocab_size)
    tensors = Path(__file__).parent.parent / "data/demo-model.safetensors"
    with safe_open(tensors, "numpy") as stored:
        assert stored.get_tensor("s0.tokens").tolist() == first, TEXTS[0]
    all_facts.append(dict(kind="logits", ids=first, file="../data/demo-model.safetensors",
                          tensor=LOGITS, tolerance=CLOSE, top=10))
    lines = [json.dumps(dict(model=Path(args.model).name, source="transformers", **fact),
                        ensure_ascii=False) for fact in all_facts]
    about = (f"Written by tests/hf/make_real_fixture.py with transformers {transformers.__version__}"
             f" and torch {torch.__version__}, in float64.")
    args.file.write_text(
        '{\n "about": ' + json.dumps(about) + f',\n "models": ["{Path(args.model).name}"],\n'
        f' "deterministic": {json.dumps([PROMPT, OTHER])},\n "facts": [\n  '
        + ",\n  ".join(lines) + '\n ],\n "left_out": []\n}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
