#!/bin/sh
# check_examples.sh BUILD_DIR: autocomplete.c says after each key what it says for the text alone, and
# rescore.c what `gpt2 score` says.  The Python and the Rust example, over the shared library, say what
# the gpt2 program says; their own tests.  The Rust package builds outside, and says the same; the Python
# package installs and is typed.
set -u
build=$(cd "$1" && pwd) || exit 1
model=examples/demo-model
prompt="It was a long way"
# shellcheck source=tests/checks.sh
. "$(dirname "$0")/checks.sh"

# check_demo LANGUAGE COMMAND...: a demo and the program write the same text
check_demo() {
    language=$1
    shift
    check "$language demo" "$@" "$model" "$prompt"
    cp "$scratch/log" "$scratch/$language"
    head -n "$(wc -l <"$scratch/program")" "$scratch/$language" >"$scratch/text"
    check "$language demo writes the text of the program" diff "$scratch/program" "$scratch/text"
    if "$@" no-such-model >"$scratch/out" 2>"$scratch/line"; then
        echo "it said nothing wrong" >"$scratch/line"
    fi
    check "$language demo names the file that is missing" grep -q no-such-model/config.json \
        "$scratch/line"
    check "in one line" test "$(wc -l <"$scratch/line")" -eq 1
}

# check_error NAME WORDS COMMAND...: fails with one line that has these words
check_error() {
    title=$1 words=$2
    shift 2
    if "$@" >"$scratch/out" 2>"$scratch/line" </dev/null; then
        echo "it said nothing wrong" >"$scratch/line"
    fi
    check "$title" grep -q "$words" "$scratch/line"
    check "$title: in one line, and no output" test "$(cat "$scratch/line" "$scratch/out" | wc -l)" -eq 1
}

autocomplete=$build/examples/autocomplete
rescore=$build/examples/rescore

# check_keys NAME KEYS N: an answer of autocomplete has three lines: the text, what ran, the words.  The
# text and the words of the last N answers are those of a fresh run on the text alone.
check_keys() {
    # shellcheck disable=SC2059
    printf "$2" >"$scratch/script"
    "$autocomplete" $model <"$scratch/script" >"$scratch/answers"
    check "$1: an answer to each key" \
        test "$(wc -l <"$scratch/answers")" -eq "$((3 * $(wc -c <"$scratch/script")))"
    tail -n "$((3 * $3))" "$scratch/answers" >"$scratch/last"
    awk 'NR % 3 == 1' "$scratch/last" | while IFS= read -r text; do
        "$autocomplete" $model "${text%|}"
    done | awk 'NR % 3 != 2' >"$scratch/alone"
    awk 'NR % 3 != 2' "$scratch/last" >"$scratch/kept"
    check "$1: what is kept between keys changes nothing" diff "$scratch/alone" "$scratch/kept"
}

# check_runs NAME: after each key of the last check_keys, only the ids behind the longest common prefix with
# the ids of the key before run.  The ids are those of <|endoftext|> and the text before its last word.  If
# none is behind the prefix, and the old text was longer, the last one runs.
check_runs() {
    awk 'NR % 3 == 1' "$scratch/answers" |
        LC_ALL=C sed "s/|\$//; s/ \{0,1\}[0-9A-Za-z'$(printf '\200-\377')]*\$//" |
        while IFS= read -r before; do
            printf '%s' "$before" | "$build/gpt2" tokenize -m $model
        done | awk '{
            n = split("eot " $0, ids, " ")
            for (same = 0; same < n && same < n_old && ids[same + 1] == old[same + 1]; )
                same++
            same -= same == n && n < n_old
            print n - same, n
            n_old = split("eot " $0, old, " ")
        }' >"$scratch/behind"
    awk 'NR % 3 == 2 { print $2, $4 }' "$scratch/answers" >"$scratch/run"
    check "$1: only the ids behind the common prefix run" diff "$scratch/behind" "$scratch/run"
}

# counts FILE: the ids that ran, the ids of all texts, the tokens and the steps behind them
counts() {
    awk 'NR % 3 == 2 { run += $2; all += $4; n += $7; steps += $10 } END { print run, all, n, steps }' "$1"
}

