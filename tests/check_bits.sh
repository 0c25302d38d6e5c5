#!/bin/sh
# check_bits.sh BUILD_DIR [core's options]: the same bits from every compiler, every set of flags and
# every processor that can be had here.
#
# Builds tests/core.c with the library's sources in several ways, and compares the hashes it prints:
# with each other, and for the models in this checkout with tests/golden-hashes.txt.  Where the processor
# is an emulated one, tests/checkkernels runs there too.
set -u
build=$1/bits
shift
options=$*
shared=${GPT2_SHARED:-../shared}
mkdir -p "$build"
rm -f "$build"/*.txt
passed=0 failed=0 skipped=0

small_models=examples/demo-model large_models=
for model in "$shared"/models/*/model.safetensors; do
    [ -f "$model" ] || continue
    if [ "$(wc -c <"$model")" -lt 10000000 ]; then
        small_models="$small_models ${model%/*}"
    else
        large_models="$large_models ${model%/*}"
    fi
done
if [ "$small_models" = examples/demo-model ]; then
    echo "skipped: no models under $shared/models"
    skipped=$((skipped + 1))
fi

# tools_are_here NAME TOOL...: or else it says what NAME lacks.
tools_are_here() {
    wanted_for=$1
    shift
    for tool; do
        case $tool in
        -* | [A-Z]*) continue ;; # an option of the runner
        esac
        if ! command -v "$tool" >/dev/null 2>&1; then
            echo "skipped: no $tool here for $wanted_for"
            skipped=$((skipped + 1))
            return 1
        fi
    done
}

# try NAME RUNNER COMPILER FLAGS...: one build and its hashes, in NAME.txt, side by side with the others.
# RUNNER is what runs the program where it is for another processor, which is slow: small models only;
# or none.
try() {
    name=$1 runner=$2 compiler=$3
    shift 3
    models="$small_models"
    [ "$runner" = none ] && models="$small_models $large_models" && runner=
    # shellcheck disable=SC2086
    tools_are_here $name $compiler $runner || return
    tried="$tried $name"
    # shellcheck disable=SC2086
    {
        "$compiler" -std=c11 -pedantic -Wall -Wextra -Werror "$@" -Iinclude tests/core.c lib/*/*.c \
            -lm -pthread -o "$build/$name" && $runner "$build/$name" $options $models
    } >"$build/$name.txt" 2>"$build/$name.log" || echo "and it failed" >>"$build/$name.txt" &
}

# try_kernels NAME RUNNER COMPILER: the kernels against their definitions; its report is in NAME.log.
try_kernels() {
    name=$1 runner=$2 compiler=$3
    # shellcheck disable=SC2086
    tools_are_here $name $compiler $runner || return
    tried_kernels="$tried_kernels $name"
    # shellcheck disable=SC2086
    {
        "$compiler" -std=c11 -pedantic -Wall -Wextra -Werror -O2 -static -D_GNU_SOURCE -Iinclude \
            -Ilib tests/checkkernels/*.c lib/*/*.c -lm -pthread -o "$build/$name" &&
            $runner "$build/$name" --quick
    } >"$build/$name.log" 2>&1 || echo "and it failed" >>"$build/$name.log" &
}

tried= tried_kernels=
try native none "${CC:-cc}" -O2
try gcc none gcc -O2
try clang none clang -O2
try contract-gcc none gcc -O3 -ffp-contract=fast -march=native
try contract-clang none clang -O3 -ffp-contract=fast -march=native
try part-of-fast-math none clang -O2 -ffast-math -fno-finite-math-only
try musl none musl-gcc -O2 -static
try no-fma "qemu-x86_64 -cpu Nehalem" gcc -O2 -static
try aarch64 qemu-aarch64 aarch64-linux-gnu-gcc -O2 -static
try_kernels kernels-no-fma "qemu-x86_64 -cpu Nehalem" gcc
try_kernels kernels-aarch64 qemu-aarch64 aarch64-linux-gnu-gcc
wait
sed "s|^|  |; s|$shared/||" "$build/native.txt"
for name in $tried; do
    if grep -q 'and it failed' "$build/$name.txt"; then
        echo "failed: $name"
        cat "$build/$name.log"
        failed=$((failed + 1))
    elif [ ! -s "$build/$name.txt" ] || grep -vxFf "$build/native.txt" "$build/$name.txt"; then
        echo "failed: $name gives other bits than the native build"
        failed=$((failed + 1))
    else
        passed=$((passed + 1))
    fi
done

for name in $tried_kernels; do
    if grep -q 'and it failed' "$build/$name.log"; then
        echo "failed: $name"
        cat "$build/$name.log"
        failed=$((failed + 1))
    else
        passed=$((passed + 1))
    fi
done

while read -r hash model rest; do
    [ "${hash#\#}" = "$hash" ] || continue
    line=$(grep " $model $rest\$" "$build/native.txt")
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
