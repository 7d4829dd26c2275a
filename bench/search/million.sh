#!/usr/bin/env bash
# Searches in a large index: 1,000,000 chunks of 384 dimensions, hybrid, with embedding; opening it cold; a writer beside.
#
#   bench/search/million.sh [N_CHUNKS]      (default: 1000000)
#
# Chunks grow out of the 20,000 passages of bench/quality's debian set (grow.c, seeded), whose vectors all-MiniLM-L6-v2 made. The
# index is kept in build/bench/search, so that a second run only searches. HEDDLE_BUILD names the build folder.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=bench/common.sh
. bench/common.sh

n=${1:-1000000}
build=${HEDDLE_BUILD:-build}
work=$tools/search
set=$tools/quality/debian
index=$work/grown-$n.db
model=$(tools/fetch_model.sh)
mkdir -p "$work"
cmake --build "$build" --target libheddle.so heddle_cli bench_search_grow >/dev/null
"${CC:-cc}" -std=c17 -O2 -Iinclude -o "$work/driver" bench/search/driver.c -L"$build" -lheddle -Wl,-rpath,"$PWD/$build" -pthread
[ -e "$set/corpus.jsonl" ] || python3 bench/quality/retrieval_set.py debian "$set" >&2

# The first N texts of JSON lines, a line each.
lines() {
    python3 -c 'import itertools, json, sys
for line in itertools.islice(sys.stdin, int(sys.argv[1])): print(" ".join(json.loads(line)["text"].split()))' "$2" <"$1"
}
lines "$set/corpus.jsonl" 20000 >"$work/passages.txt"
lines "$set/queries.jsonl" 1000 >"$work/questions.txt"
[ "$work/passages.f32" -nt "$set/corpus.jsonl" ] ||
    "$build/heddle" embed -m "$model" --input "$work/passages.txt" --output-format f32 -o "$work/passages.f32"

if [ ! -e "$index" ]; then
    rm -f "$work"/grown-"$n".tmp*
    "$build/bench_search_grow" "$model" "$work/grown-$n.tmp" "$work/passages.txt" "$work/passages.f32" "$n" 1 \
        >"$work/grown-$n.json"
    mv "$work/grown-$n.tmp" "$index"
fi
cat "$work/grown-$n.json"

# Not in memory before the first opening; then once without being measured.
head -20 "$work/questions.txt" >"$work/first.txt"
dd if="$index" iflag=nocache count=0 status=none
"$work/driver" queries int8 0 "$model" "$index" "$work/first.txt" >"$work/cold.json"
"$work/driver" queries int8 0 "$model" "$index" "$work/questions.txt" >"$work/warm.json"
for legs in 0 1 2; do
    "$work/driver" queries int8 "$legs" "$model" "$index" "$work/questions.txt" >"$work/queries-$legs.json"
done
# Written to: a copy.
cp --reflink=auto "$index" "$work/written.db"
"$work/driver" beside int8 0 "$model" "$work/written.db" "$work/questions.txt" "$work/passages.txt" 8 >"$work/beside.json"
rm -f "$work"/written.db*
python3 - "$work" <<'P'
import json, pathlib, statistics, sys
read = lambda name: json.loads((pathlib.Path(sys.argv[1]) / name).read_text())
at = lambda values, share: sorted(values)[int(share * len(values))]
for name, label in (("cold", "from the disk"), ("warm", "from memory")):
    r = read(f"{name}.json")
    print(f"opened {label} in {r['open_ms']:.1f} ms, first search after another {r['first_ms']:.0f} ms")
for legs, label in enumerate(("hybrid", "BM25", "dense")):
    r = read(f"queries-{legs}.json")
    print(f"{label:8} p50 {at(r['total_ms'], .5):.2f} ms, p99 {at(r['total_ms'], .99):.2f} ms with embedding "
          f"({at(r['embed_ms'], .5):.2f}; words {at(r['bm25_ms'], .5):.2f}, p99 {at(r['bm25_ms'], .99):.2f}; "
          f"vectors {at(r['dense_ms'], .5):.2f}, p99 {at(r['dense_ms'], .99):.2f})")
print(f"{r['n_chunks']} chunks, {r['n_graph']} in the graph, {r['file_bytes'] / r['n_chunks']:.0f} bytes each on the disk, "
      f"{r['memory_bytes'] / r['n_chunks']:.0f} in memory")
b = read("beside.json")
ratio = lambda a, c, figure: statistics.median(x / y for x, y in zip(b[f"{a}_{figure}_ms"], b[f"{c}_{figure}_ms"]))
print(f"while another thread writes ({b['n_put']} documents): p50 {ratio('writing', 'alone', 'p50'):.2f} and p99 "
      f"{ratio('writing', 'alone', 'p99'):.2f} of alone; {ratio('writing', 'embedding', 'p50'):.2f} and "
      f"{ratio('writing', 'embedding', 'p99'):.2f} of while it embeds the same and writes nothing")
P
