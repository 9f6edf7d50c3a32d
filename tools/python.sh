#!/usr/bin/env bash
# Runs Debian's Python, which tools/apt-packages.txt brings with pip and venv; another one on PATH may have neither.
set -euo pipefail
if [ -x /usr/bin/python3 ]; then exec /usr/bin/python3 "$@"; fi
exec python3 "$@"
