#!/usr/bin/env bash
# The server against the engine inside a process: throughput, latency, memory. On loopback, with all-MiniLM-L6-v2.
#
#   bench/serve/run.sh [SECONDS]        for each case; 2 by default. HEDDLE_BUILD names the build folder.
#
# The load tool takes its share of the same CPUs.
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:-2}
build=${HEDDLE_BUILD:-build}
heddle=$build/heddle
model=$(tools/fetch_model.sh)
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
ulimit -n 24000 2>/dev/null || ulimit -n "$(ulimit -H -n)"
"${CC:-cc}" -std=c17 -O2 -o "$work/load" bench/serve/load.c

say() { printf '%-34s %s\n' "$1" "$2"; }
rss_kb() { awk '/^VmRSS/ {print $2}' "/proc/$server/status"; }

start() {
    local from
    : >"$work/log" # the last server's line is not this one's
    from=$(date +%s%N)
    "$heddle" serve --port 0 --no-access-log --model "$model" "$@" 2>"$work/log" &
    server=$!
    until grep -q 'listening on' "$work/log"; do sleep 0.001; done
    started_ms=$((($(date +%s%N) - from) / 1000000))
    port=$(sed -n 's/.*127\.0\.0\.1:\([0-9]*\).*/\1/p' "$work/log")
}

stop() {
    kill "$server"
    wait "$server" || true
    server=
}

# Texts of about 65 tokens; the number in each is another one in each request.
text="@@@@@@@@ the loom was warped in the morning and the weaver threw the shuttle until the light was gone, and what was on the beam by \
then was longer than the street: blue on grey, a thread of red at every ninth pick, and no fault in it that anyone could find"
texts=$(printf ',"%s"' $(seq 32) | sed "s/\"[0-9]*\"/\"$text\"/g")
printf '{"encoding_format":"base64","input":[%s]}' "${texts:1}" >"$work/texts.json"
printf '{"encoding_format":"base64","input":"how do tides work"}' >"$work/query.json"
printf '{"encoding_format":"base64","input":"what did the weaver do in the morning"}' >"$work/cached.json"

say CPU "$(lscpu | sed -n 's/^Model name: *//p' | head -1), $(nproc) cores"
start
say "start to listening" "$started_ms ms"
say "idle RSS" "$(rss_kb) kB"
"$work/load" "$port" 1 0.5 /v1/embeddings "$work/cached.json" >/dev/null

before=$(rss_kb)
python3 - "$port" "$work/cached.json" >"$work/held" <<'P' &
import socket, sys, time
held = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for _ in range(10000)]
body = open(sys.argv[2], "rb").read()
for connection in held:
    connection.sendall(b"POST /v1/embeddings HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    while not connection.recv(65536).endswith(b"}"):
        pass
print("asked", flush=True)
time.sleep(2)
P
holder=$!
until grep -q asked "$work/held"; do sleep 0.05; done
say "10,000 connections that asked once" "$(($(rss_kb) - before)) kB more"
wait "$holder"
say "cached query, 16 connections" "$("$work/load" "$port" 16 "$seconds" /v1/embeddings "$work/cached.json")"
stop

start --cache-bytes 0 --preload
"$work/load" "$port" 1 1 /v1/embeddings "$work/query.json" >/dev/null
awk -v text="$text" 'BEGIN {for (i = 0; i < 4096; i++) {line = text; sub("@@@@@@@@", sprintf("%08d", i), line); print line}}' >"$work/texts.txt"
"$heddle" embed -m "$model" --cache-bytes 0 --output-format f32 "short" >/dev/null

# The server and the engine take turns, so that a slow minute of the machine hits both; what counts is the median of the
# turns' ratios. "engine": one query by `heddle bench`, which embeds the same text; 4,096 texts by `heddle embed`.
for _ in $(seq 9); do
    "$work/load" "$port" 1 "$seconds" /v1/embeddings "$work/query.json" >"$work/served.json"
    "$heddle" bench -m "$model" --seconds 1 --json >"$work/engine.json"
    "$work/load" "$port" 64 "$seconds" /v1/embeddings "$work/texts.json" >"$work/served-many.json"
    from=$(date +%s%N)
    "$heddle" embed -m "$model" --cache-bytes 0 --output-format f32 <"$work/texts.txt" >/dev/null
    took=$(($(date +%s%N) - from))
    python3 - "$work" "$took" >>"$work/turns" <<'P'
import json, pathlib, sys
read = lambda name: json.loads((pathlib.Path(sys.argv[1]) / name).read_text())
print(read("served.json")["p50_ms"], read("engine.json")["cases"]["query"]["p50_ms"],
      32 * read("served-many.json")["per_s"], 4096e9 / int(sys.argv[2]))
P
done
stop
python3 - "$work/turns" <<'P'
import statistics, sys
turns = [[float(x) for x in line.split()] for line in open(sys.argv[1])]
served, engine, served_many, engine_many = (statistics.median(column) for column in zip(*turns))
print(f"{'one query, p50':34} {served:.2f} ms, engine {engine:.2f} ms, "
      f"{statistics.median(s - e for s, e, _, _ in turns):+.2f} ms in the median turn")
print(f"{'64 clients x 32 texts':34} {served_many:.0f} docs/s, engine {engine_many:.0f} docs/s, "
      f"{statistics.median(s / e for _, _, s, e in turns):.0%} in the median turn")
P
