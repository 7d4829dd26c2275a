#!/usr/bin/env bash
# Memory of a fleet of embedding servers: eight models in one process, in eight processes, and one model for all callers.
#
#   bench/fleet.sh [MODEL_DIR] [DTYPE]
#
# MODEL_DIR (default: what tools/fetch_model.sh gets) is copied eight times, so that nothing is shared between the models:
# eight different ones of its size. Each answers 64 texts. What is counted is the proportional set size (PSS), in which a
# page that several processes share counts once; RSS is beside it. Eight processes of the same program share its code, so
# containers, which do not, take more than the figure here.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
heddle=${HEDDLE:-$root/build/heddle}
model=${1:-$("$root/tools/fetch_model.sh")}
dtype=${2:-int8}
count=8
tmp=$(mktemp -d)
pids=()
trap 'stop; rm -rf "$tmp"' EXIT

stop() {
    [ ${#pids[@]} -eq 0 ] || { kill "${pids[@]}" && wait "${pids[@]}"; } 2>/dev/null || true
    pids=()
}

# start NAME OPTION...: a server; its port goes to $port.
start() {
    local log=$tmp/$1.log
    HEDDLE_CACHE=$tmp/cache "$heddle" serve --port 0 --no-access-log --dtype "$dtype" --cache-bytes 0 "${@:2}" >"$log" 2>&1 &
    pids+=($!)
    for _ in $(seq 200); do
        port=$(sed -n 's/.*listening on .*:\([0-9]*\)$/\1/p' "$log")
        [ -z "$port" ] || return 0
        sleep 0.05
    done
    cat "$log" >&2
    exit 1
}

# ask PORT: what body wrote, 64 texts of some 180 words.
ask() {
    curl -sSf -o /dev/null -H 'Content-Type: application/json' --data @"$tmp/texts.json" "http://127.0.0.1:$1/v1/embeddings"
}

# Sums over the servers, in MiB: PSS and RSS.
memory() {
    for pid in "${pids[@]}"; do
        cat "/proc/$pid/smaps_rollup"
    done | awk '/^Pss:/ { p += $2 } /^Rss:/ { r += $2 } END { printf "%7.1f %7.1f", p / 1024, r / 1024 }'
}

body() {
    awk -v model="$1" 'BEGIN {
        printf "{\"model\": \"%s\", \"encoding_format\": \"base64\", \"input\": [", model
        for (i = 0; i < 64; i++) {
            printf "%s\"text %d", (i ? ", " : ""), i
            for (k = 0; k < 60; k++) printf " the river runs %d", (i * 61 + k * 7) % 997
            printf "\""
        }
        print "]}"
    }' >"$tmp/texts.json"
}

row() { printf '%-44s %s MiB\n' "$1" "$(memory)"; }

models=()
for i in $(seq $count); do
    cp -r "$model" "$tmp/model$i"
    models+=(--model "m$i=$tmp/model$i")
done

printf '%-44s %7s %7s\n' "$(basename "$model"), $dtype, $(nproc) CPUs" PSS RSS

# The first load packs the weights; what is measured are servers that find them packed.
start pack "${models[@]}"
for i in $(seq $count); do body "m$i"; ask "$port"; done
stop

start one "${models[@]}"
row "one process, $count models, none used"
for i in $(seq $count); do body "m$i"; ask "$port"; done
row "one process, $count models, all used"
stop

start idle "${models[@]}" --idle-unload 1
for i in $(seq $count); do body "m$i"; ask "$port"; done
sleep 4
row "one process, $count models, unloaded again"
stop

for i in $(seq $count); do
    start "many$i" --model "$tmp/model$i"
    ports[i]=$port
done
row "$count processes, a model each, none used"
body any
for i in $(seq $count); do ask "${ports[i]}"; done
row "$count processes, a model each, all used"
stop

start single --model "$tmp/model1"
for i in $(seq $count); do body "replica$i"; ask "$port"; done
row "one process, one model for $count kinds of callers"
stop
