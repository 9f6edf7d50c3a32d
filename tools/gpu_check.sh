#!/usr/bin/env bash
# gpu_check.sh bundle   where everything is installed, GPU or not: builds the tests and the bench of the CUDA kernels
#                       and lays them with their libraries into build/gpu
# gpu_check.sh [OUT]    on a machine with a GPU, which may have nothing but a driver: runs what lies in build/gpu (made
#                       first where it is missing) and writes OUT/gpu.json, OUT/gpu.md and OUT/tests.txt
set -euo pipefail
cd "$(dirname "$0")/.."
bundle=build/gpu

make_bundle() {
  tools/build.sh cuda kernels_gpu_test cuda_bench
  rm -rf $bundle
  mkdir -p $bundle/lib
  for program in kernels_gpu_test cuda_bench; do
    cp "$(find build/cuda -name $program -type f)" $bundle/
    strip $bundle/$program
    # The C library is the machine's own; the driver is loaded by name.
    ldd $bundle/$program | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' |
      grep -Ev '/(libc|libm|libdl|librt|libpthread|ld-linux[^/]*)\.so' | xargs -r cp -nLt $bundle/lib
  done
  du -sh $bundle
}

if [ "${1:-}" = bundle ]; then
  make_bundle
  exit
fi
out=${1:-build/gpu-results}
[ -x $bundle/kernels_gpu_test ] || make_bundle
mkdir -p "$out"
export LD_LIBRARY_PATH=$PWD/$bundle/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}

status=0
timeout "${GPU_TEST_SECONDS:-240}" $bundle/kernels_gpu_test --gtest_brief=1 >"$out/tests.txt" 2>&1 || status=$?
tail -n 25 "$out/tests.txt"
if [ $status -eq 2 ] || [ $status -gt 124 ]; then exit $status; fi
passed=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' "$out/tests.txt")
failed=$(sed -n 's/^ *\([0-9]*\) FAILED TEST.*/\1/p' "$out/tests.txt")

timeout "${GPU_BENCH_SECONDS:-240}" $bundle/cuda_bench --json "$out/bench.json" >"$out/bench.md" || status=$?
{
  printf '{"date": "%s", "tests_passed": %s, "tests_failed": %s, "bench": ' "$(date -u +%F)" "${passed:-0}" "${failed:-0}"
  if [ -s "$out/bench.json" ]; then cat "$out/bench.json"; else printf 'null'; fi
  printf '}\n'
} >"$out/gpu.json"
{
  printf '%s, %s: %s tests passed, %s failed.\n\n' "$(date -u +%F)" \
    "$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null || echo 'GPU')" "${passed:-0}" "${failed:-0}"
  cat "$out/bench.md"
} >"$out/gpu.md"
rm -f "$out/bench.json" "$out/bench.md"
cat "$out/gpu.md"
exit $status
