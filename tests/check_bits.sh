#!/bin/sh
# check_bits.sh BUILD_DIR [core's options]: the same bits from every compiler and every set of flags.
#
# Builds tests/core.c with the library's sources in several ways, and compares the hashes it prints:
# with each other, and for the models in this checkout with tests/golden-hashes.txt.
set -u
build=$1/bits
shift
shared=${GPT2_SHARED:-../shared}
mkdir -p "$build"
passed=0 failed=0 skipped=0

models=examples/demo-model
for model in "$shared"/models/*/; do
    [ -f "$model/model.safetensors" ] && models="$models ${model%/}"
done
if [ "$models" = examples/demo-model ]; then
    echo "skipped: no models under $shared/models"
    skipped=$((skipped + 1))
fi

# try NAME COMPILER FLAGS...: one build, its hashes in NAME.txt
try() {
    name=$1 compiler=$2
    shift 2
    if ! command -v "$compiler" >/dev/null 2>&1; then
        echo "skipped: no $compiler here for $name"
        skipped=$((skipped + 1))
        return
    fi
    if ! "$compiler" -std=c11 -pedantic -Wall -Wextra -Werror "$@" -Iinclude tests/core.c lib/*.c \
        -lm -pthread -o "$build/$name" || ! "$build/$name" $options $models >"$build/$name.txt"; then
        echo "failed: $name"
        failed=$((failed + 1))
    elif ! cmp -s "$build/$name.txt" "$build/gcc.txt"; then
        echo "failed: $name gives other bits than gcc:"
        diff "$build/gcc.txt" "$build/$name.txt"
        failed=$((failed + 1))
    else
        passed=$((passed + 1))
    fi
}

options=$*
rm -f "$build"/*.txt
try gcc "${CC:-cc}" -O2
sed "s|^|  |; s|$shared/||" "$build/gcc.txt"
try clang clang -O2
try contract-gcc gcc -O3 -ffp-contract=fast -march=native
try contract-clang clang -O3 -ffp-contract=fast -march=native

while read -r hash model rest; do
    [ "${hash#\#}" = "$hash" ] || continue
    line=$(grep " $model " "$build/gcc.txt" | grep " $rest\$")
    if [ -z "$line" ]; then
        continue # another number of tokens, by core's options
    elif [ "${line%% *}" = "$hash" ]; then
        passed=$((passed + 1))
    else
        echo "failed: $model has ${line%% *}, tests/golden-hashes.txt says $hash"
        failed=$((failed + 1))
    fi
done <tests/golden-hashes.txt

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
