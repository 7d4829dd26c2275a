#!/usr/bin/env bash
# Runs every fuzzer for a while; `make fuzz` calls it.
#
#   tools/run_fuzzers.sh [SECONDS [NOUN ...]]
#
# New inputs that reach new code go to build/fuzz/corpus/<noun>; afterwards a small set that reaches as much is
# added to tests/fuzz/corpus/<noun>, except files over 16 KiB. A crash leaves its input in build/fuzz/crashes
# and the script fails.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-600}
shift || true
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz
mkdir -p build/fuzz/crashes
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:allocator_may_return_null=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}

failed=0
for program in build/fuzz/*_fuzz; do
    noun=$(basename "$program" _fuzz)
    if [ $# -gt 0 ] && [[ " $* " != *" $noun "* ]]; then continue; fi
    kept=tests/fuzz/corpus/$noun
    found=build/fuzz/corpus/$noun
    merged=build/fuzz/merged/$noun
    rm -rf "$merged"
    mkdir -p "$kept" "$found" "$merged"
    options=(-artifact_prefix=build/fuzz/crashes/"$noun"- -rss_limit_mb=2048 -timeout=10)
    [ ! -f "tests/fuzz/$noun.dict" ] || options+=(-dict="tests/fuzz/$noun.dict")
    echo "== $noun, $seconds s"
    if "$program" "${options[@]}" -max_total_time="$seconds" -print_final_stats=1 "$found" "$kept" >"build/fuzz/$noun.log" 2>&1; then
        grep -E 'stat::(number_of_executed_units|average_exec_per_sec|peak_rss_mb)' "build/fuzz/$noun.log"
        "$program" "${options[@]}" -merge=1 "$merged" "$kept" "$found" >>"build/fuzz/$noun.log" 2>&1
        find "$merged" -type f -size -17k -exec cp -t "$kept" {} +
    else
        tail -n 40 "build/fuzz/$noun.log"
        failed=1
    fi
done
exit $failed
