#!/bin/bash
# bench_worker.sh BUILD [OPTION...]: what `make bench-worker` runs.  Installs the clients' packages and
# llama.cpp's server below BUILD, and puts load on the HTTP worker and on that server.  Without
# llama.cpp's server a line says so.  OPTION is for bench_worker.py.
set -euo pipefail

build=$(readlink -f "$1")
shift
here=$(dirname "$(readlink -f "$0")")
peers=$build/peers folder=$build/bench-worker
log=$folder/install.log
aiohttp=3.14.5

export PYTHONDONTWRITEBYTECODE=1 npm_config_update_notifier=false
mkdir -p "$peers" "$folder"
: >"$log"
# shellcheck source=tests/peers/llama.sh
. "$here/llama.sh"

install_venv bench-worker "aiohttp $aiohttp" "$folder/venv" "aiohttp==$aiohttp $gguf_needs"

gguf=() server=()
get_llama
if [ -n "$missing" ]; then
    echo "without llama.cpp's server: this machine lacks$missing"
elif ! done_before "$llama/stamp" "$node_llama_cpp"; then
    echo "without llama.cpp's server: npm cannot install node-llama-cpp: $(tail -n 1 "$log")"
else
    gguf=(--gguf "$llama/llama.cpp/gguf-py")
    get_backend
    stamp="$node_llama_cpp $compiler $(cksum <"$here/llama_server/CMakeLists.txt")"
    if ! done_before "$llama/server-stamp" "$stamp"; then
        echo "compiling llama.cpp's server: some minutes"
        if compile_server; then echo "$stamp" >"$llama/server-stamp"; fi
    fi
    if done_before "$llama/server-stamp" "$stamp"; then
        rm -f "$llama"/server/bin/*.so # it takes its backend from its own folder
        ln -s "${backend:-$llama/bins}"/libggml-cpu*.so "$llama/server/bin/"
        server=(--llama "$(cat "$llama/tag")" "$llama/server/bin/llama-server")
    else
        echo "without llama.cpp's server: cmake cannot build it: $(tail -n 1 "$log")"
    fi
fi

stamp="$(cksum <"$here/make_model.py") ${#gguf[@]}"
if ! done_before "$folder/model/stamp" "$stamp"; then
    echo "writing the model"
    rm -rf "$folder/model"
    "$folder/venv/bin/python" "$here/make_model.py" "$folder/model" "${gguf[@]}"
    echo "$stamp" >"$folder/model/stamp"
fi

exec "$folder/venv/bin/python" "$here/bench_worker.py" --build "$build" --model "$folder/model" "$@" \
    "${server[@]}"
