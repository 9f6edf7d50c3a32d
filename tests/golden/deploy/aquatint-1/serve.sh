#!/bin/sh
# Llama-3-70B in W4A16 on 1 x H100-80G, served by Aquatint. The first argument replaces the checkpoint;
# HOST and PORT are read from the environment.
set -eu
checkpoint='./Llama-3-70B-W4A16'
if [ $# -gt 0 ]; then checkpoint=$1; fi
exec aquatint serve "$checkpoint" --host "${HOST:-127.0.0.1}" --port "${PORT:-8000}" \
  --max-model-len 3072 \
  --memory-fraction 0.90
