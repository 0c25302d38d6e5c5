#!/bin/bash
# run.sh PROGRAM LIBRARY BUILD [--full]: what `make check-hf` runs.  Compares the gpt2 program and
# the shared library with transformers, tokenizers and tinygrad; ends with "N passed, N failed, N
# skipped".  BUILD holds the virtual environment and the models.  GPT2_SHARED is the folder of
# GPT-2's own vocabulary and the texts to tokenize (default: ../shared beside the checkout).
set -euo pipefail

program=$1 library=$2 build=$3
shift 3
here=$(dirname "$(readlink -f "$0")")
root=$here/../..
shared=${GPT2_SHARED:-$root/../shared}
python=$build/venv-hf/bin/python
work=$build/check-hf
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false PYTHONDONTWRITEBYTECODE=1

bash "$here/setup.sh" "$build/venv-hf"
rm -rf "$work"
mkdir -p "$work"

passed=0 failed=0 skipped=0

# check NAME COMMAND...: runs a script whose last line is "N passed, N failed, N skipped".
check() {
    local name=$1 status=0 sum
    shift
    echo "== $name"
    "$@" 2>&1 | tee "$work/log" || status=1
    sum=$(tail -n 1 "$work/log")
    if [[ $sum =~ ^([a-z_]+:\ )?([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
        passed=$((passed + BASH_REMATCH[2]))
        failed=$((failed + BASH_REMATCH[3]))
        skipped=$((skipped + ${BASH_REMATCH[5]:-0}))
        [ "${BASH_REMATCH[3]}" != 0 ] || [ "$status" = 0 ] || failed=$((failed + 1))
    else
        echo "FAILED  $name ended without its sum"
        failed=$((failed + 1))
    fi
}

check "demo model's reference" "$python" "$here/make_demo_reference.py" --check \
    --model "$root/examples/demo-model" "$root/tests/data/demo-model.safetensors"
if [ -d "$shared/tokenizer" ] && [ -d "$shared/corpus" ]; then
    check "tokenizer" "$python" "$here/check_tokenizer.py" --library "$library" \
        --tokenizer "$shared/tokenizer" --corpus "$shared/corpus"
    check "long text" "$python" "$here/check_long_text.py" --library "$library" \
        --tokenizer "$shared/tokenizer" --corpus "$shared/corpus" "$@"
else
    echo "== tokenizer, long text: skipped, no tokenizer/ and corpus/ in $shared"
    skipped=$((skipped + 2))
fi
check "transformers" "$python" "$here/check_models.py" --program "$program" --work "$work" "$@"
if [ -d "$shared/corpus" ]; then
    check "accuracy" "$python" "$here/check_accuracy.py" --library "$library" \
        --corpus "$shared/corpus" "$@" --also "$root/examples/demo-model" \
        "$shared/models/slm4096" "$shared/models/novels"
else
    echo "== accuracy: skipped, no corpus/ in $shared"
    skipped=$((skipped + 1))
fi
check "tinygrad" "$python" "$here/check_tinygrad.py" --program "$program" --work "$work"

check "score" "$python" "$here/check_score.py" --program "$program" --root "$root" \
    --shared "$shared" --work "$work"

rm -rf "$work"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
