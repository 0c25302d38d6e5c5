"""Reads the files of BLiMP and SyntaxGym, which check_real.py measures if the user has them.

An Unusable names the file, the line or the item, and what is wrong there.
"""
import json
import re


class Unusable(Exception):
    """A file that is missing or is not what it should be."""


def read(path):
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise Unusable(f"{path}: byte {error.start} is not UTF-8") from None


def parse(path, text, first_line=1):
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise Unusable(f"{path}:{first_line + error.lineno - 1}: not JSON: {error.msg}") from None


def member(where, value, name, kind):
    """value[name], which must be of the type `kind`."""
    found = value.get(name) if isinstance(value, dict) else None
    if not isinstance(found, kind):
        wanted = {str: "a string", int: "a number", list: "an array", dict: "an object"}[kind]
        raise Unusable(f"{where}: \"{name}\" is {json.dumps(found)[:40]}, wanted {wanted}")
    return found


# ------------------------------------------------------------------------------------------- BLiMP

def blimp_pairs(path, method):
    """[(good, bad)] of a paradigm: whole sentences, or for "one_prefix" a prefix and one word."""
    pairs = []
    text = read(path)
    for n, line in enumerate(text.rstrip("\n").split("\n") if text else [], 1):
        where, pair = f"{path}:{n}", parse(path, line, n)
        if method == "sentence":
            pairs.append([member(where, pair, f"sentence_{x}", str) for x in ("good", "bad")])
        else:
            prefix = member(where, pair, "one_prefix_prefix", str)
            pairs.append([f"{prefix} " + member(where, pair, f"one_prefix_word_{x}", str)
                          for x in ("good", "bad")])
    if not pairs:
        raise Unusable(f"{path}: no pairs")
    return pairs


# --------------------------------------------------------------------------------------- SyntaxGym

REGION = re.compile(r"\(\s*(\d+)\s*;\s*%([\w-]+)%\s*\)")
FORMULA = re.compile(r"[-+<>&|()\d.\s]*")  # with numbers in place of regions


def evaluate(formula):
    """Python's "and" and "or" bind less than comparisons, as SyntaxGym's & and | do."""
    formula = formula.replace("&", " and ").replace("|", " or ")
    return bool(eval(formula.strip(), {"__builtins__": {}, "inf": float("inf")}))


def readable(formula):
    if not FORMULA.fullmatch(formula):
        return False
    try:
        evaluate(formula)
    except (SyntaxError, TypeError):
        return False
    return True


class Suite:
    """The items, each {condition: contents of its regions}, and the first prediction about them."""

    def __init__(self, path, n_items):
        suite = parse(path, read(path))
        metric = member(path, member(path, suite, "meta", dict), "metric", str)
        if metric != "sum":
            raise Unusable(f"{path}: \"metric\" is {json.dumps(metric)}, wanted \"sum\"")
        predictions = member(path, suite, "predictions", list)
        if not predictions:
            raise Unusable(f"{path}: no predictions")
        self.formula = member(path, predictions[0], "formula", str)
        if not readable(self.plain(lambda region, condition: "0")):
            raise Unusable(f"{path}: \"formula\" is {json.dumps(self.formula)}, wanted regions, "
                           "numbers and + - < > & | ( ) [ ]")
        self.items = []
        for n, item in enumerate(member(path, suite, "items", list), 1):
            where = f"{path}: item {n}"
            conditions = {}
            for condition in member(where, item, "conditions", list):
                name = member(where, condition, "condition_name", str)
                conditions[name] = [member(f"{where}, {name}", region, "content", str).strip()
                                    for region in member(where, condition, "regions", list)]
            for region, condition in REGION.findall(self.formula):
                if not 1 <= int(region) <= len(conditions.get(condition, [])):
                    raise Unusable(f"{where}: there is no region {region} of {condition}")
            self.items.append(conditions)
        if len(self.items) != n_items:
            raise Unusable(f"{path}: {len(self.items)} items, wanted {n_items}")

    def plain(self, value):
        """The formula with value(region, condition) for each region, and ( ) for [ ]."""
        text = REGION.sub(lambda found: value(int(found[1]), found[2]), self.formula)
        return text.replace("[", "(").replace("]", ")")

    def verdict(self, surprisals):
        """Whether the prediction is true; surprisals[condition][region - 1] are the regions'."""
        return evaluate(self.plain(lambda region, condition:
                                   f"({surprisals[condition][region - 1]!r})"))


def sentence(regions):
    """The sentence, and for each region the byte where it ends in it."""
    text, ends = "", []
    for region in regions:
        text += (" " if text and region else "") + region
        ends.append(len(text.encode()))
    return text, ends


def by_region(surprisals, lengths, ends):
    """Sums a sentence's tokens, of `lengths` bytes, by the region in which each begins.  The space
    between two regions belongs to the second."""
    sums, first_byte, region = [0.0] * len(ends), 0, 0
    for surprisal, length in zip(surprisals, lengths):
        while first_byte >= ends[region]:
            region += 1
        sums[region] += surprisal
        first_byte += length
    return sums
