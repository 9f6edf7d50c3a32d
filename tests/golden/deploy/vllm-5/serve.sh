#!/bin/sh
# Llama-3-70B in BF16 on 2 x H200, served by vLLM. The first argument replaces the checkpoint;
# HOST and PORT are read from the environment.
set -eu
checkpoint='org/Llama-3-70B'
if [ $# -gt 0 ]; then checkpoint=$1; fi
exec vllm serve "$checkpoint" \
  --host "${HOST:-127.0.0.1}" --port "${PORT:-8000}" \
  --served-model-name 'Llama-3-70B' \
  --tensor-parallel-size 2 \
  --max-model-len 3072 \
  --max-num-seqs 96 \
  --max-num-batched-tokens 8192 \
  --gpu-memory-utilization 0.90 \
  --dtype bfloat16
