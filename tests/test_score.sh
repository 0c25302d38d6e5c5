#!/bin/sh
#
# test_score.sh: checks `gpt2 score` from outside: its numbers, its inputs, its errors, a terminal.
#
#     tests/test_score.sh PROGRAM DEMO_MODEL

# shellcheck source=tests/program.sh
. "$(dirname "$0")/program.sh"

if ! has_model "$demo"; then
    skip 'score (no demo model)'
    finish
    exit
fi

# The opening of Alice's Adventures in Wonderland.
text=$checkout/tests/data/alice.txt
head -c 600 "$text" >"$tmp/start"

# value KEY: what the last run says of it
value() {
    awk -v key="$1" '$1 == key { print $2 }' "$tmp/out"
}

# scores NAME TOKENS NATS ARGUMENTS...: these tokens exactly, and these nats to within 1e-7 of them
scores() {
    name=$1
    tokens=$2
    nats=$3
    shift 3
    run score "$@"
    if [ $code -eq 0 ] && [ ! -s "$tmp/err" ] && [ "$(value tokens)" = "$tokens" ] &&
        awk -v got="$(value nats)" -v wanted="$nats" \
            'BEGIN { d = got / wanted - 1; exit !(d <= 1e-7 && d >= -1e-7) }'; then
        ok "$name"
    else
        not_ok "$name" "wanted $tokens tokens, $nats nats; exit code $code; $(cat "$tmp/err" "$tmp/out")"
    fi
}

# ---- numbers ---------------------------------------------------------------------------------

# tests/hf/check_score.py printed these nats: transformers in float64.
scores 'five windows' 1085 6682.967227 -m "$demo" "$text"
cp "$tmp/out" "$tmp/wanted"
equal 'bytes' "$(value bytes)" "$(wc -c <"$text" | tr -d ' ')"
equal 'tokens are those of tokenize' "$(value tokens)" \
    "$("$program" tokenize -m "$demo" "$text" | wc -w | tr -d ' ')"
equal 'context' "$(value context)" 256
check 'keys and values' sh -c "! grep -Evq '^[a-z_]+ +[0-9.]+\$' '$tmp/out'"
check 'the other numbers follow from these' awk '
    { fact[$1] = $2 }
    function near(a, b) { return a / b - 1 < 1e-7 && a / b - 1 > -1e-7 }
    END {
        mean = fact["nats"] / fact["tokens"]
        exit !(near(fact["nats_per_token"], mean) && near(fact["perplexity"], exp(mean)) &&
               near(fact["bits_per_byte"], fact["nats"] / log(2) / fact["bytes"]))
    }' "$tmp/out"
scores 'eleven windows' 1085 6747.070989 -m "$demo" "$text" -c 100
scores 'windows that overlap by three quarters' 1085 6674.772115 -m "$demo" "$text" --stride 64
equal 'stride' "$(value stride)" 64
scores 'windows that overlap by half' 1085 6708.340522 -m "$demo" "$text" -c 100 --stride 50
scores 'windows that share one token' 1085 6678.733127 -m "$demo" "$text" --stride 255
run score -m "$demo" "$text" -c 100 --stride 100
equal 'a stride of a whole window is refused' "$code $(cat "$tmp/err")" \
    "2 gpt2: --stride is 100, wanted 1 to 99: windows of 100 tokens overlap"
fails 2 'the context is 1 token, --stride needs 2 or more' 'a stride in windows of one token' \
    score -m "$demo" "$tmp/start" -c 1 --stride 1
scores 'windows of 2 that overlap' 180 1128.131869 -m "$demo" "$tmp/start" -c 2 --stride 1
scores 'less than one window' 180 1195.875682 -m "$demo" "$tmp/start"
scores 'one window' 180 1195.875682 -m "$demo" "$tmp/start" -c 180
scores 'one window and one token' 180 1191.825010 -m "$demo" "$tmp/start" -c 179
scores 'windows of 5' 180 1163.732228 -m "$demo" "$tmp/start" -c 5
scores 'windows of 1' 180 1128.131869 -m "$demo" "$tmp/start" -c 1

# again NAME ARGUMENTS...: succeeds with the very output of the first run
again() {
    name=$1
    shift
    run score -m "$demo" "$@"
    if [ $code -eq 0 ] && [ ! -s "$tmp/err" ] && cmp "$tmp/out" "$tmp/wanted" >>"$tmp/err"; then
        ok "$name"
    else
        not_ok "$name" "exit code $code; $(cat "$tmp/err")"
    fi
}

for threads in 1 2 3; do
    again "same with -t $threads" "$text" -t $threads
done
for level in scalar avx2 avxvnni avx512 avx512vnni neon dotprod; do
    run info -m "$demo" --cpu $level
    if [ $code -eq 0 ]; then
        again "same with --cpu $level" "$text" --cpu $level
    fi
done
for batch in 1 7 100 1000; do
    again "same with -b $batch" "$text" -b $batch
done
again 'same with a context longer than the model has' "$text" -c 100000

# ---- where the text comes from ---------------------------------------------------------------

again '-f' -f "$text"
again '-p' -p "$(cat "$text")
"
"$program" score -m "$demo" <"$text" >"$tmp/out"
check 'standard input' cmp "$tmp/out" "$tmp/wanted"
"$program" score -m "$demo" - <"$text" >"$tmp/out"
check 'standard input, named -' cmp "$tmp/out" "$tmp/wanted"

