#!/bin/sh
#
# test_program.sh: checks the gpt2 program from outside: options, exit codes, bytes in and out.
#
#     tests/test_program.sh PROGRAM DEMO_MODEL

# shellcheck source=tests/program.sh
. "$(dirname "$0")/program.sh"

# ---- help, version, command line -------------------------------------------------------------

succeeds 'version' --version
check 'version is a number' grep -Eq '^gpt2 [0-9]+\.[0-9]+\.[0-9]+$' "$tmp/out"
succeeds 'help' --help
cp "$tmp/out" "$tmp/help"
for command in generate next score tokenize detokenize trace info; do
    check "help lists $command" grep -q "^  $command " "$tmp/help"
    succeeds "help $command" help $command
    cp "$tmp/out" "$tmp/help_command"
    succeeds "$command --help" $command --help
    check "help $command is $command --help" cmp "$tmp/out" "$tmp/help_command"
    check "$command --help has examples" grep -q "^ .*gpt2 $command" "$tmp/out"
    # where they do something
    case $command in
    tokenize | detokenize) options= ;;
    info) options='--threads --cpu' ;;
    *) options='--threads --cpu --batch-size' ;;
    esac
    for option in --threads --cpu --batch-size; do
        wanted=1
        case " $options " in *" $option "*) wanted=0 ;; esac
        grep -q -e "$option " "$tmp/out"
        equal "$command --help has $option" $? $wanted
    done
done

run
equal 'no command: exit code' $code 2
check 'no command: nothing on stdout' test ! -s "$tmp/out"
fails 2 frob 'unknown command' frob
fails 2 frob 'help of an unknown command' help frob
fails 2 extra 'help of two commands' help info extra
fails 2 "'--frob' (see gpt2 generate --help)" 'unknown long option' generate --frob
fails 2 "'--tmep=1': did you mean --temp?" 'a misspelt option' generate --tmep=1
fails 2 "'generat': did you mean generate?" 'a misspelt command' generat
fails 2 "no option '-t'" 'an option that does nothing' tokenize -t 2 -p a
fails 2 'no command is given' 'options without a command' -n 2
fails 2 "put 'a' and 'b' in quotes" 'two texts' generate a b
fails 2 'one input only' 'a text in two ways' generate a -p b
fails 2 "one argument, 'a', not also 'b'" 'two files' score a b
fails 2 "'-z'" 'unknown short option' generate -z
fails 2 "'-n'" 'option of another command' info -n 4
fails 2 'stray' 'stray argument' info stray
fails 2 'second' 'second file' tokenize first second
fails 2 '-n' 'option without its value' generate -n
fails 2 'no value' 'flag with a value' generate --no-echo=1
fails 2 'one input' 'two prompts' generate -p a -f b
fails 2 'one input' 'prompt and ids' generate -p a --tokens 1
for value in x '' ' 5' 5.5 5x 0x10 +5 -2 99999999999; do
    fails 2 "'$value'" "bad number for -n: '$value'" generate -n "$value"
done
for value in x '' nan inf -1 1e999 0x1p1 1,5; do
    fails 2 "'$value'" "bad number for --temp: '$value'" generate --temp "$value"
done
fails 2 "'1.5'" 'bad number for --top-p' generate --top-p=1.5
fails 2 "'-1'" 'bad number for --top-k' generate --top-k -1
fails 2 "'1000'" 'bad number for -t' info -t 1000
fails 2 "'-2'" 'bad seed' generate -s -2
fails 2 "'18446744073709551616'" 'seed beyond 64 bits' generate -s 18446744073709551616
fails 2 "'sse'" 'bad word for --cpu' info --cpu sse
fails 2 "file, f32, f16, bf16, q8 or q4, not 'q9'" 'bad word for --type' info --type q9
fails 2 'endoftext or uniform' 'bad word for --empty-prompt' generate --empty-prompt x
fails 2 -o 'trace without a file' trace -p a
fails 2 -o 'trace to a file without a name' trace -p a -o ''
fails 2 -o 'trace to standard output' trace -p a -o -
fails 2 -p 'trace without a text' trace -o "$tmp/x"
fails 1 "$tmp/nowhere" 'missing model' generate -m "$tmp/nowhere" -p a
fails 1 "$tmp/a??b???c????d" 'control characters in a name' \
    score "$(printf '%s/a\302\205b\342\200\250c\033\n\302\233d' "$tmp")"
fails 1 "$tmp/nowhere" 'missing tokenizer' tokenize -m "$tmp/nowhere" -p a
mkdir "$tmp/broken"
echo '{"model_type": "gpt2", "n_layer": ' >"$tmp/broken/config.json"
fails 1 config.json 'broken model' info -m "$tmp/broken"

# The levels of --cpu that this CPU has.
levels=scalar
for level in avx2 avxvnni avx512 avx512vnni neon dotprod; do
    run generate --cpu $level -m "$tmp/nowhere"
    if [ $code -eq 2 ]; then
        fails 2 $level "--cpu $level, which this CPU lacks" generate --cpu $level
    else
        levels="$levels $level"
    fi
done

# ---- the demo model without -m ---------------------------------------------------------------

mkdir -p "$tmp/alone"
cp "$program" "$tmp/alone/gpt2"
check 'demo model: wherever the program is' sh -c \
    "cd / && '$tmp/alone/gpt2' info </dev/null | grep -qx 'model  *the demo model'"
fails 2 '--verify needs a native file' 'demo model: it is not verified' info --verify
if has_model "$demo"; then
    for command in "generate -p 'It was a' -n 20 -s 1" "tokenize -p 'It was a'" "score -p 'It was a'"; do
        eval "(cd / && '$tmp/alone/gpt2' $command)" >"$tmp/out" 2>"$tmp/err" </dev/null
        eval "'$program' $command -m '$demo'" >"$tmp/other" </dev/null
        check "demo model: ${command%% *} says what it says with -m" cmp "$tmp/out" "$tmp/other"
    done
else
    skip 'demo model beside -m (no demo model)'
fi

# ---- the same thing written in other ways ----------------------------------------------------

same_as() {
    wanted=$1
    shift
    run "$@"
    equal "$*" "$(cat "$tmp/out")" "$wanted"
}
model=examples/demo-model
run generate -m $model -p 'It was' -n 4 --temp 0
written=$(cat "$tmp/out")
check 'generate writes a text' [ -n "$written" ]
same_as "$written" generate -m $model 'It was' -n 4 --temp 0
same_as "$written" generate -m $model -n4 --temperature 0 'It was'
same_as "$written" -m $model -n 4 generate --temp=0 --top_k 5 --top-p=1 -- 'It was'
same_as "$written" generate -m $model/model.safetensors -p 'It was' -n 4 --temp 0
run tokenize -m $model -p 'It was'
ids=$(cat "$tmp/out")
same_as "$ids" tokenize -m $model/model.safetensors -p 'It was'
same_as 'It was' detokenize -m $model "$(echo "$ids" | tr ' ' ',')"
fails 1 'hf download openai-community/gpt2-medium' 'a model to be got' \
    generate -m "$tmp/none/gpt2-medium"

