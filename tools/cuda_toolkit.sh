#!/usr/bin/env bash
# Puts the parts of the CUDA toolkit that the plugin is built with into build/venv-cuda, from NVIDIA's wheels, unless they are
# there. About 600 MB are fetched: cuBLAS's headers come with cuBLAS.
#
#   tools/cuda_toolkit.sh && cmake --preset cuda && cmake --build --preset cuda
set -euo pipefail
cd "$(dirname "$0")/.."
venv=build/venv-cuda
parts=(nvidia-cuda-nvcc nvidia-cuda-runtime nvidia-cuda-cccl nvidia-cuda-crt nvidia-nvvm nvidia-cublas)

if [ ! -e "$venv/complete" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --no-deps "${parts[@]/%/==13.0.*}"
    touch "$venv/complete"
fi
