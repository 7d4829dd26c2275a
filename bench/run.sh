#!/usr/bin/env bash
# The benchmark against peers: sets up a virtual environment with them, their models and small C tools, then measures.
#
#   bench/run.sh [--quick] [--isa native|avx512_vnni|avx2] [--docs 1000,10000,100000] [--only 'ort-*,heddle-*'] \
#       [--shape bge-m3|ms-marco-MiniLM-L6-v2] …
#
# bench/run.sh --help lists the options; bench/README.md says how to read the table. `make bench` calls this.
# HEDDLE_BENCH_VENV names an environment to use instead of build/venv-bench; it is taken as it is.
set -euo pipefail

cd "$(dirname "$0")/.."
# shellcheck source=bench/common.sh
. bench/common.sh

case " $* " in
*" --help "* | *" -h "*) exec "${PYTHON:-python3}" "$peers/bench.py" --help ;;
esac

make_peers_venv
make_tools

data=$tools
texts=small
case " $* " in
*" --shape "*)
    shape=$(printf '%s\n' "$@" | sed -n '/^--shape$/{n;p}')
    make_shape "$shape"
    data=$tools/$shape
    case $shape in
    ms-marco*) texts=pairs ;;
    *) texts=large ;;
    esac
    ;;
*) model=$(tools/fetch_model.sh) ;;
esac
prepare "$model" "$data" "$texts"

exec "$python" "$peers/bench.py" --model "$model" --data "$PWD/$data" --tools "$PWD/$tools" --texts "$texts" \
    --heddle "$PWD/build/heddle" --results "$PWD/bench/results" "$@"
