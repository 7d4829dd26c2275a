#!/usr/bin/env bash
# What fewer bits cost in retrieval: a set made from real documents, nDCG@10, MRR@10 and recall@10 of Heddle in f32, bf16 and
# int8, of sentence-transformers in f32 and of ONNX Runtime in f32 and int8, all with all-MiniLM-L6-v2.
#
#   bench/quality/run.sh [debian|python]      (default: debian)
#
# The sets are described in retrieval_set.py. HEDDLE_BENCH_VENV names an environment with the peers to use instead of
# build/venv-bench, which bench/run.sh makes.
set -euo pipefail
cd "$(dirname "$0")/../.."

which=${1:-debian}
venv=${HEDDLE_BENCH_VENV:-build/venv-bench}
data=build/bench/quality
die() { printf 'quality: error: %s\n' "$*" >&2; exit 1; }

[ -x build/heddle ] || die "build/heddle is missing: make build"
[ -x "$venv/bin/python" ] || die "$venv holds no Python: bench/run.sh makes it"
model=$(tools/fetch_model.sh)
"$venv/bin/python" bench/peers/prepare.py "$model" "$data/peers" small
"$venv/bin/python" bench/quality/retrieval_set.py "$which" "$data/$which"
exec "$venv/bin/python" bench/quality/quality.py "$data/$which" --program build/heddle --model "$model" \
    --peers "$data/peers" --threads "$(nproc)"
