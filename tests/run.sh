#!/bin/sh
# run.sh LOG_DIR SUITE... [--alone SUITE...]: runs test suites and adds up what they report.
#
# A suite is a command, in quotes if it has arguments.  Up to JOBS suites (default: one for each CPU) run
# at the same time.  Suites after --alone run one by one when all others have ended: they measure time,
# or use every CPU themselves.  Results appear in the order given.
#
# A suite reports as cmocka does, or its last line is "N passed, N failed, N skipped".  Lines that begin
# with two spaces are facts and always appear.  The rest appears only if the suite fails.  LOG_DIR keeps
# the whole output of each suite.  The exit status is 1 if anything failed.
set -u
log_dir=$1
shift
mkdir -p "$log_dir"
rm -f "$log_dir"/*.status
jobs=${JOBS:-$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)}
passed=0 failed=0 skipped=0

# A suite's name: its program's.  tests/fuzz/run.sh is "fuzz".
name_of() {
    printf '%s\n' "$1" |
        sed -E 's/^(ba)?sh //; s/ .*//; s|.*/([^/]*)/run\.sh$|\1|; s|.*/||; s/\.sh$//'
}

# count LABEL LOG: the number of tests under cmocka's "[  LABEL ] N test(s)" lines
count() {
    sed -n "s/^\[ *$1 *\] \([0-9]*\) test(s).*/\1/p" "$2" | awk '{ n += $1 } END { print n + 0 }'
}

# report NAME: waits for the end of a suite, shows its result and adds it up
report() {
    log=$log_dir/$1.log
    while [ ! -f "$log_dir/$1.status" ]; do
        if ! kill -0 "$pool" 2>/dev/null && [ ! -f "$log_dir/$1.status" ]; then
            echo "255 0" >"$log_dir/$1.status" # the pool ended without this suite
            touch "$log"
        fi
        sleep 0.1
    done
    read -r status seconds <"$log_dir/$1.status"
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
        echo "FAILED  $1: $p passed, $f failed, $s skipped (status $status, $seconds s)"
    else
        grep '^  ' "$log"
        echo "ok      $1: $p passed, $s skipped ($seconds s)"
    fi
}

# What runs one suite: log folder, name, command.  The status file appears whole, when the suite has ended.
one='
    start=$(date +%s)
    sh -c "$3" >"$1/$2.log" 2>&1 </dev/null
    echo "$? $(($(date +%s) - start))" >"$1/$2.status.new"
    mv "$1/$2.status.new" "$1/$2.status"
'

names=$(for suite; do
    [ "$suite" = --alone ] || name_of "$suite"
done | sort | uniq -d)
if [ -n "$names" ]; then
    echo "run.sh: two suites have the same name: $names" >&2
    exit 1
fi
n_together=0
for suite; do
    [ "$suite" != --alone ] || break
    names="$names $(name_of "$suite")"
    n_together=$((n_together + 1))
done
for suite; do
    [ "$suite" != --alone ] || break
    printf '%s\0%s\0' "$(name_of "$suite")" "$suite"
done | xargs -0 -n 2 -P "$jobs" sh -c "$one" one "$log_dir" &
pool=$!
for name in $names; do
    report "$name"
done
wait "$pool"

shift "$n_together"
[ $# -eq 0 ] || shift # --alone
for suite; do
    name=$(name_of "$suite")
    sh -c "$one" one "$log_dir" "$name" "$suite"
    report "$name"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
