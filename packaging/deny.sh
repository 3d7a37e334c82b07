#!/usr/bin/env bash
# Licences, bans, duplicates, sources and advisories of all that is built, by deny.toml.
#
# Advisories need a database that not every machine can fetch; where it cannot be
# had, that part alone is left out, and the last line says so.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.20.2
tools=$PWD/target/tools
deny=$(command -v cargo-deny || true)
if [ -z "$deny" ]; then
  deny=$tools/bin/cargo-deny
  if ! "$deny" --version 2>/dev/null | grep -q " $version$"; then
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --no-deps --only-binary :all: --require-hashes \
      --upgrade --target "$tools" -r packaging/tools.txt ||
      cargo install --quiet --locked cargo-deny --version "$version" --root "$tools"
  fi
fi
"$deny" --version

check() { # deny.toml, what to check
  "$deny" --locked --config "$1" --log-level warn check "${@:2}"
}
check deny.toml licenses bans sources

# Awake? Each of these has to be refused.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
refused() { # what, sed expression, kind of error
  sed "$2" deny.toml >"$work/deny.toml"
  cmp -s deny.toml "$work/deny.toml" && echo "deny.toml has no line for: $1" >&2 && exit 1
  if check "$work/deny.toml" licenses bans sources >"$work/out" 2>&1; then
    echo "let pass: $1" >&2 && exit 1
  fi
  grep -q "^error\[$3\]" "$work/out" || { echo "refused for another reason: $1" >&2 && cat "$work/out" >&2 && exit 1; }
  echo "refused, as it should be: $1"
}
refused "a licence that is not allowed" '/"ISC"/d' rejected
refused "two versions of one crate" '/^skip-tree/d' duplicate
refused "a crate that is banned" 's/"openssl-sys"/"rustls"/' banned

if check deny.toml advisories >"$work/out" 2>&1; then
  echo "advisories: none"
elif grep -q 'failed to fetch advisory database' "$work/out"; then
  echo "advisories: LEFT OUT, their database cannot be fetched from here"
else
  cat "$work/out" >&2
  exit 1
fi
