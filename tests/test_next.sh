#!/bin/sh
#
# test_next.sh: checks `gpt2 next` from outside: the distribution of the next token, and what each option
# of sampling makes of it.
#
#     tests/test_next.sh PROGRAM DEMO_MODEL

# shellcheck source=tests/program.sh
. "$(dirname "$0")/program.sh"

succeeds 'next --help' next --help
check 'next --help has examples' grep -q '^ .*gpt2 next' "$tmp/out"
check 'next --help has its own defaults' sh -c \
    "grep -A1 -e '--temp T' '$tmp/out' | grep -q 'default: 1)' && grep -A1 -e '--top-k K' '$tmp/out' | grep -q 'default: 0)'"
fails 2 "'0'" 'no token wanted' next -p a -n 0
fails 2 "-n takes a whole number from 1 to 2147483647, not 'x'" 'bad number for -n' next -p a -n x
fails 2 'one input' 'a text and ids' next -p a --tokens 1
fails 1 "$tmp/nowhere" 'missing model' next -m "$tmp/nowhere" -p a

# Each option of sampling refuses what lies outside of its range, naming itself, the value and the range.
bad_value() {
    fails 2 "$1 takes $3, not '$2'" "bad value: $1 $2" next -p a "$1" "$2"
    fails 2 "$1 takes $3, not '$2'" "bad value in generate: $1 $2" generate -p a "$1" "$2"
}
for option in --min-p --typical --typical-p --xtc-probability --xtc-threshold; do
    bad_value $option 1.5 'a number from 0 to 1'
    bad_value $option -0.1 'a number from 0 to 1'
done
bad_value --top-n-sigma -1 'a number from 0 to 1000'
bad_value --top-nsigma x 'a number from 0 to 1000'
bad_value --repeat-penalty 0 'a number from 0.001 to 1000'
bad_value --repeat-last-n -2 'a whole number from -1 to 2147483647'
bad_value --presence-penalty nan 'a number from -1000 to 1000'
bad_value --frequency-penalty 1001 'a number from -1000 to 1000'
bad_value --no-repeat-ngram -1 'a whole number from 0 to 2147483647'
bad_value --dry-multiplier -1 'a number from 0 to 1000'
bad_value --dry-base 0.9 'a number from 1 to 1000'
bad_value --dry-allowed-length 1.5 'a whole number from 0 to 2147483647'
bad_value --mirostat 1 '0 or 2'
bad_value --mirostat-ent 0 'a number from 0.001 to 1000'
bad_value --mirostat-lr -1 'a number from 0 to 1000'
for value in 5 +1 5* 5+ 5- 5+inf 5--1 5+x -5+1 5+1e7 99999999999+1 x; do
    bad_value --logit-bias "$value" 'ID+VALUE or ID-VALUE with a value from 0 to 1e+06, or ID-inf'
done

if ! has_model "$demo"; then
    skip 'next tokens (no demo model)'
    finish
    exit
fi

fails 1 '--logit-bias: token 2560 is outside the vocabulary of 2560' 'a bias of a token that is not there' \
    next -m "$demo" -p a --logit-bias 2560+1
fails 1 'the prompt has ' 'a text longer than the context' next -m "$demo" -p 'It was a day.' -c 2
run next -m "$demo" -p 'It was a' -n 3
cp "$tmp/out" "$tmp/wanted"
equal 'a head and three lines' "$(wc -l <"$tmp/out" | tr -d ' '), $(head -n 1 "$tmp/out" | tr -s ' ')" \
    '4,  rank probability logprob id token'
for batch in 1 3 1000; do
    run next -m "$demo" -p 'It was a' -n 3 -b $batch -t 2
    check "same with -b $batch" cmp "$tmp/out" "$tmp/wanted"
done
printf 'It was a\n' >"$tmp/prompt"
run next -m "$demo" -f "$tmp/prompt" -n 3
check 'next -f' cmp "$tmp/out" "$tmp/wanted"
run next -m "$demo" -n 3
cp "$tmp/out" "$tmp/wanted"
run next -m "$demo" -p '<|endoftext|>' --special -n 3
check 'an empty text is <|endoftext|>' cmp "$tmp/out" "$tmp/wanted"
run next -m "$demo" -p 'It was a' -n 99999
equal 'more than there are: all' "$(wc -l <"$tmp/out" | tr -d ' ')" 2561
if has_model "$sort_model"; then
    fails 1 'has no <|endoftext|>' 'no text, and no <|endoftext|>' next -m "$sort_model"
    run next -m "$sort_model" --tokens 0,0,2,1,0,1 -n 1
    equal 'no tokenizer: ids' "$(awk 'NR == 2 { print $1, $4, $5 }' "$tmp/out")" '1 0 "0"'
