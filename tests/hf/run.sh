#!/bin/bash
# run.sh PROGRAM LIBRARY BUILD [--live] [--full]: what `make check-hf` runs.  Compares the gpt2 program and
# the shared library with transformers, tokenizers, tiktoken, tinygrad and ggml's gguf, and examples/python with
# transformers, minicons, surprisal and lm-evaluation-harness.  The last line is "N passed, N failed, N skipped".
#
# Comparisons take minutes and a large Python environment.  libgpt2 gives the same bits on every machine, so
# a comparison that passed once need not run again while all of these stay the same:
#
#   - the comparing code: the check's script and the modules of this folder that it imports, setup.sh, and the
#     versions in its requirements;
#   - what our side is given: the bytes of models and vocabularies, ids, texts; so what this file passes to a
#     script is here, and this file is not in the comparing code;
#   - what our side answers: logits, ids, traces.
#
# pins.txt keeps a hash of each for every comparison that passed.  Our side runs first, with plain Python (for
# examples/python and ggml with numpy).  If its hashes are the pinned ones the check has passed ("pinned").  If
# not, or with --live or --full (longer comparisons), the comparison itself runs.  PIN=1 writes what has passed
# live into pins.txt.
#
# BUILD holds the virtual environment and the models.  GPT2_SHARED is the folder of GPT-2's own vocabulary,
# texts and trained models (default: ../shared beside the checkout).
set -euo pipefail

program=$1 library=$2 build=$3
shift 3
full= always_live=
for option; do
    case $option in
    --full) full=--full always_live=yes ;;
    --live) always_live=yes ;;
    *) echo "run.sh: unknown option $option" >&2 && exit 2 ;;
    esac
done
here=$(dirname "$(readlink -f "$0")")
root=$here/../..
shared=${GPT2_SHARED:-$root/../shared}
work=$build/check-hf
pins=$here/pins.txt
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false PYTHONDONTWRITEBYTECODE=1

rm -rf "$work"
mkdir -p "$work"

# code_hash SCRIPT REQUIREMENTS...: a hash of the script, of every module of this folder that it imports, and
# that those import, of setup.sh and of the requirements.  Each word of an import may be a module.
code_hash() (
    export LC_ALL=C
    cd "$here"
    files=$1 before=
    shift
    while [ "$files" != "$before" ]; do
        before=$files
        # shellcheck disable=SC2086
        files=$({
            printf '%s\n' $before
            sed -nE 's/^ *(from|import) //p' $before | grep -oE '\w+' | while read -r name; do
                [ ! -f "$name.py" ] || echo "$name.py"
            done
        } | sort -u)
    done
    # shellcheck disable=SC2086
    sha256sum -- $files setup.sh "$@" | sha256sum | cut -d' ' -f1
)

# peers REQUIREMENTS: the programs that this file names, with their versions
peers() {
    sed -n 's/^\(transformers\|tokenizers\|tiktoken\|tinygrad\|minicons\|surprisal\|lm_eval\|gguf\)==/\1 /p' \
        "$here/$1" | paste -sd, | sed 's/,/, /g'
}

# with_numpy: a python3 that has numpy
with_numpy() {
    if python3 -c 'import numpy' 2>/dev/null; then
        echo python3
    else
        bash "$here/setup.sh" "$build/venv-numpy" requirements-numpy.txt >&2
        echo "$build/venv-numpy/bin/python"
    fi
}

declare -A is_ready
passed=0 failed=0 skipped=0 n_pinned=0

