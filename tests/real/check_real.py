#!/usr/bin/env python3
"""Hold libgpt2 to numbers and texts that other programs printed for the real GPT-2's weights.

    check_real.py --library build/libgpt2.so --program build/gpt2 DIR

DIR holds Hugging Face directories with the names of the models in facts.json: gpt2, gpt2-medium and
so on, whichever are there.  Nothing is needed but Python's standard library.  --blimp is the
directory of BLiMP's .jsonl files, --syntaxgym that of SyntaxGym's .json files.  --wikitext is a text,
for which quality.py prints its table of the types of weights.

Kinds of facts, each a function below:

    encode         text -> ids ("<|endoftext|>" in a text is that one token, here and everywhere)
    greedy         prompt -> new_ids, new_text: as many of the likeliest ids as new_ids has, or n_new
    program        as greedy, new_text printed by `gpt2 generate`, `runs` times
    greedy_until   prompt -> new_text, cut before the first of the strings `stop`
    loglikelihood  the sum of the continuation's log-probabilities, within tolerance + relative |v|
    is_greedy      whether each token of the continuation is the likeliest one
    likelier       the continuation `more` has a larger log-likelihood than `less`
    rolling        log-probability of each token but the first, within `tolerance`, and their sum,
                   within `relative` of it; in windows of `max_length` predictions
    probabilities  the probability of each token but the first, within `relative` of it
    loss           mean of the negative ones, at most `above` over it and `below` under it; `rows`
                   texts of `length` predictions, each begun anew, or the text as one
    ln_f           the first numbers of one position after the final norm: tolerance + relative |v|
    blimp          `accuracies` of paradigms, within `tolerance`: how often the good text of a pair
                   is the likelier one, after `begin`; and their mean, within `mean_tolerance`.  The
                   texts are those of a `method`: sentence, or one_prefix, a prefix and one word
    syntaxgym      `verdicts` of suites, T or F for each item: whether the first prediction is true,
                   about sums of surprisals by region; and of all verdicts a `share`.  Nothing comes
                   before the first token, which has no surprisal
    logits         all of the last position, the last row of `tensor` in `file`, within `tolerance`;
                   and the order of the `top` largest

Log-probabilities are natural logarithms, of gpt2_score().  A fact that is `without` a token has
those of a model that never gives this token.

On top of them: each model continues the texts of "deterministic" alike, to the bit of each logit,
in two runs on one thread and two on two.  A fact that is in "doubt" and differs counts as skipped, and
so does one that needs files which are not given.
"""
import argparse
import array
import json
import math
import struct
import subprocess
import sys
from pathlib import Path

import quality
from library import Model, Refused
from suites import Suite, Unusable, blimp_pairs, by_region, sentence

N_DETERMINISTIC = 16


class NotGiven(Exception):
    """The files that a fact needs."""


class Report:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def check(self, ok, line, doubt=None):
        """ok is None for what is wrong even if the fact is in doubt."""
        if ok:
            self.passed += 1
            print(f"  passed   {line}")
        elif doubt and ok is not None:
            self.skipped += 1
            print(f"  skipped  {line}; in doubt: {doubt}")
        else:
            self.failed += 1
            print(f"  FAILED   {line}")
        sys.stdout.flush()

    def skip(self, line):
        self.skipped += 1
        print(line)


def quote(text):
    """A text as one line that fits into a report."""
    line = json.dumps(text, ensure_ascii=False)
    return line if len(line) <= 100 else f"{line[:60]} ... {line[-30:]}"


def number(x):
    return f"{x:.7g}"


# ------------------------------------------------------------------------------ log-probabilities

def log_probabilities(model, ids, n, without=None):
    """Of each of the last n ids, given those before it."""
    token = model.encode(without)[0] if without else None
    scores, = model.scores([(ids, n)], token)
    return [score.logprob for score in scores]


def continuation(model, fact, name="continuation"):
    """The ids of context and continuation, encoded as one, and how many of them continue."""
    ids = model.encode(fact["context"] + fact[name])
    return ids, len(ids) - len(model.encode(fact["context"]))


# ------------------------------------------------------------------------------------------ kinds
# Each yields (ok, line): what was measured, beside what was wanted.

def same(what, found, wanted):
    if found == wanted:
        return True, f"{what}: {quote(found)}"
    found, wanted = (json.dumps(x, ensure_ascii=False) for x in (found, wanted))
    return False, f"{what}: found {found}, wanted {wanted}"


