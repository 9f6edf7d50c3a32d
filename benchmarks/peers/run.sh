#!/usr/bin/env bash
# run.sh MODEL,... [OPTION of compare.py...]: sets up the peers, makes the models, measures, writes build/peers/compare.json
# and from it docs/kernels/peers.md with its picture.
set -euo pipefail
cd "$(dirname "$0")/../.."
models=$1
shift
peers=${AQUATINT_PEERS:-$HOME/.cache/aquatint/peers}
setup=(native python)
[[ " $* " == *" --quick "* ]] || setup+=(avx2)
benchmarks/peers/setup.sh "${setup[@]}"
benchmarks/peers/models.sh ${models//,/ }
"$peers/venv/bin/python" benchmarks/peers/compare.py build/peers/compare.json --models "$models" "$@"
"$peers/venv/bin/python" benchmarks/peers/report.py build/peers/compare.json --page docs/kernels/peers.md
sed -n '/^| case | phase/,$p' docs/kernels/peers.md
