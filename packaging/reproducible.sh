#!/usr/bin/env bash
# Builds the shared library once more, from another directory and with another
# CARGO_HOME:  reproducible.sh LIBRARY  fails unless the bytes are the same.
set -euo pipefail
library=$(realpath "$1")
cd "$(dirname "$0")/.."

again=$PWD/target/reproducible/another/directory
home=$again/cargo-home
rm -rf "$again"
mkdir -p "$home"
# The sources that were downloaded, under another path.
ln -s "${CARGO_HOME:-$HOME/.cargo}/registry" "$home/registry"
cp -r Cargo.toml Cargo.lock Makefile build.rs cbindgen.toml src include packaging benches tests "$again"
CARGO_HOME=$home make -C "$again" --no-print-directory target/release/libimgroup.so

if grep -aqF -e "$PWD" -e "${CARGO_HOME:-$HOME/.cargo}" "$library"; then
  echo "$library holds a path of this machine" >&2
  exit 1
fi
sha256sum "$library" "$again/target/release/libimgroup.so"
cmp "$library" "$again/target/release/libimgroup.so"
rm -rf "$again"
echo "the same bytes from two directories"
