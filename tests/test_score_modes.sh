#!/bin/sh
#
# test_score_modes.sh: checks the tables of `gpt2 score`, its pairs, choices and pages from outside.
# tests/score_reference.py computes them again from their definitions.
#
#     tests/test_score_modes.sh PROGRAM DEMO_MODEL

# shellcheck source=tests/program.sh
. "$(dirname "$0")/program.sh"

if ! has_model "$demo"; then
    skip 'tables of score (no demo model)'
    finish
    exit
fi

text=$checkout/tests/data/alice.txt
head -c 600 "$text" >"$tmp/start"
printf 'Caf\303\251 \342\202\2545  and\ttabs <b>&"x"</b> \360\237\230\200 \343\200\200 \377\376\000 \342\202 end.\r\n\n' \
    >"$tmp/bytes"
printf 'is \302\200\302\205\302\237\302\240\330\233\330\234 \342\200\215\342\200\216\342\200\217\342\200\220 old\342\200\252<\342\200\256\342\200\257\342\201\245\342\201\246a\342\201\251\342\201\252' \
    >"$tmp/controls"
printf ' The old man<|endoftext|>It was<|endoftext|> a<|endoftext|><|endoftext|> day \n' >"$tmp/ends"
tr '\n' ' ' <"$text" >"$tmp/long"

# ---- columns -----------------------------------------------------------------------------------

# head NAME WANTED ARGUMENTS...: the line of names, with a comma for each tab
head_is() {
    name=$1
    wanted=$2
    shift 2
    run score -m "$demo" "$@"
    equal "$name: names" "$code $(head -n 1 "$tmp/out" | tr '\t' ',')" "0 $wanted"
    check "$name: as many cells in each row" awk -F '\t' \
        'NR == 1 { n = NF } NF != n { print; exit 1 } END { exit NR < 2 }' "$tmp/out"
}

place=first_byte,end_byte,first_char,end_char
head_is tokens "id,text,$place,surprisal_bits,rank,entropy_bits" --by token "$tmp/bytes"
head_is 'tokens --top' "id,text,$place,surprisal_nats,rank,entropy_nats,\
top1_id,top1_text,top1_surprisal_nats,top2_id,top2_text,top2_surprisal_nats" \
    --by token --top 2 --base e --no-bos "$tmp/bytes"
head_is words "text,$place,tokens,surprisal_bits" --by word "$tmp/bytes"
head_is 'words, corrected' "text,$place,tokens,surprisal_nats,corrected_surprisal_nats" \
    --by word --word-correction --base e "$tmp/bytes"
head_is lines 'line,bytes,tokens,surprisal_bits,mean_surprisal_bits,text' --by line "$text"
printf 'It was a great pity.\tIt was a grate pity.\nman The old\tThe old man\nsame\tsame' >"$tmp/pairs"
head_is pairs 'line,likelier,tokens1,tokens2,logprob1_nats,logprob2_nats' --pairs "$tmp/pairs"
equal 'pairs: which is likelier' "$(cut -f 1,2 "$tmp/out" | tr '\n\t' ' :')" 'line:likelier 1:1 2:2 3:0 '
printf 'It was a great\t pity.\t city\n' >"$tmp/choices"
head_is choices 'line,choice,is_likeliest,is_greedy,tokens,logprob_bits,text' \
    --choices "$tmp/choices" --base 2

run score -m "$demo" --by token -p 'a	b\
c' --no-bos
equal 'escapes, and empty cells' "$(cut -f 2,7-9 "$tmp/out" | sed -n '2,3p;6p' | sed 's/[0-9.]*$//' |
    cut -f 1,4 | tr '\t' ',')" 'a,
\t,
\n,'
run score -m "$demo" --by token "$tmp/bytes"
check 'escapes of bytes' grep -q '	\\xff	' "$tmp/out"

# ---- the same numbers in all forms ---------------------------------------------------------------