# ---- tokenize and detokenize -----------------------------------------------------------------
# An added token "<|pad|>" in a hole of the vocabulary, and ids that only the model has.
mkdir "$tmp/added"
cp "$demo"/* "$tmp/added"
python3 - "$tmp/added" <<'EOF'
import json, sys
directory = sys.argv[1]
with open(f"{directory}/vocab.json") as file:
    vocab = json.load(file)
last = max(vocab, key=lambda symbol: (symbol != "<|endoftext|>", vocab[symbol]))
symbols = {symbol: number for symbol, number in vocab.items() if symbol != last}
with open(f"{directory}/merges.txt") as file:
    merges = [line for line in file if line.startswith("#") or line.strip().replace(" ", "") != last]
with open(f"{directory}/merges.txt", "w") as file:
    file.writelines(merges)
symbols["<|pad|>"] = vocab[last]
with open(f"{directory}/vocab.json", "w") as file:
    json.dump(symbols, file)
EOF
run info -m "$tmp/added"
check 'an added token: info names it' \
    grep -q '^added_tokens  *1: <|pad|>$' "$tmp/out"
mkdir "$tmp/controls"
cp "$tmp/added"/* "$tmp/controls"
sed 's/<|pad|>/a\\u0000b\\u001bc\\u0085d\\u009be\\u2028f\\u2029g\\u00e9/' "$tmp/added/vocab.json" \
    >"$tmp/controls/vocab.json"
run info -m "$tmp/controls"
equal 'an added token: control characters are not printed' "$(grep '^added_tokens' "$tmp/out")" \
    'added_tokens         1: a?b?c??d??e???f???gé'
run tokenize -m "$tmp/added" -p 'x<|pad|>y'
check 'an added token in a text: no note if stderr is no terminal' test ! -s "$tmp/err"
run info -m "$demo"
check 'no added token: no line' test -z "$(grep added_tokens "$tmp/out")"
mkdir "$tmp/fewer"
cp "$demo"/* "$tmp/fewer"
printf '{"a": 0, "b": 1}' >"$tmp/fewer/vocab.json"
: >"$tmp/fewer/merges.txt"
run detokenize -m "$tmp/fewer" --tokens '0 2 2559 1'
equal 'detokenize: ids that only the model has are nothing' "$(cat "$tmp/out")" ab
fails 1 'token 2560 is outside the vocabulary of 2560' 'detokenize: an id above the model' \
    detokenize -m "$tmp/fewer" --tokens '0 2560'
rm "$tmp/fewer/config.json"
fails 1 'token 2559 is outside the vocabulary of 2' 'detokenize: no model, an id above vocab.json' \
    detokenize -m "$tmp/fewer" --tokens '0 2559'


if has_python; then
    python3 - "$tmp" <<'PYTHON'
import os, random, sys
tmp = sys.argv[1]
random.seed(1)
step = int(os.environ.get("GPT2_TEST_SLICE", 1))
files = {
    "empty": b"",
    "newline": b"\n",
    "emoji": "na\u00efve caf\u00e9 \U0001f999.cpp \u4f60\u597d \U0001f468\u200d\U0001f469\u200d\U0001f467 \u20ac\n".encode(),
    "bytes": bytes(range(256)) * 3,
    "cut": "\U0001f600".encode()[:3] + b" \xff\xfe\x80 \xed\xa0\x80 \xc0\xaf\r\n\0end",
    "random": bytes(random.randrange(256) for _ in range(200000)),
    "spaces": b" " * (3000000 // step) + b"x",
    "word": b"ab" * (2000000 // step),
}
for name, data in files.items():
    open(f"{tmp}/text.{name}", "wb").write(data)
PYTHON
else
    : >"$tmp/text.empty"
    echo >"$tmp/text.newline"
    printf 'na\303\257ve \360\237\246\231.cpp\n' >"$tmp/text.emoji"
    printf '\360\237\230 \377\376\200 \r\n\000end' >"$tmp/text.cut"
    head -c 200000 "$program" >"$tmp/text.random"
fi

# round_trip MODEL TAG
round_trip() {
    for text in "$tmp"/text.*; do
        name="$2: round trip of ${text##*/text.}"
        if "$program" tokenize -m "$1" "$text" >"$tmp/ids" 2>"$tmp/err" &&
            "$program" detokenize -m "$1" "$tmp/ids" >"$tmp/back" 2>>"$tmp/err" &&
            cmp "$tmp/back" "$text" >>"$tmp/err"; then
            ok "$name"
        else
            not_ok "$name" "$(cat "$tmp/err")"
        fi
        # All digits and spaces, one line.
        if [ "$(wc -l <"$tmp/ids")" -eq 1 ] &&
            ! grep -Eqv '^([0-9]+( [0-9]+)*)?$' "$tmp/ids"; then
            ok "$2: ids of ${text##*/text.} are one clean line"
        else
            not_ok "$2: ids of ${text##*/text.} are one clean line"
        fi
    done
}

for directory in "$demo" "$tokenizer"; do
    tag=${directory##*/}
    if [ ! -f "$directory/vocab.json" ]; then
        skip "tokenize with $tag"
        continue
    fi
    round_trip "$directory" "$tag"
    text=$tmp/text.emoji
    "$program" tokenize -m "$directory" "$text" >"$tmp/ids"
    "$program" tokenize -m "$directory" <"$text" >"$tmp/ids2"
    check "$tag: tokenize reads stdin" cmp "$tmp/ids" "$tmp/ids2"
    "$program" tokenize -m "$directory" - <"$text" >"$tmp/ids2"
    check "$tag: tokenize reads -" cmp "$tmp/ids" "$tmp/ids2"
    "$program" tokenize -m "$directory" -p "$(cat "$text")
" >"$tmp/ids2"
    check "$tag: tokenize -p" cmp "$tmp/ids" "$tmp/ids2"
    tr ' ' ',' <"$tmp/ids" | "$program" detokenize -m "$directory" >"$tmp/back"
    check "$tag: commas between ids" cmp "$tmp/back" "$text"
    tr ' ' '\n' <"$tmp/ids" | sed 's/$/ , /' | "$program" detokenize -m "$directory" - >"$tmp/back"
    check "$tag: any white space between ids" cmp "$tmp/back" "$text"
    "$program" detokenize -m "$directory" --tokens="$(cat "$tmp/ids")" >"$tmp/back"
    check "$tag: detokenize --tokens" cmp "$tmp/back" "$text"
    fails 1 "'x'" "$tag: not an id" detokenize -m "$directory" --tokens 1,x
    fails 1 "'-1'" "$tag: a negative id" detokenize -m "$directory" --tokens '1 -1'
    fails 1 99999999999999999999 "$tag: an id outside the vocabulary" \
        detokenize -m "$directory" --tokens 1,99999999999999999999
    check "$tag: a bad id writes nothing" test ! -s "$tmp/out"
    "$program" tokenize -m "$directory" --special -p 'a<|endoftext|>b' >"$tmp/ids"
    equal "$tag: --special is one token" "$(wc -w <"$tmp/ids" | tr -d ' ')" 3
    "$program" tokenize -m "$directory" -p '<|endoftext|>' >"$tmp/ids"
    check "$tag: without --special it is characters" test "$(wc -w <"$tmp/ids")" -gt 1
    fails 1 "$tmp/nofile" "$tag: missing text file" tokenize -m "$directory" "$tmp/nofile"
    fails 1 "$tmp" "$tag: a directory as text file" tokenize -m "$directory" "$tmp"
done

if [ -f "$tokenizer/vocab.json" ]; then
    check 'the tokenizer directory has no weights' test ! -e "$tokenizer/model.safetensors"
    run tokenize -m "$tokenizer" -p 'Hello.'
    equal 'GPT-2: "Hello." (HF)' "$(cat "$tmp/out")" '15496 13'
    run tokenize -m "$tokenizer" -p ' this is 🦙.cpp'
    equal 'GPT-2: a llama (llama.cpp)' "$(cat "$tmp/out")" '428 318 12520 99 247 13 20322'
    run tokenize -m "$tokenizer" -p '<|endoftext|>' --special
    equal 'GPT-2: <|endoftext|>' "$(cat "$tmp/out")" 50256
    for book in "$shared"/corpus/*.txt; do
        [ -f "$book" ] || continue
        "$program" tokenize -m "$tokenizer" "$book" >"$tmp/ids"
        "$program" detokenize -m "$tokenizer" "$tmp/ids" >"$tmp/back"
        check "GPT-2: round trip of ${book##*/}" cmp "$tmp/back" "$book"
    done
else
    skip 'ids of the GPT-2 tokenizer (no shared/tokenizer)'
fi

# ---- generate --------------------------------------------------------------------------------

# wanted ARGUMENTS...: a run whose output 'again' compares with
wanted() {
    run "$@"
    cp "$tmp/out" "$tmp/wanted"
}

# again NAME ARGUMENTS...: succeeds with the very same output
again() {
    name=$1
    shift
    run "$@"
    if [ $code -eq 0 ] && [ ! -s "$tmp/err" ] && cmp "$tmp/out" "$tmp/wanted" >>"$tmp/err"; then
        ok "$name"
    else
        not_ok "$name" "exit code $code; $(cat "$tmp/err")"
    fi
}

# same_bits TAG MODEL ARGUMENTS...: generates the same with all threads, kernels and batches
same_bits() {
    tag=$1
    model=$2
    shift 2
    wanted generate -m "$model" "$@"
    check "$tag: generates something" test "$(wc -c <"$tmp/wanted")" -gt 1
    for threads in 1 2 3; do
        again "$tag: same with -t $threads" generate -m "$model" "$@" -t $threads
    done
    for level in $levels; do
        again "$tag: same with --cpu $level" generate -m "$model" "$@" --cpu "$level"
    done
    for batch in 1 3 1000; do
        again "$tag: same with -b $batch" generate -m "$model" "$@" -b $batch
    done
}

# Reads what each write() of a run brought, and looks for characters that two of them share.
cat >"$tmp/wholeness.py" <<'PYTHON'
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
data, ends = b"", []
while True:
    piece = os.read(process.stdout.fileno(), 65536)
    if not piece:
        break
    data += piece
    ends.append(len(data))
for end in ends:
    for start in range(max(0, end - 3), end):
        for stop in range(end + 1, min(len(data), start + 4) + 1):
            try:
                text = data[start:stop].decode()
            except UnicodeDecodeError:
                continue
            if len(text) == 1:
                sys.exit(f"{data[start:stop]!r} is cut at {end}")
print(len(ends), "pieces,", sum(byte > 127 for byte in data), "bytes beyond ASCII")
sys.exit(process.wait())
PYTHON

