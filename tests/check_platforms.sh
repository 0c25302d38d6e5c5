#!/bin/sh
# check_platforms.sh BUILD_DIR [PLATFORM...]: the bit test on other systems and processors.
#
# Compiles tests/core.c with the library, and with the library as one file, for each platform: by the clang
# of the Python package ziglang, which it installs into BUILD_DIR/venv-zig, or by gcc for riscv64; runs core
# where an emulator, Wine or Node is here; and compares the hashes of the demo model with
# tests/golden-hashes.txt.
set -u
build=$1
shift
only=$*
venv=$build/venv-zig
work=$build/platforms
wanted=tests/platforms/requirements.txt
mkdir -p "$work"
export ZIG_GLOBAL_CACHE_DIR="$PWD/$work/cache" ZIG_LOCAL_CACHE_DIR="$PWD/$work/cache"
export WINEDEBUG=-all WINEPREFIX="$PWD/$work/wine" # Wine's own files stay here
passed=0 failed=0 skipped=0

skip() {
    echo "skipped: $1"
    skipped=$((skipped + 1))
}

fail() {
    echo "failed: $1"
    failed=$((failed + 1))
}

if ! cmp -s "$wanted" "$venv/made-from"; then
    rm -rf "$venv"
    python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$wanted" &&
        cp "$wanted" "$venv/made-from"
fi >"$work/setup.log" 2>&1
zig="$venv/bin/python -m ziglang cc"
[ -f "$venv/made-from" ] || zig=

# bits NAME SOURCES COMPILER...: of one program, by the $runner of its platform
bits() {
    what=$1 sources=$2
    shift 2
    program=$work/core-$what
    case $what in *-windows*) program=$program.exe ;; esac
    # shellcheck disable=SC2068,SC2086
    if ! $@ -std=c11 -pedantic -Wall -Wextra -Werror -Iinclude $sources tests/core.c \
        -o "$program" -lm >"$work/$what.log" 2>&1; then
        fail "$what does not compile"
        grep -E 'error|undefined' "$work/$what.log" | head -n 5
        return
    elif [ "$runner" = none ]; then
        echo "compiled only: $what"
    elif ! $runner "$program" --brief examples/demo-model >"$work/$what.out" 2>"$work/$what.log"; then
        fail "$what: core"
        tail -n 5 "$work/$what.log"
        return
    else
        tr -d '\r' <"$work/$what.out" >"$work/$what.txt"
        if [ ! -s "$work/$what.txt" ] || grep -vxFf tests/golden-hashes.txt "$work/$what.txt"; then
            fail "$what gives other bits than tests/golden-hashes.txt"
            return
        fi
        echo "the golden bits: $what"
    fi
    passed=$((passed + 1))
}

# platform NAME RUNNER COMPILER FLAGS...: RUNNER runs its programs; "none" where nothing can, so that it
# is only compiled.
platform() {
    name=$1 runner=$2
    shift 2
    case " $only " in "  " | *" $name "*) ;; *) return ;; esac
    if [ -z "$1" ]; then
        skip "$name: ziglang cannot be installed: $(tail -n 1 "$work/setup.log")"
        return
    elif ! command -v "${1%% *}" >/dev/null; then
        skip "$name: no $1 here"
        return
    elif [ "$runner" != none ] && ! command -v "${runner%% *}" >/dev/null; then
        skip "$name: no ${runner%% *} here"
        return
    fi
    bits "$name" "lib/*/*.c" "$@" -O2
    bits "$name-one-file" "$build/gpt2.c" "$@" -O1
}

wasi="node --no-warnings tests/platforms/run_wasi.mjs"
platform wasm32-wasi "$wasi" "$zig" -target wasm32-wasi
platform x86_64-windows wine "$zig" -target x86_64-windows-gnu
platform riscv64-gcc qemu-riscv64 riscv64-linux-gnu-gcc -static -pthread
platform riscv64-musl qemu-riscv64 "$zig" -target riscv64-linux-musl
platform i686-musl qemu-i386 "$zig" -target x86-linux-musl
platform armhf-musl qemu-arm "$zig" -target arm-linux-musleabihf
platform ppc64le-musl qemu-ppc64le "$zig" -target powerpc64le-linux-musl
platform s390x-musl qemu-s390x "$zig" -target s390x-linux-musl
platform aarch64-macos none "$zig" -target aarch64-macos
platform x86_64-macos none "$zig" -target x86_64-macos

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
