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
  echo "== $name, $seconds s" >&2
  "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 \
    -artifact_prefix="build/fuzz/$name-" "${folders[@]}"
done