else
    skip 'no tokenizer (no nano-sort)'
fi

# filters.py PROGRAM MODEL: compares with the definition of each option, applied in double to the logits
# that `gpt2 trace` writes.
cat >"$tmp/filters.py" <<'PYTHON'
import json, math, statistics, subprocess, sys
sys.path.insert(0, sys.argv[3])
from trace_logits import log_softmax, trace_logits
program, model = sys.argv[1:3]

def run(*arguments):
    done = subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return done.stdout.decode()

def next_tokens(ids, *arguments):
    lines = run("next", "-m", model, "--tokens", ",".join(map(str, ids)), "-n", "99999", "--jsonl", *arguments)
    return [json.loads(line) for line in lines.splitlines()]

# a text with repetitions, so that penalties have something to find
ids = [int(word) for word in run("tokenize", "-m", model, "-p",
                                 "the old man and the old man and the sea and the old").split()]
raw = trace_logits(program, model, ids)[-1]
everything = range(len(raw))

def share(logits, kept=None):
    """The probabilities among the kept tokens."""
    kept = everything if kept is None else kept
    return dict(zip(kept, map(math.exp, log_softmax([logits[i] for i in kept]))))

def until(order, p, threshold):
    """The first of the order whose probabilities add up to the threshold."""
    kept, total = [], 0.0
    for i in order:
        kept.append(i)
        total += p[i]
        if total >= threshold:
            break
    return kept

def changed(change):
    logits = list(raw)
    for i in set(ids):
        logits[i] = change(i, logits[i])
    return share(logits)

def typical(threshold):
    p = share(raw)
    entropy = -sum(x * math.log(x) for x in p.values())
    return until(sorted(everything, key=lambda i: abs(-math.log(p[i]) - entropy)), p, threshold)

def xtc(threshold, temperature=1.0):
    p = share([x / temperature for x in raw])
    likely = sorted((i for i in everything if p[i] >= threshold), key=lambda i: -p[i])
    return [i for i in everything if i not in likely[:-1]]

def dry(multiplier, base, allowed):
    longest = {}
    for end in range(1, len(ids)):
        n = 0
        while n < end and ids[end - 1 - n] == ids[len(ids) - 1 - n]:
            n += 1
        longest[ids[end]] = max(n, longest.get(ids[end], 0))
    assert max(longest.values()) >= 3
    return changed(lambda i, x: x - multiplier * base ** (longest[i] - allowed) if longest.get(i, 0) >= max(allowed, 1) else x)

def ngram(n):
    before = ids[len(ids) - n + 1:]
    banned = {ids[i + n - 1] for i in range(len(ids) - n + 1) if ids[i:i + n - 1] == before}
    assert banned
    return [i for i in everything if i not in banned]