# sum COLUMN: of the last run
sum() {
    awk -F '\t' -v column="$1" 'NR > 1 { sum += $column } END { printf "%.3f\n", sum }' "$tmp/out"
}
nats_of() {
    "$program" score -m "$demo" "$@" | awk '$1 == "nats" { printf "%.3f\n", $2 }'
}
for windows in '' '-c 100' '--stride 64' '-c 100 --stride 50'; do
    # shellcheck disable=SC2086
    wanted=$(nats_of $windows "$tmp/long")
    for by in token:7 word:7 line:4; do
        # shellcheck disable=SC2086
        run score -m "$demo" --by ${by%:*} --base e $windows "$tmp/long"
        equal "the sum by ${by%:*} is that of the text, $windows" "$(sum "${by#*:}")" "$wanted"
    done
done
run score -m "$demo" --by line --base e "$text"
equal 'each line is a text of its own' "$(sed -n '5p' "$tmp/out" | cut -f 4 | xargs printf %.3f)" \
    "$(nats_of -p "$(sed -n '4p' "$text")")"
equal 'as many rows as lines' "$(wc -l <"$tmp/out" | tr -d ' ')" "$(($(wc -l <"$text") + 1))"
run score -m "$demo" --prefix ' The end.' --no-bos --by token --base e "$tmp/start"
equal 'prefix: the sum' "$(sum 7)" "$(nats_of --prefix ' The end.' --no-bos "$tmp/start")"
{
    printf 'short\n\n'
    cat "$tmp/long"
    printf '\nlast'
} >"$tmp/lines"
run score -m "$demo" --by line --base e "$tmp/lines"
equal 'empty lines and one longer than the context: tokens' "$(cut -f 1,3 "$tmp/out" | tr '\n\t' ' :')" \
    "line:tokens 1:2 2:0 3:$("$program" tokenize -m "$demo" "$tmp/long" | wc -w | tr -d ' ') 4:2 "
equal 'a line longer than the context' "$(sed -n '4p' "$tmp/out" | cut -f 4 | xargs printf %.3f)" \
    "$(nats_of "$tmp/long")"
paste "$tmp/lines" "$tmp/lines" | sed 's/^	$/a	a/' >"$tmp/both"
run score -m "$demo" --pairs "$tmp/both"
equal 'pairs: equal texts' "$(sed 1d "$tmp/out" | cut -f 2 | tr '\n' ' ')" '0 0 0 0 '

# The same bytes with other settings.  40 lines run in calls of other texts than 3 do.
i=0
while [ $i -lt 14 ]; do
    cat "$tmp/pairs"
    echo
    i=$((i + 1))
done >"$tmp/many"
"$program" score -m "$demo" --pairs "$tmp/many" >"$tmp/wanted"
check 'pairs: the same numbers in any batch' awk \
    -F '\t' 'NR > 1 { $1 = ""; n[$0]++ } END { exit length(n) != 3 }' "$tmp/wanted"
for mode in "--by token --top 3 $text" "--by word --word-correction --stride 100 $text" \
    "--by line $tmp/lines" "--pairs $tmp/many" "--choices $tmp/choices"; do
    # shellcheck disable=SC2086
    "$program" score -m "$demo" $mode >"$tmp/wanted"
    for setting in '-t 1' '-t 3' '-b 1' '-b 7' '-b 300'; do
        # shellcheck disable=SC2086
        "$program" score -m "$demo" $mode $setting >"$tmp/out"
        check "the same bytes with $setting: $(echo "$mode" | cut -d ' ' -f 1-2)" \
            cmp "$tmp/out" "$tmp/wanted"
    done
done

# Memory is for one window, whatever -b says.
"$program" score -m "$demo" --by token --top 2000 "$tmp/start" >"$tmp/wanted"
run score -m "$demo" --by token --top 2000 -b 2147483647 "$tmp/start"
equal 'a huge -b' "$code $(cmp "$tmp/out" "$tmp/wanted" 2>&1)" '0 '

# ---- what goes wrong -----------------------------------------------------------------------------

: >"$tmp/empty"
fails 2 'give one of' 'two ways' score --by token --pairs "$tmp/pairs"
fails 2 'give one of' 'table and page' score --by word --html "$tmp/page" "$text"
fails 2 'one input' 'pairs and a text' score --pairs "$tmp/pairs" "$text"
fails 2 "'letter'" 'unknown unit' score --by letter "$text"
fails 2 "'10'" 'unknown base' score --by token --base 10 "$text"
fails 2 '--jsonl needs' 'JSON without a table' score --jsonl "$text"
fails 2 '--html needs the name' 'a page to standard output' score --html - "$text"
fails 2 '--base needs' 'base without a table' score --base e "$text"
fails 2 '--top needs' 'top without tokens' score --by word --top 3 "$text"
fails 2 '--word-correction needs' 'correction without words' score --by token --word-correction "$text"
fails 2 'no --prefix' 'choices with a prefix' score --choices "$tmp/choices" --prefix a
fails 2 'no --stride' 'choices with a stride' score --choices "$tmp/choices" --stride 4
fails 2 'no --no-bos' 'choices without <|endoftext|>' score --choices "$tmp/choices" --no-bos
fails 1 'the text is empty' 'tokens of nothing' score -m "$demo" --by token "$tmp/empty"
fails 1 'the text is empty' 'words of nothing' score -m "$demo" --by word "$tmp/empty"
fails 1 'the text is one token' 'one token without a bos' score -m "$demo" --no-bos -p a
fails 1 "$tmp/nofile" 'missing file of pairs' score --pairs "$tmp/nofile"
fails 1 '5 tokens stand in front of the text, wanted at most 4' 'a prefix longer than a window' \
    score -m "$demo" --prefix 'one two three four' -c 4 -p a
succeeds 'a prefix as long as a window' score -m "$demo" --prefix 'one two three four' -c 5 -p 'a b'

printf 'a\tb\nno tab\n' >"$tmp/bad"
fails 1 "$tmp/bad:2: found 0 tabs" 'pairs: no tab' score -m "$demo" --pairs "$tmp/bad"
printf 'a\tb\na\tb\tc\n' >"$tmp/bad"
fails 1 "$tmp/bad:2: found 2 tabs" 'pairs: three texts' score -m "$demo" --pairs "$tmp/bad"
printf 'a\t\n' >"$tmp/bad"
fails 1 "$tmp/bad:1: the text is empty" 'pairs: an empty text' score -m "$demo" --pairs "$tmp/bad"
printf 'a\t b\n\n' >"$tmp/bad"
fails 1 "$tmp/bad:2: found no tab" 'choices: no tab' score -m "$demo" --choices "$tmp/bad"
equal 'choices: the line before the wrong one has its row' "$(cut -f 1 "$tmp/out" | paste -sd ' ')" 'line 1'
printf 'a\t b\t\n' >"$tmp/bad"
fails 1 "$tmp/bad:1: a continuation has no token" 'choices: an empty one' score -m "$demo" \
    --choices "$tmp/bad"
{
    printf 'context\t'
    cat "$tmp/long"
} >"$tmp/bad"
fails 1 'the context holds 256' 'choices: too long' score -m "$demo" --choices "$tmp/bad"
printf 'a\tb\n' | "$program" score -m "$demo" --pairs - >"$tmp/out"
equal 'pairs of standard input' "$?, $(wc -l <"$tmp/out" | tr -d ' ')" '0, 2'

fails 1 'not a plain file' 'a page to a folder' score -m "$demo" --html "$tmp" -p a
fails 1 "$tmp/nowhere/page" 'a page in no folder' score -m "$demo" --html "$tmp/nowhere/page" -p a
{
    sleep 1
    "$program" score -m "$demo" --by token "$text" 2>"$tmp/err"
    echo $? >"$tmp/code"
} | :
equal 'reader is gone' "$(cat "$tmp/code") $(wc -c <"$tmp/err" | tr -d ' ')" '0 0'
if [ -e /dev/full ]; then
    for mode in "--by token $text" "--by line $text" "--pairs $tmp/pairs" "--choices $tmp/choices"; do
        # shellcheck disable=SC2086
        "$program" score -m "$demo" $mode >/dev/full 2>"$tmp/err"
        equal "full disk: $mode" "$?, $(wc -l <"$tmp/err" | tr -d ' ') line" '1, 1 line'
    done
else
    skip 'full disk (no /dev/full)'
fi

if ! has_python; then
    skip 'definitions, JSON, damaged models, terminal (no python3)'
    finish
    exit
fi

# ---- definitions ---------------------------------------------------------------------------------

# defined MODEL WHAT FILE OPTIONS...
defined() {
    model=$1
    shift
    check "definition: $(basename "$model") $(basename "$1") $(basename "$2") $(echo "$@" | cut -d ' ' -f 3-)" \
        python3 "$checkout/tests/score_reference.py" "$program" "$model" "$@"
}
defined "$demo" words "$tmp/bytes"
for what in tokens words html; do
    defined "$demo" $what "$tmp/start"
    defined "$demo" $what "$tmp/bytes" --no-bos
    defined "$demo" $what "$tmp/bytes" --prefix 'A '
    defined "$demo" $what "$tmp/ends" --no-bos
    defined "$demo" $what "$tmp/ends" --special
    defined "$demo" $what "$tmp/ends" --special --no-bos
    defined "$demo" $what "$tmp/ends" --special --prefix 'It was<|endoftext|>'
done
{
    printf 'It was \ta\tan old\tof the\n\tThe\tof\nOnce upon a\t time\t mattress\ttime\n'
    printf 'The old man and \t the\tthe\n   \ta\nThe old\t man\t gentleman\n'
    head -c 1500 "$tmp/long"
    printf '\t the\t sister said\n'
} >"$tmp/choices"
defined "$demo" choices "$tmp/choices"
defined "$demo" html "$tmp/controls"
# A model one of whose tokens is such a character: U+202E.
python3 - "$demo" "$tmp/controlling" <<'PYTHON'
import json, shutil, sys
demo, folder = sys.argv[1:]
shutil.copytree(demo, folder)
with open(f"{folder}/merges.txt", encoding="utf-8") as file:
    merges = file.read().splitlines()
with open(f"{folder}/vocab.json", encoding="utf-8") as file:
    vocab = json.load(file)
pairs = ["\u0122 \u00ae", "\u00e2 \u0122\u00ae"]  # the bytes e2 80 ae
for old, new in zip(merges[-2:], pairs):
    vocab[new.replace(" ", "")] = vocab.pop(old.replace(" ", ""))
with open(f"{folder}/merges.txt", "w", encoding="utf-8") as file:
    file.write("\n".join(merges[:1] + pairs + merges[1:-2]) + "\n")
with open(f"{folder}/vocab.json", "w", encoding="utf-8") as file:
    json.dump(vocab, file)
PYTHON
defined "$tmp/controlling" html "$tmp/controls"
if has_model "$slm"; then
    printf 'Q: what is the meaning\n of life?\n' >"$tmp/question"
    defined "$slm" tokens "$tmp/question"
    defined "$slm" words "$tmp/question"
    printf '\tb\n' >"$tmp/bad"
    fails 1 "$tmp/bad:1: the context is empty" 'choices: no <|endoftext|> for an empty context' \
        score -m "$slm" --choices "$tmp/bad"
else
    skip 'definition: a model without <|endoftext|> (slm4096 is not in shared)'
fi

cat >"$tmp/same.py" <<'PYTHON'
import csv, json, sys
table, lines = sys.argv[1:]
with open(table, newline="", encoding="utf-8") as file:
    rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
with open(lines, encoding="utf-8") as file:
    objects = [json.loads(line) for line in file]
assert len(rows) == len(objects) > 0, (len(rows), len(objects))
for row, object in zip(rows, objects):
    for i, item in enumerate(object.pop("top", []), 1):
        object.update({f"top{i}_{name}": value for name, value in item.items()})
    for name, cell in row.items():
        value = object.get(name)
        if "text" not in name:
            assert ("" if value is None else value) == (float(cell) if cell else ""), (name, row, object)
    assert set(object) <= set(row), (row, object)
PYTHON
for mode in "--by token --top 2 --no-bos $tmp/start" "--by word $tmp/start" "--by line $tmp/lines" \
    "--pairs $tmp/pairs" "--choices $tmp/choices"; do
    # shellcheck disable=SC2086
    "$program" score -m "$demo" $mode >"$tmp/rows"
    # shellcheck disable=SC2086
    "$program" score -m "$demo" $mode --jsonl >"$tmp/objects"
    check "JSON has the cells of the table: $(echo "$mode" | cut -d ' ' -f 1-2)" \
        python3 "$tmp/same.py" "$tmp/rows" "$tmp/objects"
done

# nan_model FOLDER TENSOR ROW: the demo model with NaN as the first value of a row of a tensor
nan_model() {
    python3 - "$demo" "$tmp/$1" "$2" "$3" <<'PYTHON'
import json, shutil, struct, sys
demo, folder, tensor, row = sys.argv[1:]
shutil.copytree(demo, folder)
path = f"{folder}/model.safetensors"
data = bytearray(open(path, "rb").read())
n = struct.unpack("<Q", data[:8])[0]
entry = json.loads(data[8 : 8 + n])[tensor]
assert entry["dtype"] == "F16"
begin = 8 + n + entry["data_offsets"][0] + int(row) * 2 * entry["shape"][-1]
data[begin : begin + 2] = b"\x00\x7e"
open(path, "wb").write(data)
PYTHON
}
nan_model nan transformer.ln_f.bias 0
fails 1 'predictions 1 to 64 of 180' 'NaN logits: tokens' score -m "$tmp/nan" --by token "$tmp/start"
fails 1 "$tmp/pairs:1: one of the predictions 1 to 7 of 7" 'NaN logits: pairs' \
    score -m "$tmp/nan" --pairs "$tmp/pairs"
echo old >"$tmp/page"
fails 1 'predictions 1 to 64' 'NaN logits: page' score -m "$tmp/nan" --html "$tmp/page" "$tmp/start"
equal 'NaN logits: the old page stays' "$(cat "$tmp/page") $(ls "$tmp" | grep -c page)" 'old 1'

# A model that gives NaN from position 16 on: only what is longer than that fails.
nan_model late transformer.wpe.weight 16
long='The old man was asleep in his chair by the fire, and the dog was asleep at his feet, as before.'
# late MODE LINE COMMAND: the rows are those of the demo model, up to the line before LINE
late() {
    "$program" score -m "$demo" "$1" "$tmp/late.txt" | awk -v n="$2" 'NR == 1 || $1 < n' >"$tmp/wanted"
    fails 1 "$tmp/late.txt:$2: one of the predictions" "NaN logits: $1" \
        score -m "$tmp/late" "$1" "$tmp/late.txt"
    check "NaN logits: $1: the rows before it" cmp "$tmp/wanted" "$tmp/out"
}
printf 'a\tb\nA man.\tA dog.\nA dog.\t%s\na\tc\n' "$long" >"$tmp/late.txt"
late --pairs 3
printf 'It was\t a\t the\nA\t man\t %s\nIt was\t a\n' "$long" >"$tmp/late.txt"
late --choices 2
printf 'It was\n\nA man.\nA dog.\n%s\nA cat.\n' "$long" >"$tmp/late.txt"
late --by=line 5

# ---- a terminal, and Ctrl-C ----------------------------------------------------------------------

python3 "$checkout/tests/terminal.py" 0 /s "$program" score -m "$demo" --pairs "$tmp/pairs" >"$tmp/seen"
equal 'terminal: the count of pairs' "$(cat "$tmp/seen")" "code 0
no progress
stdout 4 lines
last '3 pairs: the first text is likelier in 1, the second in 1, neither in 1\\r\\n'"
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    cat "$text"
done >"$tmp/book"
for mode in '--by token' '--by word --word-correction' '--by line' "--html $tmp/page"; do
    stdout_too=
    case $mode in --html*) stdout_too=--stdout-too ;; esac
    # shellcheck disable=SC2086
    python3 "$checkout/tests/terminal.py" 1 /s $stdout_too "$program" score -m "$demo" -t 1 $mode "$tmp/book" \
        >"$tmp/seen"
    equal "Ctrl-C: $(echo "$mode" | cut -d ' ' -f 1-2)" "$(head -n 2 "$tmp/seen")" 'code 130
shows progress'
done
check 'Ctrl-C: says how far it was' grep -Eq "^last 'ended after [0-9]+ of 21700 tokens.r.n'\$" "$tmp/seen"
equal 'Ctrl-C: the old page stays' "$(cat "$tmp/page") $(ls "$tmp" | grep -c page)" 'old 1'

finish
