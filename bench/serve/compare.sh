#!/usr/bin/env bash
# `heddle serve` beside the servers that can be had: FastAPI with ONNX Runtime, llama-cpp-python's, infinity where it is.
#
#   bench/serve/compare.sh [--rounds N] [--seconds S] [--only 'heddle-*,ort-int8'] ...
#
# The first run installs them into build/venv-serve-peers (llama.cpp is compiled: a quarter of an hour on two cores) and uses
# build/venv-bench of bench/run.sh for exports of all-MiniLM-L6-v2. A run takes less than ten minutes. The table goes to
# stdout, and with a plot of latency against load to bench/results. What cannot be installed is left out, and said so.
# HEDDLE_BUILD names the build folder, HEDDLE_INFINITY an infinity_emb program.
set -euo pipefail
cd "$(dirname "$0")/../.."

build=${HEDDLE_BUILD:-build}
venv=build/venv-serve-peers
data=build/bench
wanted=bench/serve/requirements.txt
say() { printf 'compare: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# make_venv FOLDER REQUIREMENTS: with what the list names, installed anew when it has changed.
make_venv() {
    cmp -s "$2" "$1/requirements.txt" && return
    say "installing $2 into $1 (once)"
    "${PYTHON:-python3}" -m venv "$1" || die "cannot create $1: is python3-venv installed?"
    # Without llama.cpp when it cannot be built; everything else has to be there. Where there is AMX, llama.cpp of GCC 12 dies
    # at its first tile with an illegal instruction (the tile configuration it loads was not written yet), clang's does not.
    if command -v clang++ >/dev/null; then
        export CMAKE_ARGS="-DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++"
    fi
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir -r "$2" ||
        "$1/bin/python" -m pip install --quiet --disable-pip-version-check -r <(grep -v '^llama-cpp' "$2") ||
        die "pip could not install $2"
    cp "$2" "$1/requirements.txt"
}

export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-2}
make_venv "$venv" "$wanted"
make_venv build/venv-bench bench/peers/requirements.txt

mkdir -p "$data"
model=$(tools/fetch_model.sh)
if [ ! -s "$data/model-int8.onnx" ] || [ ! -s "$data/model-f32.onnx" ]; then
    say "exporting the model to ONNX"
    build/venv-bench/bin/python bench/peers/prepare.py "$model" "$data"
fi

# llama.cpp's own converter, of the version that was built. It needs torch and transformers, which build/venv-bench has.
to_gguf() {
    build/venv-bench/bin/python "$source"/*/vendor/llama.cpp/convert_hf_to_gguf.py "$model" --outtype "$1" \
        --outfile "$data/model-$1.gguf.tmp" >"$data/convert.log" 2>&1 && mv "$data/model-$1.gguf.tmp" "$data/model-$1.gguf"
}
if "$venv/bin/python" -c 'import llama_cpp' 2>/dev/null && [ ! -s "$data/model-f16.gguf" ]; then
    say "converting the model to GGUF"
    source=$(mktemp -d)
    trap 'rm -rf "$source"' EXIT
    "$venv/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: -d "$source" \
        "$(sed -n 's/\[server\]//; /^llama-cpp-python/p' "$wanted")" && tar -xzf "$source"/*.tar.gz -C "$source" &&
        to_gguf q8_0 && to_gguf f16 || say "no GGUF, so no llama.cpp: see $data/convert.log"
fi

"${CC:-cc}" -std=c17 -O2 -o "$data/load" bench/serve/load.c
infinity=${HEDDLE_INFINITY:-$(command -v infinity_emb || true)} # pip install 'infinity-emb[server,torch]==0.0.78', 6 GB
exec "$venv/bin/python" bench/serve/compare.py --build "$build" --data "$data" --model "$model" --load "$data/load" \
    --results bench/results ${infinity:+--infinity "$infinity"} "$@"
