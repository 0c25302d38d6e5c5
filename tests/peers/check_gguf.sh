#!/bin/bash
# check_gguf.sh LIBRARY BUILD: compares LIBRARY with ggml and transformers on GGUF files that llama.cpp's own
# converter and quantiser write, of all types that are read.  Installs llama.cpp and Python packages below BUILD.
# GPT2_SHARED is the folder of GPT-2's vocabulary (default: ../shared beside the checkout).  The last line is
# "N passed, N failed, N skipped".
set -euo pipefail

library=$1 build=$2
here=$(dirname "$(readlink -f "$0")")
tokenizer=${GPT2_SHARED:-$here/../../../shared}/tokenizer
mkdir -p "$build/peers"
peers=$(readlink -f "$build/peers")
log=$peers/install.log
. "$here/llama.sh"
bash "$here/../hf/setup.sh" "$build/venv-hf"
python=$build/venv-hf/bin/python
get_llama
if [ ! -d "$llama/llama.cpp" ]; then
    echo "skipped: llama.cpp cannot be installed here:$missing"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi
work=$peers/check-gguf
rm -rf "$work"
mkdir -p "$work"
export PYTHONPATH=$llama/llama.cpp/gguf-py PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1
check=$here/../hf/check_gguf.py

"$python" "$check" --make "$tokenizer" --config "$work/model"
for type in f32 f16 bf16 q8_0; do
    "$python" "$check" --convert "$llama/llama.cpp/convert_hf_to_gguf.py" --config "$work/model" -- \
        --outtype "$type" --outfile "$work/$type.gguf" >>"$log" 2>&1
done
"${CC:-cc}" -std=c11 -D_POSIX_C_SOURCE=200809L -O2 '-DVERSION=""' -I"$llama/llama.cpp/include" \
    -I"$llama/llama.cpp/ggml/include" -o "$work/quantise" "$here/llama_worker.c" -Wl,-rpath,"$llama/bins" \
    "$llama"/bins/libllama.v*.so "$llama"/bins/libggml.v*.so "$llama"/bins/libggml-base.so >>"$log" 2>&1
for type in Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 IQ4_NL Q4_K_M Q5_K_M Q6_K; do
    LD_LIBRARY_PATH=$llama/bins "$work/quantise" --quantize "$type" "$work/f32.gguf" "$work/$type.gguf" \
        >>"$log" 2>&1
done
"$python" "$check" --library "$library" --config "$work/model" "$work"/*.gguf
