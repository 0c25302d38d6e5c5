# llama.sh: what run.sh, bench_worker.sh and faithful.sh share: Python packages in an environment of their
# own, and llama.cpp.  $here: this folder, $peers: the folder for it, $log: a file.

# node-llama-cpp ships llama.cpp's source, @node-llama-cpp/... what it compiles to, at one version.
node_llama_cpp=3.22.1
llama=$peers/llama-$node_llama_cpp
# What llama.cpp's Python package for writing GGUF imports.
gguf_needs="numpy==2.2.6 PyYAML==6.0.2 tqdm==4.67.1 requests==2.32.3"

# done_before FILE STAMP: whether FILE holds STAMP already
done_before() {
    [ "$(cat "$1" 2>/dev/null)" = "$2" ]
}

# install_venv COMMAND NAME FOLDER PACKAGES: an environment FOLDER with pip's PACKAGES, if it is not there.
# NAME is what the reader waits for; COMMAND begins the line of an error, which ends the script.
install_venv() {
    if done_before "$3/stamp" "$4"; then return; fi
    echo "$1: installing $2"
    rm -rf "$3"
    # shellcheck disable=SC2086
    if ! python3 -m venv "$3" >>"$log" 2>&1 ||
        ! "$3/bin/pip" install --disable-pip-version-check --quiet $4 >>"$log" 2>&1; then
        echo "$1: python3's venv and pip cannot install $4: $(tail -n 1 "$log")" >&2
        exit 1
    fi
    echo "$4" >"$3/stamp"
}

# unpack NAME VERSION FOLDER: a package of npm's
unpack() {
    mkdir -p "$3"
    (cd "$3" && npm pack --silent "$1@$2" && tar xzf ./*.tgz && rm ./*.tgz) >>"$log" 2>&1
}

install_llama() {
    local arch bins tag
    case $(uname -m) in
    x86_64) arch=x64 ;;
    aarch64) arch=arm64 ;;
    *) arch=$(uname -m) ;;
    esac
    rm -rf "$llama"
    unpack node-llama-cpp "$node_llama_cpp" "$llama/source" &&
        unpack "@node-llama-cpp/linux-$arch" "$node_llama_cpp" "$llama/prebuilt" &&
        git clone --quiet "$llama/source/package/llama/gitRelease.bundle" "$llama/llama.cpp" \
            >>"$log" 2>&1 || return
    tag=$(sed -n 's/.*"tag": "\(.*\)".*/\1/p' "$llama/source/package/llama/llama.cpp.info.json")
    echo "$tag" >"$llama/tag"
    bins=$llama/prebuilt/package/bins/linux-$arch
    ln -s "$bins" "$llama/bins"
    rm -rf "$llama/source"
}

# Installs it if it is not there.  $missing: the tools that this machine lacks for it.
get_llama() {
    local tool
    missing=
    for tool in npm git "${CC:-cc}"; do
        command -v "$tool" >/dev/null || missing="$missing $tool"
    done
    if [ -z "$missing" ] && ! done_before "$llama/stamp" "$node_llama_cpp"; then
        echo "installing llama.cpp, from node-llama-cpp $node_llama_cpp"
        if install_llama; then echo "$node_llama_cpp" >"$llama/stamp"; fi
    fi
}

# compile_worker NEW VERSION: llama_worker.c with the prebuilt libraries
compile_worker() {
    local bins=$llama/bins
    "${CC:-cc}" -std=c11 -D_POSIX_C_SOURCE=200809L -O2 "-DVERSION=\"$2\"" \
        -I"$llama/llama.cpp/include" -I"$llama/llama.cpp/ggml/include" -o "$1" \
        "$here/llama_worker.c" -Wl,-rpath,"$bins" "$bins"/libllama.v*.so "$bins"/libggml.v*.so \
        "$bins/libggml-base.so" >>"$log" 2>&1
}

# The CPU backend does all the computing.  Compiled for this very machine, it runs prompts of F32 faster
# than the prebuilt one that fits best.
compile_backend() {
    rm -rf "$llama/native"
    cmake -S "$llama/llama.cpp" -B "$llama/native" -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=ON \
        -DGGML_BACKEND_DL=ON -DGGML_NATIVE=OFF "-DCMAKE_C_FLAGS=$native_flags" \
        "-DCMAKE_CXX_FLAGS=$native_flags" -DLLAMA_BUILD_COMMON=OFF -DLLAMA_BUILD_TESTS=OFF \
        -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF \
        -DLLAMA_BUILD_APP=OFF >>"$log" 2>&1 &&
        cmake --build "$llama/native" --target ggml-cpu -j "$(nproc)" >>"$log" 2>&1
}

# get_backend: compiles it if that has not been done.  $backend: its folder, empty if that fails.
get_backend() {
    local stamp
    compiler=$({ c++ --version || true; } 2>&1 | sed -n 1p)
    native_flags=-march=native
    case $compiler in
    *clang*) ;;
    # gcc 12.2 drops most of AMX's tile configuration as dead stores (gcc's PR 114098); then quantised
    # models end with an illegal instruction.
    *) native_flags="$native_flags -fno-dse" ;;
    esac
    stamp="$node_llama_cpp $compiler $native_flags"
    if ! done_before "$llama/native-stamp" "$stamp"; then
        echo "compiling llama.cpp's CPU backend for this machine"
        if compile_backend; then echo "$stamp" >"$llama/native-stamp"; fi
    fi
    backend=
    if done_before "$llama/native-stamp" "$stamp"; then backend=$llama/native/bin; fi
}

# The server, for the prebuilt libraries.
compile_server() {
    rm -rf "$llama/server"
    cmake -S "$here/llama_server" -B "$llama/server" -DCMAKE_BUILD_TYPE=Release \
        -DLLAMA="$llama/llama.cpp" -DBINS="$(readlink -f "$llama/bins")" >>"$log" 2>&1 &&
        cmake --build "$llama/server" --target llama-server -j "$(nproc)" >>"$log" 2>&1
}
