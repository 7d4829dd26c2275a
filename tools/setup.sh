#!/usr/bin/env bash
# Installs the Debian packages that a task needs and this machine lacks; does nothing when all are there.
#
#   tools/setup.sh build|check|test|fuzz|bench|format ...
#
# Each need is probed by what it offers (a command, a pkg-config module), not by package name, so that a
# compiler or library installed another way counts. Without root, sudo is used, and said so.
set -euo pipefail

# The runtime library is of the clang that is here, else of the one that Debian's package clang will bring.
clang_version=$(clang -dumpversion 2>/dev/null | cut -d. -f1 || true)

# task  probe            package
needs="
build   command:cc         gcc
build   command:make       make
build   command:cmake      cmake
build   command:ninja      ninja-build
build   command:pkg-config pkg-config
build   module:jansson     libjansson-dev
build   module:libcrypto   libssl-dev
build   module:libutf8proc libutf8proc-dev
build   module:libpcre2-8  libpcre2-dev
build   module:libzip      libzip-dev
build   module:libcurl     libcurl4-openssl-dev
build   module:libxxhash   libxxhash-dev
build   module:libmicrohttpd libmicrohttpd-dev
build   module:zlib       zlib1g-dev
build   module:cmocka      libcmocka-dev
build   module:hiredis     libhiredis-dev
build   module:sqlite3     libsqlite3-dev
build   module:libxml-2.0  libxml2-dev
build   module:md4c        libmd4c-dev
build   file:/usr/include/libstemmer.h libstemmer-dev
build   command:pdftotext  poppler-utils
build   command:python3    python3
build   command:curl       curl
build   command:pip        python3-pip
check   command:c++        g++
check   command:nm         binutils
test    command:mandoc     mandoc
test    command:node       nodejs
test    command:npm        npm
test    command:chromium   chromium
test    command:openssl    openssl
test    command:redis-server redis-server
test    command:setarch    util-linux
test    command:valgrind   valgrind
test    command:aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu
test    file:/usr/aarch64-linux-gnu/include/stdio.h libc6-dev-arm64-cross
test    command:qemu-aarch64 qemu-user
test    venv:              python3-venv
fuzz    command:clang      clang
fuzz    fuzzer:            libclang-rt-${clang_version:+$clang_version-}dev
fuzz    command:llvm-symbolizer llvm
format  command:clang-format clang-format
bench   command:git        git
bench   venv:              python3-venv
"

present() {
    case $1 in
    command:pip) python3 -c 'import pip' ;;
    command:*) command -v "${1#command:}" ;;
    module:*) pkg-config --exists "${1#module:}" ;;
    file:*) [ -e "${1#file:}" ] ;;
    venv:) python3 -c 'import ensurepip, venv' ;;
    fuzzer:) echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return d && n > 9; }' |
        clang -fsanitize=fuzzer -x c -o /dev/null - ;;
    esac >/dev/null 2>&1
}

missing=()
while read -r task probe package; do
    for wanted in "$@"; do
        if [ "$task" = "$wanted" ] && ! present "$probe"; then
            missing+=("$package")
        fi
    done
done <<<"$(sed '/^$/d' <<<"$needs")"
[ ${#missing[@]} -gt 0 ] || exit 0

root=()
if ! command -v apt-get >/dev/null; then
    echo "setup: error: this is not a Debian system; install what these packages hold: ${missing[*]}" >&2
    exit 1
elif [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        printf '%s\n' "setup: error: packages are missing, and without root or sudo they cannot be installed. Run as root, then try again:" \
            "  apt-get update && apt-get install --no-install-recommends ${missing[*]}" >&2
        exit 1
    fi
    root=(sudo)
fi
echo "setup: installing${root[0]+ with sudo} ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() { "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 "$@" >"$log" 2>&1; }
apt install -y --no-install-recommends "${missing[@]}" ||
    { apt update && apt install -y --no-install-recommends "${missing[@]}"; } ||
    { tail -n 20 "$log" >&2; echo "setup: error: apt-get could not install ${missing[*]}" >&2; exit 1; }