def near(what, found, wanted, above, below):
    """Within [-below, above] of `wanted`."""
    off = found - wanted
    allowed = number(above) if above == below else f"{number(above)} above, {number(below)} below"
    return (-below <= off <= above,
            f"{what} is {number(found)}, wanted {number(wanted)}: off by {off:+.1e}, allowed {allowed}")


def closest(what, found, wanted, limits):
    """Numbers, one by one; reports the one that is worst against its limit."""
    if len(found) != len(wanted):
        yield False, f"{what}: {len(found)} numbers, wanted {len(wanted)}"
        return
    off = [abs(f - w) if math.isfinite(f) else math.inf for f, w in zip(found, wanted)]
    worst = max(range(len(off)), key=lambda i: off[i] / limits[i])
    yield off[worst] <= limits[worst], (
        f"{what}: {len(found)} numbers off by {off[worst]:.1e} at most, allowed "
        f"{number(limits[worst])}; number {worst} is {number(found[worst])}, wanted "
        f"{number(wanted[worst])}")


def check_encode(model, fact):
    yield same(f"ids of {quote(fact['text'])}", model.encode(fact["text"]), fact["ids"])


def check_greedy(model, fact):
    n_new = len(fact["new_ids"]) if "new_ids" in fact else fact["n_new"]
    ids, _ = model.greedy(model.encode(fact["prompt"]), n_new)
    if "new_ids" in fact:
        yield same(f"greedy ids after {quote(fact['prompt'])}", ids, fact["new_ids"])
    if "new_text" in fact:
        yield same(f"greedy text after {quote(fact['prompt'])}", model.decode(ids), fact["new_text"])


def check_program(model, fact):
    command = [model.program, "generate", "-m", model.directory, "-p", fact["prompt"],
               "-n", str(fact["n_new"]), "--temp", "0"]
    for run in range(1, fact["runs"] + 1):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        what = f"gpt2 generate -p {quote(fact['prompt'])} -n {fact['n_new']} --temp 0, run {run}"
        if done.returncode != 0:
            yield False, f"{what} ends with {done.returncode}: {done.stderr.decode().strip()}"
        else:
            yield same(what, done.stdout.decode(errors="replace"),
                       fact["prompt"] + fact["new_text"] + "\n")


def check_greedy_until(model, fact):
    def stops(ids):
        text = model.decode(ids)
        return any(stop in text for stop in fact["stop"])

    ids, _ = model.greedy(model.encode(fact["prompt"]), fact["n_most"], enough=stops)
    text = model.decode(ids)
    for stop in fact["stop"]:
        text = text.split(stop)[0]
    yield same(f"greedy text after {quote(fact['prompt'])} until {quote(fact['stop'])}", text,
               fact["new_text"])


def check_loglikelihood(model, fact):
    ids, n = continuation(model, fact)
    without = fact.get("without")
    allowed = fact.get("tolerance", 0) + fact.get("relative", 0) * abs(fact["sum"])
    what = f"log-likelihood of {quote(fact['continuation'])} after {quote(fact['context'])}"
    yield near(what + (f" without {without}" if without else ""),
               sum(log_probabilities(model, ids, n, without)), fact["sum"], allowed, allowed)


def check_is_greedy(model, fact):
    ids, n = continuation(model, fact)
    scores, = model.scores([(ids, n)])
    found = all(score.rank == 1 for score in scores)
    yield same(f"{quote(fact['continuation'])} is greedy after {quote(fact['context'])}", found,
               fact["greedy"])


def check_likelier(model, fact):
    more, less = (sum(log_probabilities(model, *continuation(model, fact, name)))
                  for name in ("more", "less"))
    yield more > less, (f"log-likelihood after {quote(fact['context'])}: {quote(fact['more'])} "
                        f"{number(more)}, wanted above {quote(fact['less'])} {number(less)}")


def check_rolling(model, fact):
    ids = model.encode(fact["text"])
    n = len(ids) - 1
    window = fact.get("max_length", n)
    found = []
    while len(found) < n:
        end = min(len(found) + window, n)
        found += log_probabilities(model, ids[end - min(window, end):end + 1], end - len(found),
                                   fact.get("without"))
    wanted = fact["per_token"]
    what = quote(fact["text"]) + (f" in windows of {window}" if "max_length" in fact else "")
    what += f" without {fact['without']}" if "without" in fact else ""
    yield from closest(f"log-probabilities of {what}", found, wanted,
                       [fact["tolerance"]] * len(wanted))
    allowed = abs(sum(wanted)) * fact["relative"]
    yield near(f"log-likelihood of {what}", sum(found), sum(wanted), allowed, allowed)


