#!/bin/sh
# check_docs.sh: the files, functions and make targets that the docs name in backticks exist, and the
# lines of the docs have at most 100 columns.
#
# Names with a capital letter (FILE, test_NAME.c), a * or a < are patterns and are not looked for.
set -u
passed=0 failed=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
docs=$(ls README.md tests/README.md docs/*.md examples/http-worker/README.md examples/rust/README.md)

# verdict NAME FILE: FILE lists the offenders, one a line
verdict() {
    if [ -s "$2" ]; then
        echo "failed: $1"
        cat "$2"
        failed=$((failed + 1))
    else
        passed=$((passed + 1))
    fi
}

# "FILE name" for all that stands in backticks outside of code blocks
for file in $docs; do
    awk '/^```/ { code = !code } !code' "$file" | grep -oE '`[^`]+`' | tr -d '`' | sort -u |
        sed "s|^|$file |"
done >"$scratch/names"

grep -E '^[^ ]+ (\.ci|lib|src|include|tests|docs|examples)/[a-z0-9_./-]*$' "$scratch/names" |
    while read -r file path; do
        [ -e "$path" ] || echo "$file: there is no $path"
    done >"$scratch/paths"
verdict "paths" "$scratch/paths"

# A function of the library, the program or the tests: its name before a "(" at the start of a definition
# or declaration, or in a macro.
cat include/*.h lib/*/*.[ch] src/*.[ch] tests/*.[ch] tests/*/*.[ch] |
    grep -oE '\b[a-z0-9_]+\(' | sort -u >"$scratch/known"
grep -E '^[^ ]+ gpt2[a-z0-9_]*\(\)$' "$scratch/names" | while read -r file name; do
    grep -qxF "${name%)}" "$scratch/known" || echo "$file: there is no $name"
done >"$scratch/functions"
verdict "functions" "$scratch/functions"

# `struct x` and `GPT2_X` exist, and `name()` beside a file is in that file
grep -E '^[^ ]+ (struct [a-z0-9_]+|GPT2I?_[A-Z0-9_]+)$' "$scratch/names" | while read -r file name; do
    grep -rqw -- "$name" include lib src tests Makefile || echo "$file: there is no $name"
done >"$scratch/words"
for file in $docs; do
    {
        tr '\n' ' ' <"$file" | grep -oE '`[A-Za-z0-9_]+(\(\))?` in `(lib|src)/[^`]*\.[ch]`' |
            sed 's/ in / /'
        tr '\n' ' ' <"$file" | grep -oE '`(lib|src)/[^`]*\.[ch]`, `[A-Za-z0-9_]+(\(\))?`' |
            sed 's/\(.*\), \(.*\)/\2 \1/'
    } | tr -d '`()' | sort -u | while read -r name path; do
        grep -qsw -- "$name" "$path" || echo "$file: $name is not in $path"
    done
done >>"$scratch/words"
verdict "structs, macros, and functions in the files named beside them" "$scratch/words"

# Tables, code blocks and lines that are one long word may be wider.
for file in $docs; do
    awk '/^```/ { code = !code } code || /^    / || /^\|/ || !/ / { $0 = "" } { print }' "$file" |
        LC_ALL=C.UTF-8 grep -nE '^.{101}' | sed "s|^|$file:|"
done >"$scratch/columns"
verdict "lines of at most 100 columns" "$scratch/columns"

# `make a b X=1` names the targets a and b
grep -E '^[^ ]+ make( |$)' "$scratch/names" | while read -r file _ words; do
    for word in $words; do
        case $word in
        -* | *[!a-z-]*) continue ;; # an option, a variable, a file
        esac
        grep -qE "^([a-z-]+ )*$word( [a-z-]+)*:" Makefile || echo "$file: there is no target $word"
    done
done >"$scratch/targets"
verdict "make targets" "$scratch/targets"

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
