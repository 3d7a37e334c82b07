# Sourced by run-tests.sh and run-checks.sh: where the library and the command are.
#
#   IMGROUP_PREFIX   where libimgroup is installed; without it what the release
#                    build made is installed into target/go-prefix
#   IMGROUP_COMMAND  the imgroup command; without it the one installed there
#   GO               the go command
# shellcheck shell=sh
root=$(cd ../.. && pwd)
GO=${GO:-go}
prefix=${IMGROUP_PREFIX-}
if [ -z "$prefix" ]; then
  prefix=$root/target/go-prefix
  rm -rf "$prefix"
  make -s -C "$root" -f packaging/install.mk install PREFIX="$prefix" DESTDIR=
fi
library=$(find "$prefix" -name libimgroup.so | head -n 1)
archive=$(find "$prefix" -name libimgroup.a | head -n 1)
[ -n "$library" ] && [ -n "$archive" ] || { echo "libimgroup.so and libimgroup.a are not in $prefix" >&2; exit 1; }
libdir=$(dirname "$library")
export PKG_CONFIG_PATH="$libdir/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
export LD_LIBRARY_PATH="$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export IMGROUP_COMMAND="${IMGROUP_COMMAND:-$prefix/bin/imgroup}"

# go's cache does not see that a library or a header changed; a file of the
# package, it sees, and then builds this package anew and no other.
work=$(mktemp -d)
trap 'rm -rf "$work" "$root/bindings/go/stamp.go"' EXIT
printf '//go:build cgo\n\npackage imgroup\n\n// Tested with the library %s.\n' \
  "$(cat "$library" "$archive" "$prefix/include/imgroup.h" | cksum)" >stamp.go
