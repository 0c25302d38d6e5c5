# program.sh: what the scripts that test the gpt2 program share; they read it with `.` and have its
# arguments PROGRAM DEMO_MODEL.
#
# One line a check, "ok - ", "not ok - " or "skipped - " and its name.  Models beyond the demo model
# are looked for in $GPT2_SHARED (default ../shared from the checkout); what is absent is skipped.
# shellcheck shell=sh disable=SC2034

if [ $# -ne 2 ]; then
    echo "usage: $0 PROGRAM DEMO_MODEL" >&2
    exit 2
fi

absolute() {
    case $1 in
    /*) printf '%s\n' "$1" ;;
    *) printf '%s/%s\n' "$(pwd)" "$1" ;;
    esac
}

checkout=$(cd "$(dirname "$0")/.." && pwd)
program=$(absolute "$1")
demo=$(absolute "$2")
shared=${GPT2_SHARED:-$checkout/../shared}
novels=$shared/models/novels
slm=$shared/models/slm4096
sort_model=$shared/models/nano-sort
random_model=$shared/models/tiny-random-gpt2
tokenizer=$shared/tokenizer
tmp=$(mktemp -d "${TMPDIR:-/tmp}/gpt2-test.XXXXXX") || exit 2
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
LC_ALL=C
export LC_ALL

passed=0
failed=0
skipped=0

ok() {
    passed=$((passed + 1))
    echo "ok - $1"
}

not_ok() {
    failed=$((failed + 1))
    echo "not ok - $1"
    [ -z "${2-}" ] || printf '%s\n' "$2" | sed 's/^/    /' | head -n 20
}

skip() {
    skipped=$((skipped + 1))
    echo "skipped - $1"
}

# check NAME COMMAND...: the command succeeds
check() {
    name=$1
    shift
    if "$@" >"$tmp/check" 2>&1; then
        ok "$name"
    else
        not_ok "$name" "$(cat "$tmp/check")"
    fi
}

# equal NAME GOT WANTED
equal() {
    if [ "$2" = "$3" ]; then
        ok "$1"
    else
        not_ok "$1" "got:    $2
wanted: $3"
    fi
}

# run ARGUMENTS...: runs the program; its output is in $tmp/out, $tmp/err and $code
run() {
    "$program" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
    code=$?
}

# succeeds NAME ARGUMENTS...: exit code 0 and a silent stderr
succeeds() {
    name=$1
    shift
    run "$@"
    if [ $code -eq 0 ] && [ ! -s "$tmp/err" ]; then
        ok "$name"
    else
        not_ok "$name" "exit code $code; $(cat "$tmp/err")"
    fi
}

# fails CODE WORDS NAME ARGUMENTS...: that exit code, and one line on stderr that has the words
fails() {
    wanted=$1
    words=$2
    name=$3
    shift 3
    run "$@"
    if [ $code -eq "$wanted" ] && [ "$(wc -l <"$tmp/err")" -eq 1 ] &&
        grep -q '^gpt2: ' "$tmp/err" && ! grep -q 'gpt2: gpt2: ' "$tmp/err" &&
        grep -qF -- "$words" "$tmp/err"; then
        ok "$name"
    else
        not_ok "$name" "exit code $code; $(cat "$tmp/err")"
    fi
}

has_model() {
    [ -f "$1/config.json" ] && [ -f "$1/model.safetensors" ]
}

has_python() {
    command -v python3 >/dev/null 2>&1
}

# The sum, and the exit status.
finish() {
    echo "$passed passed, $failed failed, $skipped skipped"
    [ $failed -eq 0 ]
}
