#!/usr/bin/env bash
# The benchmark against peers: sets up a virtual environment with them, their models and small C tools, then measures.
#
#   bench/run.sh [--quick] [--isa native|avx512_vnni|avx2] [--docs 1000,10000,100000] [--only 'ort-*,heddle-*'] \
#       [--shape bge-m3] …
#
# bench/run.sh --help lists the options; bench/README.md says how to read the table. `make bench` calls this.
# HEDDLE_BENCH_VENV names an environment to use instead of build/venv-bench; it is taken as it is.
set -euo pipefail

cd "$(dirname "$0")/.."
peers=bench/peers
build=build/bench
cc=${CC:-cc}

case " $* " in
*" --help "* | *" -h "*) exec "${PYTHON:-python3}" "$peers/bench.py" --help ;;
esac

say() { printf 'bench: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

venv=${HEDDLE_BENCH_VENV:-build/venv-bench}
if [ -z "${HEDDLE_BENCH_VENV:-}" ] && ! cmp -s "$peers/requirements.txt" "$venv/requirements.txt"; then
    say "installing the peers into $venv (about 6 GB, once)"
    "${PYTHON:-python3}" -m venv "$venv" || die "cannot create $venv: is python3-venv installed?"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$peers/requirements.txt" ||
        die "pip could not install $peers/requirements.txt"
    cp "$peers/requirements.txt" "$venv/requirements.txt"
fi
python=$venv/bin/python
[ -x "$python" ] || die "$venv holds no Python"

mkdir -p "$build"
if [ "$(uname -m)" = x86_64 ]; then
    for source in peak cpuid_mask; do
        [ "$build/$source.stamp" -nt "$peers/$source.c" ] && continue
        case $source in
        peak) "$cc" -O2 -pthread -o "$build/peak" "$peers/peak.c" ;;
        cpuid_mask)
            "$cc" -O2 -shared -fPIC -o "$build/libcpuid_mask.so" "$peers/cpuid_mask.c"
            "$cc" -O2 -DCPUID_MASK_PROBE -o "$build/cpuid_probe" "$peers/cpuid_mask.c"
            ;;
        esac
        touch "$build/$source.stamp"
    done
fi

rm -f "$build/heddle_peer"
if [ -e build/libheddle.so ]; then
    "$cc" -O2 -Iinclude -o "$build/heddle_peer" "$peers/heddle_peer.c" -Lbuild -lheddle -Wl,-rpath,"$PWD/build" \
        2>"$build/link.log" || say "no rows of the C library: $(grep -m 1 -E 'error|undefined' "$build/link.log" || true)"
fi

model=$(tools/fetch_model.sh)
data=$build
texts=small
case " $* " in
*" --shape "*)
    shape=$(printf '%s\n' "$@" | sed -n '/^--shape$/{n;p}')
    data=$build/$shape
    texts=large
    minilm=$model
    model=$PWD/$build/shapes/$shape
    if [ ! -d "$model" ]; then
        say "making random weights of $shape's sizes"
        "$python" "$peers/make_shape.py" "$shape" "$minilm" "$model"
    fi
    ;;
esac
mkdir -p "$data"
stamp=$data/prepared.stamp
if [ ! "$stamp" -nt "$peers/prepare.py" ] || [ ! "$stamp" -nt "$peers/texts.py" ]; then
    say "making texts and exporting the model"
    rm -rf "$data"/*.txt "$data"/*.f32 "$data/f32" "$data/int8"
    "$python" "$peers/prepare.py" "$model" "$data" "$texts"
    touch "$stamp"
fi

exec "$python" "$peers/bench.py" --model "$model" --data "$PWD/$data" --tools "$PWD/$build" --texts "$texts" \
    --heddle "$PWD/build/heddle" --results "$PWD/bench/results" "$@"
