#!/usr/bin/env bash
# Documents in, answers out, beside the stacks that people glue together: LangChain + Chroma, Chroma with its own ONNX,
# txtai, LanceDB, and the fastest we could put together (ONNX Runtime int8, sqlite-vec, FTS5). All with all-MiniLM-L6-v2.
#
#   bench/search/run.sh [--docs N] [--queries N] [--only 'glued,txtai'] [--task folder|passages]
#
# A folder of N real documents (120) is made by corpus.py, a set with judgements by bench/quality. The stacks go
# into build/venv-search on top of build/venv-bench. HEDDLE_BUILD names the build folder. It takes about ten minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=bench/common.sh
. bench/common.sh

docs=120
pass=()
while [ $# -gt 0 ]; do
    case $1 in
    --docs) docs=$2 && shift 2 ;;
    --queries | --only | --task) pass+=("$1" "$2") && shift 2 ;;
    *) die "unknown option $1: see the head of $0" ;;
    esac
done

build=${HEDDLE_BUILD:-build}
make_peers_venv
make_tools
model=$(tools/fetch_model.sh)
prepare "$model" "$tools" small

# Another environment that sees the first one's packages: they are 6 GB.
search_venv=build/venv-search
if ! cmp -s bench/search/requirements.txt "$search_venv/requirements.txt"; then
    say "installing bench/search/requirements.txt into $search_venv (once)"
    "$python" -m venv "$search_venv"
    "$python" -c 'import site; print(site.getsitepackages()[0])' >"$(echo "$search_venv"/lib/python*/site-packages)/peers.pth"
    "$search_venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir -r bench/search/requirements.txt
    cp bench/search/requirements.txt "$search_venv/requirements.txt"
fi

mkdir -p "$tools/search"
[ "$tools/search/driver" -nt bench/search/driver.c ] ||
    "${CC:-cc}" -std=c17 -O2 -Iinclude -o "$tools/search/driver" bench/search/driver.c -L"$build" -lheddle \
        -Wl,-rpath,"$PWD/$build" -pthread
"$python" bench/search/corpus.py "$tools/search" "$docs"
[ -e "$tools/quality/python/corpus.jsonl" ] || "$python" bench/quality/retrieval_set.py python "$tools/quality/python" >&2

exec "$search_venv/bin/python" bench/search/compare.py --build "$build" --tools "$tools/search" --model "$model" \
    --documents "$tools/search/documents" --set "$tools/quality/python" --results bench/results ${pass[@]+"${pass[@]}"}
