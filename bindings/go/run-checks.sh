#!/bin/sh
# The linters of the Go package, and its tests with the address sanitizer, which
# since Go 1.26 finds leaked C memory too. Takes the same environment as
# run-tests.sh, and wants that to have laid out target/go-prefix if IMGROUP_PREFIX
# is not set.
set -eu
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
GO=${GO:-go}
prefix=${IMGROUP_PREFIX:-$root/target/go-prefix}
library=$(find "$prefix" -name 'libimgroup.so' 2>/dev/null | head -n 1)
[ -n "$library" ] || { echo "run-checks.sh: run run-tests.sh first, or set IMGROUP_PREFIX" >&2; exit 1; }
libdir=$(dirname "$library")
export PKG_CONFIG_PATH="$libdir/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
export LD_LIBRARY_PATH="$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export IMGROUP_COMMAND="${IMGROUP_COMMAND:-$prefix/bin/imgroup}"

unformatted=$(gofmt -l . "$root/examples/go")
[ -z "$unformatted" ] || { echo "not formatted: $unformatted" >&2; exit 1; }
for directory in . "$root/examples/go"; do
  (cd "$directory" && $GO run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...)
  (cd "$directory" && $GO run honnef.co/go/tools/cmd/staticcheck@v0.8.2 -tags imgroup_debug ./...)
done
$GO test -asan -count=1 ./...
echo ok
