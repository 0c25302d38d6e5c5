#!/bin/sh
#
# test_generate.sh: checks what `gpt2 generate` does beyond plain text: stop strings, log-probabilities.
# Its options of sampling are checked in test_next.sh, the rest in test_program.sh.
#
#     tests/test_generate.sh PROGRAM DEMO_MODEL

# shellcheck source=tests/program.sh
. "$(dirname "$0")/program.sh"

fails 2 "--stop takes at least one byte, not ''" 'an empty stop string' generate -p a --stop ''
fails 2 "-r takes at least one byte, not ''" 'an empty -r' generate -p a -r ''
fails 2 '--stop needs a text, not --tokens' 'a stop string of ids' generate --tokens 1 --stop a
fails 2 "--logprobs takes a whole number from 0 to 2147483647, not '-1'" 'a bad number for --logprobs' \
    generate -p a --logprobs -1
run generate --help
for word in --stop --logprobs --min-p --repeat-penalty; do
    check "generate --help has an example of $word" grep -q -e "^  gpt2 generate .*$word" "$tmp/out"
done
check 'no option in the help runs into its text' \
    awk '/^  (-.,|   ) --/ && length > 27 && substr($0, 27, 1) != " " { exit 1 }' "$tmp/out"

if ! has_model "$demo"; then
    skip 'generate (no demo model)'
    finish
    exit
fi
if has_model "$sort_model"; then
    fails 1 ', and --stop needs one' 'a stop string without a tokenizer' generate -m "$sort_model" --stop a
else
    skip 'a stop string without a tokenizer (no nano-sort)'
fi
if ! has_python; then
    skip 'generate (no python3)'
    finish
    exit
fi

# generate.py PROGRAM MODEL TESTS WHAT
cat >"$tmp/generate.py" <<'PYTHON'
import json, math, os, random, subprocess, sys
sys.path.insert(0, sys.argv[3])
from trace_logits import log_softmax, trace_logits
program, model, _, what = sys.argv[1:]
random.seed(1)
errors = []

def run(*arguments, stdin=""):
    done = subprocess.run([program, *arguments], input=stdin.encode(), capture_output=True)
    if done.returncode != 0 or done.stderr:
        sys.exit(f"{arguments}: exit code {done.returncode}: {done.stderr.decode()}")
    return done.stdout

def generate(*arguments, stdin=""):
    return run("generate", "-m", model, *arguments, stdin=stdin)

def objects(*arguments, stdin=""):
    return [json.loads(line) for line in generate("--jsonl", *arguments, stdin=stdin).splitlines()]

def tokens_of(prompt, *arguments):
    """The ids of the prompt, and those that are drawn after it."""
    ids = run("tokenize", "-m", model, "-p", prompt).decode().split()
    return ids, generate("--tokens", ",".join(ids), "--no-echo", *arguments).decode().split()

def expect(name, found, wanted):
    if found != wanted:
        errors.append(f"{name}: found {found!r}, expected {wanted!r}")

def check_stops():
    """Equal to a plain search in the finished text: the string that is complete first, of those the longest."""
    n_found = 0
    seeds = range(0, 40, int(os.environ.get("GPT2_TEST_SLICE", 1)))
    for seed in seeds:
        arguments = ["-p", "It was a", "-s", str(seed), "-n", "60"] + ["--temp", "3", "--top-k", "0"] * (seed % 4 == 3)
        whole = objects(*arguments)[0]
        text = whole["text"].encode()
        stops = set()
        for _ in range(random.randrange(1, 4)):
            start = random.randrange(len(text))
            stop = text[start:start + random.randrange(1, 9)]
            if random.random() < 0.2:
                stop += b"#"
            try:
                stops.add(stop.decode())
            except UnicodeDecodeError:
                pass
        if "\ufffd" in whole["text"] or not stops:
            continue
        ends = [(text.index(stop.encode()) + len(stop.encode()), -len(stop.encode())) for stop in stops
                if stop.encode() in text]
        wanted = text[:sum(min(ends))] if ends else text
        options = [word for stop in stops for word in (random.choice(["--stop", "-r", "--reverse-prompt"]), stop)]
        found = objects(*arguments, *options)[0]
        expect(f"{arguments} {options}: text", found["text"].encode(), wanted)
        expect(f"{arguments} {options}: stop", found["stop"], "string" if ends else whole["stop"])
        expect(f"{arguments} {options}: plain", generate(*arguments, *options), b"It was a" + wanted + b"\n")
        n_found += bool(ends)
    assert n_found > len(seeds) / 2
    # many texts, whatever runs beside them
    lines = "It was a\nThe old man\nShe said\n\n"
    options = ["--prompts", "-", "-s", "5", "-n", "50", "--stop", "the", "--stop", ","]
    wanted = generate(*options, "--parallel", "1", stdin=lines)
    for n in ("2", "4"):
        expect(f"--parallel {n}", generate(*options, "--parallel", n, stdin=lines), wanted)
    for i, line in enumerate(lines.splitlines()):
        one = generate("-p", line, "-s", "5", "--stream", str(i), "-n", "50", "--stop", "the", "--stop", ",")
        if b"==> line %d <==\n" % (i + 1) + one not in wanted:
            errors.append(f"line {i + 1}: {one!r} is not in {wanted!r}")

