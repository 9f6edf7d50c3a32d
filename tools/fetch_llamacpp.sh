#!/usr/bin/env bash
# fetch_llamacpp.sh [TARGET]: unpacks the llama.cpp that the source package llama-cpp-python 0.3.36 carries into TARGET
# (default build/peers/llama.cpp): the engine our speed is compared with, and the vocabularies and templates that the
# tokenizer proofs read. Once.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.3.36
sha256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
target=${1:-build/peers/llama.cpp}
[ -d "$target" ] && exit 0

mkdir -p "$(dirname "$target")"
work=$(mktemp -d "$target.XXXXXX")
trap 'rm -rf "$work"' EXIT
echo "fetching llama-cpp-python $version (source package, 77 MB)" >&2
tools/python.sh -m pip download --quiet --no-deps --no-binary llama-cpp-python --dest "$work" "llama-cpp-python==$version"
archive="$work/llama_cpp_python-$version.tar.gz"
echo "$sha256  $archive" | sha256sum --check --quiet
tar -xf "$archive" -C "$work" "llama_cpp_python-$version/vendor/llama.cpp"
mv "$work/llama_cpp_python-$version/vendor/llama.cpp" "$target"
