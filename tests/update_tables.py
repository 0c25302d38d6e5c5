#!/usr/bin/env python3
"""Write the tables of docs/ that tests print, or compare them: update_tables.py [--check] LOGS.

LOGS is the folder in which `make check` keeps what each suite printed.  A table lies between the lines
`<!-- table: NAME -->` and `<!-- end -->`.  `make tables` writes them; `make check` compares them, and a
wrong number fails.  A table, or a column of one, is skipped where this machine cannot measure it.
"""
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FUZZ_TARGETS = sorted(p.stem[5:] for p in (ROOT / "tests/fuzz").glob("fuzz_*.c"))


class Skipped(Exception):
    pass


def log(logs, suite):
    path = logs / f"{suite}.log"
    if not path.exists():
        sys.exit(f"update_tables.py: {path} is missing: run `make check` or `make tables` before")
    return path.read_text(errors="replace")


def find(pattern, text, what):
    found = re.search(pattern, text)
    if not found:
        sys.exit(f"update_tables.py: the output of {what} has no '{pattern}'")
    return found.group(1)


def markdown(head, rows):
    return "\n".join([f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
                     + [f"| {' | '.join(row)} |" for row in rows]) + "\n"


# ---- the tables: NAME -> (file, function of the logs and of the old table)

def counts(logs, old):
    """What there is to test."""
    header = (ROOT / "include/gpt2.h").read_text()
    declarations = "".join(re.findall(r"^GPT2_API.*?;", header, re.M | re.S))
    functions = set(re.findall(r"\b(gpt2_[a-z0-9_]+)\(", declarations))
    exported = set(re.findall(r"\bgpt2_[a-z0-9_]+(?=;)", (ROOT / "lib/libgpt2.map").read_text()))
    if functions != exported:
        sys.exit(f"update_tables.py: gpt2.h and libgpt2.map differ in {sorted(functions ^ exported)}")
    pointers = find(r"each of the (\d+) pointers", log(logs, "test_misuse"), "test_misuse")
    files = {t: len(list((ROOT / "tests/fuzz/corpus" / t).iterdir())) for t in FUZZ_TARGETS}
    parts = ", ".join(f"{t} {n}" for t, n in files.items())
    return markdown(["what", "how many"], [
        ["functions of `gpt2.h`", str(len(functions))],
        ["pointers that these functions take", pointers],
        ["files in the fuzz corpora", f"{sum(files.values())} ({parts})"]])


def torture(logs, old):
    """How many calls test_torture refuses; some of the counts depend on the number of CPUs."""
    if len(os.sched_getaffinity(0)) != 2:
        raise Skipped("its counts are those of a machine of 2 CPUs")
    text = log(logs, "test_torture")
    rows = []
    for line in re.findall(r"^  each refused: (.*)$", text, re.M):
        for n, kind in re.findall(r"(\d+) of (.+?)(?=, \d+ of |$)", line):
            rows.append([kind.rstrip(","), n])
    if len(rows) < 10:
        sys.exit("update_tables.py: test_torture printed too few lines 'each refused: N of KIND'")
    found = re.search(r"shrunk: each of (\d+) files, in (\d+) ways", text)
    rows.append(["files that shrink after their size was read",
                 f"{found.group(1)}, in {found.group(2)} ways"])
    return markdown(["refused call, and its error or effect", "calls"], rows)


CHECKPOINTS = [     # what, the tests that measure it
    ("1 layer norms (ln_1, ln_2, ln_f)", "checkpoint_01_layer_norm"),
    ("2 q, k, v", "checkpoint_02_qkv"),
    ("3 KV cache, in its documented place", "checkpoint_03_kv_cache"),
    ("4 scores, -inf in the same places", "checkpoint_04_scores"),
    ("5 attention output", "checkpoint_05_attention_output"),
    ("6 MLP (fc, act, out)", "checkpoint_06_ffn"),
    ("7 blocks", "checkpoint_07_first_block"),
    ("8 logits of all rows", "checkpoint_08_logits"),
    ("9 the last row alone is that row", "checkpoint_09_selected_row"),
    ("10 argmax of each row", "checkpoint_10_argmax"),
    ("11 probabilities", "checkpoint_11_probabilities"),
    ("12 greedy text, three runs", "checkpoint_12_greedy_text"),
]


def short(number, digits):
    """8e-06 -> 8.0e-6"""
    return re.sub(r"e-0", "e-", f"{number:.{digits - 1}e}") if number else "0"


def checkpoints(logs, old):
    """Each checkpoint's largest difference.  nano-sort needs ../shared; its old column stays."""
    text = log(logs, "test_checkpoints")
    kept = {line.split("|")[1].strip(): line.split("|")[3].strip() for line in old.splitlines()
            if line.startswith("| ")}
    rows = []
    for what, test in CHECKPOINTS:
        body = "".join(re.findall(rf"\[ RUN      \] {test}\n(.*?)\[  *\w+ \] {test}", text, re.S))
        limits = set(re.findall(r"limit (\S+)$", body, re.M))
        to_the_bit = "to the bit" if "to the bit" in body else ""
        row = [what, short(float(limits.pop()), 1) if limits else to_the_bit]
        for model in ["nano-sort", "demo-model"]:
            lines = re.findall(rf"^  {model}: (.*)$", body, re.M)
            differences = [float(d) for line in lines
                           for d in re.findall(r"largest difference (\S+) of", line)]
            if differences:
                row.append(short(max(differences), 2))
            elif any("equal" in line for line in lines):
                row.append("equal")
            elif model == "nano-sort" and not lines:
                row.append(kept.get(what, ""))
            else:
                sys.exit(f"update_tables.py: test_checkpoints printed nothing of {test}, {model}")
        rows.append(row)
    return markdown(["checkpoint", "limit", "nano-sort", "demo model"], rows)


TABLES = {
    "counts": ("docs/reliability.md", counts),
    "torture": ("docs/reliability.md", torture),
    "checkpoints": ("docs/verification.md", checkpoints),
}


def main():
    check = sys.argv[1:2] == ["--check"]
    if len(sys.argv) != 2 + check:
        sys.exit(__doc__)
    logs = Path(sys.argv[-1])
    wrong = 0
    for name, (file, make) in TABLES.items():
        path = ROOT / file
        old = path.read_text()
        before, begin, rest = old.partition(f"<!-- table: {name} -->\n")
        table, end, after = rest.partition("<!-- end -->")
        if not begin or not end:
            sys.exit(f"update_tables.py: {file} lacks the lines of the table {name}")
        try:
            new = make(logs, table)
        except Skipped as reason:
            print(f"  table {name} skipped: {reason}")
            continue
        if table.strip("\n") == new.strip("\n"):
            print(f"  table {name} of {file}: as measured")
        elif check:
            print(f"  table {name} of {file} is not what was measured; `make tables` writes it:")
            for line in new.splitlines():
                if line not in table.splitlines():
                    print(f"    {line}")
            wrong += 1
        else:
            path.write_text(before + begin + "\n" + new + "\n" + end + after)
            print(f"  table {name} of {file}: written")
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
