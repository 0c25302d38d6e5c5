#!/bin/sh
# test_http_worker.sh BUILD_DIR [TEST...]: builds the HTTP worker where its packages are, and asks it.
set -u
build=$1
shift
unset MAKEFLAGS MAKELEVEL MFLAGS

skip() {
    echo "skipped: $1"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
}

printf '#include <microhttpd.h>\n#include <jansson.h>\nint main(void) { return !json_object() + !MHD_get_version(); }\n' |
    ${CC:-cc} -x c - -o /dev/null -lmicrohttpd -ljansson 2>/dev/null ||
    skip "no libmicrohttpd and jansson for ${CC:-cc} here: make deps-worker"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null || skip "no Python of at least 3.8"
${MAKE:-make} -s http-worker BUILD="$build" || exit 1
exec python3 -B tests/test_http_worker.py "$build" "$@"
