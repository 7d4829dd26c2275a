#!/usr/bin/env bash
# Every test there is, in steps; `make test` calls it. Ends with the line "N passed, N failed".
#
#   tools/run_tests.sh [STEP ...]     steps: release asan tsan aarch64; all when none is named
#
# A step that cannot be configured or built counts as one failed test. The last line is also left in
# build/test-summary for .ci/run.
set -uo pipefail
cd "$(dirname "$0")/.."

n_jobs=$(nproc)
n_passed=0
n_failed=0
failures=()

headline() { printf '\n\033[1m== %s\033[0m\n' "$*" | if [ -t 1 ]; then cat; else sed 's/\x1b\[[0-9]*m//g'; fi; }

fail() {
    n_failed=$((n_failed + 1))
    failures+=("$1")
}

# build PRESET [TARGET ...]: quiet when it goes well.
build() {
    local preset=$1 log=build/$1.log
    shift
    mkdir -p build
    echo "building; the log is $log"
    if cmake --preset "$preset" >"$log" 2>&1 && cmake --build --preset "$preset" -j "$n_jobs" ${1+--target "$@"} >>"$log" 2>&1; then
        return 0
    fi
    grep -E -A 5 'error|Error|FAILED' "$log" | head -n 40
    fail "$preset: build"
    return 1
}

# ctests NAME DIR [ctest option ...]: runs, and counts from the JUnit file that ctest writes.
ctests() {
    local name=$1 dir=$2 report
    shift 2
    report=$PWD/$dir/report.xml
    rm -f "$report"
    ${wrapper[@]+"${wrapper[@]}"} ctest --test-dir "$dir" -j "$n_jobs" --output-on-failure --no-tests=error \
        --output-junit "$report" "$@" 2>&1 | grep -v -E '^ *Start +[0-9]+:|^Internal ctest|^Test project'
    if [ ! -s "$report" ]; then
        fail "$name: ctest gave no report"
        return
    fi
    while read -r result test; do
        case $result in
        run) n_passed=$((n_passed + 1)) ;;
        fail) fail "$name: $test" ;;
        esac
    done < <(sed -n -E 's/.*<testcase name="([^"]*)".* status="([a-z]*)".*/\2 \1/p' "$report")
}

wrapper=()

# Where there is a compiler for it; what of it needs no device is among the tests of release.
build_cuda() {
    if [ -e build/venv-cuda/complete ] || nvcc --version 2>/dev/null | grep -q -E 'release (1[3-9]|[2-9][0-9])\.'; then
        build cuda
    else
        echo "SKIP: the CUDA plugin is not built: there is no nvcc of 13.0 or later (tools/cuda_toolkit.sh fetches one)"
    fi
}

step_release() {
    headline "release build: unit, golden, kernel, command line, lint"
    build_cuda
    build release && ctests release build
}

step_asan() {
    headline "AddressSanitizer and UndefinedBehaviorSanitizer: unit, golden, fault, fuzz corpus, command line, index over HTTP"
    build asan || return
    ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
        ctests asan build/asan -L 'unit|golden|fault|fuzz|cli|index'
}

step_tsan() {
    headline "ThreadSanitizer: engine, server, store, indexer, and the program that keeps them busy"
    build tsan || return
    # Older sanitizer runtimes cannot start where the kernel randomises addresses widely.
    setarch "$(uname -m)" -R true 2>/dev/null && wrapper=(setarch "$(uname -m)" -R)
    TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1 ctests tsan build/tsan
    wrapper=()
}

step_aarch64() {
    headline "64-bit Arm: kernels under qemu"
    build aarch64 && ctests aarch64 build/aarch64
}

for step in "${@:-release}" $([ $# -gt 0 ] || echo asan tsan aarch64); do
    "step_$step" || true
done

headline "summary"
for failure in ${failures[@]+"${failures[@]}"}; do
    echo "failed: $failure"
done
mkdir -p build
echo "$n_passed passed, $n_failed failed" | tee build/test-summary
[ "$n_failed" -eq 0 ] && [ "$n_passed" -gt 0 ]
