#!/bin/sh
# Tests the package against an installed tree and the imgroup command, which the
# environment may name: see test-env.sh.
set -eu
cd "$(dirname "$0")"
. ./test-env.sh

say() { printf '\n-- %s\n' "$*"; }
fail() { echo "run-tests.sh: $*" >&2; exit 1; }

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
