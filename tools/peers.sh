#!/usr/bin/env bash
# peers.sh [PYTEST-ARGUMENT...]: makes .venv once per change of tests/peers/requirements.txt, then runs the proofs.
set -euo pipefail
cd "$(dirname "$0")/.."
requirements=tests/peers/requirements.txt
tools/install.sh tools/apt-packages-dev.txt

if ! cmp --silent "$requirements" .venv/requirements.txt; then
  echo "installing the peers of $requirements into .venv (about 3 GB)" >&2
  rm -rf .venv
  tools/python.sh -m venv .venv
  .venv/bin/pip install --quiet --requirement "$requirements"
  cp "$requirements" .venv/requirements.txt
fi
tools/fetch_smollm2.sh

if [ -z "${AQUATINT_TEST_DATA+set}" ] && [ -d ../shared/data ]; then
  AQUATINT_TEST_DATA=$(cd ../shared/data && pwd)
  export AQUATINT_TEST_DATA
fi
export AQUATINT_BIN="$PWD/build/release/aquatint" AQUATINT_BUILD="$PWD/build/release"
.venv/bin/python -m pytest -p no:cacheprovider tests/peers --durations=10 -ra "$@"
