#!/usr/bin/env python3
"""What a call costs, in numbers that do not depend on how busy the machine is.

Instructions, system calls and allocations of one warm call are the difference of two
runs, divided by the calls that one of them made more: what starting, connecting and
signing cost falls out. Writes a table, and the same to target/bench/counts.json.

    run.py LIBRARY_DIRECTORY COMMAND
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

FEW, MANY = 50, 250
RESIDENT_CALLS = 10_000
HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "target" / "bench"


class Emulator:
    """The service, with an account for every delete that will be made."""

    def __init__(self, command: Path, tls: bool, library: Path):
        accounts = {f"u{number}": {"lists": ["Family"]} for number in range(2 * RESIDENT_CALLS)}
        accounts |= {"bob": {}, "alice": {"friends": [{"account": "bob", "lists": ["Family"]}], "lists": ["Family"]}}
        state, ca = BUILD / "counts-state.json", BUILD / "counts-ca.pem"
        state.write_text(json.dumps({"accounts": accounts}))
        line = [command, "emulator", "--port", "0", "--exit-on-stdin-eof", "--quota", "0", "--write-time-ms", "0",
                "--seed-state", state]
        line += ["--tls", "--ca-file", ca] if tls else []
        self.process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        ready = json.loads(self.process.stdout.readline())
        self.environment = {
            **os.environ,
            "IMGROUP_SDKAPPID": str(ready["sdkappid"]),
            "IMGROUP_IDENTIFIER": ready["identifier"],
            "IMGROUP_SECRET_KEY": "00000000000000000000000000000000000000000000000000000000deadbeef",
            "IMGROUP_ENDPOINT": ready["tls_url" if tls else "url"],
            "LD_LIBRARY_PATH": str(library),
            **({"IMGROUP_CA_FILE": str(ca)} if tls else {}),
        }
        self.used = 0

    def run(self, tool: list, worker: list, calls: int) -> str:
        """Runs a worker for so many calls under a tool; gives what the tool said."""
        line = [*tool, *worker, str(self.used)]
        self.used += calls
        ran = subprocess.run(line, input=f"{calls}\n", env=self.environment, text=True, capture_output=True)
        if ran.returncode:
            sys.exit(f"{' '.join(map(str, line))}: {ran.stderr}")
        return ran.stderr

    def resident_kb(self, worker: list) -> tuple:
        """Resident memory before the first call, and after many."""
        line = [*worker, str(self.used)]
        self.used += RESIDENT_CALLS
        process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self.environment)
        sizes = []
        for calls in (0, RESIDENT_CALLS):
            process.stdin.write(f"{calls}\n")
            process.stdin.flush()
            process.stdout.readline()
            status = Path(f"/proc/{process.pid}/status").read_text()
            sizes.append(int(re.search(r"VmRSS:\s+(\d+)", status)[1]))
        process.stdin.close()
        process.wait()
        return tuple(sizes)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def instructions(emulator: Emulator, worker: list, calls: int) -> int:
    said = emulator.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"], worker, calls)
    return int(re.search(r"Collected : (\d+)", said)[1])


def allocations(emulator: Emulator, worker: list, calls: int) -> tuple:
    said = emulator.run(["valgrind", "--tool=memcheck", "--undef-value-errors=no"], worker, calls)
    found = re.search(r"total heap usage: ([\d,]+) allocs, [\d,]+ frees, ([\d,]+) bytes", said)
    return tuple(int(number.replace(",", "")) for number in found.groups())


def system_calls(emulator: Emulator, worker: list, calls: int) -> dict:
    table = BUILD / "counts-strace.txt"
    emulator.run(["strace", "-f", "-c", "-o", table], worker, calls)
    rows = (line.split() for line in table.read_text().splitlines())
    return {row[-1]: int(row[3]) for row in rows if len(row) >= 5 and row[3].isdigit() and row[-1] != "total"}


def per_call(few, many):
    return (many - few) / (MANY - FEW)


def measure(emulator: Emulator, worker: list) -> dict:
    few, many = (system_calls(emulator, worker, calls) for calls in (FEW, MANY))
    named = {name: per_call(few.get(name, 0), many[name]) for name in many}
    heap = [allocations(emulator, worker, calls) for calls in (FEW, MANY)]
    before, after = emulator.resident_kb(worker)
    return {
        "instructions": round(per_call(*(instructions(emulator, worker, calls) for calls in (FEW, MANY)))),
        "allocations": round(per_call(heap[0][0], heap[1][0]), 1),
        "allocated_bytes": round(per_call(heap[0][1], heap[1][1])),
        # A stray madvise or futex is no cost of a call.
        "system_calls": {name: round(count, 2) for name, count in sorted(named.items()) if count >= 0.1},
        "resident_added_kb": after - before,
    }


def main() -> int:
    library, command = (Path(word).absolute() for word in sys.argv[1:3])
    BUILD.mkdir(parents=True, exist_ok=True)
    worker = BUILD / "counts-worker"
    subprocess.run(["cc", "-O2", "-std=c99", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}/include", HERE / "worker.c",
                    f"-L{library}", "-limgroup", "-o", worker], check=True)
    shared = library / "libimgroup.so"
    dynamic = subprocess.run(["readelf", "-d", shared], check=True, capture_output=True, text=True).stdout
    counts = {"size": shared.stat().st_size, "needed": re.findall(r"NEEDED.*\[(.*)\]", dynamic), "calls": {}}
    for scheme in ("http", "tls"):
        emulator = Emulator(command, scheme == "tls", library)
        for kind in ("delete", "get"):
            counts["calls"][f"{kind}, {scheme}"] = measure(emulator, [worker, kind])
        emulator.close()
    (BUILD / "counts.json").write_text(json.dumps(counts, indent=2) + "\n")
    print(f"libimgroup.so: {counts['size']} bytes, needs {' '.join(counts['needed'])}")
    print(f"{'a warm call':14} {'instructions':>12} {'allocations':>12} {'bytes':>7} {'resident kB':>12}  system calls")
    for name, row in counts["calls"].items():
        calls = " ".join(f"{call} {count:g}" for call, count in row["system_calls"].items())
        print(f"{name:14} {row['instructions']:12} {row['allocations']:12} {row['allocated_bytes']:7} "
              f"{row['resident_added_kb']:12}  {calls}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
