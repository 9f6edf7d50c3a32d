#!/usr/bin/env bash
# setup.sh [native|avx2|python|llmcompressor|gptqmodel...]: puts what the comparisons need into $AQUATINT_PEERS (default
# ~/.cache/aquatint/peers), each once: llama.cpp built for this processor and for AVX2 alone (10 minutes each on 2
# cores), a Python environment with torch (3 GB); other quantizers when named, each with the torch that it asks for.
# Debian's clang 19: with g++ 12 llama.cpp crashes in its AMX kernels (the compiler's _tile_loadconfig reads 8 of 64
# bytes), and this build is the faster one.
set -euo pipefail
cd "$(dirname "$0")/../.."
peers=${AQUATINT_PEERS:-$HOME/.cache/aquatint/peers}
mkdir -p "$peers"
[ $# -gt 0 ] || set -- native avx2 python

build_llamacpp() {  # build_llamacpp NAME OPTION...
  local build=$peers/llama.cpp-$1
  shift
  [ ! -x "$build/bin/llama-quantize" ] || return 0
  tools/install.sh tools/apt-packages.txt tools/apt-packages-dev.txt
  tools/fetch_llamacpp.sh "$peers/llama.cpp"
  echo "building llama.cpp in $build (log: $build.log)" >&2
  cmake -S "$peers/llama.cpp" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_C_COMPILER=clang-19 -DCMAKE_CXX_COMPILER=clang++-19 \
    -DGGML_OPENMP=OFF -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF \
    -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_UI=OFF "$@" >"$build.log"
  cmake --build "$build" --target llama-bench llama-quantize >>"$build.log"
}

make_venv() {
  local wanted=benchmarks/peers/requirements.txt
  ! cmp --silent "$wanted" "$peers/venv/requirements.txt" || return 0
  echo "installing $(grep -c . "$wanted") Python packages in $peers/venv (3 GB)" >&2
  [ -x "$peers/venv/bin/python" ] || tools/python.sh -m venv "$peers/venv"
  "$peers/venv/bin/python" -m pip install --quiet --requirement "$wanted"
  cp "$wanted" "$peers/venv/requirements.txt"
}

make_quantizer() {  # make_quantizer PACKAGE VERSION
  local venv=$peers/$1
  [ ! -e "$venv/ready" ] || return 0
  echo "installing $1 $2 in $venv (5 GB)" >&2
  [ -x "$venv/bin/python" ] || tools/python.sh -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet "$1==$2"
  touch "$venv/ready"
}

for part in "$@"; do
  case $part in
    native) build_llamacpp native -DGGML_NATIVE=ON ;;
    avx2) build_llamacpp avx2 -DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON ;;
    python) make_venv ;;
    llmcompressor) make_quantizer llmcompressor 0.14.0.1 ;;
    gptqmodel) make_quantizer gptqmodel 7.7.0 ;;
    *) echo "setup: $part is unknown, expected native, avx2, python, llmcompressor or gptqmodel" >&2; exit 2 ;;
  esac
done
