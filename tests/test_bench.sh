#!/bin/sh
#
# test_bench.sh: checks `gpt2 bench` from outside: its figures of the demo model, its errors, and that
# the random model is what it should be and is taken away again.
#
#     tests/test_bench.sh PROGRAM DEMO_MODEL

# shellcheck source=tests/program.sh
. "$(dirname "$0")/program.sh"

# Where the random model goes.
mkdir "$tmp/place"
TMPDIR=$tmp/place
export TMPDIR

is_empty() {
    [ -z "$(ls -A "$1")" ]
}

# ---- figures ---------------------------------------------------------------------------------

# figures.py MODEL TYPE KERNELS: every key, flat, numbers; null for what the demo model has too few
# positions for.
cat >"$tmp/figures.py" <<'PYTHON'
import json, sys

def refuse(word):
    raise ValueError(f"{word} is no JSON")

model, weight_type, kernels = sys.argv[1:]
layers, width, vocab, positions = {"demo": (4, 128, 2560, 256), "tiny": (1, 64, 300, 1024)}[model]
pairs = json.load(sys.stdin, object_pairs_hook=list, parse_constant=refuse)
got = dict(pairs)
assert len(got) == len(pairs), "a key is there twice"
words = {"version", "shape", "kernels", "weight_type"}
asked = ["prefill_128", "prefill_512", "prefill_1000", "score_1000", "decode_0", "decode_895"]
asked += [f"batch_{n}" for n in (1, 4, 8, 16, 32)]
ratios = [k + {"p": "_of_fma", "s": "_of_fma", "d": "_of_read", "b": "_of_limit"}[k[0]] for k in asked]
compared = ["random_lengths_32", "prefill_512_with_32", "f16_cache_895", "f16_cache_895_limit",
            "f16_cache_895_of_limit"]
facts = ["argmax_us", "draw_us", "draw_top_k_top_p_us", "score_row_us",
         "n_layer", "n_embd", "n_vocab", "n_threads", "read_gb_s", "fma_gflop_s", "load_ms",
         "peak_rss_mb", "weights_mb", "kv_mb", "rounds", "decode_tokens", "batch_steps"]
assert set(got) == words.union(asked, ratios, compared, facts), sorted(got)
absent = {k for k in asked + ratios + compared if got[k] is None}
long_ones = {k for k in asked + ratios + compared if "_512" in k or "_1000" in k or "895" in k}
assert absent == (set() if model == "tiny" else long_ones | {"random_lengths_32"}), absent
for key in set(asked + ratios + compared + facts) - absent:
    assert type(got[key]) in (int, float) and got[key] > 0, (key, got[key])
for key in set(ratios) - absent if model == "demo" else ():
    if weight_type != "q8" or "_of_read" in key:    # the FMA limit does not hold for q8
        assert got[key] < 1.5, (key, got[key])
weight_bytes = {"f16": 2, "f32": 4, "q8": 34 / 32}[weight_type]
assert got["weight_type"] == weight_type, got["weight_type"]
assert got["shape"] is None and got["kernels"] == kernels, (got["shape"], got["kernels"])
assert (got["n_layer"], got["n_embd"], got["n_vocab"], got["n_threads"]) == (layers, width, vocab, 1)
assert 1 <= got["rounds"] <= 5 and (got["decode_tokens"], got["batch_steps"]) == (128, 64)
# Each ratio is a median of its own, but not far from what the medians give.
def near(key, ratio, factor=2):
    assert 1 / factor < ratio / got[key] < factor, (key, ratio, got[key])

read, fma = got["read_gb_s"] * 1e9, got["fma_gflop_s"] * 1e9
weights = (weight_bytes * (layers * 12 * width * width + vocab * width) +
           4 * (layers * 13 * width + 2 * width))
in_memory = weights + 4 * positions * width
assert abs(got["weights_mb"] - in_memory / 1e6) < 0.06, (got["weights_mb"], in_memory)
near("decode_0_of_read", got["decode_0"] * weights / read)
flops = 2 * (layers * (12 * width * width * 128 + width * 128 * 129) + vocab * width)
near("prefill_128_of_fma", got["prefill_128"] / 128 * flops / fma)
if model == "tiny":
    flops = 2 * 1000 * (layers * (12 * width * width + width * 1001) + vocab * width)
    near("score_1000_of_fma", got["score_1000"] / 1000 * flops / fma)