# count NAME LOG STATUS: adds up the last line of a log, "N passed, N failed, N skipped".
count() {
    local sum
    sum=$(tail -n 1 "$2")
    if [[ $sum =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
        passed=$((passed + BASH_REMATCH[1]))
        failed=$((failed + BASH_REMATCH[2]))
        skipped=$((skipped + BASH_REMATCH[3]))
        [ "${BASH_REMATCH[2]}" != 0 ] || [ "$3" = 0 ] || failed=$((failed + 1))
    else
        echo "FAILED  $1 ended without its sum"
        failed=$((failed + 1))
    fi
}

# hashes LOG: what our side was given, and what it answered
hashes() {
    sed -n 's/^hashes \([0-9a-f]*\) \([0-9a-f]*\)$/\1 \2/p' "$1"
}

# [environment=E] check NAME SCRIPT ARGUMENTS...: in the environment of requirements.txt, or in that of
# requirements-E.txt, which takes in requirements-numpy.txt: our side then needs numpy
check() {
    local name=$1 script=$2 status=0 failed_before
    local log=$work/$name.log venv=$build/venv-${environment:-hf} python=python3
    local requirements=requirements${environment:+-$environment}.txt code
    code=$(code_hash "$script" $requirements ${environment:+requirements-numpy.txt})
    shift 2
    if [ -z "$always_live" ] && [ -z "${PIN:-}" ] && command -v python3 >/dev/null; then
        [ -z "${environment:-}" ] || python=$(with_numpy) || python=python3
        if "$python" "$here/$script" --ours "$@" >"$log" 2>&1 &&
            grep -qxF "$name $code $(hashes "$log")" "$pins"; then
            echo "== $name: pinned: our answers are those that were compared live with $(peers $requirements)"
            count "$name" "$log" 0
            passed=$((passed + 1)) n_pinned=$((n_pinned + 1))
            return
        fi
        echo "== $name: not pinned as it is now: live"
    else
        echo "== $name: live"
    fi
    if [ -z "${is_ready[$venv]:-}" ]; then
        bash "$here/setup.sh" "$venv" ${environment:+$requirements}
        is_ready[$venv]=yes
    fi
    "$venv/bin/python" "$here/$script" ${full:+$(grep -q -- '"--full"' "$here/$script" && echo --full)} \
        "$@" 2>&1 | tee "$log" || status=1
    failed_before=$failed
    count "$name" "$log" $status
    if [ -n "${PIN:-}" ] && [ -z "$full" ] && [ "$failed" = "$failed_before" ]; then
        {
            grep -E '^#' "$pins" || true
            { grep -vE "^(#|$name )" "$pins" || true; echo "$name $code $(hashes "$log")"; } | sort
        } >"$work/pins"
        cp "$work/pins" "$pins"
    fi
}

check demo-reference make_demo_reference.py --check --model "$root/examples/demo-model" \
    "$root/tests/data/demo-model.safetensors"
if [ -d "$shared/tokenizer" ] && [ -d "$shared/corpus" ]; then
    check tokenizer check_tokenizer.py --library "$library" --tokenizer "$shared/tokenizer" \
        --corpus "$shared/corpus"
    check tokenizer-files check_tokenizer_files.py --library "$library" --tokenizer "$shared/tokenizer" \
        --corpus "$shared/corpus" --work "$work"
    check long-text check_long_text.py --library "$library" --tokenizer "$shared/tokenizer" \
        --corpus "$shared/corpus"
else
    echo "== tokenizer, tokenizer-files, long-text: skipped, no tokenizer/ and corpus/ in $shared"
    skipped=$((skipped + 3))
fi
check transformers check_models.py --program "$program" --work "$work"
check files check_files.py --program "$program" --work "$work"
check torch-files check_torch_files.py --program "$program" --work "$work"
check convert check_convert.py --program "$program" --work "$work" --text "$root/tests/data/alice.txt" \
    "$root/examples/demo-model"
if [ -d "$shared/corpus" ]; then
    check accuracy check_accuracy.py --library "$library" --corpus "$shared/corpus" \
        --also "$root/examples/demo-model" "$shared/models/slm4096" "$shared/models/novels"
    check token-scores check_token_scores.py --library "$library" --corpus "$shared/corpus" \
        "$root/examples/demo-model" "$shared/models/slm4096" "$shared/models/novels"
else
    echo "== accuracy, token-scores: skipped, no corpus/ in $shared"
    skipped=$((skipped + 2))
fi
check sampling check_sampling.py --library "$library" --text "$root/tests/data/alice.txt" --work "$work" \
    "$root/examples/demo-model"
if [ -d "$shared/models/novels" ]; then
    check sampling-shared check_sampling.py --text-alone --library "$library" \
        --text "$root/tests/data/alice.txt" --work "$work" "$shared/models/novels"
else
    echo "== sampling-shared: skipped, no models/novels in $shared"
    skipped=$((skipped + 1))
fi
check tinygrad check_tinygrad.py --program "$program" --work "$work"
environment=ggml check ggml check_ggml.py --library "$library" --work "$work"
check score check_score.py --program "$program" --root "$root" --work "$work"
if [ -d "$shared/corpus" ] && [ -d "$shared/models" ]; then
    check score-shared check_score.py --program "$program" --root "$root" --shared "$shared" --work "$work"
else
    echo "== score-shared: skipped, no corpus/ and models/ in $shared"
    skipped=$((skipped + 1))
fi
check activations check_activations.py --library "$library" "$root/examples/demo-model"
if [ -d "$shared/models" ]; then
    check activations-shared check_activations.py --library "$library" "$shared/models/novels" \
        "$shared/models/slm4096" "$shared/models/gpt-by-hand" "$shared/models/nano-sort"
else
    echo "== activations-shared: skipped, no models/ in $shared"
    skipped=$((skipped + 1))
fi
environment=scorers check scorers check_scorers.py --library "$library" \
    --text "$root/tests/data/alice.txt" "$root/examples/demo-model"
if [ -d "$shared/models" ]; then
    environment=scorers check scorers-shared check_scorers.py --library "$library" \
        --text "$root/tests/data/alice.txt" "$shared/models/novels"
else
    echo "== scorers-shared: skipped, no models/ in $shared"
    skipped=$((skipped + 1))
fi

rm -rf "$work"
echo "  $n_pinned comparisons pinned, the others live"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