def check_probabilities(model, fact):
    ids = model.encode(fact["text"])
    found = [math.exp(x) for x in log_probabilities(model, ids, len(ids) - 1)]
    yield from closest(f"probabilities of {quote(fact['text'])}", found, fact["values"],
                       [fact["relative"] * v for v in fact["values"]])


def check_loss(model, fact):
    ids = model.encode(fact["text"])
    length, rows = fact.get("length", len(ids) - 1), fact.get("rows", 1)
    found = [x for row in range(rows)
             for x in log_probabilities(model, ids[row * length:(row + 1) * length + 1], length)]
    what = f"loss of {quote(fact['text'])}, {rows} x {length} predictions,"
    yield near(what, -sum(found) / len(found), fact["loss"], fact["above"], fact["below"])


def check_ln_f(model, fact):
    wanted = fact["values"]
    found = model.ln_f(fact["ids"], fact["position"])[:len(wanted)]
    yield from closest(f"ln_f at position {fact['position']} of {fact['ids']}", found, wanted,
                       [fact["tolerance"] + fact["relative"] * abs(w) for w in wanted])


def user_files(model, fact):
    """The directory with the files that a fact needs."""
    directory = model.user_files[fact["kind"]]
    if directory is None:
        raise NotGiven(f"{fact['kind']}: {fact['kind'].upper()} is not set, nothing is measured")
    return directory


def check_blimp(model, fact):
    directory, found = user_files(model, fact), []
    for name, wanted in fact["accuracies"].items():
        try:
            pairs = blimp_pairs(directory / f"{name}.jsonl", fact["method"])
        except Unusable as error:
            yield None, str(error)
            continue
        texts = [model.encode(fact["begin"] + text) for pair in pairs for text in pair]
        sums = [sum(score.logprob for score in scores)
                for scores in model.scores([(ids, len(ids) - 1) for ids in texts])]
        found.append(sum(good > bad for good, bad in zip(sums[::2], sums[1::2])) / len(pairs))
        yield near(f"accuracy of {len(pairs)} pairs of {name}, method {fact['method']},", found[-1],
                   wanted, fact["tolerance"], fact["tolerance"])
    if len(found) == len(fact["accuracies"]):
        ok, line = near("mean of the accuracies", sum(found) / len(found),
                        sum(fact["accuracies"].values()) / len(found), fact["mean_tolerance"],
                        fact["mean_tolerance"])
        yield ok or None, line


def check_syntaxgym(model, fact):
    directory, n_same, n_unusable = user_files(model, fact), 0, 0
    for name, wanted in fact["verdicts"].items():
        try:
            suite = Suite(directory / f"{name}.json", len(wanted))
        except Unusable as error:
            n_unusable += 1
            yield None, str(error)
            continue
        found = "".join("FT"[verdict] for verdict in verdicts(model, suite))
        differ = [n for n, (f, w) in enumerate(zip(found, wanted), 1) if f != w]
        n_same += len(found) - len(differ)
        yield not differ, (f"{name}: {len(found) - len(differ)} of {len(found)} verdicts as wanted"
                           + (f", other ones for the items {differ}" if differ else ""))
    if not n_unusable:
        n = sum(len(wanted) for wanted in fact["verdicts"].values())
        yield n_same >= fact["share"] * n or None, (
            f"{n_same} of {n} verdicts as wanted in all, wanted {fact['share']:.0%} or more")


def verdicts(model, suite):
    """For each item, whether the prediction is true."""
    texts = [sentence(regions) for item in suite.items for regions in item.values()]
    ids = [model.encode(text) for text, _ in texts]
    regions = iter([by_region([0.0] + [-score.logprob for score in scores],
                              [len(model.decode_bytes([token])) for token in tokens], ends)
                    for (_, ends), tokens, scores in zip(
                        texts, ids, model.scores([(tokens, len(tokens) - 1) for tokens in ids]))])
    for item in suite.items:
        yield suite.verdict({condition: next(regions) for condition in item})


def tensor(path, name):
    """The numbers of an F32 tensor of a .safetensors file."""
    data = path.read_bytes()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    first, end = json.loads(data[8:start])[name]["data_offsets"]
    numbers = array.array("f", data[start + first:start + end])
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def check_logits(model, fact):
    wanted = tensor(model.facts_directory / fact["file"], fact["tensor"])[-model.info.n_vocab:]
    found, = model.rows(fact["ids"], 1)
    what = f"after {fact['ids']}"
    yield from closest(f"logits {what}", found, wanted, [fact["tolerance"]] * len(wanted))

    def top(logits):
        return sorted(range(len(logits)), key=lambda token: (-logits[token], token))[:fact["top"]]

    yield same(f"the {fact['top']} likeliest ids {what}", top(found), top(wanted))