def batch_seconds(n, position, kv):
    products = 2 * n * (layers * 12 * width * width + vocab * width)
    return (max(weights / read, products / fma) +
            max(2 * layers * width * kv * n * position / read,
                4 * layers * width * n * (position + 1) / fma))

for n in 1, 32:
    steps = [batch_seconds(n, position, 4) for position in range(64)]
    near(f"batch_{n}_of_limit", got[f"batch_{n}"] * sum(steps) / (64 * n))
if model == "tiny":
    promised = batch_seconds(32, 896.5, 4) / batch_seconds(32, 896.5, 2)
    assert 1 <= got["f16_cache_895_limit"] < 2
    near("f16_cache_895_limit", promised, 1.3)
    near("f16_cache_895_of_limit", got["f16_cache_895"] / got["f16_cache_895_limit"])
if model == "demo":     # the rest of a session grows with its positions, too: by little, beside this
    assert abs(got["kv_mb"] - 2 * layers * positions * width * 4e-6) < 0.06, got["kv_mb"]
assert got["weights_mb"] + got["kv_mb"] < got["peak_rss_mb"] < 200, got["peak_rss_mb"]
PYTHON

# tiny.py DIRECTORY: writes a model of one layer and 1024 positions.
cat >"$tmp/tiny.py" <<'PYTHON'
import array, json, random, struct, sys
layers, width, vocab, positions = 1, 64, 300, 1024
shapes = {"wte.weight": [vocab, width], "wpe.weight": [positions, width]}
for name, rows, columns in (("attn.c_attn", 1, 3), ("attn.c_proj", 1, 1), ("mlp.c_fc", 1, 4),
                            ("mlp.c_proj", 4, 1)):
    shapes[f"h.0.{name}.weight"] = [rows * width, columns * width]
    shapes[f"h.0.{name}.bias"] = [columns * width]
for name in "h.0.ln_1", "h.0.ln_2", "ln_f":
    shapes.update({f"{name}.weight": [width], f"{name}.bias": [width]})
header, values, end = {}, array.array("f"), 0
random.seed(1)
for name, shape in shapes.items():
    n = shape[0] * (shape[1] if len(shape) > 1 else 1)
    values.extend(random.gauss(0, 0.1) for _ in range(n))
    header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + 4 * n]}
    end += 4 * n
header = json.dumps(header).encode()
with open(f"{sys.argv[1]}/model.safetensors", "wb") as file:
    file.write(struct.pack("<Q", len(header)) + header + values.tobytes())
with open(f"{sys.argv[1]}/config.json", "w") as file:
    json.dump({"model_type": "gpt2", "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
               "vocab_size": vocab, "n_positions": positions, "n_embd": width, "n_layer": layers,
               "n_head": 2}, file)
PYTHON

# is_table FIGURES COMPARISONS FILE
is_table() {
    awk -v wanted="$1 $2 5" '
        / tokens\/s +[0-9.]+ of (reading|FMA|reading and FMA)$/ { figures++ }
        / [0-9.]+ of the (speed|time) of / { comparisons++ }
        /^(reading|FMA|load|peak memory|rounds) +[0-9.]+/ { limits++ }
        END { exit !(figures " " comparisons + 0 " " limits == wanted) }' "$3"
}

if has_model "$demo"; then
    if has_python; then
        run info -m "$demo"
        kernels=$(awk '$1 == "kernels" { print $2 }' "$tmp/out")
        succeeds 'JSON' bench -m "$demo" -t 1 --json
        check 'JSON: what is in it' python3 "$tmp/figures.py" demo f16 "$kernels" <"$tmp/out"
        succeeds 'q8' bench -m "$demo" -t 1 --json --type q8
        check 'q8: what is in it' python3 "$tmp/figures.py" demo q8 "$kernels" <"$tmp/out"
        mkdir "$tmp/tiny"
        python3 "$tmp/tiny.py" "$tmp/tiny"
        succeeds 'a model of 1024 positions' bench -m "$tmp/tiny" -t 1 --json
        check 'a model of 1024 positions: every figure' \
            python3 "$tmp/figures.py" tiny f32 "$kernels" <"$tmp/out"
        succeeds 'a table' bench -m "$tmp/tiny" -t 2 --type bf16
        check 'the table: eleven figures, three comparisons, and the limits' is_table 11 3 "$tmp/out"
    else
        skip 'JSON, and a model of 1024 positions (no python3)'
        succeeds 'a table' bench -m "$demo" -t 2
        check 'the table: eleven figures but for four, and the limits' is_table 7 0 "$tmp/out"
    fi
    check 'a model in a directory: nothing is written' is_empty "$TMPDIR"