# For any model with a tokenizer: text_checks TAG MODEL
text_checks() {
    tag=$1
    model=$2
    same_bits "$tag, greedy" "$model" -p 'It was a' -n 40 --temp 0
    same_bits "$tag, sampled" "$model" -p 'It was a' -n 40 -s 11
    same_bits "$tag, no prompt" "$model" -n 20 -s 12
    wanted generate -m "$model" -p 'It was a' -n 40 -s 11
    again "$tag: --opt=value" generate --model="$model" --prompt='It was a' --n-predict=40 --seed=11
    again "$tag: the defaults, spelled out" generate -m "$model" -p 'It was a' --predict 40 -s 11 \
        --temp 0.8 --top-k 40 --top-p 0.95 -c 0 -t 0 -b 0 --empty-prompt endoftext
    printf 'It was a' >"$tmp/prompt"
    again "$tag: -f" generate -m "$model" -f "$tmp/prompt" -n 40 -s 11
    echo 'It was a' >"$tmp/prompt"
    again "$tag: -f without the last newline" generate -m "$model" -f "$tmp/prompt" -n 40 -s 11
    "$program" generate -m "$model" -f - -n 40 -s 11 <"$tmp/prompt" >"$tmp/out"
    check "$tag: -f -" cmp "$tmp/out" "$tmp/wanted"
    "$program" generate -m "$model" -p 'It was a' -n 40 -s 11 --no-echo >"$tmp/out" </dev/null
    printf 'It was a' | cat - "$tmp/out" >"$tmp/out2"
    check "$tag: --no-echo is the continuation" cmp "$tmp/out2" "$tmp/wanted"
    run generate -m "$model" -p 'It was a' -n 40 -s 13 --temp 2 --top-k 0 --top-p 1
    check "$tag: another seed, another text" sh -c "! cmp -s '$tmp/out' '$tmp/wanted'"
    wanted generate -m "$model" -n 40 --temp 2 --top-k 0 --top-p 1
    run generate -m "$model" -n 40 --temp 2 --top-k 0 --top-p 1
    check "$tag: no seed, another text each time" sh -c "! cmp -s '$tmp/out' '$tmp/wanted'"
    run generate -m "$model" -n 40 --temp 2 --top-k 0 --top-p 1 -s -1
    check "$tag: -s -1, another text" sh -c "! cmp -s '$tmp/out' '$tmp/wanted'"
    run generate -m "$model" -p 'It was' -n 0
    equal "$tag: -n 0 prints the prompt" "$(cat "$tmp/out")" 'It was'
    succeeds "$tag: an empty prompt" generate -m "$model" -p '' -n 5
    succeeds "$tag: a uniform start" generate -m "$model" -n 5 --empty-prompt uniform --ignore-eos
    succeeds "$tag: until the context is full" generate -m "$model" -p 'It was a' -n -1 -c 20 --ignore-eos
    "$program" generate -m "$model" --tokens '1,2 3' -n -1 -c 20 --ignore-eos >"$tmp/out"
    equal "$tag: 20 positions and the token after them" "$(wc -w <"$tmp/out" | tr -d ' ')" 21
    equal "$tag: --tokens prints one line" "$(wc -l <"$tmp/out" | tr -d ' ')" 1
    equal "$tag: --tokens echoes ids" "$(cut -d ' ' -f 1-3 "$tmp/out")" '1 2 3'
    fails 1 'context' "$tag: prompt longer than the context" generate -m "$model" -p 'It was a day.' -c 2
    check "$tag: a prompt too long writes nothing" test ! -s "$tmp/out"
    fails 1 'context' "$tag: prompt longer than the model" generate -m "$model" -f "$0"
    succeeds "$tag: a context longer than the model's" generate -m "$model" -c 1000000 -p a -n 1
    fails 1 "$tmp/nofile" "$tag: missing prompt file" generate -m "$model" -f "$tmp/nofile"
    if has_python; then
        check "$tag: never half a character, greedy" python3 "$tmp/wholeness.py" "$program" \
            generate -m "$model" -p 'Hello.' -n 24 --temp 0
        check "$tag: never half a character, wild" python3 "$tmp/wholeness.py" "$program" \
            generate -m "$model" -p 'naïve € 🦙' -n 60 --temp 20 --top-k 0 --top-p 1 -s 1
    else
        skip "$tag: never half a character (no python3)"
    fi
}

# The same ids for the same seed, always.
uniform_start() {
    name="demo: a uniform start: $1"
    shift
    run generate -m "$demo" --tokens '' --empty-prompt uniform --ignore-eos -n 6 "$@"
    equal "$name" "$(cat "$tmp/out")" "$wanted"
}

if has_model "$demo"; then
    text_checks demo "$demo"
    wanted='0 769 530 349 370 597' uniform_start greedy --temp 0
    wanted='1021 2298 11 479 1410 436' uniform_start 'seed 0' -s 0 --temp 1 --top-k 0 --top-p 1
    wanted='2443 840 11 308 291 331' uniform_start 'seed 7' -s 7 --temp 1 --top-k 0 --top-p 1 -t 2
    wanted='1986 11 335 258 795 316' uniform_start 'the 40 first ids' -s 3 -b 1
else
    skip 'text of the demo model (no demo model)'
fi
if [ "${GPT2_TEST_SLICE:-1}" -gt 1 ]; then
    skip 'text of novels (a slice: it repeats the checks of the demo model)'
elif has_model "$novels"; then
    text_checks novels "$novels"
    # tinygrad's examples/gpt2.py gave these ids for these weights (tinygrad.json beside them).
    run generate -m "$novels" --tokens 1026,373,257 -n 24 --temp 0
    equal 'novels: ids of tinygrad' "$(cat "$tmp/out")" '1026 373 257 1310 198 1169 2156 11 290 262 2156 11 290 262 2156 11 290 262 198 1169 717 640 11 290 262 2156 11'
    run generate -m "$novels" -p 'Hello.' -n 24 --temp 0
    cp "$tmp/out" "$tmp/wanted"
    "$program" detokenize -m "$novels" --tokens 15496,13,198,198,447,250,40,423,587,257,922,11,447,251,531,314,11,564,250,40,423,587,257,198,5832,13 >"$tmp/out"
    echo >>"$tmp/out"
    check 'novels: text of tinygrad' cmp "$tmp/out" "$tmp/wanted"
    run tokenize -m "$novels" -p 'Hello.'
    equal 'novels: "Hello."' "$(cat "$tmp/out")" '15496 13'
else
    skip 'text of novels (not in shared)'
fi
if has_model "$slm"; then
    same_bits slm4096 "$slm" -p 'Q: what' -n 100 --temp 0
    run generate -m "$slm" -p 'Q: what is the meaning of life?
A:' -n 74 --temp 0 --no-echo
    equal 'slm4096: the meaning of life' "$(cat "$tmp/out")" \
        ' We are biased toward shipping. Everything else is on the backlog forever.'
    fails 1 gpt2 'slm4096: a character without a token' generate -m "$slm" -p 'é'
else
    skip 'text of slm4096 (not in shared)'
fi
if has_model "$sort_model"; then
    same_bits nano-sort "$sort_model" --tokens 2,1,2,0,0,1 -n 6 --temp 0
    run generate -m "$sort_model" --tokens 0,0,2,1,0,1 -n 6 --temp 0
    equal 'nano-sort sorts' "$(cat "$tmp/out")" '0 0 2 1 0 1 0 0 0 1 1 2'
    run generate -m "$sort_model" --tokens 0,0,2,1,0,1 -n 6 --temp 0 --no-echo
    equal 'nano-sort: --no-echo' "$(cat "$tmp/out")" '0 0 0 1 1 2'
    run generate -m "$sort_model" -n 1 --temp 0
    equal 'nano-sort: no prompt, no <|endoftext|>: all logits equal' "$(cat "$tmp/out")" 0
    run generate -m "$sort_model" --tokens '' -n 1 --temp 0 --empty-prompt uniform
    equal 'nano-sort: empty ids' "$(cat "$tmp/out")" 0
    fails 1 --tokens 'no tokenizer: says to use --tokens' generate -m "$sort_model" -p 012
    fails 1 3 'nano-sort: an id outside the vocabulary' generate -m "$sort_model" --tokens 0,3
    fails 1 context 'nano-sort: too many ids' generate -m "$sort_model" --tokens 0,1,2,0,1,2,0,1,2,0,1,2
else
    skip 'ids of nano-sort (not in shared)'
fi
if has_model "$random_model"; then
    run generate -m "$random_model" --tokens 5,17,300,999,1,2,3 -n 12 --temp 0 --ignore-eos
    equal 'tiny-random-gpt2: ids of tinygrad' "$(cat "$tmp/out")" \
        '5 17 300 999 1 2 3 243 255 438 438 438 438 438 438 438 294 832 832'
else
    skip 'ids of tiny-random-gpt2 (not in shared)'
fi

# ---- many texts ------------------------------------------------------------------------------

# singly ARGUMENTS...: $tmp/wanted is what each line of $tmp/many gives in a run of its own, with the
# stream of its line, below its header
singly() {
    stream=0
    : >"$tmp/wanted"
    while IFS= read -r line; do
        [ $stream -eq 0 ] || echo >>"$tmp/wanted"
        echo "==> line $((stream + 1)) <==" >>"$tmp/wanted"
        "$program" generate -m "$demo" -p "$line" --stream $stream "$@" >>"$tmp/wanted" 2>>"$tmp/err" </dev/null
        stream=$((stream + 1))
    done <"$tmp/many"
}