check_keys "typing and deleting" \
    'It was a lo\b\b\b\bmost agreeable  day,\177 and\n"I don'"'"'t\b\b\b\b\bsaw Mr. Wick' 66
check_runs "typing and deleting"
check "all counts" test "$(counts "$scratch/answers")" = "19 271 1414 148"
check_keys "UTF-8, and deleting everything" 'caf\303\251\b\b\b\b\b\b\342\200\224\b\b\n\bI\177\200\b' 20
check_runs "UTF-8, and deleting everything"
check_keys "a word of more tokens than there are steps" 'The xxxxxxxxxxxx\177\177' 8
check_keys "a text longer than the context" \
    "$(awk 'BEGIN { for (i = 0; i < 260; i++) printf "%c", 14 + i * i % 17 }') It was a l\\b\\b\\b" 20
check "it runs half a context again, once" \
    test "$(counts "$scratch/answers" | cut -d ' ' -f 1)" -eq 388
check_error "autocomplete names the file that is missing" no-such-model/config.json \
    "$autocomplete" no-such-model

# check_rescore NAME COUNTS SENTENCE...: their log-probabilities are those of gpt2 score, the best is first,
# and the last line has these counts: of the tokens that all begin with, all but the last run once; the last
# one runs with the others of each sentence, but not the last token of a sentence
check_rescore() {
    title=$1 wanted=$2
    shift 2
    printf '%s\n' "$@" >"$scratch/sentences"
    "$rescore" $model "$scratch/sentences" >"$scratch/ranked"
    for sentence in "$@"; do
        "$build/gpt2" score -m $model -p "$sentence" |
            awk -v text="$sentence" '$1 == "nats" { nats = $2 } $1 == "nats_per_token" { mean = $2 }
                END { printf "%.6f %.4f  %s\n", -nats, -mean, text }'
    done | sort -s -k1,1gr >"$scratch/scored"
    sed '$d' "$scratch/ranked" |
        awk '{ printf "%.6f %.4f  %s\n", $1, $2, substr($0, 26) }' >"$scratch/got"
    check "$title: ranked by the log-probabilities of gpt2 score" \
        diff "$scratch/scored" "$scratch/got"
    check "$title: tokens run" test "$(tail -n 1 "$scratch/ranked")" = "$wanted without sharing"
}

check_rescore "a common beginning" "18 tokens run, 33" 'It was a great pity' 'It was a grate pity' \
    'It was a great' 'It was a great' 'It was a great city that I saw' 'It was a'
check_rescore "nothing in common" "11 tokens run, 11" 'The old man' 'A young woman' "I don't know."
check_rescore "the same sentence" "7 tokens run, 14" 'It was a great pity.' 'It was a great pity.'
check_rescore "one sentence" "7 tokens run, 7" 'It was a great pity.'
check_rescore "sentences of one token" "3 tokens run, 3" 'I' 'It' 'I'
printf '\r\n\nIt was\r\n\nIt is' >"$scratch/sentences"
check "empty lines, carriage returns, no last newline" \
    test "$("$rescore" $model "$scratch/sentences" | wc -l)" -eq 3
: >"$scratch/sentences"
check_error "no sentences" "wanted 1 to 256 lines" "$rescore" $model "$scratch/sentences"
head -c 1001 /dev/zero | tr '\000' x >"$scratch/sentences"
check_error "a long line" "at most 1000 bytes" "$rescore" $model "$scratch/sentences"
head -c 514 /dev/zero | tr '\000' '\n' | sed 's/^/x/' | head -n 257 >"$scratch/sentences"
check_error "many lines" "1 to 256 lines" "$rescore" $model "$scratch/sentences"
check_error "rescore names the file that is missing" no-such-model/config.json \
    "$rescore" no-such-model "$scratch/sentences"

# a sanitizer that must be the first library of its process
foreign=$(readelf -d "$build/libgpt2.so" | sed -n 's/.*NEEDED.*\[\(lib[at]san\).*/\1/p')

# The program that has its model inside.
"$build/examples/minimal" $model "$prompt" >"$scratch/minimal"
check "embed writes the text of minimal" \
    sh -c "cd / && '$build/examples/embed' '$prompt' | cmp - '$scratch/minimal'"
