#!/usr/bin/env bash
# BM25 over 1,000,000 passages: Heddle's index of words beside SQLite's FTS5, Tantivy and bm25s.
#
#   bench/search/bm25.sh [N_PASSAGES]      (default: 1000000)
#
# Passages grow out of bench/quality's sets (bm25_texts.py, seeded), queries are the first 500 of each set. Indexes are kept in
# build/bench/search, so that a second run only searches. HEDDLE_BENCH_VENV names an environment with tantivy and bm25s.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=bench/common.sh
. bench/common.sh

n=${1:-1000000}
build=${HEDDLE_BUILD:-build}
work=$tools/search/bm25-$n
venv=${HEDDLE_BENCH_VENV:-build/venv-bm25}
[ -n "${HEDDLE_BENCH_VENV:-}" ] || make_venv "$venv" bench/search/bm25_requirements.txt
cmake --build "$build" --target bench_search_bm25 >/dev/null
heddle=$build/bench_search_bm25
mkdir -p "$work"
for set in debian python; do
    [ -e "$tools/quality/$set/corpus.jsonl" ] || python3 bench/quality/retrieval_set.py "$set" "$tools/quality/$set" >&2
done
if [ ! -e "$work/texts.txt" ]; then
    cat "$tools/quality/debian/corpus.jsonl" "$tools/quality/python/corpus.jsonl" >"$work/corpus.jsonl"
    for set in debian python; do
        head -500 "$tools/quality/$set/queries.jsonl"
    done | python3 -c 'import json, sys; [print(" ".join(json.loads(line)["text"].split())) for line in sys.stdin]' >"$work/queries.txt"
    python3 bench/search/bm25_texts.py "$work/corpus.jsonl" "$n" "$work/texts.tmp"
    mv "$work/texts.tmp" "$work/texts.txt"
fi
for engine in heddle tantivy fts5 bm25s; do
    [ -e "$work/$engine.index" ] || "$venv/bin/python" bench/search/bm25.py index "$engine" "$work" "$heddle" ||
        say "$engine did not index: left out"
done
for n_new in 1 100 5000; do
    "$heddle" commit "$work/heddle.db" "$work/texts.txt" "$n_new"
done
"$venv/bin/python" bench/search/bm25.py search "$work" "$heddle"
