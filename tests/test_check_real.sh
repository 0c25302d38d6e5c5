#!/bin/sh
# test_check_real.sh BUILD_DIR: tests/real/check_real.py, which holds the library to what others
# printed for the real GPT-2's weights, itself held to: every kind of fact passes where it is right
# and fails where it is wrong.  What transformers computed for the demo model stands in for what was
# printed for GPT-2 (tests/real/demo-facts.json); ../shared/models/novels has GPT-2's vocabulary.
set -u
build=$1
novels=${GPT2_SHARED:-../shared}/models/novels
passed=0 failed=0 skipped=0

finish() {
    echo "$passed passed, $failed failed, $skipped skipped"
    [ "$failed" -eq 0 ]
    exit
}

if ! command -v python3 >/dev/null; then
    echo "skipped: no python3"
    skipped=1
    finish
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE
library=$build/libgpt2.so
facts=tests/real/facts.json
demo_facts=tests/real/demo-facts.json
blimp=tests/real syntaxgym=tests/real # the directories of the files of test suites
wikitext=                             # a text

# run STATUS NAME DIR [FACTS]: runs the checker, keeps what it says in $said
said=$scratch/said
run() {
    name=$2
    python3 tests/real/check_real.py --library "$library" --program "$build/gpt2" \
        --blimp "$blimp" --syntaxgym "$syntaxgym" --wikitext "$wikitext" \
        --facts "${4:-$facts}" "$3" >"$said" 2>&1
    status=$?
    verdict "ends with status $status, not $1" [ "$status" -eq "$1" ]
}

# verdict WHAT COMMAND...: the command succeeds
verdict() {
    what=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "failed: $name: $what"
        sed 's/^/    /' "$said" | cut -c 1-300
    fi
}

# says COUNT PATTERN: so many lines match
says() {
    n=$(grep -cE -- "$2" "$said")
    verdict "$n lines, not $1, match: $2" [ "$n" -eq "$1" ]
}

spoil() {
    python3 tests/real/spoil.py "$@" >"$scratch/facts.json"
}

# ---- right and wrong facts of every kind
kinds() {
    grep -o '"kind": "[a-z_0-9]*"' "$1" | sort -u
}
name="kinds of facts"
grep -o '^def check_[a-z_0-9]*(model, fact)' tests/real/check_real.py |
    sed 's/def check_/"kind": "/; s/(.*/"/' | sort -u >"$scratch/kinds"
kinds "$demo_facts" | diff "$scratch/kinds" - >"$said"
verdict "the demo model's are not all" [ ! -s "$said" ]
kinds "$facts" | diff "$scratch/kinds" - >"$said"
verdict "GPT-2's are not all" [ ! -s "$said" ]

run 0 "right facts" examples "$demo_facts"
says 0 '^  (FAILED|skipped)'
says 2 '^  passed   16 tokens after .* every bit alike'
says 1 '^[1-9][0-9]* passed, 0 failed, 0 skipped$'

spoil spoilt "$demo_facts"
run 1 "wrong facts" examples "$scratch/facts.json"
grep -o 'spoilt [0-9]*\.[0-9]*:' "$scratch/facts.json" | sort -u >"$scratch/wanted"
grep '^  FAILED.*wanted' "$said" | grep -o 'spoilt [0-9]*\.[0-9]*:' | sort -u |
    diff "$scratch/wanted" - >"$scratch/unnoticed"
verdict "not noticed: $(grep -c '^<' "$scratch/unnoticed")" [ ! -s "$scratch/unnoticed" ]
verdict "fewer than 40 wrong facts" [ "$(wc -l <"$scratch/wanted")" -ge 40 ]

spoil doubted "$demo_facts"
run 0 "doubtful facts" examples "$scratch/facts.json"
says 1 '^  skipped  greedy ids .* wanted .*; in doubt: made wrong$'
says 1 '^2 passed, 0 failed, 1 skipped$'

# ---- the table of the types of weights
echo "It was a long way to the sea, and the old man said nothing." >"$scratch/text"
wikitext=$scratch/text
run 0 "a text" examples "$scratch/facts.json"
says 1 '^demo-model, a file of f16, on text: [1-9][0-9]* predictions in windows of 256 tokens'
says 4 '^\| (f32|bf16|q8|q4) +\| +[1-9][0-9.]+ \|'
says 1 '^2 passed, 0 failed, 1 skipped$'

