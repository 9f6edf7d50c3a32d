#!/usr/bin/env bash
# fuzz.sh [SECONDS]: runs every fuzz target of build/fuzz for that long. The corpus grows in build/fuzz/corpus; an input
# that breaks a parser is left in build/fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
targets=(build/fuzz/tests/fuzz/*_fuzz)
[ -x "${targets[0]}" ] || { echo "fuzz: no targets under build/fuzz; build the preset fuzz first" >&2; exit 1; }
for target in "${targets[@]}"; do
  name=$(basename "$target")
  corpus=build/fuzz/corpus/$name
  seeds=tests/fuzz/seeds/${name%_fuzz}
  mkdir -p "$corpus"
  folders=("$corpus")
  [ ! -d "$seeds" ] || folders+=("$seeds")
  log=build/fuzz/$name.log
  if ! "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="build/fuzz/$name-" "${folders[@]}" >"$log" 2>&1; then
    tail -n 60 "$log" >&2
    echo "fuzz: $name failed; the input is the last file named above" >&2
    exit 1
  fi
  echo "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") inputs in $seconds s, nothing broke"
done
