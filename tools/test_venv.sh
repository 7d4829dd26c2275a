#!/usr/bin/env bash
# Prints the Python of the environment that tests/serve needs: the real clients of tests/serve/requirements.txt in
# build/venv-test, installed anew when that list has changed. HEDDLE_TEST_VENV names another one, taken as it is.
# build/venv-rerank beside it has what tests/serve/requirements-rerank.txt lists and sees everything else of the first.
set -euo pipefail
cd "$(dirname "$0")/.."

die() {
    echo "test: error: $*" >&2
    exit 1
}

# install VENV REQUIREMENTS NOTE [pip option ...]
install() {
    local venv=$1 wanted=$2 note=$3
    shift 3
    echo "test: installing clients into $venv ($note, once)" >&2
    "${PYTHON:-python3}" -m venv --clear "$venv" || die "cannot create $venv: is python3-venv installed?"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@" -r "$wanted" || die "pip could not install $wanted"
}

wanted=tests/serve/requirements.txt
venv=${HEDDLE_TEST_VENV:-build/venv-test}
if [ -z "${HEDDLE_TEST_VENV:-}" ] && ! cmp -s "$wanted" "$venv/requirements.txt"; then
    install "$venv" "$wanted" "about 400 MB"
    cp "$wanted" "$venv/requirements.txt"
fi
[ -x "$venv/bin/python" ] || die "$venv holds no Python"

also=tests/serve/requirements-rerank.txt
other=build/venv-rerank
if ! cat "$wanted" "$also" | cmp -s - "$other/requirements.txt"; then
    install "$other" "$also" "about 70 MB" --no-deps
    packages=$("$other/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    "$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$packages/clients.pth"
    cat "$wanted" "$also" >"$other/requirements.txt"
fi
printf '%s\n' "$venv/bin/python"