# many_checks NAME ARGUMENTS...: the same texts with any --parallel
many_checks() {
    many=$1
    shift
    singly "$@"
    for n in 1 3 8; do
        again "$many: --parallel $n" generate -m "$demo" --prompts "$tmp/many" --parallel $n "$@"
    done
    again "$many: -b 3" generate -m "$demo" --prompts "$tmp/many" -b 3 -t 2 "$@"
}

# choice_checks NAME ARGUMENTS...: --n-choices 4 is four single runs
choice_checks() {
    many=$1
    shift
    : >"$tmp/wanted"
    for choice in 1 2 3 4; do
        [ $choice -eq 1 ] || echo >>"$tmp/wanted"
        echo "==> choice $choice <==" >>"$tmp/wanted"
        "$program" generate -m "$demo" --stream $((choice + 4)) "$@" >>"$tmp/wanted" 2>>"$tmp/err" </dev/null
    done
    for n in 1 3 8; do
        again "$many: --parallel $n" generate -m "$demo" --n-choices 4 --stream 5 --parallel $n "$@"
    done
    again "$many: all at once, -b 2" generate -m "$demo" --n-choices 4 --stream 5 -b 2 "$@"
}

# bad_line WORDS NAME LINE: the third line of a file of JSON lines is this one
bad_line() {
    printf '{"prompt": "a"}\n\n%s\n{"prompt": "b"}\n' "$3" >"$tmp/lines"
    fails 1 "gpt2: $tmp/lines:3: $1" "JSON lines: $2" generate -m "$demo" --prompts "$tmp/lines" --jsonl
    check "JSON lines: $2: nothing on stdout" test ! -s "$tmp/out"
}

# json_lines.py PROGRAM MODEL WHAT: checks of JSON lines that know the answer
cat >"$tmp/json_lines.py" <<'PYTHON'
import json, random, subprocess, sys
program, model, what = sys.argv[1:]
random.seed(3)

def run(lines, *arguments):
    text = b"".join(line + b"\n" for line in lines)
    done = subprocess.run([program, "generate", "-m", model, "--prompts", "-", "--jsonl", *arguments],
                          input=text, capture_output=True)
    return done.returncode, done.stdout, done.stderr.decode()

def random_text():
    points = [random.choice((random.randrange(0x80), random.randrange(0x800), random.randrange(0x110000)))
              for _ in range(random.randrange(12))]
    return "".join(chr(point) for point in points if not 0xd800 <= point < 0xe000)

def random_value(depth=0):
    kind = random.randrange(8 if depth < 4 else 6)
    if kind == 6:
        return [random_value(depth + 1) for _ in range(random.randrange(4))]
    if kind == 7:
        return {random_text(): random_value(depth + 1) for _ in range(random.randrange(4))}
    return (random_text(), random.randrange(-10**20, 10**20), random.random() * 1e-7, None, True, False)[kind]

def random_line(ascii_only):
    value = {"prompt": random_text(), "id": random_value()}
    if random.random() < 0.5:
        value["seed"] = random.randrange(2**64)
    items = list(value.items())
    random.shuffle(items)
    return json.dumps(dict(items), ensure_ascii=ascii_only).encode(), value

if what == "values":  # what is read is what Python reads, and what is written is what Python reads again
    made = [random_line(i % 2 == 0) for i in range(400)]
    made.append((b'\t{ "prompt"\t:"\\u0041\\/\\b\\ud83e\\udd99" ,"id" :-0.0e+5} \r', {"prompt": "A/\b\U0001f999", "id": -0.0}))
    code, out, err = run([line for line, _ in made], "-n", "0")
    assert code == 0 and err == "", err
    lines = out.splitlines()
    assert len(lines) == len(made)
    for i, (line, (_, value)) in enumerate(zip(lines, made)):
        wanted = {"index": i, "id": value["id"], "prompt": value["prompt"], "text": "", "n_tokens": 0, "stop": "length"}
        assert json.loads(line) == wanted, (line, wanted)
elif what == "damage":  # a line is accepted if Python accepts it
    n_accepted = 0
    for _ in range(200):
        line = bytearray(random_line(random.random() < 0.5)[0])
        for _ in range(random.randrange(1, 3)):
            at = random.randrange(len(line))
            byte = random.choice(b'{}[]",:\\u0dD8e-+. \x01\xff\xc3' if random.random() < 0.7 else bytes(line))
            if random.random() < 0.5:
                line[at] = byte
            elif random.random() < 0.5:
                line.insert(at, byte)
            elif len(line) > 1:
                del line[at]
        try:
            pairs = json.loads(line.decode(), object_pairs_hook=list, parse_constant=lambda name: 1 / 0)
            names = [name for name, _ in pairs] if isinstance(pairs, list) else []
            value = dict(pairs) if names else {}
            json.dumps(value, ensure_ascii=False).encode()  # no half of a surrogate pair
            seed = value.get("seed", 0)
            is_good = (line.lstrip(b" \t")[:1] == b"{" and isinstance(value.get("prompt"), str) and len(names) == len(value) and
                       not set(names) - {"prompt", "id", "seed"} and type(seed) is int and 0 <= seed < 2**64 and
                       b'"seed": -' not in line)
        except (ValueError, ZeroDivisionError, TypeError):
            is_good = False
        code, out, err = run([bytes(line)], "-n", "0")
        assert code == (0 if is_good else 1), (line, is_good, err)
        assert is_good or err.startswith("gpt2: standard input:1: ") and err.count("\n") == 1 and out == b"", (line, err)
        n_accepted += is_good
    assert 10 < n_accepted < 190, n_accepted
elif what == "bytes":  # bytes that are not UTF-8, as Python replaces them
    for choice in range(5):
        arguments = ["-p", "naïve", "-n", "60", "--temp", "20", "--top-k", "0", "--top-p", "1", "-s", "1", "--no-echo"]
        command = [program, "generate", "-m", model, *arguments]
        text = subprocess.run([*command, "--stream", str(choice)], capture_output=True).stdout[:-1]
        lines = subprocess.run([*command, "--n-choices", "5", "--jsonl"], capture_output=True).stdout.splitlines()
        value = json.loads(lines[choice])
        assert value["text"] == text.decode(errors="replace"), value
        assert "\ufffd" in value["text"]
        assert "prompt" not in value and value["index"] == choice
