#!/usr/bin/env python3
"""Facts for test_check_real.sh, made from facts: spoil.py COMMAND ... prints a facts file.

    spoil.py spoilt FACTS       every fact of FACTS, made wrong in each way that must be noticed, by
                                little more than its tolerance; "source" says how
    spoil.py doubted FACTS      the first greedy fact, made wrong and in doubt
    spoil.py refused FACTS      an id that is in no vocabulary
    spoil.py suites FACTS       the facts that need the user's files, all in doubt
    spoil.py without SOURCE FACTS     all facts but those of one source
    spoil.py novels DIR         facts out of DIR/reference.json and DIR/tinygrad.json, for "gpt2"
"""
import json
import sys
from pathlib import Path


def without(fact, *names):
    return {name: value for name, value in fact.items() if name not in names}


def shifted(numbers, i, by):
    return [x + by if j == i else x for j, x in enumerate(numbers)]


def spoil(fact):
    """(how, the fact made wrong), in every way."""
    kind = fact["kind"]
    if kind == "encode":
        yield "an id", dict(fact, ids=shifted(fact["ids"], -1 + len(fact["ids"]), 1))
        yield "an id more", dict(fact, ids=fact["ids"] + [0])
    if "new_ids" in fact:
        ids = fact["new_ids"]
        yield "last id", dict(without(fact, "new_text"), new_ids=shifted(ids, len(ids) - 1, 1))
    if "new_text" in fact:
        n_new = fact["n_new"] if "n_new" in fact else len(fact.get("new_ids", []))
        yield "text", dict(without(fact, "new_ids"), runs=1, n_new=n_new,
                           new_text=fact["new_text"] + "!")
    if kind == "program":
        yield "number of tokens", dict(fact, runs=1, n_new=fact["n_new"] + 1)
    if kind == "greedy_until":
        yield "stops", dict(fact, stop=["never"])
    if kind == "loglikelihood":
        for sign in (1, -1):
            by = 1.1 * sign * (fact.get("tolerance", 0)
                               + fact.get("relative", 0) * abs(fact["sum"]))
            yield f"sum, {by:+.1e}", dict(fact, sum=fact["sum"] + by)
        yield "context", dict(fact, context=fact["context"] + ", in the end, at")
    if kind == "is_greedy":
        yield "truth", dict(fact, greedy=not fact["greedy"])
    if kind == "likelier":
        yield "order", dict(fact, more=fact["less"], less=fact["more"])
        yield "no difference", dict(fact, more=fact["less"])
    if kind == "rolling":
        numbers, last = fact["per_token"], len(fact["per_token"]) - 1
        for i, by in ((0, 1.1), (last, -1.1)):
            yield f"number {i}", dict(fact, per_token=shifted(numbers, i, by * fact["tolerance"]))
        yield "sum", dict(fact, tolerance=1e9, per_token=shifted(
            numbers, last, 1.1 * fact["relative"] * abs(sum(numbers))))
        yield "a number more", dict(fact, relative=1e9, per_token=numbers + [0.0])
        yield "windows", dict(fact, max_length=fact.get("max_length", 5) + 1, relative=1e9)
    if kind == "probabilities":
        values, last = fact["values"], len(fact["values"]) - 1
        for i, by in ((0, 1.1), (last, -1.1)):
            yield f"number {i}", dict(fact, values=shifted(values, i,
                                                           by * fact["relative"] * values[i]))
        yield "a number more", dict(fact, values=values + [0.5])
    if kind == "blimp":
        (name, accuracy), = fact["accuracies"].items()
        for sign in (1, -1):
            yield f"accuracy {sign:+}", dict(fact, mean_tolerance=1, accuracies={
                name: accuracy + 1.1 * sign * fact["tolerance"]})
        yield "mean", dict(fact, tolerance=1,
                           accuracies={name: accuracy + 1.1 * fact["mean_tolerance"]})
        if fact["begin"]:
            yield "method", dict(fact, method="one_prefix")
            yield "begin", dict(fact, begin="")
    if kind == "syntaxgym":
        (name, verdicts), = fact["verdicts"].items()
        other = verdicts[:-1] + "FT"[verdicts[-1] == "F"]
        yield "a verdict", dict(fact, verdicts={name: other}, share=0)
        yield "share", dict(fact, verdicts={name: other}, doubt="not of the share")
    if "without" in fact:
        yield "with every token", without(fact, "without")
    if kind == "loss":
        yield "loss below", dict(fact, loss=fact["loss"] - 1.1 * fact["above"], below=0)
        yield "loss above", dict(fact, loss=fact["loss"] + 1.1 * fact["below"], above=0)
        if "rows" in fact:
            yield "rows", dict(fact, rows=fact["rows"] - 1)
    if kind == "ln_f":
        i = len(fact["values"]) - 1
        yield "last number", dict(fact, values=shifted(fact["values"], i, 1.1 * fact["tolerance"]))
        yield "position", dict(fact, position=fact["position"] + 1)
    if kind == "logits":
        yield "tolerance", dict(fact, tolerance=1e-9)
        yield "top", dict(fact, tolerance=1e9, ids=fact["ids"][:-1])


def print_facts(facts, found, models=None, deterministic=()):
    print(json.dumps(dict(facts, facts=found, models=models or facts["models"],
                          deterministic=list(deterministic), left_out=[])))


def read(path):
    facts = json.loads(Path(path).read_text(encoding="utf-8"))
    for fact in facts.get("facts", []):
        if "file" in fact:
            fact["file"] = str((Path(path).parent / fact["file"]).resolve())
    return facts


def main():
    command, *names = sys.argv[1:]
    if command == "spoilt":
        facts = read(names[0])
        print_facts(facts, [dict(wrong, source=f"spoilt {n}.{k}: {how}")
                            for n, fact in enumerate(facts["facts"])
                            for k, (how, wrong) in enumerate(spoil(fact))])
    elif command == "doubted":
        facts = read(names[0])
        fact = next(fact for fact in facts["facts"] if "new_ids" in fact)
        _, wrong = next(spoil(fact))
        print_facts(facts, [dict(wrong, doubt="made wrong"), dict(fact, doubt="right all the same")])
    elif command == "refused":
        facts = read(names[0])
        fact = next(fact for fact in facts["facts"] if fact["kind"] == "ln_f")
        print_facts(facts, [dict(fact, ids=[99999])])
    elif command == "suites":
        facts = read(names[0])
        print_facts(facts, [dict(fact, doubt="made up") for fact in facts["facts"]
                            if fact["kind"] in ("blimp", "syntaxgym")])
    elif command == "without":
        facts = read(names[1])
        print_facts(facts, [fact for fact in facts["facts"] if fact["source"] != names[0]],
                    deterministic=facts["deterministic"])
    else:
        directory, found, texts = Path(names[0]), [], {}
        for case in read(directory / "reference.json")["cases"]:
            found += [dict(kind="encode", text=case["text"], ids=case["ids"]),
                      dict(kind="greedy", prompt=case["text"],
                           new_ids=case["greedy"][len(case["ids"]):])]
            texts[tuple(case["ids"])] = case["text"]
        for case in read(directory / "tinygrad.json")["cases"]:
            found.append(dict(kind="greedy", prompt=texts[tuple(case["prompt"])],
                              new_ids=case["ids"][len(case["prompt"]):]))
        print_facts({}, [dict(fact, model="gpt2", source=directory.name) for fact in found],
                    ["gpt2"], ["The quick brown", "Once upon a time"])


if __name__ == "__main__":
    main()