p = share(raw)
best = sorted(everything, key=lambda i: (-raw[i], i))
sigma = statistics.pstdev(raw)
count = ids.count
window = ids[-3:].count
cases = {
    "": p,
    "--temp 0": p,
    "--temp 0.5": share([2 * x for x in raw]),
    "--top-k 7": share(raw, best[:7]),
    "--top-p 0.6": share(raw, until(best, p, 0.6)),
    "--top-n-sigma 2": share(raw, [i for i in everything if raw[i] >= max(raw) - 2 * sigma]),
    "--top-nsigma 1.5": share(raw, [i for i in everything if raw[i] >= max(raw) - 1.5 * sigma]),
    "--min-p 0.1": share(raw, [i for i in everything if p[i] >= 0.1 * p[best[0]]]),
    "--typical 0.5": share(raw, typical(0.5)),
    "--typical-p 0.2": share(raw, typical(0.2)),
    "--xtc-probability 1 --temp 0.25": share([4 * x for x in raw], xtc(0.1, 0.25)),
    "--xtc-probability 1 --xtc-threshold 0.02": share(raw, xtc(0.02)),
    "--mirostat 2 --mirostat-ent 3.5": share(raw, [i for i in everything if -math.log2(p[i]) <= 7.0]),
    "--mirostat 2 --mirostat-ent 3.5 --top-k 1": share(raw, [i for i in everything if -math.log2(p[i]) <= 7.0]),
    "--logit-bias 5+9 --logit-bias %d-2.5" % best[0]: share([x + 9 * (i == 5) - 2.5 * (i == best[0])
                                                             for i, x in enumerate(raw)]),
    "--logit-bias %d-inf" % best[0]: share(raw, [i for i in everything if i != best[0]]),
    "--repeat-penalty 1.3": changed(lambda i, x: x / 1.3 if x > 0 else x * 1.3),
    "--frequency-penalty 0.7": changed(lambda i, x: x - 0.7 * count(i)),
    "--presence-penalty 0.7": changed(lambda i, x: x - 0.7),
    "--presence-penalty 0.7 --repeat-last-n 3": changed(lambda i, x: x - 0.7 * (window(i) > 0)),
    "--presence-penalty 0.7 --repeat-penalty 2 --dry-multiplier 1 --repeat-last-n 0": p,
    "--presence-penalty 0.7 --no-repeat-ngram 2 --ignore-prompt": p,
    "--dry-multiplier 0.8": dry(0.8, 1.75, 2),
    "--dry-multiplier 0.5 --dry-base 1.2 --dry-allowed-length 1": dry(0.5, 1.2, 1),
    "--no-repeat-ngram 2": share(raw, ngram(2)),
    "--no-repeat-ngram 3": share(raw, ngram(3)),
}
errors = []
for options, wanted in cases.items():
    found = next_tokens(ids, *options.split())
    kept = {token["id"]: token for token in found}
    if set(kept) != set(wanted):
        errors.append(f"{options}: {len(kept)} tokens are kept, expected {len(wanted)}")
        continue
    if options and len(wanted) == len(raw) and max(abs(wanted[i] - p[i]) for i in everything) < 1e-4 and wanted is not p \
            and options != "--temp 0":
        errors.append(f"{options}: changes nothing")
    for rank, token in enumerate(found, 1):
        if token["rank"] != rank or rank > 1 and token["probability"] > found[rank - 2]["probability"]:
            errors.append(f"{options}: out of order at {rank}")
            break
    worst = max(abs(kept[i]["probability"] - wanted[i]) / (wanted[i] + 1e-6) for i in wanted)
    worst_log = max(abs(kept[i]["logprob"] - math.log(kept[i]["probability"])) for i in wanted if kept[i]["probability"] > 0)
    if worst > 2e-5 or worst_log > 1e-6:
        errors.append(f"{options}: probabilities differ by {worst:g}, logarithms by {worst_log:g}")
    if any(token["token"] != str(token["id"]) for token in found[:5]):
        errors.append(f"{options}: a token is not its id")

# greedy text of generate, token by token, is the likeliest next token with the same options
for options in ("", "--repeat-penalty 1.5", "--frequency-penalty 1 --repeat-last-n 4", "--presence-penalty 2",
                "--dry-multiplier 2 --dry-allowed-length 1", "--no-repeat-ngram 1", "--no-repeat-ngram 2",
                f"--logit-bias {best[0]}-inf", "--logit-bias 11+4 --no-repeat-ngram 3"):
    found = run("generate", "-m", model, "--tokens", ",".join(map(str, ids)), "-n", "12", "--temp", "0", "--no-echo",
                "--ignore-eos", *options.split())
    text = list(ids)
    for _ in range(12):
        text.append(int(run("next", "-m", model, "--tokens", ",".join(map(str, text)), "-n", "1", *options.split())
                        .splitlines()[1].split()[3]))
    if [int(word) for word in found.split()] != text[len(ids):]:
        errors.append(f"generate {options}: {found.strip()}, expected {text[len(ids):]}")

# a token that generate draws is one that next shows for the same seed
for options in ("--top-k 3", "--min-p 0.2", "--typical 0.3 --temp 2", "--xtc-probability 0.5 --xtc-threshold 0.01 --top-k 5",
                "--mirostat 2 --mirostat-ent 3", "--top-n-sigma 1"):
    drawn = set()
    for seed in range(30):
        words = options.split() + ["-s", str(seed)]
        plain = ["--temp", "1"] * ("--temp" not in words) + ["--top-k", "0"] * ("--top-k" not in words) + ["--top-p", "1"]
        token = int(run("generate", "-m", model, "--tokens", ",".join(map(str, ids)), "-n", "1", "--no-echo", "--ignore-eos",
                        *words, *plain))
        drawn.add(token)
        if token not in {t["id"] for t in next_tokens(ids, *words)}:
            errors.append(f"generate {options} -s {seed}: drew {token}")
    if len(drawn) < 2:
        errors.append(f"generate {options}: always the same token")
print("\n".join(errors))
sys.exit(bool(errors))
PYTHON
if has_python; then
    check 'the definition of each option, greedy text, draws' \
        python3 "$tmp/filters.py" "$program" "$demo" "$checkout/tests"
    run next -m "$demo" -p 'It was a' -n 5 --jsonl
    check 'JSON lines are JSON' python3 -c '
import json, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
assert [list(line) for line in lines] == [["rank", "probability", "logprob", "id", "token"]] * 5
assert lines[0]["token"] == " very", lines[0]' "$tmp/out"
else
    skip 'the definition of each option (no python3)'
fi

finish
