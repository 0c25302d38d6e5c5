# checks.sh: what scripts that count their checks share; they read it with `.`.  $scratch is a folder of
# theirs, which goes with them.
# shellcheck shell=sh disable=SC2034
passed=0 failed=0 skipped=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

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

skip() {
    echo "skipped: $1"
    skipped=$((skipped + 1))
}