printf '\377\376\000 \200\303(\r\n\000\355\240\200 end' >"$tmp/bytes"
cat "$tmp/bytes" "$program" | head -c 20000 >"$tmp/binary"
for file in bytes binary; do
    succeeds "any bytes: $file" score -m "$demo" "$tmp/$file"
    equal "any bytes: all of $file" "$(value bytes)" "$(wc -c <"$tmp/$file" | tr -d ' ')"
    equal "any bytes: tokens of $file" "$(value tokens)" \
        "$("$program" tokenize -m "$demo" "$tmp/$file" | wc -w | tr -d ' ')"
done
run score -m "$demo" -p 'a<|endoftext|>b' --special
equal '--special is one token' "$(value tokens)" 3
succeeds 'a text of one token' score -m "$demo" -p a
equal 'a text of one token is counted' "$(value tokens)" 1

if has_model "$slm"; then
    i=0
    while [ $i -lt 5 ]; do
        printf 'Q: what is the meaning of life?\nA: We are biased toward shipping.\n'
        i=$((i + 1))
    done >"$tmp/lines"
    scores 'no <|endoftext|>: the first token is not counted' 329 775.222966 -m "$slm" "$tmp/lines"
    check 'no <|endoftext|>: keys and values' sh -c "! grep -Evq '^[a-z_]+ +[0-9.]+\$' '$tmp/out'"
    equal 'no <|endoftext|>: nor is its byte' "$(value bytes)" "$(value tokens)"
    fails 1 endoftext 'no <|endoftext|>: one token' score -m "$slm" -p Q
else
    skip 'no <|endoftext|> (slm4096 is not in shared)'
fi

# ---- what goes wrong -------------------------------------------------------------------------

: >"$tmp/empty"
fails 1 empty 'empty file' score -m "$demo" "$tmp/empty"
check 'empty file: nothing on stdout' test ! -s "$tmp/out"
fails 1 empty 'empty standard input' score -m "$demo"
fails 1 empty 'empty text' score -m "$demo" -p ''
fails 1 "$tmp/nofile" 'missing file' score -m "$demo" "$tmp/nofile"
fails 1 "$tmp" 'a directory' score -m "$demo" "$tmp"
fails 1 "$tmp/nowhere" 'missing model' score -m "$tmp/nowhere" "$text"
fails 2 "'--frob' (see gpt2 score --help)" 'unknown option' score --frob "$text"
fails 2 "'--temp'" 'option of another command' score --temp 1 "$text"
fails 2 second 'second file' score "$text" second
fails 2 'one input' 'file and text' score "$text" -p a
fails 2 "'-1'" 'bad context' score -c -1 "$text"
if has_model "$sort_model"; then
    fails 1 tokenizer 'model without a tokenizer' score -m "$sort_model" "$text"
else
    skip 'model without a tokenizer (nano-sort is not in shared)'
fi

{
    sleep 1
    "$program" score -m "$demo" "$tmp/start" 2>"$tmp/err"
    echo $? >"$tmp/code"
} | :
equal 'reader is gone: exit code' "$(cat "$tmp/code")" 0
check 'reader is gone: silence' test ! -s "$tmp/err"
if [ -e /dev/full ]; then
    "$program" score -m "$demo" "$tmp/start" >/dev/full 2>"$tmp/err"
    equal 'full disk' "$?, $(wc -l <"$tmp/err" | tr -d ' ') line" '1, 1 line'
else
    skip 'full disk (no /dev/full)'
fi

if ! has_python; then
    skip 'damaged models, terminal, Ctrl-C (no python3)'
    finish
    exit
fi

# A model whose final norm gives NaN, and one whose tokenizer knows more tokens than it.
python3 - "$demo" "$tmp" <<'PYTHON'
import json, shutil, struct, sys
demo, tmp = sys.argv[1:]
for name in "nan", "wide":
    shutil.copytree(demo, f"{tmp}/{name}")
path = f"{tmp}/nan/model.safetensors"
data = bytearray(open(path, "rb").read())
n = struct.unpack("<Q", data[:8])[0]
entry = json.loads(data[8 : 8 + n])["transformer.ln_f.bias"]
assert entry["dtype"] == "F16"
begin = 8 + n + entry["data_offsets"][0]
data[begin : begin + 2] = b"\x00\x7e"
open(path, "wb").write(data)
path = f"{tmp}/wide/vocab.json"
vocab = json.load(open(path))
vocab["Q"] = 3000
json.dump(vocab, open(path, "w"))
PYTHON
fails 1 'prediction 1 of 180' 'NaN logits' score -m "$tmp/nan" "$tmp/start"
check 'NaN logits: nothing on stdout' test ! -s "$tmp/out"
fails 1 'token 3000' 'a token that the model lacks' score -m "$tmp/wide" -p 'Q'

# ---- a terminal, and Ctrl-C ------------------------------------------------------------------

mark="tokens/s, perplexity"
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    cat "$text"
done >"$tmp/long"
python3 "$checkout/tests/terminal.py" 0 "$mark" "$program" score -m "$demo" -t 1 --cpu scalar "$text" >"$tmp/seen"
equal 'terminal: progress, which is wiped out' "$(cat "$tmp/seen")" "code 0
shows progress
stdout 7 lines
last ''"
# In windows of one token many interrupts come between two calls of the model.
for i in 1 2 3 4 5 6; do
    python3 "$checkout/tests/terminal.py" 1 "$mark" "$program" score -m "$demo" -t 1 -c 1 "$tmp/long" >"$tmp/seen"
    equal "Ctrl-C $i: exit code, no result" "$(sed -n '1p;3p' "$tmp/seen")" 'code 130
stdout 0 lines'
done
check 'Ctrl-C: says how far it was' \
    grep -Eq "^last 'ended after [0-9]+ of 21700 tokens, perplexity [0-9.]+.r.n'\$" "$tmp/seen"

finish
