#!/bin/bash
# faithful.sh LIBRARY BUILD REPORT [WORDS]: what `make faithful` runs.  Installs transformers, llama.cpp
# and CTranslate2 below BUILD, compares what each does with peculiar models, beside LIBRARY, and writes the
# table into REPORT.  A peer that cannot be installed is not measured.  With WORDS, the rows whose names
# have them are only printed.
set -euo pipefail

library=$(readlink -f "$1") build=$2 report=$3 words=${4:-}
here=$(dirname "$(readlink -f "$0")")
shared=${GPT2_SHARED:-$here/../../../shared}
peers=$build/peers
log=$peers/install.log

# The newest whose converter takes the transformers of tests/hf/requirements.txt.
ctranslate2=4.6.2

export PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1 npm_config_update_notifier=false
mkdir -p "$peers"
peers=$(readlink -f "$peers")
: >"$log"
# shellcheck source=tests/peers/llama.sh
. "$here/llama.sh"

leave_out() {
    echo "faithful: $1 is not measured: $2" >&2
}

if [ ! -e "$shared/tokenizer/vocab.json" ]; then
    echo "faithful: $shared has no tokenizer/ with GPT-2's vocab.json and merges.txt" >&2
    exit 1
fi
bash "$here/../hf/setup.sh" "$build/venv-hf"
python=$(readlink -f "$build")/venv-hf/bin/python

engines=()
get_llama
worker=$llama/worker-faithful
if [ -n "$missing" ]; then
    leave_out llama.cpp "this machine lacks$missing"
elif ! done_before "$llama/stamp" "$node_llama_cpp"; then
    leave_out llama.cpp "npm cannot install node-llama-cpp $node_llama_cpp: $(tail -n 1 "$log")"
elif ! compile_worker "$worker" "$(cat "$llama/tag") of node-llama-cpp $node_llama_cpp"; then
    leave_out llama.cpp "its worker does not compile: $(grep -m 1 error "$log")"
else
    engines+=(--llama "$llama/llama.cpp/convert_hf_to_gguf.py" "$worker" "$llama/bins")
fi

# Beside transformers' environment, which has all else that it needs.
package=$peers/ctranslate2-$ctranslate2
if [ ! -d "$package" ]; then
    echo "faithful: installing CTranslate2 $ctranslate2"
    rm -rf "$package.new"
    if "$python" -m pip install --disable-pip-version-check --quiet --no-deps --target "$package.new" \
        "ctranslate2==$ctranslate2" >>"$log" 2>&1; then
        mv "$package.new" "$package"
    fi
fi
if [ -d "$package" ]; then
    engines+=(--ctranslate2 "$package")
else
    leave_out CTranslate2 "pip cannot install it: $(tail -n 1 "$log")"
fi

GPT2_LIBRARY=$library "$python" "$here/faithful.py" --work "$peers/faithful" \
    --tokenizer "$shared/tokenizer" --report "$report" ${words:+--only "$words"} "${engines[@]}"
