#!/bin/sh
# Makes sure that tools are there:  need.sh TOOL=PACKAGE …
#
# As root on Debian a missing one is installed; elsewhere the command that does it
# is named.
set -eu

missing=
for pair; do
  tool=${pair%%=*} package=${pair#*=}
  case $tool in
  # A file, not a program.
  /*) [ -e "$tool" ] || missing="$missing $package" ;;
  *) command -v "$tool" >/dev/null 2>&1 || missing="$missing $package" ;;
  esac
done
[ -n "$missing" ] || exit 0

# What Debian has of these is too old.
case $missing in
*" cargo"*) echo "cargo is missing: install Rust 1.88 or newer with rustup (https://rustup.rs)" >&2 && exit 1 ;;
*" go"*) echo "go is missing: install Go 1.24 or newer (https://go.dev/dl)" >&2 && exit 1 ;;
esac
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "installing:$missing"
  log=$(mktemp)
  # shellcheck disable=SC2086
  if { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } >"$log" 2>&1; then
    rm -f "$log"
    exit 0
  fi
  cat "$log" >&2
  rm -f "$log"
fi
echo "missing; install with:  apt-get install$missing" >&2
exit 1
