#!/usr/bin/env bash
# What larger models and other heads have been promised, each beside its peer in one run: a table with ratio and floor.
#
#   bench/models/run.sh heads|nomic|rerank|bge-m3|start|long|tokenizers [--quick]
#
#   heads    bge-m3's three heads from one pass beside its dense vectors alone
#   nomic    one server with nomic-embed-text-v1.5 as a Q8_0 GGUF file and eight clients, beside llama.cpp
#   rerank   100 passages of 250 tokens by a cross-encoder of MiniLM's size, beside ONNX Runtime and sentence-transformers
#   bge-m3   chunks of 250 tokens, and of 32 to 512, beside ONNX Runtime in int8 and OpenVINO in bf16
#   start    bge-m3 from its files, and again, to the first vector; memory
#   long     time and memory of a token in texts of 256 to 8,192 tokens
#   tokenizers  Unigram and byte-level BPE beside the tokenizers library
#
# Weights are random and of the real sizes, made on the spot. No run takes longer than six minutes, with --quick two, once
# models and peers are there. Other options go to bench/peers/bench.py or bench/models/measure.py: see their --help.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=bench/common.sh
. bench/common.sh

what=${1:-}
shift || true
case $what in
rerank) exec bench/run.sh --shape ms-marco-MiniLM-L6-v2 --rounds 3 \
    --only 'torch-f32,ort-int8,heddle-library-int8,heddle-command-int8' "$@" ;;
bge-m3) exec bench/run.sh --shape bge-m3 --rounds 1 \
    --only 'ort-int8,openvino-bf16,heddle-library-int8,heddle-library-bf16,heddle-command-int8' "$@" ;;
start) exec bench/run.sh --shape bge-m3 --rounds 1 --name start \
    --only 'ort-int8,heddle-library-int8,heddle-command-int8' "$@" ;;
tokenizers)
    bench/tokenizer/run.sh unigram-bench "$@"
    exec bench/tokenizer/run.sh bpe-bench "$@"
    ;;
heads | nomic | long) ;;
*) sed -n '2,16s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

make_peers_venv
make_tools
case $what in
heads)
    make_shape bge-m3
    data=$tools/heads
    ;;
nomic)
    make_serve_venv
    make_shape nomic-embed-text-v1.5
    data=$tools/nomic
    make_gguf "$model" "$data" q8_0 || die "no GGUF file: see $data/convert.log"
    ;;
long)
    make_shape MiniLM-L6-8192
    data=$tools/MiniLM-L6-8192
    prepare "$model" "$data" lengths
    ;;
esac
mkdir -p "$data"
exec "$python" bench/models/measure.py "$what" --model "$model" --data "$PWD/$data" --tools "$PWD/$tools" \
    --heddle "$PWD/build/heddle" --results "$PWD/bench/results" ${serve_python:+--serve-python "$serve_python"} "$@"
