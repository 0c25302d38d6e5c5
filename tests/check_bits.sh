#!/bin/sh
# check_bits.sh BUILD_DIR [core's options]: the same bits from every compiler, every set of flags and
# every processor that can be had here.
#
# Builds tests/core.c with the library's sources in several ways, and compares the hashes it prints:
# with each other, and for the models in this checkout with tests/golden-hashes.txt.  tests/checkkernels
# runs on the emulated processors too.  The native build is BUILD_DIR's, as make made it; with CFLAGS set,
# which emulators may not like, it is built here.
#
# Under --quick, what is slow takes core's --brief: large models in all builds but the native one, and
# emulated processors.  That threads and calls do not matter is seen in the other runs.
set -u
made=$1
build=$1/bits
shift
options=$*
slow_options=$options
[ "$options" != --quick ] || slow_options=--brief
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

# Native files, which this little-endian machine writes, and a big-endian one copies and turns round.
native_types=
if [ -x "$made/gpt2" ]; then
    for type in bf16 q4; do
        "$made/gpt2" convert -m examples/demo-model -o "$build/demo-$type.safetensors" --type $type || exit
        small_models="$small_models $build/demo-$type.safetensors"
    done
    native_types="bf16 q4"
else
    echo "skipped: no $made/gpt2 to write native files"
    skipped=$((skipped + 1))
fi

# tools_are_here NAME TOOL...: if not, says which tool NAME lacks.
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

# library NAME COMPILER FLAGS...: compiles the library's sources into the folder NAME, in the background.
library() {
    folder=$build/lib-$1
    command -v "$2" >/dev/null 2>&1 || return # 'try' says that it is missing
    rm -rf "$folder"
    mkdir -p "$folder/o"
    shift
    {
        compiler=$1
        shift
        for file in lib/*/*.c; do
            "$compiler" -std=c11 -pedantic -Wall -Wextra -Werror "$@" -Iinclude -c "$file" \
                -o "$folder/o/$(basename "$file" .c).o" || exit
        done
        : >"$folder/is_built"
    } >"$folder/log" 2>&1 &
}

# made_library NAME: the folder NAME gets what make compiled.
made_library() {
    folder=$build/lib-$1
    rm -rf "$folder"
    mkdir -p "$folder/o"
    ln -s "$(cd "$made" && pwd)"/static/lib/*/*.o "$folder/o"
    : >"$folder/log"
    : >"$folder/is_built"
}

# try NAME RUNNER LIBRARY COMPILER FLAGS...: one build and its hashes, in NAME.txt, beside the others.
# RUNNER runs a program of another processor, small models only; or it is "none".
try() {
    name=$1 runner=$2 library=$build/lib-$3 compiler=$4
    shift 4
    options_here=$options large=$large_models large_options=$slow_options
    [ "$name" != native ] || large_options=$options
    if [ "$runner" = none ]; then
        runner=
    else
        options_here=$slow_options large=
    fi
    # shellcheck disable=SC2086
    tools_are_here $name $compiler $runner || return
    tried="$tried $name"
    # shellcheck disable=SC2086
    {
        cat "$library/log" >&2 && [ -f "$library/is_built" ] &&
            "$compiler" -std=c11 -pedantic -Wall -Wextra -Werror "$@" -Iinclude tests/core.c \
                "$library"/o/*.o -lm -pthread -o "$build/$name" &&
            $runner "$build/$name" $options_here $small_models &&
            { [ -z "$large" ] || "$build/$name" $large_options $large; }
    } >"$build/$name.txt" 2>"$build/$name.log" || echo "and it failed" >>"$build/$name.txt" &
}

# try_kernels NAME RUNNER LIBRARY COMPILER FLAGS...: the kernels against their definitions; its report is
# in NAME.log.
try_kernels() {
    name=$1 runner=$2 library=$build/lib-$3 compiler=$4
    shift 4
    # shellcheck disable=SC2086
    tools_are_here $name $compiler $runner || return
    tried_kernels="$tried_kernels $name"
    # shellcheck disable=SC2086
    {
        [ -f "$library/is_built" ] &&
            "$compiler" -std=c11 -pedantic -Wall -Wextra -Werror "$@" -static -D_GNU_SOURCE -Iinclude \
                -Ilib tests/checkkernels/*.c "$library"/o/*.o -lm -pthread -o "$build/$name" &&
            $runner "$build/$name" --quick
    } >"$build/$name.log" 2>&1 || echo "and it failed" >>"$build/$name.log" &
}

tried= tried_kernels=
s390x_flags="-O2 -fexcess-precision=fast" # gcc may take float as double there with -std=c11
native=native
if [ "$(readlink -f "$(command -v "${CC:-cc}")")" = "$(readlink -f "$(command -v gcc)")" ]; then
    native=gcc # the same compiler
fi
if [ -z "${CFLAGS:-}" ] && [ -f "$made/libgpt2.a" ]; then
    made_library $native
else
    library $native "${CC:-cc}" -O2
fi
[ $native = gcc ] || library gcc gcc -O2
library clang clang -O2
library contract-gcc gcc -O3 -ffp-contract=fast -march=native
library part-of-fast-math clang -O3 -ffast-math -fno-finite-math-only -ffp-contract=fast -march=native
library musl musl-gcc -O1
library aarch64 aarch64-linux-gnu-gcc -O2
library s390x s390x-linux-gnu-gcc $s390x_flags
wait
try native none $native "${CC:-cc}" -O2
try clang none clang clang -O2
try contract-gcc none contract-gcc gcc -O3 -ffp-contract=fast -march=native
try part-of-fast-math none part-of-fast-math clang -O3 -ffast-math -fno-finite-math-only \
    -ffp-contract=fast -march=native
try musl none musl musl-gcc -O1 -static
try no-fma "qemu-x86_64 -cpu Nehalem" gcc gcc -O2 -static
try aarch64 qemu-aarch64 aarch64 aarch64-linux-gnu-gcc -O2 -static
try s390x qemu-s390x s390x s390x-linux-gnu-gcc $s390x_flags -static
try_kernels kernels-no-fma "qemu-x86_64 -cpu Nehalem" gcc gcc -O2
try_kernels kernels-aarch64 qemu-aarch64 aarch64 aarch64-linux-gnu-gcc -O2
try_kernels kernels-s390x qemu-s390x s390x s390x-linux-gnu-gcc $s390x_flags
[ $native = gcc ] || try gcc none gcc gcc -O2
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

for type in $native_types; do
    of_file=$(sed -n "s|^\([^ ]*\) $build/demo-$type.safetensors |\1 |p" "$build/native.txt")
    of_directory=$(sed -n "s|^\([^ ]*\) examples/demo-model \(.*\) $type\$|\1 \2|p" "$build/native.txt")
    if [ -n "$of_file" ] && [ "$of_file" = "$of_directory" ]; then
        passed=$((passed + 1))
    else
        echo "failed: a native file in $type has other bits than its model: $of_file, not $of_directory"
        failed=$((failed + 1))
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
