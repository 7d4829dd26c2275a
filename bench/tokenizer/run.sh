#!/usr/bin/env bash
# The tokenizer beside the Hugging Face `tokenizers` library.
#
#   bench/tokenizer/run.sh bench [--seconds 2] [--quick] [--no-save]
#   bench/tokenizer/run.sh compare [--n 100000] [--seed 1] [--variants] [--code-points]
#   bench/tokenizer/run.sh unigram-bench | unigram-compare ...    a Unigram model: of 250,002 pieces, or the small one of tests/golden
#   bench/tokenizer/run.sh bpe-bench ...    a byte-pair model of Qwen2's structure and size
#
# Builds tokenize_lines.c against build/ (make build comes first), installs the library into
# build/venv-tokenizer, fetches all-MiniLM-L6-v2 where it is missing. HEDDLE_BENCH_VENV names an environment to use
# instead. bench.py and tools/compare_tokenizer.py say what is done.
set -euo pipefail
cd "$(dirname "$0")/../.."

what=${1:-bench}
shift || true
case $what in
bench | unigram-bench | bpe-bench) script=bench/tokenizer/bench.py ;;
compare | unigram-compare) script=tools/compare_tokenizer.py ;;
*) sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

driver=build/tokenize_lines
libraries=(build/libhd_token.a build/libhd_base.a)
for library in "${libraries[@]}"; do
    [ -e "$library" ] || { echo "tokenizer: no $library: run make build first" >&2; exit 1; }
done
# shellcheck disable=SC2046
"${CC:-cc}" -O2 -std=c17 -D_GNU_SOURCE -Isrc -Iinclude -o "$driver" bench/tokenizer/tokenize_lines.c "${libraries[@]}" \
    $(pkg-config --libs jansson libcrypto libxxhash libpcre2-8) -lm -pthread

venv=${HEDDLE_BENCH_VENV:-build/venv-tokenizer}
if [ ! -x "$venv/bin/python" ]; then
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check tokenizers==0.23.3
fi
case $what in
unigram-bench)
    model=build/large-vocabulary
    [ -e "$model/tokenizer.json" ] || "$venv/bin/python" bench/tokenizer/large_vocabulary.py "$model"
    "$driver" "$model" --open
    ;;
bpe-bench)
    model=build/tokenizers-bpe/qwen2
    "$venv/bin/python" bench/tokenizer/make_bpe.py build/tokenizers-bpe
    "$driver" "$model" --open
    ;;
unigram-compare) model=tests/golden/unigram ;;
*) model=$(tools/fetch_model.sh) ;;
esac
exec "$venv/bin/python" "$script" "$driver" "$model" "$@"