if [ -z "$foreign" ] && strace -o /dev/null true 2>/dev/null &&
    ${CC:-cc} -O2 -static -Iinclude -DMODEL="\"$build/demo.safetensors\"" examples/embed.c \
        "$build/libgpt2.a" -lm -pthread -o "$scratch/embed" 2>/dev/null; then
    # the shell's dynamic loader is in it: opens are seen
    strace -f -o "$scratch/calls" sh -c "'$scratch/embed' '$prompt' >'$scratch/text'; true"
    check "linked statically, it writes the same" cmp "$scratch/text" "$scratch/minimal"
    check "strace sees what a program opens" grep -q 'open' "$scratch/calls"
    sed '1,/execve.*embed/d; /exit_group/,$d' "$scratch/calls" >"$scratch/embed-calls"
    check "strace sees it read its model" grep -q 'mmap' "$scratch/embed-calls"
    check "it opens no file" sh -c "! grep -E 'open|creat' '$scratch/embed-calls'"
else
    skip "no strace, or no static libc, to see that embed opens no file"
fi

# The sampling of the demos.
"$build/gpt2" generate -m $model -p "$prompt" -n 50 --temp 0.8 --top-k 40 --top-p 1 -s 0 \
    >"$scratch/program" || failed=$((failed + 1))

# The words of autocomplete by a search of every word, without batches, forks or a limit.
cat >"$scratch/search.py" <<'PYTHON'
import heapq, math, re, sys
sys.path.insert(0, "examples/python")
import gpt2

model = gpt2.Model(sys.argv[1])
text = sys.argv[2].encode()
begin = re.search(rb" ?[0-9A-Za-z'\x80-\xff]*$", text).start()
typed = text[begin:]
tokens = [model.decode_bytes([id]) for id in range(model.info.n_vocab)]
inside = [re.fullmatch(rb"[0-9A-Za-z'\x80-\xff]+", token) is not None for token in tokens]
begins = [re.fullmatch(rb" ?[0-9A-Za-z'\x80-\xff]+", token) is not None for token in tokens]
continues = [re.match(rb"[0-9A-Za-z'\x80-\xff]", token) is not None for token in tokens]
first = [model.info.eot_token] + model.encode(text[:begin])
queue, found = [(0.0, False, [])], []
with model.session() as session:
    while len(found) < 5:
        score, whole, ids = heapq.heappop(queue)
        word = model.decode_bytes(ids)
        if whole:
            found.append((word, -score))
            continue
        session.reset()
        logits = list(session.forward(first + ids))
        top = max(logits)
        exps = [math.exp(logit - top) for logit in logits]
        total = sum(exps)
        if ids and len(word) >= len(typed):
            end = sum(e for e, starts in zip(exps, continues) if not starts)
            heapq.heappush(queue, (score - math.log(end / total), True, ids))
        for id, e in enumerate(exps):
            longer = word + tokens[id]
            n = min(len(longer), len(typed))
            if (inside if ids else begins)[id] and longer[:n] == typed[:n] and \
                    model.encode(longer) == ids + [id]:
                heapq.heappush(queue, (score - math.log(e / total), False, ids + [id]))
said = re.findall(rb" \[([^]]*)\] (\S+)", open(sys.argv[3], "rb").read().split(b"\n")[2])
print(found, said)
assert [word for word, _ in found] == [word for word, _ in said]
assert all(abs(score - float(other)) < 2e-6 for (_, score), (_, other) in zip(found, said))
PYTHON

# numpy may be there for the system's Python alone
python=python3
if ! python3 -c 'import numpy' 2>/dev/null &&
    /usr/bin/python3 -c 'import sys, numpy; sys.exit(sys.version_info < (3, 8))' 2>/dev/null; then
    python=/usr/bin/python3
fi

