#!/usr/bin/env bash
# How long the texts of files take: microseconds a KB of each kind, in memory, on one thread.
#
#   bench/extract/run.sh [SECONDS [FILE ...]]
#
# Builds extract_files.c against build/ (make build comes first). Without files: those of this repository, and 2,000 short
# documents (a paragraph each, a third of them with Markdown's headings) made for the run.
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:-1}
shift || true
libraries=(build/libhd_ingest.a build/libhd_base.a)
for library in "${libraries[@]}"; do
    [ -e "$library" ] || { echo "extract: no $library: run make build first" >&2; exit 1; }
done
# shellcheck disable=SC2046
"${CC:-cc}" -O2 -std=c17 -D_GNU_SOURCE -Isrc -Iinclude -o build/extract_files bench/extract/extract_files.c \
    "${libraries[@]}" $(pkg-config --libs jansson libcrypto libxxhash md4c libzip libutf8proc) -lm -ldl -pthread
if [ $# -gt 0 ]; then
    exec build/extract_files "$seconds" "$@"
fi
short=$(mktemp -d)
trap 'rm -rf "$short"' EXIT
python3 - "$short" <<'PY'
import random
import sys
rng = random.Random(1)
words = "the warp is held by a frame and every heddle lifts one thread so that the shuttle passes under it with the weft".split()
for i in range(2000):
    text = " ".join(rng.choice(words) for _ in range(120)) + ".\n"
    name = f"{sys.argv[1]}/{i}." + ("md" if i % 3 == 0 else "txt")
    with open(name, "w") as out:
        out.write(f"# Note {i}\n\n{text}\n## More\n\n- one\n- two\n" if i % 3 == 0 else text)
PY
echo "short documents"
build/extract_files "$seconds" "$short"/*
echo "this repository"
git ls-files -z | grep -zvE '\.(png|bin|gguf|f32)$' | xargs -0 build/extract_files "$seconds" 2>/dev/null