printf It >"$scratch/text"
run 1 "a text of one token" examples "$scratch/facts.json"
says 1 "^  FAILED   quality: $scratch/text: 1 tokens, wanted 2 or more"
rm "$scratch/text"
run 1 "a text that is missing" examples "$scratch/facts.json"
says 1 "^check-real: WIKITEXT=$scratch/text: no such file$"
wikitext=

spoil refused "$demo_facts"
run 1 "an id outside the vocabulary" examples "$scratch/facts.json"
says 1 '^  FAILED   ln_f: .*99999'
says 1 '^0 passed, 1 failed, 0 skipped$'

# ---- the files of test suites: not given, missing, wrong.  Doubt about a fact hides none of it.
spoil suites "$demo_facts"
run 0 "suites" examples "$scratch/facts.json"
says 8 '^  passed   (accuracy of|mean of the accuracies|demo-[a-z]*: [16]|6 of 6|1 of 1) '
says 1 '^8 passed, 0 failed, 0 skipped$'

blimp='' syntaxgym=''
run 1 "suites that are not given" examples "$scratch/facts.json"
says 2 '^  skipped  blimp: BLIMP is not set, nothing is measured'
says 2 '^  skipped  syntaxgym: SYNTAXGYM is not set, nothing is measured'
says 1 '^0 passed, 0 failed, 4 skipped$'

blimp=$scratch/nowhere
run 1 "no directory of pairs" examples "$scratch/facts.json"
says 1 "^check-real: BLIMP=$blimp: no such directory$"

suites=$scratch/suites
mkdir "$suites"
blimp=$suites syntaxgym=$suites
run 1 "files that are missing" examples "$scratch/facts.json"
says 2 "^  FAILED   $suites/demo-pairs.jsonl: No such file or directory"
says 2 "^  FAILED   $suites/demo-(suite|sums).json: No such file or directory"
says 0 '^  (passed|skipped)'

# wrong FILE SED-COMMAND COUNT PATTERN: the file, edited, cannot be used
wrong() {
    cp tests/real/demo-* "$suites"
    sed "$2" "tests/real/$1" >"$suites/$1"
    run 1 "$1 after $2" examples "$scratch/facts.json"
    says "$3" "^  FAILED   $suites/$1$4"
    says 0 '^  skipped'
}
wrong demo-pairs.jsonl '3s/}$//' 2 ':3: not JSON: Expecting '
wrong demo-pairs.jsonl d 2 ': no pairs'
wrong demo-pairs.jsonl '2s/"sentence_bad": "[^"]*"/"sentence_bad": 7/' 1 \
    ':2: "sentence_bad" is 7, wanted a string'
wrong demo-pairs.jsonl '5s/one_prefix_word_good/good/' 1 \
    ':5: "one_prefix_word_good" is null, wanted a string'
wrong demo-pairs.jsonl '1s/ship/\xff/' 2 ': byte [0-9]* is not UTF-8'
wrong demo-suite.json '$d' 1 ':[0-9]*: not JSON: Expecting '
wrong demo-suite.json 's/"sum"/"mean"/' 1 ': "metric" is "mean", wanted "sum"'
wrong demo-suite.json 's/] & \[/] ^ [/' 1 ': "formula" is .*, wanted regions, numbers and '
wrong demo-suite.json 's/"formula": "\[/"formula": "/' 1 ': "formula" is .*, wanted regions, '
wrong demo-suite.json 's/(5;%one%)/(6;%one%)/' 1 ': item 1: there is no region 6 of one'
wrong demo-suite.json '0,/"other"/s/"other"/"another"/' 1 ': item 1: there is no region 4 of other'
wrong demo-suite.json '0,/"content"/s/"content"/"text"/' 1 \
    ': item 1, one: "content" is null, wanted a string'
wrong demo-suite.json 's/"items"/"things"/' 1 ': "items" is null, wanted an array'
wrong demo-suite.json '/"item_number": 5/,/"item_number": 6/{/"item_number": 6/!d}' 1 \
    ': 5 items, wanted 6'
blimp=tests/real syntaxgym=tests/real

# ---- a library whose every second session has another lowest bit in one logit
cat >"$scratch/restless.c" <<'EOF'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <gpt2.h>
#include <string.h>

static int n_sessions;

