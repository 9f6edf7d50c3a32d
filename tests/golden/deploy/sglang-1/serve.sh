#!/bin/sh
# Llama-3-70B in W4A16 on 1 x H100-80G, served by SGLang. The first argument replaces the checkpoint;
# HOST and PORT are read from the environment.
set -eu
checkpoint='./Llama-3-70B-W4A16'
if [ $# -gt 0 ]; then checkpoint=$1; fi
exec python3 -m sglang.launch_server --model-path "$checkpoint" \
  --host "${HOST:-127.0.0.1}" --port "${PORT:-30000}" \
  --served-model-name 'Llama-3-70B' \
  --tp-size 1 \
  --context-length 3072 \
  --max-running-requests 50 \
  --chunked-prefill-size 8192 \
  --mem-fraction-static 0.87
