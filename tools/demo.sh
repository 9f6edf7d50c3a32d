#!/usr/bin/env bash
# The main job on a real model: SmolLM2-135M through quantize, evaluate, bench and compare, on the text of Debian's
# policy manual. Leaves study/report.html and study/study.sqlite; run again, it goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
model=models/SmolLM2-135M-Instruct.Q4_1.gguf
text=build/demo/policy.txt
manual=usr/share/doc/debian-policy/policy.txt.gz

if [ ! -s "$text" ]; then
  mkdir -p build/demo
  if [ -f "/$manual" ]; then
    gzip -dc "/$manual" >"$text.part"
  else  # container images leave out /usr/share/doc: take the manual from the package itself
    (cd build/demo && apt-get download --quiet debian-policy)
    dpkg-deb --fsys-tarfile build/demo/debian-policy_*.deb | tar -xO "./$manual" | gzip -dc >"$text.part"
  fi
  mv "$text.part" "$text"
fi
tools/fetch_smollm2.sh

resume=()
[ ! -e study ] || resume=(--resume)
build/release/aquatint study "$model" --to study --text "$text" "${resume[@]}"
