#!/usr/bin/env bash
# Everything that bench/gpu/run.sh needs on a machine that has a GPU, this source tree and nothing to compile with: one
# archive, build/gpu.tar.xz, of about 30 MB. Programs and the libraries that they need, the C library apart, which has to be
# as new as here; the plugin, for the GPUs named; all-MiniLM-L6-v2 with its weights rounded to Q8_0, so that it is small.
#
#   bench/gpu/kit.sh                     for an H100 or H200
#   ARCHITECTURES='80;90' bench/gpu/kit.sh
#
# HD_CUDA_ROOT names a toolkit; without it NVIDIA's wheels are fetched (tools/cuda_toolkit.sh).
set -euo pipefail
cd "$(dirname "$0")/../.."

kit=build/gpu
programs=(heddle plugin_operations_test plugin_encoder_test)

[ -n "${HD_CUDA_ROOT:-}" ] || tools/cuda_toolkit.sh
cmake --preset release
cmake --build build --target heddle_cli libheddle.so plugin_operations_test plugin_encoder_test
cmake --preset cuda -DHD_CUDA_ROOT="${HD_CUDA_ROOT:-}" -DHD_CUDA_ARCHITECTURES="${ARCHITECTURES:-90}"
cmake --build --preset cuda

rm -rf "$kit"
mkdir -p "$kit/programs" "$kit/libraries" "$kit/plugin" "$kit/minilm"
for program in "${programs[@]}"; do
    strip -o "$kit/programs/$program" "build/$program"
done
strip -o "$kit/libraries/libheddle.so.0" build/libheddle.so
"${CC:-cc}" -O2 -Iinclude -o "$kit/programs/heddle_peer" bench/peers/heddle_peer.c -Lbuild -lheddle
strip -o "$kit/plugin/heddle-cuda.so" build/cuda/plugins/cuda/library/heddle-cuda.so
ldd "${programs[@]/#/build/}" build/libheddle.so | awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u |
    grep -v -E '/(lib(c|m|dl|rt|pthread)\.so|ld-linux|libheddle)' | xargs -I{} cp -L {} "$kit/libraries/"

model=$(tools/fetch_model.sh)
build/heddle convert -q -m "$model" --type q8_0 --output "$kit/minilm/model.gguf"
cp "$model"/{tokenizer.json,tokenizer_config.json,vocab.txt,special_tokens_map.json} "$kit/minilm/"
tar -C build -c gpu | xz -T0 -6 >build/gpu.tar.xz
ls -l build/gpu.tar.xz
