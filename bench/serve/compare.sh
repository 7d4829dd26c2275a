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
# shellcheck source=bench/common.sh
. bench/common.sh

build=${HEDDLE_BUILD:-build}
make_serve_venv
make_peers_venv
make_tools
model=$(tools/fetch_model.sh)
prepare "$model" "$tools" small
if "$serve_python" -c 'import llama_cpp' 2>/dev/null && ! make_gguf "$model" "$tools" q8_0 f16; then
    say "no GGUF, so no llama.cpp: see $tools/convert.log"
fi

infinity=${HEDDLE_INFINITY:-$(command -v infinity_emb || true)} # pip install 'infinity-emb[server,torch]==0.0.78', 6 GB
exec "$serve_python" bench/serve/compare.py --build "$build" --data "$tools" --model "$model" --load "$tools/load" \
    --results bench/results ${infinity:+--infinity "$infinity"} "$@"
