#!/bin/sh
# The linters of the Go package, and its tests with the address sanitizer, which
# since Go 1.26 finds leaked C memory too. The environment may name what is tested:
# see test-env.sh.
set -eu
cd "$(dirname "$0")"
. ./test-env.sh

unformatted=$(gofmt -l . "$root/examples/go")
[ -z "$unformatted" ] || { echo "not formatted: $unformatted" >&2; exit 1; }
for directory in . "$root/examples/go"; do
  (cd "$directory" && $GO run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...)
  (cd "$directory" && $GO run honnef.co/go/tools/cmd/staticcheck@v0.8.2 -tags imgroup_debug ./...)
done
$GO test -asan -count=1 ./...
echo ok
