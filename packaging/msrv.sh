#!/bin/sh
# Builds the library and the command with the oldest compiler that Cargo.toml names.
#
# Where that compiler is not installed and cannot be had, the check is left out and
# says so; with MSRV_REQUIRED=1 it fails. Clippy's lint on what the standard library
# of that version lacks runs in either case.
set -eu
cd "$(dirname "$0")/.."

version=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
if ! cargo "+$version" --version >/dev/null 2>&1 &&
  ! { command -v rustup >/dev/null && rustup toolchain install "$version" --profile minimal --no-self-update >/dev/null 2>&1; }; then
  echo "Rust $version: LEFT OUT, it is not installed and cannot be had from here"
  [ "${MSRV_REQUIRED:-0}" = 0 ]
  exit
fi
cargo "+$version" --version
for features in "" cli; do
  cargo "+$version" check --quiet --locked --features "$features" --target-dir target/msrv
done
echo "Rust $version builds the library and the command"