# check_python FILE: its tests count one by one
check_python() {
    $python "$1" -v >"$scratch/log" 2>&1
    status=$?
    n_run=$(sed -n 's/^Ran \([0-9]*\) tests\{0,1\} .*/\1/p' "$scratch/log")
    n_skipped=$(sed -n 's/^OK (skipped=\([0-9]*\))$/\1/p' "$scratch/log")
    if [ $status -eq 0 ] && [ -n "$n_run" ]; then
        sed -n "s/.* skipped '\(.*\)'$/\1/p" "$scratch/log" | sort | uniq -c |
            sed "s|^ *\([0-9]*\) |skipped: \1 of $1: |"
        passed=$((passed + n_run - ${n_skipped:-0})) skipped=$((skipped + ${n_skipped:-0}))
    else
        echo "failed: $1"
        cat "$scratch/log"
        failed=$((failed + 1))
    fi
}

# makes_wheels PYTHON: without the network
makes_wheels() {
    "$1" -c 'import importlib.util, setuptools
assert importlib.util.find_spec("pip")
try:
    import setuptools.command.bdist_wheel
except ImportError:
    import wheel.bdist_wheel' 2>/dev/null
}

# check_wheel PYTHON: the package that it builds from the C sources, used outside of the checkout
check_wheel() {
    # the optimizer's time is most of a build
    check "pip wheel" env CFLAGS=-O0 "$1" -m pip wheel --quiet --no-index --no-build-isolation \
        --no-deps --wheel-dir "$scratch/wheel" ./examples/python
    check "one wheel is for every Python 3" test -f "$scratch"/wheel/libgpt2-*-py3-none-*.whl
    (cd examples/python && "$1" -B -c 'import sys
from setuptools.build_meta import build_sdist
build_sdist(sys.argv[1])' "$scratch/sdist") >"$scratch/log" 2>&1
    tar -tzf "$scratch"/sdist/libgpt2-*.tar.gz >"$scratch/files"
    check "an sdist has the C sources" grep -q '/lib/kernels/scalar\.c$' "$scratch/files"
    check "the source tree stays as it was" test ! -e examples/python/build
    check "pip install" "$1" -m pip install --quiet --no-index --no-deps --target "$scratch/site" \
        "$scratch"/wheel/libgpt2-*.whl
    path=$PWD/$model
    (cd "$scratch/site" && env -u GPT2_LIBRARY python3 -B -m gpt2 "$path" "$prompt") 2>&1 |
        head -n "$(wc -l <"$scratch/program")" >"$scratch/text"
    check "the wheel writes the text of the program" diff "$scratch/program" "$scratch/text"
    (cd "$scratch/site" && env -u GPT2_LIBRARY python3 -B -c \
        'import os, gpt2; print(gpt2.c.lib._name, os.path.exists("gpt2/py.typed"))') >"$scratch/used"
    check "with the library in it" grep -q '/site/gpt2/libgpt2\.so True$' "$scratch/used"
}

# a sanitizer that must be the first library of its process
foreign=$(readelf -d "$build/libgpt2.so" | sed -n 's/.*NEEDED.*\[\(lib[at]san\).*/\1/p')
cargo_minor=$(cargo --version 2>/dev/null | sed -n 's/^cargo 1\.\([0-9]*\).*/\1/p')

if [ -n "$foreign" ]; then
    skip "Python and Rust cannot load a libgpt2.so with $foreign"
elif python3 -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null; then
    GPT2_LIBRARY=$build/libgpt2.so
    export GPT2_LIBRARY
    check_python tests/test_bindings.py
    check_python tests/test_python_scores.py
    check_python tests/test_quality.py
    check_python tests/test_load_memory.py
    check_demo python env PYTHONPATH=examples/python python3 -B -m gpt2
    for text in '' 'It was a lo' 'Mr. Wick' 'He said, "I don' 'She wash'; do
        "$autocomplete" $model "$text" >"$scratch/words"
        check "autocomplete finds the likeliest words for '$text'" \
            python3 -B "$scratch/search.py" $model "$text" "$scratch/words"
    done
    venv=$build/venv-wheel
    [ "${CI:-}" != true ] || bash tests/hf/setup.sh "$venv" requirements-wheel.txt
    maker=
    for candidate in "$venv/bin/python" python3 /usr/bin/python3; do
        [ -n "$maker" ] || ! makes_wheels "$candidate" || maker=$candidate
    done
    if [ -n "$maker" ]; then
        check_wheel "$maker"
    else
        skip "no pip with setuptools that makes wheels"
    fi
    if [ -x "$venv/bin/mypy" ]; then
        check "mypy --strict" env MYPYPATH=examples/python "$venv/bin/mypy" --strict \
            --cache-dir "$scratch/mypy" -p gpt2 -m gpt2_minicons
        cat >"$scratch/user.py" <<'PYTHON'
import gpt2
from typing_extensions import assert_type

model = gpt2.Model("a folder")
with model.session() as session, session.tap(lambda tap: tap.layer == 3, "embed"):
    assert_type([*session.generate("A text", n=3)], list[str])
    assert_type(session.forward([model.bos_token])[model.info.n_vocab - 1], float)
    assert_type(session.activations([1]).attentions[0].ndim, int)
    assert_type(gpt2.ERR_CONTEXT, int)
    assert_type(len(model.score("A text").ids) + model.score(["A text"])[0].ids.ndim, int)
    assert_type(model.surprisal("A text").words.texts, list[str])
PYTHON
        check "mypy knows what a program gets" env MYPYPATH=examples/python "$venv/bin/mypy" --strict \
            --cache-dir "$scratch/mypy" "$scratch/user.py"
    else
        skip "no mypy: bash tests/hf/setup.sh $venv requirements-wheel.txt"
    fi
else
    skip "no Python of at least 3.8"
fi

if [ -z "$foreign" ] && [ "${cargo_minor:-0}" -ge 77 ]; then
    GPT2_LIB_DIR=$build
    CARGO_TARGET_DIR=$build/rust
    export GPT2_LIB_DIR CARGO_TARGET_DIR
    check "cargo build" cargo build --offline --locked --manifest-path examples/rust/Cargo.toml
    cargo test --offline --locked --manifest-path examples/rust/Cargo.toml >"$scratch/log" 2>&1
    status=$?
    n_run=$(sed -n 's/^test result: ok\. \([0-9]*\) passed.*/\1/p' "$scratch/log" |
        awk '{ n += $1 } END { print n + 0 }')
    if [ $status -eq 0 ] && [ "$n_run" -gt 0 ]; then
        passed=$((passed + n_run))
    else
        echo "failed: the tests of examples/rust"
        cat "$scratch/log"
        failed=$((failed + 1))
    fi
    check_demo rust "$build/rust/debug/gpt2"
    readelf -d "$build/rust/debug/gpt2" >"$scratch/needed"
    check "it needs the shared library" grep -q 'NEEDED.*\[libgpt2\.so\.1\]' "$scratch/needed"
    if [ -f "$scratch/python" ]; then
        check "both demos say the same" diff "$scratch/python" "$scratch/rust"
    fi

    # The package, and a crate elsewhere that depends on it.  The compiler is the package's choice.
    rm -f "$build"/rust/package/gpt2-*.crate # one of another version
    check "cargo package" cargo package --offline --locked --no-verify --allow-dirty \
        --manifest-path examples/rust/Cargo.toml
    mkdir -p "$scratch/outside/src"
    tar -xf "$build"/rust/package/gpt2-*.crate -C "$scratch/outside"
    cp examples/rust/src/main.rs "$scratch/outside/src"
    cat >"$scratch/outside/Cargo.toml" <<TOML
[package]
name = "outside"
version = "1.0.0"
edition = "2021"

[dependencies]
gpt2 = { path = "$(basename "$scratch"/outside/gpt2-*)" }
TOML
    # Without optimization, to save time
    check "a crate outside builds it from its C sources" env -u GPT2_LIB_DIR -u CC \
        CFLAGS=-O0 CARGO_TARGET_DIR="$scratch/outside/target" \
        cargo build --offline --manifest-path "$scratch/outside/Cargo.toml"
    outside=$scratch/outside/target/debug/outside
    check_demo crate env -u LD_LIBRARY_PATH "$outside"
    check "both crates say the same" diff "$scratch/rust" "$scratch/crate"
    readelf -d "$outside" >"$scratch/needed"
    check "it needs no shared library of ours" sh -c "! grep libgpt2 '$scratch/needed'"
elif [ -z "$foreign" ]; then
    skip "no cargo of at least 1.77"
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