KINDS = {name[len("check_"):]: function for name, function in list(globals().items())
         if name.startswith("check_")}


def deterministic(model, prompt):
    ids = model.encode(prompt)
    runs = [model.greedy(ids, N_DETERMINISTIC, n_threads) for n_threads in (1, 1, 2, 2)]
    what = f"{N_DETERMINISTIC} tokens after {quote(prompt)}, 1, 1, 2 and 2 threads:"
    if all(run == runs[0] for run in runs):
        return True, f"{what} every bit alike, {quote(model.decode(runs[0][0]))}"
    return False, f"{what} not alike: " + ", ".join(
        f"{quote(model.decode(new))} with logits {bits[:8]}" for new, bits in runs)


# --------------------------------------------------------------------------------------- the whole

def run_model(directory, args, facts, prompts, report):
    print(f"{directory.name}: {directory}, {len(facts)} facts")
    try:
        model = Model(args.library, str(directory))
    except Refused as error:
        report.check(False, f"loading: {error}")
        return
    model.program, model.directory = args.program, str(directory)
    model.facts_directory = args.facts.parent
    model.user_files = {"blimp": args.blimp, "syntaxgym": args.syntaxgym}
    for prompt in prompts:
        try:
            report.check(*deterministic(model, prompt))
        except Refused as error:
            report.check(False, f"{quote(prompt)}: {error}")
    for fact in facts:
        try:
            for ok, line in KINDS[fact["kind"]](model, fact):
                report.check(ok, f"{line} [{fact['source']}]", fact.get("doubt"))
        except Refused as error:
            report.check(False, f"{fact['kind']}: {error} [{fact['source']}]")
        except NotGiven as what:
            report.skip(f"  skipped  {what} [{fact['source']}]")
    model.close()
    if args.wikitext:
        try:
            quality.report(args.library, str(directory), args.wikitext)
        except (OSError, Refused, UnicodeDecodeError) as error:
            report.check(False, f"quality: {error}")


def given(text):
    """None for "", as make gives it for a variable that is not set."""
    return Path(text) if text else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--library", required=True, metavar="FILE", help="libgpt2.so")
    parser.add_argument("--program", required=True, metavar="FILE", help="the gpt2 program")
    parser.add_argument("--facts", type=Path, default=Path(__file__).parent / "facts.json")
    parser.add_argument("--blimp", type=given, metavar="DIR", help="BLiMP's .jsonl files")
    parser.add_argument("--syntaxgym", type=given, metavar="DIR", help="its .json files")
    parser.add_argument("--wikitext", type=given, metavar="FILE", help="a text for quality.py")
    parser.add_argument("directory", metavar="DIR", help="where the models' directories lie")
    args = parser.parse_args()
    facts = json.loads(args.facts.read_text(encoding="utf-8"))

    wanted = "one of " + ", ".join(facts["models"])
    if not args.directory:
        sys.exit(f"check-real: GPT2_MODELS is not set, wanted a directory that holds {wanted}")
    found = [name for name in facts["models"] if (Path(args.directory) / name).is_dir()]
    if not found:
        sys.exit(f"check-real: GPT2_MODELS={args.directory}: found no model, wanted {wanted}")
    for name, path in (("BLIMP", args.blimp), ("SYNTAXGYM", args.syntaxgym)):
        if path and not path.is_dir():
            sys.exit(f"check-real: {name}={path}: no such directory")
    if args.wikitext and not args.wikitext.is_file():
        sys.exit(f"check-real: WIKITEXT={args.wikitext}: no such file")
    report = Report()
    for name in facts["models"]:
        path = Path(args.directory) / name
        if name in found:
            run_model(path, args, [fact for fact in facts["facts"] if fact["model"] == name],
                      facts["deterministic"], report)
        else:
            report.skip(f"{name}: skipped, no directory {path}")
    print("Left out:")
    for left in facts["left_out"]:
        print(f"  {left['source']}: {left['fact']}: {left['reason']}")
    print(f"{report.passed} passed, {report.failed} failed, {report.skipped} skipped")
    return 1 if report.failed or not report.passed else 0


if __name__ == "__main__":
    sys.exit(main())
