#!/bin/sh
# Makes tests/golden/deploy/ENGINE-RANK: what `aquatint deploy` writes for candidates of plan.json there (cut
# down from `aquatint plan --parameters 70B --json`; its second candidate is spread over two machines by hand).
#     tests/golden/make_deploy.sh build/release/aquatint
set -eu
cd "$(dirname "$0")/deploy"
binary=$1
case $binary in /*) ;; *) binary=$OLDPWD/$binary ;; esac
for pair in aquatint-1 vllm-1 sglang-1 trtllm-4 ray-1 k8s-1 slurm-1 ray-2 slurm-2 vllm-5; do
  rm -rf "$pair"
  "$binary" deploy plan.json --engine "${pair%-*}" --rank "${pair#*-}" --model org/Llama-3-70B --to "$pair" --quiet
done
