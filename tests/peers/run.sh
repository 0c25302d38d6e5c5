#!/bin/bash
# run.sh LIBRARY BUILD REPORT: what `make bench-peers` runs.  Installs llama.cpp, ONNX Runtime and
# Debian's torch below BUILD, measures them beside LIBRARY, and writes the table into REPORT.  What
# cannot be installed is left out, with a line that says so.
set -euo pipefail

library=$(readlink -f "$1") build=$2 report=$3
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
engines=() absent=()

leave_out() {
    echo "bench-peers: without $1"
    absent+=(--absent "$1")
}

# ---- ours, and the Python that writes the models
command -v python3 >/dev/null || { echo "bench-peers: python3 is missing" >&2; exit 1; }
engines+=(--engine libgpt2 env "GPT2_LIBRARY=$library" python3 "$here/worker.py" libgpt2 "$peers/model")

# (first, for it installs what Debian's python3 lacks, too)
if bash "$here/../hf/setup.sh" "$build/venv-hf"; then
    torch=$(readlink -f "$build")/venv-hf/bin/python
else
    torch=
fi

install_venv bench-peers "ONNX Runtime $onnxruntime" "$peers/venv" \
    "onnxruntime==$onnxruntime onnx==$onnx $gguf_needs"

# ---- llama.cpp
# add_llama BUILD VERSION BACKENDS: the worker, as an engine that takes its CPU backend from BACKENDS
add_llama() {
    local bins=$llama/bins
    if "${CC:-cc}" -std=c11 -D_POSIX_C_SOURCE=200809L -O2 "-DVERSION=\"$2\"" \
        -I"$llama/llama.cpp/include" -I"$llama/llama.cpp/ggml/include" -o "$llama/worker-$1" \
        "$here/llama_worker.c" -Wl,-rpath,"$bins" "$bins"/libllama.v*.so "$bins"/libggml.v*.so \
        "$bins/libggml-base.so" >>"$log" 2>&1; then
        engines+=(--engine "llama.cpp ($1)" "$llama/worker-$1" "$3" "$peers/model/model.gguf")
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
    add_llama prebuilt "$version" "$llama/bins"
    get_backend
    if [ -n "$backend" ]; then
        add_llama native "$version, CPU backend by $compiler -march=native" "$backend"
    else
        leave_out "llama.cpp (native): cmake cannot build it: $(tail -n 1 "$log")"
    fi
fi

# ---- the others
engines+=(--engine "ONNX Runtime" "$peers/venv/bin/python" "$here/worker.py" onnxruntime "$peers/model")
if [ -n "$torch" ]; then
    # (torch's threads and OpenBLAS's would take turns to spin in each other's way)
    engines+=(--engine torch env OMP_WAIT_POLICY=passive "$torch" "$here/worker.py" torch "$peers/model")
else
    leave_out "torch: tests/hf/setup.sh cannot install it"
fi

# ---- the model, in all their formats; in GGUF where llama.cpp is
stamp="$(cat "$here/make_model.py" "$peers/venv/stamp" | cksum) ${#gguf[@]}"
if ! done_before "$peers/model/stamp" "$stamp"; then
    echo "bench-peers: writing the model"
    rm -rf "$peers/model"
    "$peers/venv/bin/python" "$here/make_model.py" "$peers/model" --onnx "${gguf[@]}"
    echo "$stamp" >"$peers/model/stamp"
fi

python3 "$here/bench_peers.py" --model "$peers/model" --report "$report" "${engines[@]}" "${absent[@]}"
