#!/bin/sh
# Llama-3-70B in FP8_DYNAMIC on 1 x H200, served by TensorRT-LLM. The first argument replaces the checkpoint;
# HOST and PORT are read from the environment.
set -eu
checkpoint='./Llama-3-70B-FP8_DYNAMIC'
if [ $# -gt 0 ]; then checkpoint=$1; fi
exec trtllm-serve "$checkpoint" \
  --host "${HOST:-127.0.0.1}" --port "${PORT:-8000}" \
  --extra_llm_api_options "$(dirname "$0")/options.yaml" \
  --backend pytorch \
  --tp_size 1 \
  --max_batch_size 98 \
  --max_num_tokens 8192 \
  --max_seq_len 3072
