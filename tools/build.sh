#!/usr/bin/env bash
# build.sh PRESET [TARGET...]: configures once (the build re-configures itself when CMake files change), then builds.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
shift
[ -f "build/$preset/build.ninja" ] || cmake --preset "$preset"
ninja -C "build/$preset" "$@"
