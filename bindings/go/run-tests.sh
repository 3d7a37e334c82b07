#!/bin/sh
# Tests the package against an installed tree and the imgroup command:
#
#   IMGROUP_PREFIX   where libimgroup is installed; without it what the release
#                    build made is installed into target/go-prefix
#   IMGROUP_COMMAND  the imgroup command; without it the one installed there
#   GO               the go command
set -eu
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
GO=${GO:-go}

say() { printf '\n-- %s\n' "$*"; }
fail() { echo "run-tests.sh: $*" >&2; exit 1; }

prefix=${IMGROUP_PREFIX-}
if [ -z "$prefix" ]; then
  prefix=$root/target/go-prefix
  rm -rf "$prefix"
  make -s -C "$root" -f packaging/install.mk install PREFIX="$prefix"
fi
library=$(find "$prefix" -name 'libimgroup.so' | head -n 1)
archive=$(find "$prefix" -name 'libimgroup.a' | head -n 1)
[ -n "$library" ] && [ -n "$archive" ] || fail "libimgroup.so and libimgroup.a are not in $prefix"
libdir=$(dirname "$library")
export PKG_CONFIG_PATH="$libdir/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
export LD_LIBRARY_PATH="$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export IMGROUP_COMMAND="${IMGROUP_COMMAND:-$prefix/bin/imgroup}"

# go's cache does not see that a library or a header changed; a file of the
# package, it sees, and then builds this package anew and no other.
stamp=$(cat "$library" "$archive" "$prefix/include/imgroup.h" | cksum)
work=$(mktemp -d)
trap 'rm -rf "$work" stamp.go' EXIT
printf '//go:build cgo\n\npackage imgroup\n\n// Tested with the library %s.\n' "$stamp" >stamp.go

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
