#!/bin/sh
# check_house.sh BUILD_DIR: the rules of the house that a machine can check.
set -u
build=$1
passed=0 failed=0 skipped=0
trap 'rm -rf "$scratch"' EXIT
scratch=$(mktemp -d)

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

skip() {
    echo "skipped: $1"
    skipped=$((skipped + 1))
}

# ---- levels: a file of lib/ includes its own folder or one before it in this list
levels='base kernels formats text model decode api'
level_of() {
    echo "$levels" | tr ' ' '\n' | grep -nx "$1" | cut -d: -f1
}
for file in lib/*/*.[ch]; do
    folder=$(basename "$(dirname "$file")")
    level=$(level_of "$folder")
    if [ -z "$level" ]; then
        echo "$file: the folder $folder is no level: wanted one of $levels"
        continue
    fi
    sed -n 's/^#include "\(.*\)"/\1/p' "$file" | grep -vx 'gpt2.h' | while read -r used; do
        case $used in
        ../*/*)
            used=${used#../}
            used_level=$(level_of "${used%%/*}")
            [ -n "$used_level" ] && [ "$used_level" -lt "$level" ] ||
                echo "$file, in $folder, includes $used"
            ;;
        *) [ -f "lib/$folder/$used" ] || echo "$file includes $used, which is not in its folder" ;;
        esac
    done
done >"$scratch/levels"
verdict "levels of lib/" "$scratch/levels"

# A file's unit is its name without .c or .h.  A unit needs another whose header it includes, or whose
# function it calls.  tsort names the units of a circle.
{
    for file in lib/*/*.[ch]; do
        unit=$(basename "$file" | sed 's/\.[ch]$//')
        sed -n 's/^#include "\(.*\)\.h"/\1/p' "$file" | grep -vx 'gpt2' | while read -r used; do
            echo "$unit $(basename "$used")"
        done
    done
    nm -A "$build/libgpt2.a" | sed -n 's/^[^:]*:\([^:]*\)\.o:[0-9a-f ]* \([A-Z]\) \(gpt2.*\)$/\1 \2 \3/p' |
        awk '$2 != "U" { owner[$3] = $1 } $2 == "U" { used[$1 " " $3] = 1 }
            END { for (pair in used) { split(pair, p, " "); print p[1], owner[p[2]] } }'
} | awk '$1 != $2' | sort -u | tsort 2>&1 >/dev/null | sed 's/^tsort: //' >"$scratch/circles"
verdict "no two files of lib/ need each other" "$scratch/circles"

grep -nE '#include "' src/*.[ch] src/*/*.[ch] | while IFS=: read -r file line text; do
    header=$(echo "$text" | sed 's/.*"\(.*\)".*/\1/')
    path=$(realpath -m --relative-to=. "$(dirname "$file")/$header")
    case $path in
    src/*) [ -f "$path" ] || echo "$file:$line: $text" ;;
    *) echo "$file:$line: $text" ;;
    esac
done >"$scratch/src"
verdict "src/ uses gpt2.h and nothing of lib/" "$scratch/src"

# ---- symbols
grep -ohE '\bgpt2_[a-z0-9_]+\(' include/gpt2.h | tr -d '(' | sort -u >"$scratch/mentioned"
sed -n '/^GPT2_API/,/;/p' include/gpt2.h | grep -oE '\bgpt2_[a-z0-9_]+\(' | tr -d '(' |
    sort -u >"$scratch/declared"
nm -D --defined-only "$build/libgpt2.so.1" | awk '$2 == "T" { sub(/@.*/, "", $3); print $3 }' |
    sort >"$scratch/exported"
diff "$scratch/declared" "$scratch/exported" >"$scratch/exports"
verdict "the shared library exports what gpt2.h declares" "$scratch/exports"

comm -23 "$scratch/mentioned" "$scratch/declared" >"$scratch/unknown"
verdict "comments of gpt2.h name functions that exist" "$scratch/unknown"

nm -g --defined-only "$build/libgpt2.a" | awk 'NF == 3 && $3 !~ /^gpt2/ { print $3 }' \
    >"$scratch/foreign"
verdict "global names of the static library begin with gpt2" "$scratch/foreign"

