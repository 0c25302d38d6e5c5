#!/bin/bash
# setup.sh VENV [REQUIREMENTS]: a Python that `make check-hf` runs in.  Makes the virtual environment VENV
# over /usr/bin/python3 with what the file REQUIREMENTS of this folder names; does nothing where it is there
# already.  Without REQUIREMENTS it is requirements.txt, over Debian's torch.
set -euo pipefail

venv=$1
python=/usr/bin/python3
here=$(dirname "$(readlink -f "$0")")
requirements=$here/${2:-requirements.txt}
with_debian_torch=
[ $# -gt 1 ] || with_debian_torch=--system-site-packages

# The Debian packages that this machine lacks.  clang compiles tinygrad's kernels.  Debian's plain
# BLAS adds up long sums so roughly that transformers itself would be 1e-5 from the exact values.
missing_packages() {
    local module
    if ! "$python" -c '' 2>/dev/null; then
        echo python3 python3-venv ${with_debian_torch:+python3-numpy python3-torch}
    else
        for module in ${with_debian_torch:+torch numpy}; do
            "$python" -c "import importlib.util as u, sys; sys.exit(not u.find_spec('$module'))" ||
                echo "python3-$module"
        done
        "$python" -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
    fi
    [ -n "$with_debian_torch" ] || return 0
    command -v clang >/dev/null || echo clang
    /sbin/ldconfig -p | grep libopenblas >/dev/null || echo libopenblas0-pthread
}

missing=$(missing_packages | xargs)
if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ]; then as_root=(env); else as_root=(sudo -n); fi
    if "${as_root[@]}" true 2>/dev/null; then
        echo "setup: installing $missing"
        log=$(mktemp)
        # shellcheck disable=SC2086
        if ! { "${as_root[@]}" apt-get update &&
            "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
                apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
            tail -n 3 "$log" >&2
        fi
        rm -f "$log"
    fi
    missing=$(missing_packages | xargs)
    if [ -n "$missing" ]; then
        echo "setup: make check-hf needs these Debian packages: $missing" >&2
        exit 1
    fi
fi

# The stamp names what the environment was made from.
stamp="$("$python" --version) $(sha256sum <"$requirements")"
if [ "$(cat "$venv/stamp" 2>/dev/null)" != "$stamp" ]; then
    echo "setup: making $venv"
    rm -rf "$venv"
    "$python" -m venv $with_debian_torch "$venv"
    if ! "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"; then
        echo "setup: pip could not install $requirements" >&2
        exit 1
    fi
    echo "$stamp" >"$venv/stamp"
fi
