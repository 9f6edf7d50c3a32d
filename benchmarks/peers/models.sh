#!/usr/bin/env bash
# models.sh MODEL...: smollm2, 1b or 8b, in our formats and in llama.cpp's, into $AQUATINT_PEERS/models, each once. The
# 1b and 8b shapes hold random weights. Quantized GGUF files hold the head in Q8_0 (Q4_K_M as llama-quantize makes it).
set -euo pipefail
cd "$(dirname "$0")/../.."
peers=${AQUATINT_PEERS:-$HOME/.cache/aquatint/peers}
models=$peers/models
aquatint=build/release/aquatint
quantize=$peers/llama.cpp-native/bin/llama-quantize
mkdir -p "$models"

once() {  # once TARGET COMMAND...: COMMAND makes TARGET.part, which gets its name when it is complete
  [ ! -e "$1" ] || return 0
  echo "making $1" >&2
  rm -rf "$1.part"
  "${@:2}" >"$models/log" 2>&1 || { tail -n 5 "$models/log" >&2; exit 1; }
  mv "$1.part" "$1"
}

for model in "$@"; do
  plain=$models/$model-BF16
  case $model in
    smollm2)
      tools/fetch_smollm2.sh
      once "$plain" "$aquatint" convert models/SmolLM2-135M-Instruct.Q4_1.gguf --layout safetensors --to "$plain.part"
      ;;
    1b | 8b) once "$plain" build/release/tools/synthetic_model --preset "$model" --to "$plain.part" ;;
    *) echo "models: $model is unknown, expected smollm2, 1b or 8b" >&2; exit 2 ;;
  esac
  for scheme in W8A16 W4A16 W8A8; do
    once "$models/$model-$scheme" "$aquatint" quantize "$plain" --scheme $scheme --clip none --to "$models/$model-$scheme.part"
  done
  bf16=$models/$model.BF16.gguf
  once "$bf16" "$peers/venv/bin/python" benchmarks/peers/to_gguf.py "$plain" "$bf16.part"
  for type in Q8_0 Q4_0; do
    once "$models/$model.$type.gguf" "$quantize" --token-embedding-type q8_0 --output-tensor-type q8_0 \
      "$bf16" "$models/$model.$type.gguf.part" $type
  done
  once "$models/$model.Q4_K_M.gguf" "$quantize" "$bf16" "$models/$model.Q4_K_M.gguf.part" Q4_K_M
done
