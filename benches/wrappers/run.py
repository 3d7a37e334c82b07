#!/usr/bin/env python3
"""What the wrappers add to a call: C, Python and Go against one emulator, in turn.

Every worker is a process that stays; each round gives every one of them the same
number of calls, so that a busy machine slows all alike. Emulator and workers share
one CPU. Prints medians and their ratio to C.

    run.py LIBRARY_DIRECTORY COMMAND PYTHON
"""

import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

ROUNDS = 21
CALLS = 300
HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "target" / "bench"


def build(library: Path) -> tuple:
    """The C and the Go worker, linked with the library that is shipped."""
    BUILD.mkdir(parents=True, exist_ok=True)
    c = BUILD / "worker-c"
    command = ["cc", "-O2", "-std=c99", "-D_POSIX_C_SOURCE=200809L", f"-I{ROOT}/include", HERE / "worker.c"]
    subprocess.run([*command, f"-L{library}", "-limgroup", f"-Wl,-rpath,{library}", "-o", c], check=True)
    pkg_config = BUILD / "imgroup.pc"
    pkg_config.write_text(
        "Name: imgroup\nDescription: friend lists\nVersion: 0.1.0\n"
        f"Cflags: -I{ROOT}/include\nLibs: -L{library} -limgroup\n"
    )
    go = BUILD / "worker-go"
    environment = {**os.environ, "PKG_CONFIG_PATH": str(BUILD)}
    subprocess.run(["go", "build", "-o", go, "."], cwd=HERE / "go", env=environment, check=True)
    return c, go


def main() -> int:
    library, command, python = (Path(word).absolute() for word in sys.argv[1:4])
    c, go = build(library)
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    emulator = subprocess.Popen(
        [command, "emulator", "--port", "0", "--exit-on-stdin-eof", "--quota", "0", "--write-time-ms", "0",
         "--seed-state", HERE / "state.json"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )
    ready = json.loads(emulator.stdout.readline())
    environment = {
        **os.environ,
        "IMGROUP_SDKAPPID": str(ready["sdkappid"]),
        "IMGROUP_IDENTIFIER": ready["identifier"],
        "IMGROUP_SECRET_KEY": "00000000000000000000000000000000000000000000000000000000deadbeef",
        "IMGROUP_ENDPOINT": ready["url"],
        "LD_LIBRARY_PATH": str(library),
    }
    lines = {
        "C": [c],
        "Python, another thread": [python, HERE / "worker.py", "thread"],
        "Python, main thread": [python, HERE / "worker.py"],
        "Go": [go],
        "Go, with a deadline": [go, "deadline"],
    }
    workers = {
        name: subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        for name, line in lines.items()
    }
    times = {name: [] for name in workers}
    for round_number in range(ROUNDS + 1):
        for name, worker in workers.items():
            worker.stdin.write(f"{CALLS}\n")
            worker.stdin.flush()
            took = float(worker.stdout.readline())
            # The first round opens connections and fills caches.
            if round_number:
                times[name].append(took)
    for worker in [*workers.values(), emulator]:
        worker.stdin.close()
        worker.wait()
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"one call with its reply, {ROUNDS} rounds of {CALLS}, one CPU ({platform.machine()})")
    print(f"{'':24} {'us a call':>10} {'more than C':>12} {'x C':>6}")
    for name, median in medians.items():
        print(f"{name:24} {median:10.1f} {median - medians['C']:12.1f} {median / medians['C']:6.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
