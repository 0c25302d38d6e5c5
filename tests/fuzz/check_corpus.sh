#!/bin/sh
# check_corpus.sh BUILD_DIR TARGET... : each fuzz target on each file of its corpus, without libFuzzer;
# RUNNER is what runs the targets, such as Valgrind, or nothing.
set -u
build=$1
shift
passed=0 failed=0 inputs=
for target in "$@"; do
    # shellcheck disable=SC2086
    if ${RUNNER:-} "$build/tests/fuzz/$target" "tests/fuzz/corpus/${target#fuzz_}" >"$build/replay.log" 2>&1; then
        passed=$((passed + 1))
        inputs="${inputs:+$inputs, }${target#fuzz_} $(wc -l <"$build/replay.log")"
    else
        failed=$((failed + 1))
        tail -n 40 "$build/replay.log"
        echo "failed: $target"
    fi
done
echo "  inputs replayed: $inputs"
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