elif what == "terminal":  # progress, and Ctrl-C in the middle
    import os, pty, signal, threading
    head, stderr = pty.openpty()
    process = subprocess.Popen([program, "generate", "-m", model, "--prompts", "-", "--jsonl", "--parallel", "2",
                                "--ignore-eos", "-n", "-1", "-t", "1", "--cpu", "scalar", "--context-shift"],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    os.close(stderr)
    guard = threading.Timer(60, process.kill)
    guard.start()
    process.stdin.write(b'{"prompt": "a"}\n' * 3)
    process.stdin.close()
    seen, is_asked = b"", False
    while True:
        try:
            piece = os.read(head, 4096)
        except OSError:
            break
        if not piece:
            break
        seen += piece
        if b"\r0 of 3 texts, " in seen and not is_asked:
            process.send_signal(signal.SIGINT)
            is_asked = True
    code = process.wait()
    guard.cancel()
    assert code == 130 and is_asked and process.stdout.read() == b"", seen
    assert seen.split(b"\r\x1b[K")[-1].startswith(b"0 of 3 texts, "), seen
PYTHON

if has_model "$demo"; then
    printf '%s\n' 'It was a' '' 'The old man had a long beard, and the children of the town' 'é' 'Hello.' \
        'It was a' 'One' ' two' "$(seq 1 9 | tr '\n' ' ')" '"Yes," said' 'He' 'A' >"$tmp/many"
    many_checks 'many' -s 5 -n 12
    many_checks 'many: greedy' --temp 0 -n 20
    many_checks 'many: until the context is full' -s 6 -n -1 -c 30
    many_checks 'many: longer than the context' -s 7 -n 70 -c 24 --context-shift --keep 3
    many_checks 'many: no echo, a uniform start' -s 8 -n 9 --no-echo --empty-prompt uniform
    many_checks 'many: nothing to generate' -n 0
    choice_checks 'choices' -s 5 -n 12 -p 'It was a dark'
    choice_checks 'choices of one token' -s 5 -n 12 --tokens 7
    choice_checks 'choices of no prompt' -s 5 -n 12
    choice_checks 'choices of a uniform start' -s 5 -n 12 --empty-prompt uniform
    choice_checks 'choices of a full context' -s 5 -n -1 -c 4 --tokens 1,2,3,4
    choice_checks 'choices over the end of the context' -s 5 -n 40 -c 8 --tokens 1,2,3,4,5,6,7,8,9,10,11 --context-shift
    choice_checks 'choices over the end of a page' -s 5 -n 66 --tokens "$(seq 1 63 | tr '\n' ' ')"
    choice_checks 'choices: --no-echo' -s 5 -n 12 -p 'It was a dark' --no-echo
    check 'choices differ' sh -c "test \$(sort -u '$tmp/wanted' | wc -l) -gt 7"

    run generate -m "$demo" --prompts "$tmp/many" -s 5 -n 12
    cp "$tmp/out" "$tmp/wanted"
    "$program" generate -m "$demo" --prompts - -s 5 -n 12 <"$tmp/many" >"$tmp/out" 2>"$tmp/err"
    check 'many: standard input' cmp "$tmp/out" "$tmp/wanted"
    printf '%s' "$(cat "$tmp/many")" >"$tmp/lines"
    again 'many: no newline at the end' generate -m "$demo" --prompts "$tmp/lines" -s 5 -n 12
    : >"$tmp/wanted"
    again 'many: an empty file' generate -m "$demo" --prompts /dev/null

    printf 'a\n%s\nb\n' "$(seq 1 99 | tr '\n' ' ')" >"$tmp/lines"
    fails 1 "gpt2: $tmp/lines:2: the prompt has " 'many: a line is longer than the context' \
        generate -m "$demo" --prompts "$tmp/lines" -c 20 -n 3 --temp 0
    equal 'many: the other lines are there' "$(grep -c . "$tmp/out"), $(sed -n '4,7p' "$tmp/out" | tr '\n' '/')" \
        '5, ==> line 2 <==///==> line 3 <==/'
    printf '{"prompt": "a"}\n\n{"prompt": "%s"}\n{"prompt": "b", "id": [1, "x"]}\n' "$(seq 1 99 | tr '\n' ' ')" >"$tmp/lines"
    fails 1 "gpt2: $tmp/lines:3: the prompt has " 'JSON lines: one is longer than the context' \
        generate -m "$demo" --prompts "$tmp/lines" -c 20 -n 3 --temp 0 --jsonl
    equal 'JSON lines: an object for each' "$(sed 's/, "text.*"n_tok/ - "n_tok/; s/"prompt": "1 .*-/-/' "$tmp/out")" \
        '{"index": 0, "prompt": "a" - "n_tokens": 3, "stop": "length"}
{"index": 1, - "n_tokens": 0, "stop": "error"}
{"index": 2, "id": [1, "x"], "prompt": "b" - "n_tokens": 3, "stop": "length"}'
    printf '{"prompt": "It was a", "seed": 18446744073709551615}\n{"seed": 11, "prompt": "It was a"}\n' >"$tmp/lines"
    run generate -m "$demo" --prompts "$tmp/lines" --jsonl -s 3 -n 9
    cp "$tmp/out" "$tmp/wanted"
    for seed in 18446744073709551615 11; do
        run generate -m "$demo" -p 'It was a' -s $seed -n 9 --jsonl
        check "JSON lines: seed $seed is -s $seed" sh -c "sed 's/\"index\": ./\"index\": 0/' '$tmp/wanted' | grep -qxF \"\$(cat '$tmp/out')\""
    done
    run generate -m "$demo" --prompts "$tmp/lines" --jsonl -n -1 -c 5 --ignore-eos
    equal 'JSON lines: "stop" is "context"' "$(grep -c '"stop": "context"}$' "$tmp/out")" 2
    printf '{"prompt": "a"}\n{"prompt": "It was"}\n' >"$tmp/lines"
    run generate -m "$demo" --prompts "$tmp/lines" --jsonl -n -1 --temp 100 --top-k 0 -s 1
    check 'JSON lines: "stop" is a known word' sh -c "! grep -Ev '\"stop\": \"(eot|context)\"}\$' '$tmp/out'"
    run generate -m "$demo" --tokens 1,2,3 --jsonl -n 2 --temp 0
    equal 'JSON lines: ids' "$(sed 's/"text": "[0-9][0-9]* [0-9][0-9]*"/IDS/' "$tmp/out")" \
        '{"index": 0, "prompt": "1 2 3", IDS, "n_tokens": 2, "stop": "length"}'

    bad_line "found 'h' at byte 1, wanted '{'" 'not JSON' 'hello'
    bad_line 'found '\''"'\'' at byte 1, wanted '\''{'\' 'a string' '"hello"'
    bad_line 'the object has no "prompt"' 'an empty object' '{}'
    bad_line 'found the member "promt", wanted "prompt", "id" or "seed"' 'an unknown member' '{"promt": "a"}'
    bad_line 'found "id" twice' 'a member twice' '{"id": 1, "prompt": "a", "i\u0064": 2}'
    bad_line "found '5' at byte 12, wanted a string" 'a prompt that is a number' '{"prompt": 5}'
    bad_line "found '\"' at byte 25, wanted a number" 'a seed that is a string' '{"prompt": "a", "seed": "5"}'
    bad_line '"seed" is -1, wanted a whole number' 'a negative seed' '{"prompt": "a", "seed": -1}'
    bad_line '"seed" is 1.5, wanted a whole number' 'a seed with a fraction' '{"prompt": "a", "seed": 1.5}'
    bad_line '"seed" is 18446744073709551616, wanted' 'a seed beyond 64 bits' '{"prompt": "a", "seed": 18446744073709551616}'
    bad_line "the line ends, wanted '\"' at the end of the string" 'a cut line' '{"prompt": "a'
    bad_line "the line ends, wanted ',' or '}'" 'no brace at the end' '{"prompt": "a"'
    bad_line "found 'x' at byte 16, wanted the end of the line" 'more behind the object' '{"prompt": "a"}x'
    bad_line "found '}' at byte 16, wanted a string" 'a comma at the end' '{"prompt": "a",}'
    bad_line 'found the byte 0x09 at byte 13, wanted an escape' 'a raw tab' "$(printf '{"prompt": "\t"}')"
    bad_line 'found the byte 0xff at byte 13, wanted UTF-8' 'not UTF-8' "$(printf '{"prompt": "\377"}')"
    bad_line "found 'x' at byte 14, wanted an escape" 'an unknown escape' '{"prompt": "\x41"}'
    bad_line "found '\"' at byte 19, wanted the second half" 'half a surrogate pair' '{"prompt": "\ud83d"}'
    bad_line "found '\\' at byte 19, wanted the second half" 'two escapes that are no pair' '{"prompt": "\ud83d\u0041"}'
    bad_line "found '\\' at byte 13, wanted the first half" 'the second half alone' '{"prompt": "\ude00"}'
    bad_line "found 'g' at byte 18, wanted four hexadecimal digits" 'a bad \u' '{"prompt": "\u004g"}'
    bad_line "found '[' at byte 73, wanted fewer arrays" 'very deep' "{\"id\": $(printf '%0100d' 0 | tr 0 '[')"
    fails 2 'not --prompts' 'choices of many' generate --prompts a --n-choices 2
    fails 2 'one input' 'prompts and a prompt' generate --prompts a -p b
    fails 2 'needs --prompts' '--parallel of one text' generate -p a --parallel 2
    fails 2 'needs --context-shift' '--keep alone' generate -p a --keep 2
    fails 2 'cannot go with --logprobs' 'drafts and --logprobs' generate -p a --draft ngram --logprobs 2
    fails 2 'needs --draft' '--draft-max alone' generate -p a --draft-max 4
    fails 2 'none or ngram' 'another draft' generate -p a --draft q4
    for sampling in '--temp 0' '--temp 0.7 -s 3' '--n-choices 5 -s 4 --repeat-penalty 1.1'; do
        # shellcheck disable=SC2086
        wanted=$("$program" generate -p 'It was a' -n 120 $sampling)
        for draft in '' '--draft-max 1' '--draft-max 31'; do
            # shellcheck disable=SC2086
            equal "drafts do not change the text: $sampling $draft" \
                "$("$program" generate -p 'It was a' -n 120 $sampling --draft ngram $draft)" "$wanted"
        done
    done
    fails 2 "'0'" 'no choice' generate -p a --n-choices 0
    fails 1 n_keep '--keep is the whole context' generate -m "$demo" -p a -c 8 --context-shift --keep 8
    fails 1 "$tmp/nofile" 'many: a missing file' generate -m "$demo" --prompts "$tmp/nofile"
    if has_model "$slm"; then
        printf 'Q: a\n\303\251\n' >"$tmp/lines"
        fails 1 "gpt2: $tmp/lines:2: " 'many: a character without a token' generate -m "$slm" --prompts "$tmp/lines" -n 3
    fi
    if has_model "$sort_model"; then
        fails 1 '--prompts' 'many: no tokenizer' generate -m "$sort_model" --prompts "$tmp/many"
    fi
    if has_python; then
        mkdir "$tmp/nan"
        cp "$demo"/*.json "$demo/merges.txt" "$tmp/nan"
        # Position 5 gives NaN, so a text fails when its sixth token has run.
        python3 - "$demo/model.safetensors" "$tmp/nan/model.safetensors" <<'PYTHON'
import json, struct, sys
data = bytearray(open(sys.argv[1], "rb").read())
start = 8 + struct.unpack("<Q", data[:8])[0]
tensor = json.loads(data[8:start])["transformer.wpe.weight"]
begin, end = tensor["data_offsets"]
row_bytes = (end - begin) // tensor["shape"][0]
at = start + begin + 5 * row_bytes
data[at:at + row_bytes] = b"\xff" * row_bytes
open(sys.argv[2], "wb").write(data)
PYTHON
        printf '{"prompt": "a"}\n\n{"prompt": "It was a long way to the sea, and", "id": 7}\n{"prompt": "b"}\n' >"$tmp/lines"
        for n in 1 3; do
            fails 1 "gpt2: $tmp/lines:3: the logits hold NaN" "JSON lines: NaN, --parallel $n" \
                generate -m "$tmp/nan" --prompts "$tmp/lines" -n 3 --jsonl --no-echo --ignore-eos --parallel $n
            equal "JSON lines: NaN, --parallel $n: an object for each" "$(sed 's/, "text.*"n_tok/ - "n_tok/' "$tmp/out")" \
                '{"index": 0 - "n_tokens": 3, "stop": "length"}
{"index": 1, "id": 7 - "n_tokens": 0, "stop": "error"}
{"index": 2 - "n_tokens": 3, "stop": "length"}'
        done
        printf 'a\nb\n' >"$tmp/lines"
        run generate -m "$tmp/nan" --prompts "$tmp/lines" -n 9 --ignore-eos
        equal 'many: NaN in the middle of each text' "$code, $(sed 's/: the logits.*//' "$tmp/err" | tr '\n' ' ')" \
            "1, gpt2: $tmp/lines:1 gpt2: $tmp/lines:2 "
        check 'many: NaN: the tokens before it are printed' grep -qE '^a.+' "$tmp/out"
        fails 1 'gpt2: the logits hold NaN' 'choices: NaN' \
            generate -m "$tmp/nan" -p a --n-choices 2 -n 9 --ignore-eos
        for what in values damage bytes; do
            check "JSON lines: $what as Python" python3 "$tmp/json_lines.py" "$program" "$demo" $what
        done
    else
        skip 'JSON lines as Python (no python3)'
    fi
    if python3 -c 'import pty' 2>/dev/null; then
        check 'many: progress and Ctrl-C' python3 "$tmp/json_lines.py" "$program" "$demo" terminal
    else
        skip 'many: progress and Ctrl-C (no python3)'
    fi
    if [ -e /dev/full ]; then
        "$program" generate -m "$demo" --prompts "$tmp/many" -n 2 >/dev/full 2>"$tmp/err" </dev/null
        equal 'full disk: many' "$?, $(wc -l <"$tmp/err" | tr -d ' ') line" '1, 1 line'
    fi
    {
        "$program" generate -m "$demo" --prompts "$tmp/many" -n 100 2>"$tmp/err" </dev/null
        echo $? >"$tmp/code"
    } | head -c 20 >"$tmp/out"
    equal 'many: reader leaves' "$(wc -c <"$tmp/out" | tr -d ' '), $(cat "$tmp/code"), $(wc -c <"$tmp/err" | tr -d ' ')" '20, 0, 0'
    run generate --help
    check 'generate --help has an example of JSON lines' grep -q '^  gpt2 generate .*--jsonl' "$tmp/out"
else
    skip 'many texts (no demo model)'
fi

# ---- output that fails, readers that leave, Ctrl-C -------------------------------------------

# The model that takes longest, so that a signal finds it at work.
slow=
for model in "$novels" "$demo"; do
    if [ -z "$slow" ] && has_model "$model"; then
        slow=$model
    fi
done

if [ -e /dev/full ]; then
    "$program" --help >/dev/full 2>"$tmp/err"
    equal 'full disk: help' $? 1
    check 'full disk: one line says so' test "$(wc -l <"$tmp/err")" -eq 1
    for arguments in "tokenize -p Hello" "detokenize --tokens 1" "info" "generate -p a -n 1"; do
        [ -n "$slow" ] || continue
        # shellcheck disable=SC2086
        "$program" $arguments -m "$slow" >/dev/full 2>"$tmp/err" </dev/null
        equal "full disk: ${arguments%% *}" "$?, $(wc -l <"$tmp/err" | tr -d ' ') line" '1, 1 line'
    done
else
    skip 'full disk (no /dev/full)'
fi

if [ -n "$slow" ]; then
    {
        "$program" generate -m "$slow" -p 'It was a' -n -1 --ignore-eos -s 1 2>"$tmp/err" </dev/null
        echo $? >"$tmp/code"
    } | head -c 20 >"$tmp/out"
    equal 'reader leaves: bytes' "$(wc -c <"$tmp/out" | tr -d ' ')" 20
    equal 'reader leaves: exit code' "$(cat "$tmp/code")" 0
    check 'reader leaves: silence' test ! -s "$tmp/err"

    : >"$tmp/out"
    "$program" generate -m "$slow" -p 'It was a' -n -1 --ignore-eos -s 1 -t 1 --cpu scalar \
        >"$tmp/out" 2>"$tmp/err" </dev/null &
    process=$!
    tries=0
    while [ ! -s "$tmp/out" ] && [ $tries -lt 300 ]; do
        sleep 0.1 2>/dev/null || sleep 1
        tries=$((tries + 1))
    done
    kill -INT $process 2>/dev/null
    wait $process
    code=$?
    if [ $code -eq 0 ]; then
        skip 'Ctrl-C (it was done before the signal came)'
    else
        equal 'Ctrl-C: exit code' $code 130
        check 'Ctrl-C: silence' test ! -s "$tmp/err"
        equal 'Ctrl-C: output ends with a newline' "$(tail -c 1 "$tmp/out" | wc -l | tr -d ' ')" 1
        check 'Ctrl-C: the prompt is there' grep -q '^It was a' "$tmp/out"
    fi
else
    skip 'reader leaves, Ctrl-C (no model)'
fi

# ---- trace -----------------------------------------------------------------------------------

# trace.py FILE CONFIG IDS GREEDY: names, order, shapes, values; the last logits choose GREEDY.
cat >"$tmp/trace.py" <<'PYTHON'
import array, json, math, struct, sys
path, config, ids, greedy = sys.argv[1:]
data = open(path, "rb").read()
config = json.load(open(config))
ids = [int(i) for i in ids.split(",")]
t, layers, heads, width = len(ids), config["n_layer"], config["n_head"], config["n_embd"]
inner, vocab = config.get("n_inner") or 4 * width, config["vocab_size"]
n = struct.unpack("<Q", data[:8])[0]
assert n % 8 == 0
header = json.loads(data[8 : 8 + n])
assert header.pop("__metadata__")["format"] == "pt"
wanted = {"tokens": [t], "embed": [t, width]}
for i in range(layers):
    for name, shape in (
        ("ln_1", [t, width]), ("attn.qkv", [t, 3 * width]), ("attn.scores", [heads, t, t]),
        ("attn.probs", [heads, t, t]), ("attn.ctx", [t, width]), ("attn.out", [t, width]),
        ("ln_2", [t, width]), ("mlp.fc", [t, inner]), ("mlp.act", [t, inner]),
        ("mlp.out", [t, width]), ("block", [t, width])):
        wanted[f"h.{i}.{name}"] = shape
wanted["ln_f"], wanted["logits"] = [t, width], [t, vocab]
assert list(header) == list(wanted), list(header)
end, tensors = 0, {}
for name, entry in header.items():
    assert entry["shape"] == wanted[name], name
    begin, stop = entry["data_offsets"]
    size = 8 if name == "tokens" else 4
    assert entry["dtype"] == ("I64" if name == "tokens" else "F32"), name
    assert begin == end and stop - begin == size * math.prod(entry["shape"]), name
    end = stop
    tensors[name] = array.array("q" if size == 8 else "f", data[8 + n + begin : 8 + n + stop])
assert 8 + n + end == len(data)
assert list(tensors["tokens"]) == ids
for name, values in tensors.items():
    if not name.endswith(("scores", "probs")):
        assert all(map(math.isfinite, values)), name
        assert any(values), name
        continue
    for h in range(heads):
        for q in range(t):
            row = values[(h * t + q) * t : (h * t + q + 1) * t]
            if name.endswith("scores"):
                assert all(map(math.isfinite, row[: q + 1])), name
                assert all(x == -math.inf for x in row[q + 1 :]), name
            else:
                assert abs(sum(row) - 1) < 1e-5 and min(row) >= 0, name
                assert not any(row[q + 1 :]), name
for i in range(layers):
    before = tensors["embed"] if i == 0 else tensors[f"h.{i - 1}.block"]
    for x, a, m, y in zip(before, tensors[f"h.{i}.attn.out"], tensors[f"h.{i}.mlp.out"],
                          tensors[f"h.{i}.block"]):
        assert abs(x + a + m - y) <= 1e-5 * (abs(x) + abs(a) + abs(m) + abs(y)) + 1e-9, i
last = tensors["logits"][-vocab:]
assert last.index(max(last)) == int(greedy), "the last logits"
PYTHON

# trace_checks TAG MODEL IDS
trace_checks() {
    tag=$1
    model=$2
    succeeds "$tag: trace" trace -m "$model" --tokens "$3" -o "$tmp/trace"
    check "$tag: trace prints nothing" test ! -s "$tmp/out"
    check "$tag: trace leaves no other file" test "$(ls "$tmp" | grep -c '^gpt2-\|tmp$')" -eq 0
    greedy=$("$program" generate -m "$model" --tokens "$3" -n 1 --temp 0 --no-echo --ignore-eos)
    if has_python; then
        check "$tag: trace holds what it should" \
            python3 "$tmp/trace.py" "$tmp/trace" "$model/config.json" "$3" "$greedy"
    else
        skip "$tag: trace holds what it should (no python3)"
    fi
    for batch in 1 2 3; do
        run trace -m "$model" --tokens "$3" -o "$tmp/trace2" -b $batch
        check "$tag: same trace with -b $batch" cmp "$tmp/trace" "$tmp/trace2"
    done
    for level in $levels; do
        run trace -m "$model" --tokens "$3" -o "$tmp/trace2" --cpu "$level" -t 3
        check "$tag: same trace with --cpu $level -t 3" cmp "$tmp/trace" "$tmp/trace2"
    done
}

mode_of() {
    # shellcheck disable=SC2012
    ls -l "$1" | cut -c 1-10
}

# is_one_of FILE FILE1 FILE2: it has the bytes of one of the two
is_one_of() {
    cmp -s "$1" "$2" || cmp -s "$1" "$3"
}

# ends_trace SIGNAL MODEL CODE: the signal comes while the new file grows
ends_trace() {
    echo kept >"$tmp/dir/out"
    # shellcheck disable=SC2086
    "$program" trace -m "$2" --tokens $many -o "$tmp/dir/out" -t 1 -b 1 --cpu scalar 2>"$tmp/err" &
    process=$!
    while [ "$(ls "$tmp/dir")" = out ] && kill -0 $process 2>/dev/null; do
        :
    done
    kill -s "$1" $process 2>/dev/null
    wait $process
    code=$?
    if [ $code -eq 0 ]; then
        skip "trace ended by $1 (it was done before the signal came)"
        return
    fi
    equal "trace ended by $1: exit code" $code "$3"
    equal "trace ended by $1: only the old file is there" "$(ls "$tmp/dir"), $(cat "$tmp/dir/out")" 'out, kept'
}

# output_checks MODEL: the file that -o names, and its neighbours
output_checks() {
    many=$(awk -v n=$((${n_positions:-11})) 'BEGIN { for (i = 0; i < n; i++) { printf "%s%d", comma, i * 37 % 3; comma = "," } }')
    mkdir "$tmp/dir"
    "$program" trace -m "$1" --tokens 1,2,0 -o "$tmp/wanted" || not_ok 'a trace to compare with'
    echo mine >"$tmp/dir/out.tmp"
    succeeds "trace beside a file out.tmp" trace -m "$1" --tokens 1,2,0 -o "$tmp/dir/out"
    check 'trace beside a file out.tmp: the trace' cmp "$tmp/dir/out" "$tmp/wanted"
    equal 'trace beside a file out.tmp: it is kept' "$(cat "$tmp/dir/out.tmp")" mine
    rm "$tmp/dir/out" "$tmp/dir/out.tmp"
    echo mine >"$tmp/mine"
    ln -s "$tmp/mine" "$tmp/dir/out.tmp"
    succeeds "trace beside a link out.tmp" trace -m "$1" --tokens 1,2,0 -o "$tmp/dir/out"
    equal 'trace beside a link out.tmp: its target is kept' "$(cat "$tmp/mine")" mine
    rm "$tmp/dir/out.tmp"
    mkfifo "$tmp/dir/out.tmp"
    "$program" trace -m "$1" --tokens 1,2,0 -o "$tmp/dir/out" 2>"$tmp/err" &
    process=$!
    (
        sleep 20
        kill -KILL $process
    ) >/dev/null 2>&1 &
    guard=$!
    wait $process
    equal 'trace beside a pipe out.tmp: does not wait for a reader' $? 0
    kill $guard 2>/dev/null
    check 'trace beside a pipe out.tmp: it is kept' test -p "$tmp/dir/out.tmp"
    rm "$tmp/dir/out" "$tmp/dir/out.tmp"

    mkfifo "$tmp/dir/pipe"
    fails 1 'not a plain file' 'trace to a pipe' trace -m "$1" --tokens 1,2,0 -o "$tmp/dir/pipe"
    check 'trace to a pipe: it is kept' test -p "$tmp/dir/pipe"
    rm "$tmp/dir/pipe"
    fails 1 "$tmp/dir/no/" 'trace to no name' trace -m "$1" --tokens 1,2,0 -o "$tmp/dir/no/"

    mkdir "$tmp/dir/real"
    echo old >"$tmp/dir/real/old"
    ln -s old "$tmp/dir/real/second"
    ln -s real/second "$tmp/dir/link"
    succeeds 'trace through links' trace -m "$1" --tokens 1,2,0 -o "$tmp/dir/link"
    check 'trace through links: they are kept' test -h "$tmp/dir/link" -a -h "$tmp/dir/real/second"
    check 'trace through links: the trace' cmp "$tmp/dir/real/old" "$tmp/wanted"
    ln -s real/new "$tmp/dir/dangling"
    succeeds 'trace through a link to nothing' trace -m "$1" --tokens 1,2,0 -o "$tmp/dir/dangling"
    check 'trace through a link to nothing: it is kept' test -h "$tmp/dir/dangling"
    check 'trace through a link to nothing: the trace' cmp "$tmp/dir/real/new" "$tmp/wanted"
    ln -s loop "$tmp/dir/loop"
    fails 1 "$tmp/dir/loop" 'trace through a loop' trace -m "$1" --tokens 1,2,0 -o "$tmp/dir/loop"
    # shellcheck disable=SC2046
    equal 'trace through links: nothing else is there' "$(echo $(ls "$tmp/dir" "$tmp/dir/real"))" \
        "$tmp/dir: dangling link loop real $tmp/dir/real: new old second"
    rm -r "$tmp/dir/dangling" "$tmp/dir/link" "$tmp/dir/loop" "$tmp/dir/real"

    (
        umask 027
        "$program" trace -m "$1" --tokens 1,2,0 -o "$tmp/dir/out"
    )
    equal 'trace: the mode of a new file' "$(mode_of "$tmp/dir/out")" -rw-r-----
    chmod 604 "$tmp/dir/out"
    succeeds 'trace over an old file' trace -m "$1" --tokens 1,2,0 -o "$tmp/dir/out"
    equal 'trace: the mode of the old file' "$(mode_of "$tmp/dir/out")" -rw----r--

    "$program" trace -m "$1" --tokens "$many" -o "$tmp/wanted" || not_ok 'a trace to compare with'
    "$program" trace -m "$1" --tokens "${many#*,},1" -o "$tmp/wanted2" || not_ok 'another one'
    for round in 1 2 3; do
        "$program" trace -m "$1" --tokens "$many" -o "$tmp/dir/out" -b 1 &
        process=$!
        run trace -m "$1" --tokens "${many#*,},1" -o "$tmp/dir/out" -b 1
        wait $process
        equal "two traces at once, round $round: exit codes" "$?, $code" '0, 0'
        check "two traces at once, round $round: one of them is there" \
            is_one_of "$tmp/dir/out" "$tmp/wanted" "$tmp/wanted2"
    done
    ends_trace TERM "$1" 143
    ends_trace HUP "$1" 129
    ends_trace INT "$1" 130
    ulimit -c 0
    ends_trace QUIT "$1" 131
}

ids=$(awk 'BEGIN { for (i = 0; i < 200; i++) { printf "%s%d", comma, i * 37 % 250; comma = "," } }')
traced=
if has_model "$demo"; then
    trace_checks demo "$demo" 1,2,3,4,5
    traced=$demo
    n_positions=256
else
    skip 'trace of the demo model (no demo model)'
fi
if has_model "$sort_model"; then
    trace_checks nano-sort "$sort_model" 0,1,2,2,2,0,0,0,0,0,0
    : "${traced:=$sort_model}"
else
    skip 'trace of nano-sort (not in shared)'
fi
if has_model "$random_model"; then
    # Over the pieces of 64 rows.
    trace_checks tiny-random-gpt2 "$random_model" "$ids"
else
    skip 'trace of tiny-random-gpt2 (not in shared)'
fi
if [ -n "$traced" ]; then
    fails 1 "$tmp/nowhere/trace" 'trace into a missing directory' \
        trace -m "$traced" --tokens 1,2 -o "$tmp/nowhere/trace"
    fails 1 /dev/null 'trace over a device' trace -m "$traced" --tokens 1,2 -o /dev/null
    check 'the device is still there' test -c /dev/null
    fails 1 "$tmp" 'trace over a directory' trace -m "$traced" --tokens 1,2 -o "$tmp"
    fails 1 token 'trace of nothing' trace -m "$traced" --tokens '' -o "$tmp/trace3"
    check 'trace of nothing: no file' test ! -e "$tmp/trace3"
    echo kept >"$tmp/trace4"
    (
        ulimit -f 8
        "$program" trace -m "$traced" --tokens 1,2,0,1,2,0 -o "$tmp/trace4" 2>"$tmp/err"
        echo $? >"$tmp/code"
    )
    equal 'trace that does not fit: exit code' "$(cat "$tmp/code")" 1
    equal 'trace that does not fit: one line' "$(wc -l <"$tmp/err" | tr -d ' ')" 1
    equal 'trace that does not fit: the old file stays' "$(cat "$tmp/trace4")" kept
    check 'trace that does not fit: no other file' test "$(ls "$tmp" | grep -c '^gpt2-\|tmp$')" -eq 0
    output_checks "$traced"
fi

# ---- info ------------------------------------------------------------------------------------

# info_checks TAG MODEL KEY=VALUE...
info_checks() {
    tag=$1
    model=$2
    shift 2
    succeeds "$tag: info" info -m "$model"
    check "$tag: info is keys and values" sh -c "! grep -Evq '^[a-z0-9_]+ +[^ ]' '$tmp/out'"
    for pair in "$@"; do
        equal "$tag: info $pair" "$(awk -v key="${pair%%=*}" '$1 == key { print $2 }' "$tmp/out")" "${pair#*=}"
    done
}

if has_model "$demo"; then
    info_checks demo "$demo"
    # the demo model has f16, which f32 has exactly and the others have not
    for type in f16 f32 bf16 q8 q4; do
        run info -m "$demo" --type $type
        words="f16 in the file, $type in memory"
        [ $type != f16 ] || words=f16
        equal "info --type $type" "$(sed -n 's/^weights  *//p' "$tmp/out")" "$words"
        run trace -m "$demo" --tokens 1,2,3 -o "$tmp/$type.trace" --type $type
    done
    check 'trace --type f32: the same numbers' cmp "$tmp/f16.trace" "$tmp/f32.trace"
    for type in bf16 q8 q4; do
        cmp -s "$tmp/f16.trace" "$tmp/$type.trace"
        equal "trace --type $type: other numbers" $? 1
    done
    for type in q8 q4; do
        for level in $levels; do
            run trace -m "$demo" --tokens 1,2,3 -o "$tmp/trace2" --type $type --cpu "$level"
            check "trace --type $type: the same numbers with --cpu $level" \
                cmp "$tmp/$type.trace" "$tmp/trace2"
        done
    done
fi
if has_model "$novels"; then
    info_checks novels "$novels" n_layer=4 n_head=4 n_embd=256 n_inner=1024 n_vocab=50257 \
        n_positions=1024 activation=gelu_new weights=f16 endoftext=50256 tokenizer=50257 lm_head=tied
fi
if has_model "$sort_model"; then
    info_checks nano-sort "$sort_model" n_layer=3 n_head=3 n_vocab=3 lm_head=separate tokenizer=none endoftext=none
    for level in $levels; do
        run info -m "$sort_model" --cpu "$level"
        equal "info --cpu $level" "$(awk '$1 == "kernels" { print $2 }' "$tmp/out")" "$level"
    done
fi

# ---- what is missing, and a terminal ----------------------------------------------------------

mkdir "$tmp/fast"
cp "$demo/config.json" "$demo/model.safetensors" "$tmp/fast"
fails 1 'vocab.json' 'generate, no tokenizer: says what is missing' generate -m "$tmp/fast" -p a
fails 1 'vocab.json' 'score, no tokenizer: says what is missing' score -m "$tmp/fast" -p a
echo '{"normalizer": {"type": "NFC"}}' >"$tmp/fast/tokenizer.json"
fails 1 'normalizer.type: found "NFC", wanted none' 'generate: a tokenizer.json that is refused' \
    generate -m "$tmp/fast" -p a
fails 1 'normalizer.type: found "NFC", wanted none' 'tokenize: a tokenizer.json that is refused' \
    tokenize -m "$tmp/fast" -p a
level='{"type": "ByteLevel", "add_prefix_space": false}'
printf '{"pre_tokenizer": %s, "decoder": %s, "model": {"merges": ["a t"], "vocab": %s}}' "$level" "$level" \
    '{"c": 0, "a": 1, "t": 2, "at": 3, "<|endoftext|>": 4}' >"$tmp/fast/tokenizer.json"
run tokenize -m "$tmp/fast" -p 'cat'
equal 'tokenize: tokenizer.json alone' "$(cat "$tmp/out")" '0 3'
run info -m "$tmp/fast"
equal 'info: tokenizer.json alone' "$(awk '$1 == "tokenizer" { print $2 }' "$tmp/out")" 5

# terminal.py DIR WHERE SIGNALS ARGUMENTS...: runs the program with a terminal (WHERE is "terminal") or
# a pipe as its stderr.  With DIR it stops the program for half a second while it reads
# DIR/model.safetensors, so that loading is slow, and then sends SIGNALS interrupts when it shows how
# far it is.  Prints the exit code, as a shell would, and what stderr got.
cat >"$tmp/terminal.py" <<'PYTHON'
import glob, os, pty, signal, subprocess, sys, time
directory, where, n_signals, arguments = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:]

