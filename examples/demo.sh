#!/bin/sh
# Runs the demo: against the service that the environment names, or else against
# a local emulator, started on a free port and ended afterwards.
#
#   examples/demo.sh DEMO_PROGRAM IMGROUP_COMMAND
set -eu
demo=$1 command=$2

if [ -n "${IMGROUP_SDKAPPID-}" ]; then
  exec "$demo"
fi

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
mkfifo "$directory/ready" "$directory/keep"
# The emulator ends when the other end of its standard input is closed, however
# this script ends.
"$command" emulator --port 0 --exit-on-stdin-eof <"$directory/keep" >"$directory/ready" &
exec 3>"$directory/keep"
read -r line <"$directory/ready"
url=$(printf '%s' "$line" | sed 's/.*"url":"\([^"]*\)".*/\1/')

echo "An emulator of the service listens at $url."
echo
# The demo app of every emulator; its key is no secret.
IMGROUP_SDKAPPID=1400000000 IMGROUP_IDENTIFIER=administrator IMGROUP_ENDPOINT=$url \
  IMGROUP_SECRET_KEY=00000000000000000000000000000000000000000000000000000000deadbeef "$demo"
exec 3>&-
wait
