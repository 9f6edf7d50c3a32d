#!/usr/bin/env bash
# Builds llama-bench and llama-quantize in build/peers/llama.cpp-build (about 10 minutes on 2 cores, once) and makes a
# BF16 GGUF of SmolLM2. Debian's clang 19: with g++ 12 llama.cpp crashes in its AMX kernels (the compiler's
# _tile_loadconfig reads 8 of 64 bytes), and this build is the faster one.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=build/peers/llama.cpp-build
model=models/SmolLM2-135M-Instruct.Q4_1.gguf
bf16=build/peers/SmolLM2-135M-Instruct.BF16.gguf

if [ ! -x "$build/bin/llama-bench" ] || [ ! -x "$build/bin/llama-quantize" ]; then
  tools/install.sh tools/apt-packages.txt tools/apt-packages-dev.txt
  tools/fetch_llamacpp.sh
  cmake -S build/peers/llama.cpp -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_C_COMPILER=clang-19 -DCMAKE_CXX_COMPILER=clang++-19 \
    -DGGML_NATIVE=ON -DGGML_OPENMP=OFF -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF \
    -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_UI=OFF >"$build.log"
  cmake --build "$build" --target llama-bench llama-quantize >>"$build.log"
fi

if [ ! -f "$bf16" ]; then
  tools/fetch_smollm2.sh
  "$build/bin/llama-quantize" --allow-requantize "$model" "$bf16.part" BF16 2 >>"$build.log" 2>&1
  mv "$bf16.part" "$bf16"
fi
