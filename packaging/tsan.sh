#!/usr/bin/env bash
# The core's unit tests, the suites with many threads, and C programs of up to 64
# threads on one client, under ThreadSanitizer.
#
# It has to be in the standard library too, or it reports what is none, and rustup
# has that library's sources for nightly compilers only. Debian's compiler for web
# browsers comes with them: its packages are unpacked under target/tsan (0.9 GB, of
# 137 MB to download), and nothing is installed.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$PWD/target/tsan
root=$work/root
host=$(rustc -vV | sed -n 's/^host: //p')
multiarch=$(cc -print-multiarch)
if [ ! -e "$work/unpacked" ]; then
  [ "$(id -u)" != 0 ] || apt-get update -qq
  depends() { apt-cache depends "$1" | sed -n "s/^ *Depends: \($2\)$/\1/p"; }
  std=$(depends libstd-rust-web-dev 'libstd-rust-web-[0-9].*')
  llvm=$(depends "$std" 'libllvm[0-9]*')
  if [ -z "$std" ] || [ -z "$llvm" ]; then
    echo "no Rust compiler for ThreadSanitizer: apt-cache knows no libstd-rust-web-dev (Debian 12 or newer, apt-get update)" >&2
    exit 1
  fi
  rm -rf "$root" "$work/packages"
  mkdir -p "$work/packages"
  (cd "$work/packages" && apt-get download -q rustc-web rust-web-src libstd-rust-web-dev "$std" "$llvm")
  for package in "$work"/packages/*.deb; do dpkg -x "$package" "$root"; done
  rm -r "$work/packages"
  touch "$work/unpacked"
fi

# The sanitizer's runtime comes with every compiler of rustup, and not with Debian's.
runtime=$(rustc --print sysroot)/lib/rustlib/$host/lib/librustc-stable_rt.tsan.a
cp "$runtime" "$root/usr/lib/rustlib/$host/lib/"
# Its libraries are for the compiler alone, not for the tests.
cat >"$work/rustc" <<END
#!/bin/sh
LD_LIBRARY_PATH='$root/usr/lib/$multiarch' exec '$root/usr/bin/rustc' "\$@"
END
chmod +x "$work/rustc"
"$work/rustc" --version

export RUSTC=$work/rustc RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=thread
export CARGO_PROFILE_RELEASE_DEBUG=line-tables-only CARGO_PROFILE_RELEASE_STRIP=none CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
options=(--locked -Zbuild-std --release --features emulator --target "$host" --target-dir "$work/build")
# libfaketime, with which this one sets the clock, hangs beside the sanitizer.
cargo test "${options[@]}" --lib --test stops --test credentials --test outcomes --test bulk -- --skip a_wrong_clock

# What the C programs link.
library=$work/library
mkdir -p "$library"
cp "$work/build/$host/release/deps/libimgroup.so" "$runtime" "$library/"
ln -sf libimgroup.so "$library/libimgroup.so.${IMGROUP_ABI:?as the Makefile has it}"
IMGROUP_TSAN=$library cargo test "${options[@]}" --test c_abi thread_sanitizer
