#!/bin/sh
# Installs the package with the library and the command that `make lib command`
# built, into an environment of its own, and runs pytest and mypy. Arguments go to
# pytest. Other files: IMGROUP_BUILD_LIB, IMGROUP_COMMAND; another environment, and
# what is in it: IMGROUP_TEST_VENV, IMGROUP_TEST_REQUIREMENTS.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
environment=${IMGROUP_TEST_VENV:-$root/target/python-venv}
requirements=${IMGROUP_TEST_REQUIREMENTS:-$here/tests/requirements.txt}
IMGROUP_BUILD_LIB=${IMGROUP_BUILD_LIB:-$root/target/release/libimgroup.so}
IMGROUP_BUILD_COMMAND=${IMGROUP_BUILD_COMMAND:-${IMGROUP_COMMAND:-$root/target/release/imgroup}}
export IMGROUP_BUILD_LIB IMGROUP_BUILD_COMMAND
for file in "$IMGROUP_BUILD_LIB" "$IMGROUP_BUILD_COMMAND"; do
    if [ ! -f "$file" ]; then
        echo "run-tests.sh: $file is missing: run \`make lib command\` first" >&2
        exit 1
    fi
done
# What a developer's shell has set is for programs, not for these tests.
for name in $(env | sed -n 's/^\(IMGROUP_[A-Z_]*\)=.*/\1/p'); do
    case $name in IMGROUP_BUILD_* | IMGROUP_TEST_*) ;; *) unset "$name" ;; esac
done
unset PYTHONPATH

stamp=$environment/requirements.txt
if ! cmp -s "$requirements" "$stamp"; then
    python3 -m venv --clear "$environment"
    "$environment/bin/pip" install -q --disable-pip-version-check -r "$requirements"
    cp "$requirements" "$stamp"
fi
"$environment/bin/pip" install -q --disable-pip-version-check --no-build-isolation --no-deps \
    --force-reinstall "$here"

cd "$here"
"$environment/bin/python" -m pytest -q "$@"
exec "$environment/bin/python" -m mypy src/imgroup hatch_build.py benchmark.py tests ../../examples/python
