#!/bin/bash
# run.sh WORKER BUILD: what `make check-clients` runs: other people's clients against the HTTP worker.
# BUILD holds their virtual environment, which is made once: 800 MB from PyPI.
set -euo pipefail
worker=$1 venv=$2/venv-clients
here=$(dirname "$(readlink -f "$0")")
stamp=$(sha256sum <"$here/requirements.txt")
export HF_HUB_OFFLINE=1 PYTHONDONTWRITEBYTECODE=1

if [ "$(cat "$venv/stamp" 2>/dev/null)" != "$stamp" ]; then
    echo "making $venv"
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
    echo "$stamp" >"$venv/stamp"
fi
exec "$venv/bin/python" "$here/check_clients.py" "$worker"
