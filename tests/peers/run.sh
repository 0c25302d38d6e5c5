#!/bin/bash
# run.sh LIBRARY BUILD REPORT [TYPES]: what `make bench-peers` runs.  Installs llama.cpp, ONNX Runtime and
# Debian's torch below BUILD, measures them beside LIBRARY, and writes the tables into REPORT.  What
# cannot be installed is left out, with a line that says so.  With TYPES, some of the types of weights,
# the tables are only printed.
set -euo pipefail

library=$(readlink -f "$1") build=$2 report=$3
# Our types, and llama.cpp's formats of the same size.  The numbers of IQ4_NL are those of q4.
all_types="f32 f16 bf16 q8 q4"
declare -A formats=([f16]=F16 [bf16]=BF16 [q8]=Q8_0 [q4]="Q4_0 IQ4_NL")
declare -A onnx_names=([f32]="ONNX Runtime" [q8]="ONNX Runtime int8" [q4]="ONNX Runtime int4")
types=${4:-$all_types}
for type in $types; do
    case " $all_types " in
    *" $type "*) ;;
    *) echo "bench-peers: TYPES has '$type': wanted some of $all_types" >&2; exit 1 ;;
    esac
done
here=$(dirname "$(readlink -f "$0")")
peers=$build/peers
log=$peers/install.log

onnxruntime=1.31.1
onnx=1.23.2

export PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1 npm_config_update_notifier=false
mkdir -p "$peers"
peers=$(readlink -f "$peers")
: >"$log"
# shellcheck source=tests/peers/llama.sh
. "$here/llama.sh"
engines=() absent=() builds=()
declare -A backends

leave_out() {
    echo "bench-peers: without $1"
    absent+=(--absent "$1")
}

# ---- ours, and the Python that writes the models
command -v python3 >/dev/null || { echo "bench-peers: python3 is missing" >&2; exit 1; }

# (first, for it installs what Debian's python3 lacks, too)
if bash "$here/../hf/setup.sh" "$build/venv-hf"; then
    torch=$(readlink -f "$build")/venv-hf/bin/python
else
    torch=
fi

install_venv bench-peers "ONNX Runtime $onnxruntime" "$peers/venv" \
    "onnxruntime==$onnxruntime onnx==$onnx $gguf_needs"

# ---- llama.cpp
# add_worker BUILD VERSION BACKENDS: a worker that takes its CPU backend from BACKENDS
add_worker() {
    if compile_worker "$llama/worker-$1" "$2"; then
        builds+=("$1") backends[$1]=$3
    else
        leave_out "llama.cpp ($1): its worker does not compile: $(grep -m 1 error "$log")"
    fi
}

gguf=()
get_llama
if [ -n "$missing" ]; then
    leave_out "llama.cpp: this machine lacks$missing"
elif ! done_before "$llama/stamp" "$node_llama_cpp"; then
    leave_out "llama.cpp: npm cannot install node-llama-cpp $node_llama_cpp: $(tail -n 1 "$log")"
else
    gguf=(--gguf "$llama/llama.cpp/gguf-py")
    version="$(cat "$llama/tag") of node-llama-cpp $node_llama_cpp"
    add_worker prebuilt "$version" "$llama/bins"
    get_backend
    if [ -n "$backend" ]; then
        add_worker native "$version, CPU backend by $compiler $native_flags" "$backend"
    else
        leave_out "llama.cpp (native): cmake cannot build it: $(tail -n 1 "$log")"
    fi
fi

# ---- the model, in all their formats; in GGUF where llama.cpp is
stamp="$(cat "$here/make_model.py" "$peers/venv/stamp" | cksum) ${#gguf[@]} $node_llama_cpp"
if ! done_before "$peers/model/stamp" "$stamp"; then
    echo "bench-peers: writing the model"
    rm -rf "$peers/model"
    "$peers/venv/bin/python" "$here/make_model.py" "$peers/model" --onnx "${gguf[@]}"
    echo "$stamp" >"$peers/model/stamp"
fi

# ---- the engines of each type
# add_llama TYPE NAME GGUF
add_llama() {
    local name
    for name in "${builds[@]}"; do
        engines+=(--engine "$1" "$2 ($name)" "$llama/worker-$name" "${backends[$name]}" "$3")
    done
}

# add_quantised TYPE FORMAT: llama.cpp with the model in FORMAT
add_quantised() {
    local gguf=$peers/model/$2.gguf
    if [ ! -e "$gguf" ]; then
        echo "bench-peers: writing the model in $2"
        if ! "$llama/worker-${builds[0]}" --quantize "$2" "$peers/model/model.gguf" "$gguf.new" \
            >>"$log" 2>&1; then
            leave_out "llama.cpp $2: $(tail -n 1 "$log")"
            return
        fi
        mv "$gguf.new" "$gguf"
    fi
    add_llama "$1" "llama.cpp $2" "$gguf"
}

ours=(env "GPT2_LIBRARY=$library" python3 "$here/worker.py" libgpt2 "$peers/model")
for type in $types; do
    onnx_name=${onnx_names[$type]:-}
    if [ -z "$onnx_name" ] && [ ${#builds[@]} = 0 ]; then continue; fi
    engines+=(--engine "$type" libgpt2 "${ours[@]}" "$type")
    if [ "$type" = f32 ]; then
        add_llama f32 llama.cpp "$peers/model/model.gguf"
    elif [ ${#builds[@]} != 0 ]; then
        for format in ${formats[$type]}; do add_quantised "$type" "$format"; done
    fi
    if [ -n "$onnx_name" ]; then
        engines+=(--engine "$type" "$onnx_name" "$peers/venv/bin/python" "$here/worker.py" onnxruntime
            "$peers/model" "$type")
    fi
    if [ "$type" = f32 ] && [ -n "$torch" ]; then
        # (torch's threads and OpenBLAS's would take turns to spin in each other's way)
        engines+=(--engine f32 torch env OMP_WAIT_POLICY=passive "$torch" "$here/worker.py" torch
            "$peers/model")
    elif [ "$type" = f32 ]; then
        leave_out "torch: tests/hf/setup.sh cannot install it"
    fi
done
if [ "${#engines[@]}" = 0 ]; then
    echo "bench-peers: nothing to measure beside $types" >&2
    exit 1
fi

if [ "$types" = "$all_types" ]; then reports=(--report "$report"); else reports=(); fi
python3 "$here/bench_peers.py" --model "$peers/model" "${reports[@]}" --reference "${ours[@]}" \
    "${engines[@]}" "${absent[@]}"
