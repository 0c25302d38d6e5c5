#!/bin/sh
# check_amalgamation.sh BUILD_DIR: gpt2.c, the library as one file of C, compiles without a warning, has
# the functions of gpt2.h and no other, and gives the bits of the library.
set -u
build=$1
model=examples/demo-model
# shellcheck source=tests/checks.sh
. "$(dirname "$0")/checks.sh"
strict="-std=c11 -O2 -pedantic -Wall -Wextra -Werror"

cp "$build/gpt2.c" "$build/gpt2.h" examples/minimal.c tests/core.c "$scratch"
wanted=$("$build/examples/minimal" $model "It was")
cd "$scratch" || exit 1
# shellcheck disable=SC2086
check "${CC:-cc} compiles it as C11 without a warning" ${CC:-cc} $strict -c gpt2.c
check "${CC:-cc} compiles it without flags" ${CC:-cc} -Werror -fsyntax-only gpt2.c
if command -v clang >/dev/null; then
    # shellcheck disable=SC2086
    check "clang has no warning for it" clang $strict -fsyntax-only gpt2.c
else
    skip "no clang here"
fi

sed -n '/^GPT2_API/,/;/p' gpt2.h | grep -oE '\bgpt2_[a-z0-9_]+\(' | tr -d '(' | sort -u >declared
nm -g --defined-only gpt2.o | awk '$2 == "T" { print $3 }' | sort >defined
check "its functions are those of gpt2.h" diff declared defined
nm -g --defined-only gpt2.o | awk '$2 != "T" && $3 !~ /^gpt2i_.*(table|class)$/' >others
check "beside them there are tables" test ! -s others

check "a program with it" ${CC:-cc} -O2 -I. minimal.c gpt2.o -o minimal -lm -pthread
check "the bit test with it" ${CC:-cc} -O2 core.c gpt2.o -o core -lm -pthread
cd "$OLDPWD" || exit 1
"$scratch/minimal" $model "It was" >"$scratch/said"
check "it says what it says with libgpt2.a" test "$(cat "$scratch/said")" = "$wanted"
check "the bit test runs" "$scratch/core" --brief $model
cp "$scratch/log" "$scratch/hashes"
check "it gives hashes" test -s "$scratch/hashes"
check "they are those of golden-hashes.txt" sh -c "! grep -vxFf tests/golden-hashes.txt '$scratch/hashes'"

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