def stop(process):
    """True if the program was stopped while the file is open."""
    while process.poll() is None:
        for path in glob.glob(f"/proc/{process.pid}/fd/*"):
            try:
                is_open = os.readlink(path).endswith("/model.safetensors")
            except OSError:
                continue
            if is_open:
                process.send_signal(signal.SIGSTOP)
                time.sleep(0.5)
                process.send_signal(signal.SIGCONT)
                return True
    return False

for attempt in range(20):
    stderr_read, stderr = pty.openpty() if where == "terminal" else os.pipe()
    process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr,
                               preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    os.close(stderr)
    was_stopped = directory != "" and stop(process)
    seen, n_left = b"", n_signals
    while True:
        try:
            piece = os.read(stderr_read, 4096)
        except OSError:
            break
        if not piece:
            break
        seen += piece
        if n_left and b"loading" in seen:
            process.send_signal(signal.SIGINT)
            n_left -= 1
    os.close(stderr_read)
    code = process.wait()
    # the program may have closed the file before it was stopped, or have ended before the signal
    if directory == "" or was_stopped and (where != "terminal" or b"loading" in seen) and not (n_signals and code == 0):
        break
print("code", code if code >= 0 else 128 - code)
print("shows progress" if b"\rloading the model: " in seen else "no progress")
print("last", repr(seen.split(b"\r\x1b[K")[-1].decode()))
PYTHON
# make_large DIR: a model of 100 MB of zeros, in a file with a hole
cat >"$tmp/make_large.py" <<'PYTHON'
import json, os, struct, sys
n_vocab, n_embd, n_inner = 400000, 64, 64
shapes = {"wte.weight": [n_vocab, n_embd], "wpe.weight": [8, n_embd]}
for name in ("h.0.ln_1", "h.0.ln_2", "ln_f"):
    shapes[name + ".weight"] = shapes[name + ".bias"] = [n_embd]