int32_t gpt2_session_create(const gpt2_model *model, const gpt2_session_params *params,
                            gpt2_session **session)
{
    int32_t (*create)(const gpt2_model *, const gpt2_session_params *, gpt2_session **);

    *(void **)&create = dlsym(RTLD_NEXT, "gpt2_session_create");
    n_sessions++;
    return create(model, params, session);
}

int32_t gpt2_session_logits(gpt2_session *session, int32_t row, const float **logits)
{
    int32_t (*real)(gpt2_session *, int32_t, const float **);
    int32_t status, bits;

    *(void **)&real = dlsym(RTLD_NEXT, "gpt2_session_logits");
    status = real(session, row, logits);
    memcpy(&bits, *logits, sizeof bits);
    bits ^= n_sessions % 2;
    memcpy((float *)*logits, &bits, sizeof bits);
    return status;
}
EOF
name="a restless library"
${CC:-cc} -shared -fPIC -Iinclude -o "$scratch/librestless.so" "$scratch/restless.c" \
    -L"$build" -Wl,--no-as-needed -lgpt2 -Wl,-rpath,"$(cd "$build" && pwd)" -ldl >"$said" 2>&1
verdict "does not build" [ -f "$scratch/librestless.so" ]
library=$scratch/librestless.so
run 1 "a restless library" examples "$demo_facts"
says 2 '^  FAILED   16 tokens after .* not alike'
says 1 '^[1-9][0-9]* passed, 2 failed, 0 skipped$'
library=$build/libgpt2.so

# ---- GPT-2's facts on models that are not GPT-2
blimp='' syntaxgym=''
models=$scratch/models
here=$(pwd)
mkdir -p "$models/gpt2-large"
ln -s "$here/examples/demo-model" "$models/gpt2"
ln -s "$here/examples/demo-model" "$models/gpt2-medium"
run 1 "the demo model as GPT-2" "$models"
says 4 '^  passed   16 tokens after'
says 0 '^  passed   (ids|greedy|gpt2 generate|log-prob|prob|log-likelihood of|loss|ln_f|logits|the 10)'
says 6 '^  FAILED   gpt2 generate .* found .*, wanted '
says 4 '^  FAILED   loss of .* wanted '
says 7 '^  FAILED   (ln_f|logits): token.*\[(keras-hub|raven|transformer-explainer)\]$'
says 1 '^  FAILED   loading: .*gpt2-large'
says 3 '^(gpt2-xl|distilgpt2|stanford-gpt2-small-a): skipped, no directory '
says 2 '^  skipped  greedy text .*; in doubt: printed in float16'

run 1 "GPT2_MODELS is not set" ""
says 1 '^check-real: GPT2_MODELS is not set, wanted a directory that holds one of .* gpt2-xl'
says 0 'passed'
for directory in "$scratch/nowhere" "$here/docs"; do
    run 1 "no model in '$directory'" "$directory"
    says 1 "^check-real: GPT2_MODELS=$directory: found no model, wanted one of .* gpt2-xl"
    says 0 'passed'
done

# ---- the same with a model of GPT-2's vocabulary
if [ -f "$novels/model.safetensors" ]; then
    rm -r "$models"
    mkdir "$models"
    ln -s "$(cd "$novels" && pwd)" "$models/gpt2"
    spoil novels "$novels"
    run 0 "novels, facts of a float64 forward and tinygrad" "$models" "$scratch/facts.json"
    says 6 '^  passed   greedy ids'
    says 3 '^  passed   ids of'
    says 1 '^11 passed, 0 failed, 0 skipped$'

    spoil without "llm.c README" "$facts" # two texts of 2800 tokens: half of the time
    run 1 "novels as GPT-2" "$models" "$scratch/facts.json"
    says 2 '^  passed   16 tokens after'
    says "$(grep -c '"kind": "encode"' "$facts")" '^  passed   ids of'
    says 0 '^  passed   (greedy|gpt2 generate|log-prob|prob|log-likelihood of|loss|ln_f|logits|the 10)'
    says 10 '^  FAILED   (logits|the 10 likeliest ids) after .* wanted '
    says 2 '^  FAILED   ln_f .* wanted '
    says 17 '^  FAILED   log-likelihood of .* after .* wanted '
    says 14 '^  FAILED   (log-)?probabilities of .* wanted '
    says 4 '^  FAILED   log-.* of "<\|endoftext\|>We study .* wanted '
    says 5 '^(gpt2-|distilgpt2|stanford).*: skipped, no directory '
else
    echo "skipped: no $novels"
    skipped=$((skipped + 1))
fi
finish