def character_of(text, at):
    """The number of the character of the text that has byte 'at'."""
    n = 0
    for character in text:
        at -= len(character.encode())
        if at < 0:
            break
        n += 1
    return n

def check_object(name, found, prompt_ids, ids, n):
    """One text's logprobs against the logits of `gpt2 trace` and log-softmax in double."""
    logprobs = found["logprobs"]
    expect(f"{name}: members", list(logprobs), ["tokens", "token_logprobs", "top_logprobs", "text_offset"])
    expect(f"{name}: n_tokens", [found["n_tokens"]] * 4, [len(logprobs[member]) for member in logprobs])
    expect(f"{name}: ids", len(ids), found["n_tokens"])
    rows = trace_logits(program, model, prompt_ids + ids)
    at = 0
    for i, token in enumerate(ids):
        row = rows[len(prompt_ids) + i - 1] if len(prompt_ids) + i > 0 else [0.0] * len(rows[0])
        wanted = log_softmax(row)
        best = sorted(range(len(row)), key=lambda j: (-row[j], j))[:n]
        top = logprobs["top_logprobs"][i]
        names = [names_of[j] for j in best + [token] * (token not in best)]
        expect(f"{name}: top of {i}", list(top), names)
        expect(f"{name}: token {i}", logprobs["tokens"][i], names_of[token])
        expect(f"{name}: one number for token {i}", top.get(names_of[token]), logprobs["token_logprobs"][i])
        for key, j in zip(top, best + [token]):
            if not abs(top[key] - wanted[j]) <= 1e-6 * max(1.0, -wanted[j]):
                errors.append(f"{name}: token {i}, {key!r}: found {top[key]}, expected {wanted[j]}")
        if "\ufffd" not in found["text"]:
            expect(f"{name}: offset of {i}", logprobs["text_offset"][i], character_of(found["text"], at))
        at += len(bytes_of[token])
    return rows

# the bytes and the name of each token, from one run: <|endoftext|>, the last of them, stands between
n_vocab = 2560
end = b"<|endoftext|>"
ids = "".join(f"{i},{n_vocab - 1}," for i in range(n_vocab - 1)) + str(n_vocab - 1)
bytes_of = run("detokenize", "-m", model, "--tokens", ids).split(end)[:n_vocab - 1] + [end]
assert len(bytes_of) == n_vocab and all(bytes_of)
names_of = []
for data in bytes_of:
    try:
        names_of.append(data.decode())
    except UnicodeDecodeError:
        names_of.append("bytes:" + "".join(f"\\x{byte:02x}" for byte in data))