else
    skip 'figures (no demo model)'
fi

# ---- mistakes --------------------------------------------------------------------------------

fails 2 'not both' 'a model and a shape' bench -m "$demo" --shape gpt2
fails 2 "gpt2, gpt2-medium, gpt2-large or gpt2-xl, not 'gpt3'" 'no such shape' bench --shape gpt3
fails 2 "'text'" 'an operand' bench text
fails 2 "--json takes no value" 'a value for a flag' bench --json=1
fails 2 "'-b'" 'the size of a batch, which is given' bench -b 8
fails 1 "$tmp/none" 'no such model' bench -m "$tmp/none"
TMPDIR=$tmp/none fails 1 "$tmp/none/gpt2-" 'no such place' bench
(
    ulimit -f 2048
    run bench
    echo $code >"$tmp/code"
)
equal 'no room: exit code' "$(cat "$tmp/code")" 1
check 'no room: one line, which names the file' \
    sh -c "[ \$(wc -l <'$tmp/err') -eq 1 ] && grep -q '^gpt2: cannot write $TMPDIR/gpt2-.*/model.safetensors' '$tmp/err'"
check 'no room: nothing is left' is_empty "$TMPDIR"

# ---- the random model ------------------------------------------------------------------------

# ends_early NAME SIGNAL FILE [COMMAND]: starts the benchmark, waits until FILE is in the directory of
# the random model, runs the command, then sends the signal.
ends_early() {
    how=$1
    signal=$2
    "$program" bench >"$tmp/said" 2>&1 </dev/null &
    process=$!
    tries=0
    while ! ls "$TMPDIR"/*/"$3" >/dev/null 2>&1 && [ $tries -lt 300 ]; do
        sleep 0.1 2>/dev/null || sleep 1
        tries=$((tries + 1))
    done
    [ -z "${4-}" ] || $4
    kill -s "$signal" $process
    wait $process
    equal "$how: exit code" $? 130
    check "$how: silence" test ! -s "$tmp/said"
    check "$how: nothing is left" is_empty "$TMPDIR"
}

# weights.py FILE: the first and the last of each tensor's values are what they should be.
cat >"$tmp/weights.py" <<'PYTHON'
import array, json, struct, sys
file = open(sys.argv[1], "rb")
n = struct.unpack("<Q", file.read(8))[0]
header = json.loads(file.read(n))
del header["__metadata__"]
assert len(header) == 4 + 12 * 12, len(header)
for name, entry in header.items():
    assert entry["dtype"] == "F32"
    begin, end = entry["data_offsets"]
    values = array.array("f")
    for at in (begin, end - min(end - begin, 8192)):
        file.seek(8 + n + at)
        values.frombytes(file.read(min(end - begin, 8192)))
    if len(entry["shape"]) == 1:
        assert set(values) == {1.0 if name.endswith("weight") else 0.0}, name
        continue
    mean = sum(values) / len(values)
    deviation = (sum(x * x for x in values) / len(values)) ** 0.5
    assert abs(mean) < 0.002 and 0.019 < deviation < 0.021, (name, mean, deviation)
    assert all(x == 0 or 1e-9 < abs(x) < 0.08 for x in values), name
PYTHON

look_at_weights() {
    run info -m "$TMPDIR"/*
    equal 'random model: parameters' "$(awk '$1 == "parameters" { print $2 }' "$tmp/out")" 124439808
    if has_python; then
        check 'random model: weights' python3 "$tmp/weights.py" "$TMPDIR"/*/model.safetensors
    else
        skip 'random model: weights (no python3)'
    fi
}

if [ "$(df -Pk "$tmp" | awk 'END { print $4 }')" -gt 1000000 ]; then
    ends_early 'Ctrl-C while the model is written' INT model.safetensors
    ends_early 'Ctrl-\ while the model is written' QUIT model.safetensors
    ends_early 'a request to end' TERM model.safetensors
    ends_early 'Ctrl-C while it is measured' INT config.json look_at_weights
else
    skip 'the random model (less than 1 GB free for temporary files)'
fi

finish
