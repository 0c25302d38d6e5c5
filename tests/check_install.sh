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
check "the installed program has the demo model inside" \
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
# outside C++ and CMake programs, which write what the C program has written
if [ -s "$scratch/said" ] && command -v "${CXX:-c++}" >/dev/null; then
    for standard in 11 20; do
        check "a program of C++$standard" sh -c "${CXX:-c++} -std=c++$standard -Wall -Wextra -Wpedantic \
            -Wconversion -Wshadow -Werror examples/minimal.cpp -o '$scratch/cpp' \
            $(pkg-config --cflags --libs gpt2) -Wl,-rpath,'$prefix/lib'"
        check "it writes the same" sh -c "'$scratch/cpp' '$model' 'It was' | cmp - '$scratch/said'"
    done
    check "the error of a model that is not there" sh -c "! '$scratch/cpp' '$scratch/none' x 2>&1 |
        grep -v 'there is no such file'"
else
    echo "skipped: no C++ compiler here"
    skipped=$((skipped + 1))
fi
if [ -s "$scratch/said" ] && command -v cmake >/dev/null; then
    mkdir "$scratch/outside"
    cp examples/minimal.c "$scratch/outside"
    cat >"$scratch/outside/CMakeLists.txt" <<'EOF'
cmake_minimum_required(VERSION 3.10)
project(outside C)
find_package(gpt2 0.1 REQUIRED)
find_package(gpt2 REQUIRED)
add_executable(shared minimal.c)
target_link_libraries(shared gpt2::gpt2)
add_executable(static minimal.c)
target_link_libraries(static gpt2::static)
EOF
    check "cmake finds the package" cmake -S "$scratch/outside" -B "$scratch/made" \
        -DCMAKE_PREFIX_PATH="$prefix"
    check "cmake builds with it" cmake --build "$scratch/made"
    for kind in shared static; do
        check "the $kind program of cmake writes the same" sh -c \
            "'$scratch/made/$kind' '$model' 'It was' | cmp - '$scratch/said'"
    done
    sed -i 's/gpt2 0.1 /gpt2 9.0 /' "$scratch/outside/CMakeLists.txt"
    check "cmake refuses another version" sh -c \
        "cmake -S '$scratch/outside' -B '$scratch/made' 2>&1 | grep 'version: 0'"
else
    echo "skipped: no cmake here"
    skipped=$((skipped + 1))
fi

check "docs/man/gpt2.1 is what the program says: else make man" sh -c \
    "sh docs/man/make_man.sh '$build/gpt2' | diff docs/man/gpt2.1 -"
if command -v man >/dev/null && command -v groff >/dev/null; then
    for page in man1/gpt2.1 man3/libgpt2.3; do
        check "man has nothing to say against $page" sh -c "LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=100 \
            man --warnings -l '$prefix/share/man/$page' 2>&1 >/dev/null | { ! grep .; }"
    done
else
    echo "skipped: no man here"
    skipped=$((skipped + 1))
fi
sed -n '/^#include <gpt2.h>/,/^}/s/\\e/\\/gp' docs/man/libgpt2.3 >"$scratch/page.c"
check "the program of libgpt2.3 compiles" "${CC:-cc}" -std=c11 -Wall -Wextra -Werror -Iinclude \
    -fsyntax-only "$scratch/page.c"
if command -v bash >/dev/null; then
    cat >"$scratch/complete.bash" <<'EOF'
. "$1/share/bash-completion/completions/gpt2"
COMP_WORDS=("$1/bin/gpt2" ge) COMP_CWORD=1
_gpt2
echo "${COMPREPLY[@]}"
COMP_WORDS=("$1/bin/gpt2" generate --draft) COMP_CWORD=2
_gpt2
echo "${COMPREPLY[@]}"
EOF
    check "bash completes commands and options" sh -c "bash '$scratch/complete.bash' '$prefix' |
        tr '\\n' ' ' | grep -qx 'generate --draft --draft-max '"
else
    echo "skipped: no bash here"
    skipped=$((skipped + 1))
fi
if git rev-parse HEAD >/dev/null 2>&1; then
    check "make dist" make dist BUILD="$scratch/one"
    check "make dist again" make dist BUILD="$scratch/two"
    check "both archives are equal" sh -c "cmp '$scratch'/one/*.tar.gz '$scratch'/two/*.tar.gz"
    tar -xzf "$scratch"/one/*.tar.gz -C "$scratch"
    check "the archive has the source" test -f "$scratch"/libgpt2-*/lib/kernels/scalar.c
else
    echo "skipped: no git repository here"
    skipped=$((skipped + 1))
fi

check "make uninstall" make uninstall BUILD="$build" PREFIX="$prefix"
check "nothing is left of it" test ! -e "$prefix"

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
