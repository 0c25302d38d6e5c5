#!/bin/sh
# run.sh BUILD_DIR TARGET... : searches with libFuzzer, under AddressSanitizer and UBSan, for an input
# that breaks a fuzz target, from the files of tests/fuzz/corpus on.
#
# FUZZ_RUNS and FUZZ_CPU_SECONDS end the search of each target, whichever comes first (by default some
# 20 seconds of runs), FUZZ_SEED is where its random numbers begin (1).  The targets run side by side.
# An input that is found stays in BUILD_DIR; it belongs into the corpus with the fix.
set -u
build=$1
shift
passed=0 failed=0
seed=${FUZZ_SEED:-1}
mkdir -p "$build"
unset ASAN_OPTIONS UBSAN_OPTIONS

echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return n > 9 && d[0]; }' \
    >"$build/probe.c"
if ! clang -fsanitize=fuzzer,address,undefined -o "$build/probe" "$build/probe.c" 2>/dev/null; then
    echo "skipped: no clang with libFuzzer here"
    echo "0 passed, 0 failed, $# skipped"
    exit 0
fi
# shellcheck disable=SC2046
"${MAKE:-make}" BUILD="$build" CC=clang FUZZING=1 \
    CFLAGS="-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all" \
    $(printf "$build/%s " "$@") >"$build/make.log" 2>&1 || {
    cat "$build/make.log"
    echo "0 passed, $# failed, 0 skipped"
    exit 1
}

# search TARGET: leaves its log, and its exit status, in BUILD_DIR
search() {
    target=$1
    case $target in
    fuzz_json) runs=200000 max_len=512 ;;
    fuzz_encode) runs=60000 max_len=400 ;;
    fuzz_decode) runs=150000 max_len=400 ;;
    fuzz_stop) runs=150000 max_len=300 ;;
    fuzz_vocab) runs=80000 max_len=1000 ;;
    fuzz_tokenizer) runs=60000 max_len=2000 ;;
    fuzz_native) runs=30000 max_len=10000 ;;
    fuzz_gguf) runs=60000 max_len=8000 ;;
    fuzz_pytorch) runs=60000 max_len=6000 ;;
    *) runs=100000 max_len=4000 ;;
    esac
    if [ -n "${FUZZ_RUNS:-}${FUZZ_CPU_SECONDS:-}" ]; then
        runs=${FUZZ_RUNS:--1}
    fi
    rm -rf "$build/new-$target"
    mkdir "$build/new-$target"
    ASAN_OPTIONS=detect_stack_use_after_return=1:quarantine_size_mb=16 \
        UBSAN_OPTIONS=print_stacktrace=1 \
        "$build/$target" -seed="$seed" -runs="$runs" -max_len="$max_len" -timeout=60 \
        -print_final_stats=1 -artifact_prefix="$build/$target-" \
        "$build/new-$target" "tests/fuzz/corpus/${target#fuzz_}" >"$build/$target.log" 2>&1 &
    pid=$!
    cpu=0
    while [ -n "${FUZZ_CPU_SECONDS:-}" ] && sleep 2 && kill -0 $pid 2>/dev/null; do
        cpu=$(ps -o cputimes= -p $pid) || break
        [ "$cpu" -lt "$FUZZ_CPU_SECONDS" ] || kill -USR1 $pid # which asks for a clean end
    done
    wait $pid
    echo "$? $cpu" >"$build/$target.status"
}

for target in "$@"; do
    search "$target" &
done
wait
for target in "$@"; do
    read -r status cpu <"$build/$target.status"
    log=$build/$target.log
    if [ "$status" -eq 0 ]; then
        passed=$((passed + 1)) found=nothing
    else
        failed=$((failed + 1)) found="an input that breaks it"
        grep -v '^#[0-9]' "$log"
    fi
    printf '  %s: %s runs%s, %s edges, seed %s: found %s\n' "$target" \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
        "${FUZZ_CPU_SECONDS:+ in $cpu s of CPU}" \
        "$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)" "$seed" "$found"
done
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
