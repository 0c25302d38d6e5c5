#!/bin/sh
# check_examples.sh BUILD_DIR: the Python and the Rust example, over the shared library, say what the
# gpt2 program says; their own tests.
set -u
build=$(cd "$1" && pwd) || exit 1
model=examples/demo-model
prompt="It was a long way"
passed=0 failed=0 skipped=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# check NAME COMMAND...: its output is shown if it fails
check() {
    name=$1
    shift
    if "$@" >"$scratch/log" 2>&1; then
        passed=$((passed + 1))
    else
        echo "failed: $name"
        cat "$scratch/log"
        failed=$((failed + 1))
    fi
}

skip() {
    echo "skipped: $1"
    skipped=$((skipped + 1))
}

# check_demo LANGUAGE COMMAND...: a demo and the program write the same text
check_demo() {
    language=$1
    shift
    check "$language demo" "$@" "$model" "$prompt"
    cp "$scratch/log" "$scratch/$language"
    head -n "$(wc -l <"$scratch/program")" "$scratch/$language" >"$scratch/text"
    check "$language demo writes the text of the program" diff "$scratch/program" "$scratch/text"
    if "$@" no-such-model >"$scratch/out" 2>"$scratch/line"; then
        echo "it said nothing wrong" >"$scratch/line"
    fi
    check "$language demo names the file that is missing" grep -q no-such-model/config.json \
        "$scratch/line"
    check "in one line" test "$(wc -l <"$scratch/line")" -eq 1
}

# The sampling of the demos.
"$build/gpt2" generate -m $model -p "$prompt" -n 50 --temp 0.8 --top-k 40 --top-p 1 -s 0 \
    >"$scratch/program" || failed=$((failed + 1))

# a sanitizer that must be the first library of its process
foreign=$(readelf -d "$build/libgpt2.so" | sed -n 's/.*NEEDED.*\[\(lib[at]san\).*/\1/p')
cargo_minor=$(cargo --version 2>/dev/null | sed -n 's/^cargo 1\.\([0-9]*\).*/\1/p')

if [ -n "$foreign" ]; then
    skip "Python and Rust cannot load a libgpt2.so with $foreign"
elif python3 -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null; then
    GPT2_LIBRARY=$build/libgpt2.so
    export GPT2_LIBRARY
    python3 tests/test_bindings.py >"$scratch/log" 2>&1
    status=$?
    n_run=$(sed -n 's/^Ran \([0-9]*\) tests.*/\1/p' "$scratch/log")
    n_skipped=$(sed -n 's/^OK (skipped=\([0-9]*\))$/\1/p' "$scratch/log")
    if [ $status -eq 0 ] && [ -n "$n_run" ]; then
        passed=$((passed + n_run - ${n_skipped:-0})) skipped=$((skipped + ${n_skipped:-0}))
    else
        echo "failed: tests/test_bindings.py"
        cat "$scratch/log"
        failed=$((failed + 1))
    fi
    check_demo python python3 -B examples/python/gpt2.py
else
    skip "no Python of at least 3.8"
fi

if [ -z "$foreign" ] && [ "${cargo_minor:-0}" -ge 77 ]; then
    GPT2_LIB_DIR=$build
    CARGO_TARGET_DIR=$build/rust
    export GPT2_LIB_DIR CARGO_TARGET_DIR
    check "cargo build" cargo build --offline --locked --manifest-path examples/rust/Cargo.toml
    cargo test --offline --locked --manifest-path examples/rust/Cargo.toml >"$scratch/log" 2>&1
    status=$?
    n_run=$(sed -n 's/^test result: ok\. \([0-9]*\) passed.*/\1/p' "$scratch/log" |
        awk '{ n += $1 } END { print n + 0 }')
    if [ $status -eq 0 ] && [ "$n_run" -gt 0 ]; then
        passed=$((passed + n_run))
    else
        echo "failed: the tests of examples/rust"
        cat "$scratch/log"
        failed=$((failed + 1))
    fi
    check_demo rust "$build/rust/debug/gpt2"
    readelf -d "$build/rust/debug/gpt2" >"$scratch/needed"
    check "it needs the shared library" grep -q 'NEEDED.*\[libgpt2\.so\.1\]' "$scratch/needed"
    if [ -f "$scratch/python" ]; then
        check "both demos say the same" diff "$scratch/python" "$scratch/rust"
    fi
elif [ -z "$foreign" ]; then
    skip "no cargo of at least 1.77"
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
