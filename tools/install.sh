#!/usr/bin/env bash
# install.sh [FILE...]: installs those Debian packages of the lists (default tools/apt-packages.txt; one name a line)
# that this machine lacks. Silent and quick when none is missing; asks for sudo only when not root.
set -euo pipefail
here=$(dirname "$0")
[ $# -gt 0 ] || set -- "$here/apt-packages.txt"

fail() {
  echo "install: $1" >&2
  exit 4
}

command -v dpkg-query >/dev/null || fail "this is no Debian system; install what $* list by other means"
mapfile -t wanted < <(grep -hv '^#' "$@")
installed=$(dpkg-query --show --showformat '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null |
  sed -n 's/^installed //p' || true)
mapfile -t missing < <(printf '%s\n' "${wanted[@]}" | grep -vxF "$installed" || true)
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || fail "neither root nor sudo; ask an administrator for: apt-get install ${missing[*]}"
  as_root=(sudo)
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 "$@" >"$log" 2>&1; }
first_error() { grep -m1 '^E: ' "$log" || tail -n 1 "$log"; }

echo "installing ${missing[*]}" >&2
apt update || fail "apt-get update failed: $(first_error)"
apt install --yes --no-install-recommends "${missing[@]}" || fail "apt-get install failed: $(first_error)"
