#!/usr/bin/env bash
# Vector indexes beside each other, on 100,000 vectors of real text and on 1,000,000 grown out of them.
#
#   bench/search/vectors.sh [N] [NAME...]    (default: 1000000; heddle usearch-f32 usearch-bf16 usearch-i8 hnswlib, and up to 100000 rows
#                                            sqlite-vec chroma lancedb)
#
# Texts are pieces of Debian's package descriptions, embedded by all-MiniLM-L6-v2 (vector_set.py); 1,000 more of them are
# the queries. The set is kept in build/bench/vectors. HEDDLE_BUILD names the build folder, HEDDLE_THREADS how many threads.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=bench/common.sh
. bench/common.sh

n=${1:-1000000}
shift || true
build=${HEDDLE_BUILD:-build}
threads=${HEDDLE_THREADS:-$(nproc)}
set=$tools/vectors
mkdir -p "$set"
make_venv build/venv-vectors bench/search/vectors_requirements.txt
python=$PWD/build/venv-vectors/bin/python
cmake --build "$build" --target heddle_cli bench_search_vectors >/dev/null
[ -e "$set/texts.txt" ] || "$python" bench/search/vector_set.py texts "$set/texts.txt" 101000
if [ ! -e "$set/real.f32" ]; then
    "$build/heddle" embed -m "$(tools/fetch_model.sh)" --input "$set/texts.txt" --output-format f32 -o "$set/real.tmp"
    mv "$set/real.tmp" "$set/real.f32"
fi
[ -e "$set/queries.f32" ] || tail -c $((1000 * 384 * 4)) "$set/real.f32" >"$set/queries.f32"
if [ ! -e "$set/$n.truth" ]; then
    "$python" bench/search/vector_set.py grow "$set/real.f32" 100000 "$set/$n.f32" "$n"
    "$python" bench/search/vector_set.py truth "$set/$n.f32" "$set/queries.f32" "$set/$n.truth"
fi
if [ $# = 0 ]; then
    set -- heddle usearch-f32 usearch-bf16 usearch-i8 hnswlib
    [ "$n" -gt 100000 ] || set -- "$@" sqlite-vec chroma lancedb
fi
field() { sed -n "s/^$1[[:space:]]*: //p" /proc/cpuinfo | head -1; }
cpu=$(field "model name" | sed 's/([^)]*)//g; s/ Processor//; s/ @.*//' | xargs | tr 'A-Z ' 'a-z-')-$(field "cpu family")-$(field model)
out=bench/results/$(date +%F)-vectors-$n-$cpu-${threads}t
"$python" bench/search/vectors.py "$set" "$set/$n.f32" "$set/queries.f32" "$set/$n.truth" "$build/bench_search_vectors" "$threads" \
    "$out.md" "$out.json" "$@"
