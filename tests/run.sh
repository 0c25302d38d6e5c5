#!/bin/sh
# run.sh LOG_DIR SUITE... : runs test suites and sums up what they report.
#
# A suite is a command (quoted, if it has arguments).  It reports as cmocka does, or with a last line
# "N passed, N failed, N skipped".  Lines that begin with two blanks are facts and are always shown; the rest
# is shown only if the suite fails, and kept in LOG_DIR.  Exit status 1 if anything failed.
set -u
log_dir=$1
shift
mkdir -p "$log_dir"
passed=0 failed=0 skipped=0

# count LABEL LOG: the number of tests under cmocka's "[  LABEL ] N test(s)" lines
count() {
    sed -n "s/^\[ *$1 *\] \([0-9]*\) test(s).*/\1/p" "$2" | awk '{ n += $1 } END { print n + 0 }'
}

for suite in "$@"; do
    name=$(printf '%s\n' "$suite" | sed -E 's/^(ba)?sh //; s/ .*//; s|.*/||; s/\.sh$//')
    log=$log_dir/$name.log
    start=$(date +%s)
    sh -c "$suite" >"$log" 2>&1
    status=$?
    seconds=$(($(date +%s) - start))
    sums=$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$log" | tail -n 1)
    if [ -n "$sums" ]; then
        p=$(echo "$sums" | awk '{ print $1 }')
        f=$(echo "$sums" | awk '{ print $3 }')
        s=$(echo "$sums" | awk '{ print $5 }')
    else
        p=$(count PASSED "$log")
        f=$(count FAILED "$log")
        s=$(count SKIPPED "$log")
    fi
    if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then
        f=1 # it ended before it could count
    fi
    if [ "$status" -eq 0 ] && [ $((p + f + s)) -eq 0 ]; then
        f=1 # a suite that runs nothing proves nothing
    fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    if [ "$f" -ne 0 ]; then
        cat "$log"
        echo "FAILED  $name: $p passed, $f failed, $s skipped (status $status, ${seconds} s)"
    else
        grep '^  ' "$log"
        echo "ok      $name: $p passed, $s skipped (${seconds} s)"
    fi
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
