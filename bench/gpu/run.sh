#!/usr/bin/env bash
# The first hour on a GPU, in parts of a few minutes, from build/gpu.tar.xz (kit.sh) and this source tree. Nothing is
# compiled or fetched. Each step has a limit of time, says in one line how it went, and does not keep the next one from
# running; what it wrote is in OUT/log.txt, figures are in OUT/*.json.
#
#   bench/gpu/run.sh check OUT      right? Every operation, every architecture, the CPU's vectors             4 minutes
#   bench/gpu/run.sh speed OUT      fast? The issue's figures, beside PyTorch and a plain product of the same sizes   8
#   bench/gpu/run.sh profile OUT    where a batch's time goes, after `speed` on the same machine              2 minutes
#   bench/gpu/run.sh sanitize OUT   compute-sanitizer's four tools                                            6 minutes
#
# Python 3 with PyTorch, sentence-transformers and tokenizers is needed for `speed`, NumPy for the vectors of `check`.
# HEDDLE_CUBLASLT names the folder of libcublasLt.so.13 where it is neither Python's nor the toolkit's.
set -uo pipefail
cd "$(dirname "$0")/../.."

part=${1:?check, speed, profile or sanitize}
out=${2:?a folder for what comes out}
work=${HEDDLE_GPU_WORK:-/tmp/heddle-gpu}
mkdir -p "$out" "$work"
: >>"$out/log.txt"

[ -d "$work/gpu" ] || tar -C "$work" -xJf build/gpu.tar.xz || exit 1
kit=$work/gpu

cublaslt() {
    local folder
    for folder in "${HEDDLE_CUBLASLT:-}" \
        "$(python3 -c 'import nvidia, os; print(os.path.join(list(nvidia.__path__)[0], "cu13", "lib"))' 2>/dev/null)" \
        "${CUDA_HOME:-/usr/local/cuda}/lib64" /usr/lib/x86_64-linux-gnu; do
        [ -n "$folder" ] && [ -e "$folder/libcublasLt.so.13" ] && echo "$folder" && return
    done
}

# Ours alone: Python has libraries of its own.
libraries=$kit/libraries:$(cublaslt)
export HEDDLE_PLUGIN_DIR=$kit/plugin XDG_CACHE_HOME=$work/cache HEDDLE_GPU_LIBRARIES=$libraries HEDDLE_GPU_KIT=$kit
export HEDDLE_GPU_WORK=$work PYTHONUNBUFFERED=1

# step NAME SECONDS COMMAND…
step() {
    local name=$1 limit=$2 begin=$SECONDS status
    shift 2
    echo "== $name: $*" >>"$out/log.txt"
    timeout -k 5 "$limit" "$@" >"$work/step.log" 2>&1
    status=$?
    cat "$work/step.log" >>"$out/log.txt"
    case $status in
    0) echo "ok      $name, $((SECONDS - begin)) s" ;;
    124 | 137) echo "LATE    $name, more than $limit s" ;;
    *)
        echo "FAILED  $name, $((SECONDS - begin)) s, status $status:"
        grep -v '^$' "$work/step.log" | tail -n 5 | cut -c -300
        ;;
    esac
    return 0
}

ours() { # NAME SECONDS PROGRAM…
    local name=$1 limit=$2 program=$3
    shift 3
    step "$name" "$limit" env LD_LIBRARY_PATH="$libraries" "$kit/programs/$program" "$@"
}

sanitized() { # NAME SECONDS ROUNDS TOOL…
    local name=$1 limit=$2 rounds=$3
    shift 3
    OPERATIONS_ROUNDS=$rounds OPERATIONS_TYPES=15 step "$name" "$limit" compute-sanitizer --target-processes all \
        --error-exitcode 9 --tool "$@" env LD_LIBRARY_PATH="$libraries" "$kit/programs/plugin_operations_test"
}

case $part in
check)
    HEDDLE_DEVICE=cuda ours info 60 heddle info
    # F32, BF16, I8 and F16; then E4M3 alone, whose sums may have fewer bits there
    OPERATIONS_TYPES=15 OPERATIONS_ROUNDS=${ROUNDS:-300} ours operations 90 plugin_operations_test
    OPERATIONS_TYPES=17 OPERATIONS_ROUNDS=${ROUNDS:-100} ours operations_f8 60 plugin_operations_test
    OPERATIONS_TYPES=15 OPERATIONS_ROUNDS=${ROUNDS:-2000} OPERATIONS_SEED=7 ours operations_many 120 plugin_operations_test
    ours encoder 150 plugin_encoder_test
    step vectors 150 python3 bench/gpu/compare.py check "$out"
    cat "$work/step.log"
    ;;
speed | profile)
    step "$part" "$([ "$part" = speed ] && echo 560 || echo 200)" python3 bench/gpu/compare.py "$part" "$out"
    tail -n 70 "$work/step.log"
    ;;
sanitize)
    sanitized memcheck 120 20 memcheck
    sanitized racecheck 120 10 racecheck
    sanitized synccheck 60 10 synccheck
    # bytes of activations behind a row's width are read, against weights of 0
    sanitized initcheck 60 10 initcheck
    ;;
*)
    echo "run.sh: no part $part" >&2
    exit 2
    ;;
esac