# ---- calls: who may ask the operating system for what
system_calls='
os_posix mmap mmap64 munmap madvise open open64 stat stat64 lstat lstat64 fstat fstat64 close pread pread64 __errno_location sched_getaffinity __sched_cpucount sysconf clock_gettime pthread_ sigfillset
status vsnprintf
decimal snprintf
gguf_config snprintf
gguf_tensors snprintf strrchr
names snprintf
llmc snprintf
nanogpt snprintf
mingpt snprintf
native_model snprintf
native_write snprintf
source strrchr
sink vsnprintf
config_text snprintf
gguf_write snprintf
shortlist sqrtf
tap snprintf
api_forward snprintf
api_step snprintf
api_score snprintf
scalar sqrtf
avx2 sqrtf
avx512 sqrtf
forward sqrtf
'
everyone='memcpy|bcmp|strchr|memset|memcmp|memmove|memchr|strlen|strcmp|strncmp|_GLOBAL_OFFSET_TABLE_|__stack_chk_fail|__udivti3|__umodti3'
nm -A --undefined-only "$build/libgpt2.a" | sed 's/^[^:]*:\([^:]*\)\.o:.* U /\1 /' |
    grep -vE ' gpt2' | grep -vE " ($everyone)\$" | while read -r object symbol; do
    allowed=$(echo "$system_calls" | sed -n "s/^$object //p")
    ok=no
    for prefix in $allowed; do
        case $prefix in
        *_) case $symbol in "$prefix"*) ok=yes ;; esac ;;
        *) [ "$symbol" = "$prefix" ] && ok=yes ;;
        esac
    done
    [ $ok = yes ] || echo "$object.o calls $symbol"
done >"$scratch/calls"
verdict "the library calls only what it may" "$scratch/calls"

for object in "$build"/static/lib/*/*.o; do
    readelf -SW "$object" | sed 's/^ *\[ *[0-9]*\] *//' |
        awk -v object="$object" '$1 ~ /^\.t?(data|bss)/ && $1 !~ /^\.data\.rel\.ro/ && $5 !~ /^0+$/ { print object, $1, $5 }'
done >"$scratch/data"
verdict ".data and .bss are empty" "$scratch/data"

# ---- text
if clang-format --version 2>/dev/null | grep -q 'version 14\.'; then
    clang-format --dry-run include/*.h lib/*/*.[ch] src/*.[ch] src/*/*.[ch] tests/*.[ch] tests/*/*.[ch] examples/*.[ch] examples/*/*.[ch] 2>&1 |
        grep -E 'warning|error' >"$scratch/format"
    verdict "clang-format" "$scratch/format"
else
    skip "clang-format 14 is not here"
fi
# clang-format leaves comments as they are.
grep -nE '^.{101}' include/*.h >"$scratch/columns"
verdict "lines of gpt2.h have at most 100 columns" "$scratch/columns"
# A long file is a warning: a limit that fails makes files that are cut where they do not part.
awk 'FNR == 1 { n = 0 } ++n == 501 { print "  long: " FILENAME " has more than 500 lines" }' \
    lib/*/*.[ch] src/*.[ch] src/*/*.[ch] tests/*.[ch] tests/*/*.[ch]
# An example is read as a whole, so its limit fails.
wc -l examples/*.[ch] | awk '$2 != "total" && $1 >= 150 { print $2 " has " $1 " lines, wanted fewer than 150" }' \
    >"$scratch/short"
verdict "examples are short" "$scratch/short"
grep -nE '[[:space:]]$|TODO|FIXME|\bXXX\b|^(<<<<<<<|=======$|>>>>>>>)' include/*.h lib/*/*.[ch] src/*.[ch] src/*/*.[ch] tests/*.[ch] tests/*/*.[ch] \
    tests/fuzz/*.[ch] docs/*.md README.md Makefile >"$scratch/blanks"
verdict "no trailing blanks, nothing left to do, no marks of a merge" "$scratch/blanks"
while read -r function; do
    grep -q "\`$function()\`" docs/api.md || echo "docs/api.md does not name $function()"
done <"$scratch/declared" >"$scratch/docs"
grep -ohE '`gpt2_[a-z0-9_]+\(\)`' README.md docs/*.md | tr -d '`()' | sort -u |
    comm -23 - "$scratch/declared" | sed 's/$/() is in the docs, not in gpt2.h/' >>"$scratch/docs"
verdict "docs name the functions of gpt2.h" "$scratch/docs"

# ---- the header alone
echo '#include "gpt2.h"' >"$scratch/alone.c"
${CC:-cc} -std=c11 -pedantic -Wall -Wextra -Werror -Iinclude -fsyntax-only "$scratch/alone.c" \
    2>"$scratch/alone"
verdict "gpt2.h compiles alone as C11" "$scratch/alone"
if command -v c++ >/dev/null; then
    cp "$scratch/alone.c" "$scratch/alone.cpp"
    c++ -std=c++17 -pedantic -Wall -Wextra -Werror -Iinclude -fsyntax-only "$scratch/alone.cpp" \
        2>"$scratch/alone"
    verdict "gpt2.h compiles alone as C++17" "$scratch/alone"
else
    skip "no C++ compiler"
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
