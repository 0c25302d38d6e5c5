#!/bin/sh
# deps.sh [worker]: installs what the tests need, from the system's packages, if it is missing: cmocka.
# With "worker" also what the HTTP worker needs; on CI machines (CI=true) that too, and the compilers,
# emulators and numpy, whose checks are skipped where they are absent.
set -eu
worker=${1:-}
[ "${CI:-}" != true ] || worker=worker

have_cmocka() {
    printf '#include <stdarg.h>\n#include <stddef.h>\n#include <setjmp.h>\n#include <cmocka.h>\n' |
        ${CC:-cc} -E -x c - >/dev/null 2>&1
}

have_worker_packages() {
    printf '#include <microhttpd.h>\n#include <jansson.h>\n' | ${CC:-cc} -E -x c - >/dev/null 2>&1
}

# The folder of clang's runtime has libFuzzer and the sanitizers.
have_clang_runtime() {
    ls "$(clang --print-resource-dir)"/lib/*/libclang_rt.fuzzer* >/dev/null 2>&1
}

# As tests/check_examples.sh looks for it.
have_numpy() {
    python3 -c 'import numpy' 2>/dev/null || /usr/bin/python3 -c 'import numpy' 2>/dev/null
}

have_ci_tools() {
    for tool in chromium tesseract clang clang-format cmake c++ valgrind qemu-aarch64 aarch64-linux-gnu-gcc \
        qemu-s390x s390x-linux-gnu-gcc musl-gcc; do
        command -v $tool >/dev/null || return 1
    done
    have_clang_runtime && have_numpy
}

if have_cmocka && { [ -z "$worker" ] || have_worker_packages; } &&
    { [ "${CI:-}" != true ] || have_ci_tools; }; then
    exit 0
fi

as_root=
if [ "$(id -u)" -ne 0 ]; then
    as_root=sudo
fi
extra=
if [ "${CI:-}" = true ]; then
    extra="chromium clang clang-format cmake g++ valgrind"
fi
if command -v apt-get >/dev/null; then
    $as_root apt-get update -q
    # shellcheck disable=SC2086
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q libcmocka-dev pkg-config \
        ${worker:+libmicrohttpd-dev libjansson-dev} \
        $extra ${extra:+tesseract-ocr gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-s390x-linux-gnu \
        libc6-dev-s390x-cross python3-numpy qemu-user musl-tools}
    if [ -n "$extra" ] && ! have_clang_runtime; then
        runtime=$(clang -dumpversion | cut -d. -f1)-dev # of the same version
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q "libclang-rt-$runtime" ||
            $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
                "libclang-common-$runtime"
    fi
elif command -v dnf >/dev/null; then
    # shellcheck disable=SC2086
    $as_root dnf install -y libcmocka-devel pkgconf \
        ${worker:+libmicrohttpd-devel jansson-devel} $extra ${extra:+compiler-rt}
elif command -v apk >/dev/null; then
    # shellcheck disable=SC2086
    $as_root apk add cmocka-dev pkgconf ${worker:+libmicrohttpd-dev jansson-dev} $extra ${extra:+compiler-rt}
elif command -v pacman >/dev/null; then
    # shellcheck disable=SC2086
    $as_root pacman -S --noconfirm --needed cmocka pkgconf ${worker:+libmicrohttpd jansson} \
        $extra ${extra:+compiler-rt}
elif command -v zypper >/dev/null; then
    # shellcheck disable=SC2086
    $as_root zypper install -y libcmocka-devel pkg-config \
        ${worker:+libmicrohttpd-devel libjansson-devel} $extra
elif command -v brew >/dev/null; then
    # shellcheck disable=SC2086
    brew install cmocka pkg-config ${worker:+libmicrohttpd jansson}
else
    echo "deps: no package manager known here: install cmocka (https://cmocka.org) by hand" >&2
    exit 1
fi
