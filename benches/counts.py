#!/usr/bin/env python3
"""make bench-counts: what a call costs, in numbers that do not depend on how busy the
machine is.

Instructions, system calls and allocations of one warm call are the difference of two
runs, divided by the calls that one of them made more: what starting, connecting and
signing cost falls out. Memory is in kB, and compared with a process that does nothing.

    counts.py LIBRARY_DIRECTORY COMMAND [--check | --update]

--update writes figures.json; --check fails where a figure is worse than there.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Tuple

import guard
from harness import BUILD, HERE, Bench, Target, Worker, run, table

FIGURES = HERE / "figures.json"
FEW, MANY = 50, 250
RESIDENT_CALLS = 10_000


class Emulator:
    """The service, with an account for every delete that will be made."""

    def __init__(self, bench: Bench, tls: bool):
        accounts = {f"u{number}": {"lists": ["Family"]} for number in range(2 * RESIDENT_CALLS)}
        accounts |= {
            "bob": {},
            "alice": {"friends": [{"account": "bob", "lists": ["Family"]}], "lists": ["Family"]},
        }
        state, ca = BUILD / "counts-state.json", BUILD / "counts-ca.pem"
        state.write_text(json.dumps({"accounts": accounts}))
        line = [
            bench.command,
            "emulator",
            "--port",
            "0",
            "--exit-on-stdin-eof",
            "--quota",
            "0",
            "--write-time-ms",
            "0",
            "--seed-state",
            state,
        ]
        line += ["--tls", "--ca-file", ca] if tls else []
        self.process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        ready = json.loads(self.process.stdout.readline())
        self.environment = {**bench.environment, "IMGROUP_ENDPOINT": ready["tls_url" if tls else "url"]}
        if tls:
            self.environment["IMGROUP_CA_FILE"] = str(ca)
        self.used = 0

    def run(self, tool: list, worker: list, calls: int) -> str:
        """Runs a worker for so many calls under a tool; gives what the tool said."""
        line = [*tool, *worker, str(self.used)]
        self.used += calls
        ran = subprocess.run(line, input=f"{calls}\n", env=self.environment, text=True, capture_output=True)
        if ran.returncode:
            sys.exit(f"{' '.join(map(str, line))}: {ran.stderr}")
        return ran.stderr

    def worker(self, line: list) -> Worker:
        """One that has made its many calls."""
        worker = Worker([*line, self.used], self.environment)
        self.used += RESIDENT_CALLS
        worker.ask(RESIDENT_CALLS)
        return worker

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def instructions(emulator: Emulator, worker: list, calls: int) -> int:
    said = emulator.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"], worker, calls)
    return int(re.search(r"Collected : (\d+)", said)[1])


def allocations(emulator: Emulator, worker: list, calls: int) -> Tuple[int, int]:
    """How many, and of how many bytes."""
    said = emulator.run(["valgrind", "--tool=memcheck", "--undef-value-errors=no"], worker, calls)
    found = re.search(r"total heap usage: ([\d,]+) allocs, [\d,]+ frees, ([\d,]+) bytes", said)
    count, size = (int(number.replace(",", "")) for number in found.groups())
    return count, size


def system_calls(emulator: Emulator, worker: list, calls: int) -> Dict[str, int]:
    report = BUILD / "counts-strace.txt"
    emulator.run(["strace", "-f", "-c", "-o", report], worker, calls)
    rows = (line.split() for line in report.read_text().splitlines())
    return {row[-1]: int(row[3]) for row in rows if len(row) >= 5 and row[3].isdigit() and row[-1] != "total"}


def memory_kb(worker: Worker) -> Dict[str, int]:
    """Resident and anonymous, exactly; the sums in `status` are estimates."""
    rollup = Path(f"/proc/{worker.process.pid}/smaps_rollup").read_text()
    names = {"memory added": "Rss", "anonymous memory added": "Anonymous"}
    return {what: int(re.search(rf"{name}:\s+(\d+)", rollup)[1]) for what, name in names.items()}


def loaded(worker: Worker) -> Dict[str, int]:
    """The libraries of a process and their sizes, without libc and the loader."""
    maps = Path(f"/proc/{worker.process.pid}/maps").read_text()
    files = {Path(path).resolve() for path in re.findall(r" r-xp .*?(/.*)$", maps, re.MULTILINE)}
    files.discard(Path(worker.line[0]).resolve())
    return {
        file.name: file.stat().st_size
        for file in files
        if not re.match(r"(libc|ld-linux.*|libc-.*|ld-.*)\.so", file.name)
    }


def per_call(few: float, many: float) -> float:
    return (many - few) / (MANY - FEW)


def measure(emulator: Emulator, line: list, bare: Dict[str, int]) -> guard.Row:
    few, many = (system_calls(emulator, line, calls) for calls in (FEW, MANY))
    named = {name: per_call(few.get(name, 0), many[name]) for name in many}
    heap = [allocations(emulator, line, calls) for calls in (FEW, MANY)]
    worker = emulator.worker(line)
    memory = {what: kb - bare[what] for what, kb in memory_kb(worker).items()}
    worker.close()
    return {
        "instructions": round(per_call(*(instructions(emulator, line, calls) for calls in (FEW, MANY)))),
        "instructions to the first reply": instructions(emulator, line, 1),
        "allocations": round(per_call(heap[0][0], heap[1][0]), 1),
        "bytes allocated": round(per_call(heap[0][1], heap[1][1])),
        **memory,
        # A stray madvise or futex is no cost of a call.
        "system calls": {name: round(count, 1) for name, count in sorted(named.items()) if count >= 0.1},
    }


def count(bench: Bench) -> Tuple[guard.Figures, List[str]]:
    """The figures, and what the library needs to be loaded."""
    program, nothing = bench.c("counts", "imgroup"), Worker([bench.c("bare")], bench.environment)
    nothing.ask(1)
    bare = memory_kb(nothing)
    nothing.close()
    shared = bench.library / "libimgroup.so"
    figures: guard.Figures = {}
    for scheme in ("HTTP", "TLS"):
        emulator = Emulator(bench, scheme == "TLS")
        for kind in ("delete", "get"):
            figures[f"{kind}, {scheme}"] = measure(emulator, [program, kind], bare)
        worker = emulator.worker([program, "get"])
        files = loaded(worker)
        worker.close()
        emulator.close()
    figures["library"] = {
        "bytes": shared.stat().st_size,
        "files loaded": len(files),
        "bytes loaded": sum(files.values()),
    }
    return figures, re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", shared))


def targets(figures: guard.Figures, needed: List[str]) -> List[Target]:
    found = []
    for scheme, most, allocated in (("HTTP", 46_000, 46), ("TLS", 52_000, 48)):
        row = figures[f"delete, {scheme}"]
        found += [
            Target(
                f"instructions per call, {scheme}",
                f"≤ {most}",
                f"{row['instructions']}",
                row["instructions"] <= most,
            ),
            Target(
                f"allocations per call, {scheme}",
                f"≤ {allocated}",
                f"{row['allocations']:g}",
                row["allocations"] <= allocated,
            ),
            Target(
                f"system calls per warm call, {scheme}",
                guard.calls(guard.SYSTEM_CALLS),
                guard.calls(row["system calls"]),
                row["system calls"] == guard.SYSTEM_CALLS,
            ),
        ]
    size, tls = figures["library"]["bytes"], figures["delete, TLS"]
    memory = tls["memory added"] * 1024
    # The loader is a part of libc.
    only = {name for name in needed if not name.startswith("ld-linux")} <= {"libc.so.6", "libgcc_s.so.1"}
    return found + [
        Target("libimgroup.so, bytes", "≤ 1900000", str(size), size <= 1_900_000),
        Target("what it needs", "libc and libgcc_s", " ".join(needed), only),
        Target(
            "memory added after 10,000 calls, TLS", "≤ 2.7 MB", f"{memory / 1e6:.2f} MB", memory <= 2_700_000
        ),
        Target(
            "instructions from start to the first reply, TLS",
            "≤ 3.4 M",
            f"{tls['instructions to the first reply'] / 1e6:.2f} M",
            tls["instructions to the first reply"] <= 3_400_000,
        ),
    ]


def report(figures: guard.Figures, needed: List[str]) -> str:
    calls = {name: row for name, row in figures.items() if name != "library"}
    what = [
        "instructions",
        "allocations",
        "bytes allocated",
        "memory added",
        "anonymous memory added",
        "instructions to the first reply",
    ]
    rows = [
        [
            name,
            *(f"{row[column]:g}" if column == "allocations" else str(row[column]) for column in what),
            guard.calls(row["system calls"]),
        ]
        for name, row in calls.items()
    ]
    library = figures["library"]
    return "\n\n".join(
        [
            f"libimgroup.so: {library['bytes']} bytes; {library['files loaded']} files of "
            f"{library['bytes loaded']} bytes are loaded with it,\n"
            "libc and its loader not counted.",
            table(["a warm call", *what, "system calls"], rows),
            table(
                ["what", "target", "measured", ""],
                [[*target[:3], "met" if target.met else "missed"] for target in targets(figures, needed)],
            ),
        ]
    )


def main() -> int:
    library, command, *mode = sys.argv[1:]
    if mode not in ([], ["--check"], ["--update"]):
        sys.exit(__doc__)
    figures, needed = count(Bench(Path(library), Path(command)))
    print(report(figures, needed))
    if mode == ["--update"]:
        FIGURES.write_text(json.dumps(figures, indent=2) + "\n")
    found = (
        guard.complaints(figures, json.loads(FIGURES.read_text()))
        if FIGURES.exists()
        else ["figures.json is missing"]
    )
    if mode == ["--check"] and found:
        print(
            "\nworse than benches/figures.json (if it has to be: make bench-counts UPDATE=1):",
            *found,
            sep="\n",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
