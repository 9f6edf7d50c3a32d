#!/usr/bin/env bash
# What nvcc made of the CUDA kernels (cuda_check.py): registers, shared memory, instructions; fails on spills. Needs
# nvcc, no GPU.
set -euo pipefail
cd "$(dirname "$0")/.."
tools/build.sh cuda cuda_objects
python=tools/python.sh
if ! command -v cuobjdump >/dev/null || ! command -v nvdisasm >/dev/null; then
  python=build/cuda-check/bin/python
  if [ ! -x $python ]; then
    tools/python.sh -m venv build/cuda-check
    $python -m pip install --quiet nvidia-cuda-cuobjdump nvidia-cuda-nvdisasm
  fi
fi
$python tools/cuda_check.py "$@" build/cuda/src/cuda/*.cu.o
