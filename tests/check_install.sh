#!/bin/sh
# check_install.sh BUILD_DIR: installs below a scratch folder, uses what is there as a stranger would,
# and uninstalls: nothing may be left.
set -u
build=$1
passed=0 failed=0 skipped=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
prefix="$scratch/a folder/opt"
unset MAKEFLAGS MAKELEVEL MFLAGS

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

stage=$scratch/stage
check "make install with DESTDIR" make install BUILD="$build" DESTDIR="$stage" PREFIX=/usr
check "DESTDIR does not reach into gpt2.pc" grep -qx 'prefix=/usr' "$stage/usr/lib/pkgconfig/gpt2.pc"
check "make uninstall with DESTDIR" make uninstall BUILD="$build" DESTDIR="$stage" PREFIX=/usr
check "nothing is left" test ! -e "$stage/usr"
check "make install with LIBDIR and BINDIR" make install BUILD="$build" DESTDIR="$stage" PREFIX=/usr \
    LIBDIR=/usr/lib/somewhere BINDIR=/usr/tools
check "the library is there" test -e "$stage/usr/lib/somewhere/libgpt2.so"
check "the program is there" test -e "$stage/usr/tools/gpt2"
check "gpt2.pc says so" grep -qx 'libdir=${prefix}/lib/somewhere' \
    "$stage/usr/lib/somewhere/pkgconfig/gpt2.pc"

check "make install with PREFIX" make install BUILD="$build" PREFIX="$prefix"
check "the installed program finds the demo model" \
    sh -c "cd / && '$prefix/bin/gpt2' generate -p 'It was' -n 4 -s 1 -t 1"
if command -v pkg-config >/dev/null; then
    PKG_CONFIG_PATH=$prefix/lib/pkgconfig
    export PKG_CONFIG_PATH
    model=$PWD/examples/demo-model
    check "a program against the shared library" sh -c "${CC:-cc} examples/minimal.c \
        -o '$scratch/shared' $(pkg-config --cflags --libs gpt2) -Wl,-rpath,'$prefix/lib'"
    check "it runs" "$scratch/shared" "$model" "It was"
    cp "$scratch/log" "$scratch/said"
    check "a program against the static library" sh -c "${CC:-cc} examples/minimal.c \
        -o '$scratch/static' $(pkg-config --cflags gpt2) '$prefix/lib/libgpt2.a' \
        $(pkg-config --static --libs-only-l gpt2 | sed 's/-lgpt2//') -pthread"
    check "it runs, too" "$scratch/static" "$model" "It was"
    cp "$scratch/log" "$scratch/said_too"
    check "and says the same" cmp "$scratch/said" "$scratch/said_too"
else
    echo "skipped: no pkg-config here"
    skipped=$((skipped + 1))
fi
check "make uninstall" make uninstall BUILD="$build" PREFIX="$prefix"
check "nothing is left of it" test ! -e "$prefix"

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
