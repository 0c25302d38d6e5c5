#!/bin/sh
# check_sanitized.sh sanitized|tsan|valgrind BUILD_DIR: test suites in a build of their own, under
# AddressSanitizer and UBSan (sanitized), ThreadSanitizer (tsan), or Valgrind's memcheck.  Any report is a
# failure.
#
# check_house, check_install and check_bits run under none of them: they look at a build, or make their
# own.
#
# Under sanitized and valgrind the library's blocks come from malloc (tests/fuzz/blocks.c), which these
# watch.  Suites whose subject is the blocks themselves, and the program, keep blocks of the system.
set -u
kind=$1
build=$2/$kind
passed_on="CC=${CC:-cc} BUILD=$build"
mkdir -p "$build"
unset ASAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS MAKEFLAGS MAKELEVEL MFLAGS
all=$(printf '%s\n' tests/test_*.c | sed 's|.*/||; s|\.c$||')
threads="test_callbacks test_fpstate test_load test_memory test_parallel_for test_sequences"
threads="$threads test_session test_taps test_threads"
export GPT2_TEST_SLICE=5 # tests/slice.h
export GPT2_TEST_STEPS=25 # of each random schedule
with_program=yes
worker_tests= # of test_http_worker.py; none named: all
optimized="-Og -g1" # -O1 -g compiles kernels under AddressSanitizer for minutes
runner=

case $kind in
sanitized)
    # a float beyond the integer it becomes: undefined, but not among clang's "undefined", nor gcc's
    flags="-fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all" suites=$all
    passed_on="$passed_on WATCH_BLOCKS=1"
    export ASAN_OPTIONS=halt_on_error=1:detect_leaks=1:detect_stack_use_after_return=1
    export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
    ;;
tsan)
    # not test_no_allocation: its filter of system calls stops those of ThreadSanitizer itself
    flags=-fsanitize=thread suites=$threads with_program=
    # many clients and texts at once, and counters that other threads read; the rest is one client's
    worker_tests="Batching Limits Malformed SlowClients Life Execute.test_metrics"
    export TSAN_OPTIONS=halt_on_error=1
    ;;
valgrind)
    # Valgrind 3.19 knows no AVX-512, and shows a CPU without it: the AVX2 kernels run
    flags= with_program=
    suites="test_config test_files test_formats test_json test_parts"
    suites="$suites test_checkpoints test_text_api test_vocab"
    passed_on="$passed_on WATCH_BLOCKS=1"
    runner="valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=definite"
    runner="$runner --errors-for-leak-kinds=definite"
    ;;
esac

if [ "$kind" = valgrind ]; then
    if ! command -v valgrind >/dev/null; then
        echo "skipped: no valgrind here"
        echo "0 passed, 0 failed, 1 skipped"
        exit 0
    fi
elif ! echo 'int main(void) { return 0; }' |
    ${CC:-cc} $flags -x c - -o "$build/probe" 2>/dev/null || ! "$build/probe"; then
    echo "skipped: ${CC:-cc} has no $flags here"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi

fuzz=$(printf '%s\n' tests/fuzz/fuzz_*.c | sed 's|.*/||; s|\.c$||')
# shellcheck disable=SC2046,SC2086
${MAKE:-make} -s -j2 $passed_on CFLAGS="$optimized $flags" "$build/gpt2" \
    $(printf "$build/tests/%s " $suites ${with_program:+api_fuzz}) ${with_program:+"$build/checkkernels"} \
    $(printf "$build/tests/fuzz/%s " $fuzz) || exit 1

# These measure time, or wait for threads that must come to run.
alone="test_callbacks test_cost test_no_allocation test_session test_threads"

# command_of SUITE
command_of() {
    if [ -n "$runner" ]; then # in a script of the suite's name, by which run.sh calls it
        mkdir -p "$build/run"
        printf '#!/bin/sh\nexec %s %s\n' "$runner" "$build/tests/$1" >"$build/run/$1"
        chmod +x "$build/run/$1"
        echo "$build/run/$1"
    else
        echo "$build/tests/$1"
    fi
}

is_alone() {
    case " $alone " in *" $1 "*) return 0 ;; esac
    return 1
}

# The slow ones begin first.
set --
if [ -n "$with_program" ]; then
    set -- "$build/tests/api_fuzz 50000 2" "$build/checkkernels --quick" \
        "sh tests/test_program.sh $build/gpt2 examples/demo-model" \
        "sh tests/test_generate.sh $build/gpt2 examples/demo-model" \
        "sh tests/test_next.sh $build/gpt2 examples/demo-model" \
        "sh tests/test_convert.sh $build/gpt2 examples/demo-model"
fi
if [ "$kind" != valgrind ]; then
    export CFLAGS="$optimized $flags" # it is built by its suite
    set -- "$@" "sh tests/test_http_worker.sh $build $worker_tests"
fi
set -- "$@" "sh tests/fuzz/check_corpus.sh $build $(echo $fuzz | tr '\n' ' ')"
for suite in $suites; do
    is_alone "$suite" || set -- "$@" "$(command_of "$suite")"
done
set -- "$@" --alone
for suite in $suites; do
    if is_alone "$suite"; then
        set -- "$@" "$(command_of "$suite")"
    fi
done
export RUNNER="$runner"
exec sh tests/run.sh "$build/logs" "$@"
