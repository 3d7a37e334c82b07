#!/bin/sh
# Tests the package against an installed tree and the imgroup command:
#
#   IMGROUP_PREFIX   where libimgroup is installed; without it a tree is laid out
#                    in target/go-prefix from target/release
#   IMGROUP_COMMAND  the imgroup command; without it the one in target
#   GO               the go command
set -eu
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
GO=${GO:-go}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf '\n-- %s\n' "$*"; }
fail() { echo "run-tests.sh: $*" >&2; exit 1; }

# Prefers the files of the release build.
built() {
  for name in "$root/target/release/$1" "$root/target/debug/$1"; do
    if [ -e "$name" ]; then echo "$name"; return; fi
  done
  fail "$1 is not built, and $2 is not set"
}

lay_out() {
  version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/Cargo.toml" | head -n 1)
  prefix=$root/target/go-prefix
  rm -rf "$prefix"
  mkdir -p "$prefix/lib/pkgconfig" "$prefix/include"
  cp "$root/include/imgroup.h" "$prefix/include/"
  cp "$(built libimgroup.a IMGROUP_PREFIX)" "$prefix/lib/"
  cp "$(built libimgroup.so IMGROUP_PREFIX)" "$prefix/lib/libimgroup.so.$version"
  ln -s "libimgroup.so.$version" "$prefix/lib/libimgroup.so.${version%.*}"
  ln -s "libimgroup.so.$version" "$prefix/lib/libimgroup.so"
  cat >"$prefix/lib/pkgconfig/imgroup.pc" <<PC
prefix=$prefix
Name: imgroup
Description: Friend lists of Tencent Cloud Chat (IM)
Version: $version
Cflags: -I\${prefix}/include
Libs: -L\${prefix}/lib -limgroup
PC
}

prefix=${IMGROUP_PREFIX-}
if [ -z "$prefix" ]; then lay_out; fi
library=$(find "$prefix" -name 'libimgroup.so' | head -n 1)
archive=$(find "$prefix" -name 'libimgroup.a' | head -n 1)
[ -n "$library" ] && [ -n "$archive" ] || fail "libimgroup.so and libimgroup.a are not in $prefix"
libdir=$(dirname "$library")
export PKG_CONFIG_PATH="$libdir/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
export LD_LIBRARY_PATH="$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
if [ -z "${IMGROUP_COMMAND-}" ]; then IMGROUP_COMMAND=$(built imgroup IMGROUP_COMMAND); fi
export IMGROUP_COMMAND

# go's cache does not see that a library or a header changed; a flag, it sees.
# Every other kind of change is then found without building all anew.
stamp=$(cat "$library" "$archive" "$prefix/include/imgroup.h" | cksum | tr ' ' '_')
export CGO_CFLAGS="${CGO_CFLAGS--O2 -g} -DIMGROUP_TEST_STAMP_$stamp"

say vet
$GO vet ./...
(cd "$root/examples/go" && $GO vet ./...)

say "tests, with the race detector and cgo's own checks"
IMGROUP_TEST_LINK_MODE=shared GOEXPERIMENT=cgocheck2 $GO test -race -count=1 ./...

say "tests, linked with the archive, and garbage collected around every call"
cp "$archive" "native/libimgroup_linux_$($GO env GOARCH).a"
cp "$prefix/include/imgroup.h" native/
IMGROUP_TEST_LINK_MODE=static LD_LIBRARY_PATH='' PKG_CONFIG_PATH='' \
  $GO test -tags imgroup_static,imgroup_debug -count=1 .

say examples
(cd "$root/examples/go" && $GO test -count=1 ./...)

say "what a wrong build is told"
if CGO_ENABLED=0 $GO build . 2>"$work/nocgo"; then fail "it builds without cgo"; fi
grep -q 'imgroup_needs_cgo__set_CGO_ENABLED_1' "$work/nocgo" || fail "without cgo: $(cat "$work/nocgo")"
sed 's/^#define IMGROUP_VERSION_MINOR .*/#define IMGROUP_VERSION_MINOR 99/' "$prefix/include/imgroup.h" >"$work/imgroup.h"
if CGO_CPPFLAGS="-I$work" $GO build . 2>"$work/header"; then fail "it builds with the header of another version"; fi
grep -q 'this package is for libimgroup 0.1' "$work/header" || fail "with another header: $(cat "$work/header")"
echo ok
