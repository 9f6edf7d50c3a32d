#!/usr/bin/env bash
# run_tests.sh BUILD [CTEST-ARGUMENT...]: all C++ tests of a build, with timings, or those that the arguments choose.
# Tests that read ../shared/data say SKIPPED without it.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ -z "${AQUATINT_TEST_DATA+set}" ] && [ -d ../shared/data ]; then
  AQUATINT_TEST_DATA=$(cd ../shared/data && pwd)
  export AQUATINT_TEST_DATA
fi
ctest --test-dir "$1" "${@:2}" --output-on-failure --no-tests=error --parallel 2 --timeout 900
