#!/usr/bin/env python3
"""Soaks the shipped library in the faults of an emulator.

    run.py LIBRARY_DIRECTORY COMMAND CALLS CYCLES
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "target" / "soak"
ACCOUNTS = 64


def main() -> int:
    library, command = (Path(word).absolute() for word in sys.argv[1:3])
    calls, cycles = sys.argv[3:5]
    BUILD.mkdir(parents=True, exist_ok=True)
    program = BUILD / "calls"
    subprocess.run(["cc", "-std=c99", "-D_POSIX_C_SOURCE=200809L", "-O2", "-g", "-Wall", "-Wextra", "-pedantic",
                    "-Werror", f"-I{ROOT}/include", f"-I{ROOT}/tests/c", HERE / "calls.c", f"-L{library}", "-limgroup",
                    f"-Wl,-rpath,{library}", "-pthread", "-o", program], check=True)
    with tempfile.TemporaryDirectory(prefix="imgroup-soak-") as folder:
        state, ca = Path(folder) / "state.json", Path(folder) / "ca.pem"
        state.write_text(json.dumps({"accounts": {f"u{number}": {} for number in range(ACCOUNTS)}}))
        emulator = subprocess.Popen(
            [command, "emulator", "--port", "0", "--exit-on-stdin-eof", "--quota", "0", "--write-time-ms", "0",
             "--tls", "--ca-file", ca, "--seed-state", state],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        ready = json.loads(emulator.stdout.readline())
        environment = {
            **os.environ,
            "IMGROUP_SDKAPPID": str(ready["sdkappid"]),
            "IMGROUP_IDENTIFIER": ready["identifier"],
            "IMGROUP_SECRET_KEY": "00000000000000000000000000000000000000000000000000000000deadbeef",
            "IMGROUP_ENDPOINT": ready["url"],
            "IMGROUP_CA_FILE": str(ca),
            "IMGROUP_QUOTA_DIR": folder,
            "SOAK_TLS_URL": ready["tls_url"],
        }
        try:
            return subprocess.run([program, calls, cycles], env=environment).returncode
        finally:
            emulator.stdin.close()
            emulator.wait()


if __name__ == "__main__":
    sys.exit(main())