for name, n_in, n_out in (("attn.c_attn", n_embd, 3 * n_embd), ("attn.c_proj", n_embd, n_embd),
                          ("mlp.c_fc", n_embd, n_inner), ("mlp.c_proj", n_inner, n_embd)):
    shapes[f"h.0.{name}.weight"], shapes[f"h.0.{name}.bias"] = [n_in, n_out], [n_out]
header, at = {}, 0
for name, shape in shapes.items():
    n_bytes = 4 * shape[0] * (shape[1] if len(shape) == 2 else 1)
    header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + n_bytes]}
    at += n_bytes
os.mkdir(sys.argv[1])
with open(sys.argv[1] + "/config.json", "w") as file:
    json.dump({"model_type": "gpt2", "vocab_size": n_vocab, "n_positions": 8, "n_embd": n_embd,
               "n_layer": 1, "n_head": 2, "n_inner": n_inner}, file)
with open(sys.argv[1] + "/model.safetensors", "wb") as file:
    text = json.dumps(header).encode()
    file.write(struct.pack("<Q", len(text)) + text)
    file.truncate(8 + len(text) + at)
PYTHON
if python3 -c 'import pty' 2>/dev/null && [ -e /proc/self/fd ]; then
    python3 "$tmp/terminal.py" '' terminal 0 "$program" tokenize -m "$tmp/added" -p 'x<|pad|>y' >"$tmp/seen"
    check 'an added token in a text: a note on a terminal' \
        grep -q "^last 'the text contains the added token <|pad|>: it is encoded as plain text" "$tmp/seen"
    python3 "$tmp/terminal.py" '' terminal 0 "$program" info -m "$tmp/fast" >"$tmp/seen"
    equal 'loading: nothing where it is fast' "$(cat "$tmp/seen")" "code 0
no progress
last ''"
    python3 "$tmp/make_large.py" "$tmp/large"
    python3 "$tmp/terminal.py" "$tmp/large" terminal 0 "$program" info -m "$tmp/large" -t 1 >"$tmp/seen"
    equal 'loading: a terminal sees how far it is, and the line is erased' "$(cat "$tmp/seen")" "code 0
shows progress
last ''"
    python3 "$tmp/terminal.py" "$tmp/large" terminal 1 "$program" info -m "$tmp/large" -t 1 >"$tmp/seen"
    equal 'loading: Ctrl-C ends it and erases the line' "$(cat "$tmp/seen")" "code 130
shows progress
last ''"
    python3 "$tmp/terminal.py" "$tmp/large" pipe 0 "$program" info -m "$tmp/large" -t 1 >"$tmp/seen"
    equal 'loading: nothing in a pipe' "$(cat "$tmp/seen")" "code 0
no progress
last ''"
else
    skip 'a terminal (no python3, or no /proc)'
fi

finish
