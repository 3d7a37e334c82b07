#!/bin/sh
# Other people's clients against the emulator: sets up what they need under
# target/foreign, starts the command, and prints a table. The last line counts.
#
# The argument, or IMGROUP_BIN, names a built command; without it, it is built.
set -eu
case ${1:-} in
"") ;;
/*) IMGROUP_BIN=$1 ;;
*) IMGROUP_BIN=$PWD/$1 ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
work=$target/foreign

need() {
    command -v "$1" >/dev/null 2>&1 && return
    echo "tests/foreign: $1 is missing; install it with: $2" >&2
    exit 1
}
need python3 "apt-get install python3 python3-venv"
need node "apt-get install nodejs"
need npm "apt-get install npm"

if [ -z "${IMGROUP_BIN:-}" ]; then
    need cargo "rustup (see CONTRIBUTING)"
    (cd "$root" && cargo build --quiet --features cli --bin imgroup)
    IMGROUP_BIN=$target/debug/imgroup
fi
export IMGROUP_BIN

# Each set-up is done once, and again when what it was made from changes.
mkdir -p "$work"
if ! cmp -s "$here/requirements.txt" "$work/requirements.txt"; then
    rm -rf "$work/venv"
    python3 -m venv "$work/venv" || { echo "tests/foreign: install it with: apt-get install python3-venv" >&2; exit 1; }
    "$work/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$work/requirements.txt"
fi
node_package=tls-sig-api-v2@1.0.2
if [ "$(cat "$work/npm/installed" 2>/dev/null)" != "$node_package" ]; then
    rm -rf "$work/npm"
    mkdir -p "$work/npm"
    npm install --prefix "$work/npm" --silent --no-audit --no-fund --no-package-lock --ignore-scripts "$node_package"
    echo "$node_package" > "$work/npm/installed"
fi

# The emulator is asked directly, whatever proxy the machine has.
unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY all_proxy
NODE_PATH=$work/npm/node_modules exec "$work/venv/bin/python" "$here/check.py"
