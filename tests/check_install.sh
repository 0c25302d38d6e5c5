#!/bin/sh
# check_install.sh BUILD_DIR: installs below a scratch folder, uses what is there as a stranger would,
# and uninstalls: nothing may be left.
set -u
build=$1
# shellcheck source=tests/checks.sh
. "$(dirname "$0")/checks.sh"
prefix="$scratch/a folder/opt"
unset MAKEFLAGS MAKELEVEL MFLAGS

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
    skip "no pkg-config here"
fi
# outside C++ and CMake programs, which write what the C program has written
if [ -s "$scratch/said" ] && command -v "${CXX:-c++}" >/dev/null; then
    for standard in 11 20; do
        check "a program of C++$standard" sh -c "${CXX:-c++} -std=c++$standard -Wall -Wextra -Wpedantic \
            -Wconversion -Wshadow -Werror examples/minimal.cpp -o '$scratch/cpp' \
            $(pkg-config --cflags --libs gpt2) -Wl,-rpath,'$prefix/lib'"
        check "it writes the same" sh -c "'$scratch/cpp' '$model' 'It was' | cmp - '$scratch/said'"
    done
    "$scratch/cpp" "$scratch/none" x >"$scratch/out" 2>"$scratch/line"
    check "a model that is not there gives 1" test $? -eq 1
    check "and a line" grep -q '^minimal: .*there is no such file' "$scratch/line"
else
    skip "no C++ compiler here"
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
    skip "no cmake here"
fi

check "docs/man/gpt2.1 is what the program says: else make man" sh -c \
    "sh docs/man/make_man.sh '$build/gpt2' | diff docs/man/gpt2.1 -"
if command -v man >/dev/null && command -v groff >/dev/null; then
    for page in man1/gpt2.1 man3/libgpt2.3; do
        check "man has nothing to say against $page" sh -c "LC_ALL=C.UTF-8 MANROFFSEQ='' MANWIDTH=100 \
            man --warnings -l '$prefix/share/man/$page' 2>&1 >/dev/null | { ! grep .; }"
    done
else
    skip "no man here"
fi
sed -n '/^#include <gpt2.h>/,/^}/{s/\\e/\\/g;p;}' docs/man/libgpt2.3 >"$scratch/page.c"
check "the program of libgpt2.3 compiles" "${CC:-cc}" -std=c11 -Wall -Wextra -Werror -Iinclude \
    "$scratch/page.c" "$prefix/lib/libgpt2.a" -o "$scratch/page" -lm -pthread
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
    skip "no bash here"
fi
if git rev-parse HEAD >/dev/null 2>&1; then
    check "make dist" make dist BUILD="$scratch/one"
    check "make dist again" make dist BUILD="$scratch/two"
    check "both archives are equal" sh -c "cmp '$scratch'/one/*.tar.gz '$scratch'/two/*.tar.gz"
    tar -xzf "$scratch"/one/*.tar.gz -C "$scratch"
    check "the archive has the source" test -f "$scratch"/libgpt2-*/lib/kernels/scalar.c
else
    skip "no git repository here"
fi

check "make uninstall" make uninstall BUILD="$build" PREFIX="$prefix"
check "nothing is left of it" test ! -e "$prefix"

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
