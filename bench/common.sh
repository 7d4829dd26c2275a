# common.sh - what the benchmarks' scripts share: virtual environments, small tools, texts, exports. Sourced from the root.
# shellcheck shell=bash

say() { printf 'bench: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

peers=bench/peers
tools=build/bench

# make_venv FOLDER REQUIREMENTS: with what the list names, installed anew when it has changed. Without llama.cpp when that
# cannot be built; everything else has to be there. Where there is AMX, llama.cpp of GCC 12 dies at its first tile with an
# illegal instruction (the tile configuration it loads was not written yet), clang's does not.
make_venv() {
    cmp -s "$2" "$1/requirements.txt" && return
    say "installing $2 into $1 (once)"
    "${PYTHON:-python3}" -m venv "$1" || die "cannot create $1: is python3-venv installed?"
    if command -v clang++ >/dev/null; then
        export CMAKE_ARGS="-DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++"
    fi
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir -r "$2" ||
        "$1/bin/python" -m pip install --quiet --disable-pip-version-check -r <(grep -v '^llama-cpp' "$2") ||
        die "pip could not install $2"
    cp "$2" "$1/requirements.txt"
}

# The peers' environment goes to $venv, its Python to $python.
make_peers_venv() {
    venv=${HEDDLE_BENCH_VENV:-build/venv-bench}
    [ -n "${HEDDLE_BENCH_VENV:-}" ] || make_venv "$venv" "$peers/requirements.txt"
    python=$venv/bin/python
    [ -x "$python" ] || die "$venv holds no Python"
}

# The same for the servers that bench/serve compares: $serve_python. llama.cpp is compiled, for this CPU.
make_serve_venv() {
    export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-2}
    make_venv build/venv-serve-peers bench/serve/requirements.txt
    serve_python=build/venv-serve-peers/bin/python
}

# The C tools, into $tools. heddle_peer is not there when it does not link with build/libheddle.so.
make_tools() {
    local cc=${CC:-cc} source
    mkdir -p "$tools"
    for source in peak cpuid_mask; do
        [ "$(uname -m)" = x86_64 ] || break
        [ "$tools/$source.stamp" -nt "$peers/$source.c" ] && continue
        case $source in
        peak) "$cc" -O2 -pthread -o "$tools/peak" "$peers/peak.c" ;;
        cpuid_mask)
            "$cc" -O2 -shared -fPIC -o "$tools/libcpuid_mask.so" "$peers/cpuid_mask.c"
            "$cc" -O2 -DCPUID_MASK_PROBE -o "$tools/cpuid_probe" "$peers/cpuid_mask.c"
            ;;
        esac
        touch "$tools/$source.stamp"
    done
    local log=$tools/link.log
    rm -f "$tools/heddle_peer"
    if [ -e build/libheddle.so ]; then
        "$cc" -O2 -Iinclude -o "$tools/heddle_peer" "$peers/heddle_peer.c" -Lbuild -lheddle -Wl,-rpath,"$PWD/build" \
            2>"$log" || say "no rows of the C library: $(grep -m 1 -E 'error|undefined' "$log" || true)"
    fi
    "$cc" -std=c17 -O2 -o "$tools/load" bench/serve/load.c
}

# make_shape NAME: a model of random weights; its folder goes to $model.
make_shape() {
    model=$PWD/$tools/shapes/$1
    [ -d "$model" ] && [ ! "$peers/make_shape.py" -nt "$model" ] && return
    say "making random weights of $1's sizes"
    "$python" "$peers/make_shape.py" "$1" "$(tools/fetch_model.sh)" "$model"
}

# prepare MODEL DATA SET: texts and ONNX exports for the peers.
prepare() {
    local stamp=$2/prepared.stamp
    [ "$stamp" -nt "$peers/prepare.py" ] && [ "$stamp" -nt "$peers/texts.py" ] && [ "$stamp" -nt "$1/config.json" ] && return
    say "making texts and exporting the model"
    mkdir -p "$2"
    rm -rf "$2"/*.txt "$2"/*.f32 "$2/f32" "$2/int8"
    "$python" "$peers/prepare.py" "$1" "$2" "$3"
    touch "$stamp"
}

# make_gguf MODEL DATA TYPE...: DATA/model-TYPE.gguf by llama.cpp's own converter, of the version that bench/serve's list
# names. It needs torch and transformers, which the peers' environment has. False: see DATA/convert.log.
make_gguf() {
    local from=$1 to=$2 type source status=0
    shift 2
    [ -s "$to/model-$1.gguf" ] && return
    say "converting $from to GGUF"
    source=$(mktemp -d)
    mkdir -p "$to"
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: -d "$source" \
        "$(sed -n 's/\[server\]//; /^llama-cpp-python/p' bench/serve/requirements.txt)" >"$to/convert.log" 2>&1 &&
        tar -xzf "$source"/*.tar.gz -C "$source" || status=1
    for type in "$@"; do
        [ $status -eq 0 ] || break
        "$python" "$source"/*/vendor/llama.cpp/convert_hf_to_gguf.py "$from" --outtype "$type" \
            --outfile "$to/model-$type.gguf.tmp" >>"$to/convert.log" 2>&1 &&
            mv "$to/model-$type.gguf.tmp" "$to/model-$type.gguf" || status=1
    done
    rm -rf "$source"
    return $status
}
