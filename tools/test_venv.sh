#!/usr/bin/env bash
# Prints the Python of the environment that tests/serve needs: the real clients of tests/serve/requirements.txt in
# build/venv-test, installed anew when that list has changed. HEDDLE_TEST_VENV names another one, taken as it is.
set -euo pipefail
cd "$(dirname "$0")/.."

wanted=tests/serve/requirements.txt
venv=${HEDDLE_TEST_VENV:-build/venv-test}
if [ -z "${HEDDLE_TEST_VENV:-}" ] && ! cmp -s "$wanted" "$venv/requirements.txt"; then
    echo "test: installing clients into $venv (about 400 MB, once)" >&2
    "${PYTHON:-python3}" -m venv --clear "$venv" || { echo "test: error: cannot create $venv: is python3-venv installed?" >&2; exit 1; }
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$wanted" ||
        { echo "test: error: pip could not install $wanted" >&2; exit 1; }
    cp "$wanted" "$venv/requirements.txt"
fi
[ -x "$venv/bin/python" ] || { echo "test: error: $venv holds no Python" >&2; exit 1; }
printf '%s\n' "$venv/bin/python"