def check_logprobs():
    cases = [("It was a", n, ["-s", "3", "-n", "12"]) for n in (0, 1, 5)]
    cases += [("naïve €", 2, ["-s", "1", "-n", "30", "--temp", "20", "--top-k", "0", "--top-p", "1"]),
              ("It was", 3, ["-s", "1", "-n", "8", "--min-p", "0.1", "--repeat-penalty", "3", "--logit-bias", "11-inf"]),
              ("It was", 2, ["-n", "9", "--temp", "0", "--ignore-eos"]),
              ("", 2, ["-n", "9", "-s", "2"]),
              ("It was a", n_vocab + 5, ["-s", "3", "-n", "2"])]
    for prompt, n, arguments in cases:
        name = f"{prompt} {arguments} {n}"
        prompt_ids, ids = ([int(word) for word in words] for words in tokens_of(prompt, *arguments))
        found = objects("-p", prompt, *arguments, "--logprobs", str(n))[0]
        if "\ufffd" not in found["text"]:
            expect(f"{name}: text", found["text"].encode(), b"".join(bytes_of[i] for i in ids))
        rows = check_object(name, found, prompt_ids or [n_vocab - 1], ids, min(n, n_vocab))
        # the same numbers in the table
        table = [line.split(maxsplit=3) for line in generate("-p", prompt, *arguments, "--logprobs", str(n)).decode().splitlines()]
        expect(f"{name}: head", table[0][:3], ["id", "logprob", "rank"])
        for i, line in enumerate(table[1:]):
            row = rows[len(prompt_ids or [0]) + i - 1]
            expect(f"{name}: line {i}", (int(line[0]), line[1], int(line[2])),
                   (ids[i], f"{found['logprobs']['token_logprobs'][i]:.4f}", 1 + sum(x > row[ids[i]] for x in row)))
        expect(f"{name}: lines", len(table) - 1, len(ids))
    # a stop string: its tokens count, and offsets do not go beyond the text
    found = objects("-p", "It was", "-n", "30", "-s", "1", "--stop", "oom", "--logprobs", "1")[0]
    expect("stop: the reason", found["stop"], "string")
    ids = [int(word) for word in tokens_of("It was", "-n", str(found["n_tokens"]), "-s", "1")[1]]
    check_object("stop", found, [int(word) for word in tokens_of("It was", "-n", "1")[0]], ids, 1)
    # a text that begins with nothing: its first token is as likely as any
    for arguments in ([], ["--repeat-penalty", "5", "--logit-bias", "700+100"]):
        found = objects("--empty-prompt", "uniform", "-n", "5", "-s", "4", "--logprobs", "2", "--ignore-eos", *arguments)[0]
        ids = [int(word) for word in generate("--tokens", "", "--empty-prompt", "uniform", "-n", "5", "-s", "4",
                                              "--ignore-eos", *arguments).split()]
        check_object(f"uniform {arguments}", found, [], ids, 2)
        if arguments:
            expect("uniform: a bias counts", ids[0], 700)
    # many texts beside each other, of which some end early
    lines = "It was a\nThe old man said to her, and\n\nShe\n"
    options = ["-n", "20", "-s", "3", "--logprobs", "2", "--stop", "e"]
    many = objects("--n-choices", "5", "-p", "It was", *options)
    for i, choice in enumerate(many):
        alone = objects("-p", "It was", *options, "--stream", str(i))[0]
        expect(f"choice {i}", choice["logprobs"], alone["logprobs"])
    prompts = "".join(json.dumps({"prompt": line}) + "\n" for line in lines.splitlines())
    for parallel in ("1", "3", "4"):
        for i, found in enumerate(objects("--prompts", "-", "--parallel", parallel, *options, stdin=prompts)):
            alone = objects("-p", lines.splitlines()[i], *options, "--stream", str(i))[0]
            expect(f"line {i}, --parallel {parallel}", found["logprobs"], alone["logprobs"])
    tables = generate("--n-choices", "2", "-p", "It was", *options).decode()
    expect("tables", tables, "\n".join(f"==> choice {i + 1} <==\n" + generate("-p", "It was", *options, "--stream", str(i)).decode()
                                       for i in range(2)))
    # ids: names and offsets are those of the ids
    found = objects("--tokens", "5,6", "-n", "4", "-s", "2", "--logprobs", "1")[0]
    expect("ids: tokens", found["logprobs"]["tokens"], found["text"].split())
    expect("ids: offsets", [found["text"][at:].split()[0] for at in found["logprobs"]["text_offset"]], found["text"].split())
    expect("no --logprobs", "logprobs" in objects("-p", "It was", "-n", "2")[0], False)

{"stops": check_stops, "logprobs": check_logprobs}[what]()
print("\n".join(errors[:20]))
sys.exit(bool(errors))
PYTHON
PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE
check 'stop strings: as a plain search in the finished text' \
    python3 "$tmp/generate.py" "$program" "$demo" "$checkout/tests" stops
check 'log-probabilities: as log-softmax of the logits in double' \
    python3 "$tmp/generate.py" "$program" "$demo" "$checkout/tests" logprobs

finish
