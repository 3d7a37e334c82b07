#!/usr/bin/env python3
"""A bulk delete of very many rows, stopped half-way and resumed: flat memory, little
disk, and a resumed job that sends soon.

    bulk.py COMMAND ROWS
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

LISTS = 10
KEY = "00000000000000000000000000000000000000000000000000000000deadbeef"
MEMORY_KB = 64 * 1024
RESUME_S = 3.0
# Far above what this machine can send.
RATE = 900_000
# For the whole of one run, in seconds.
PATIENCE_S = 1800


def write_rows(path: Path, rows: int) -> None:
    """The lists of every account, in an order that keeps no two of them together."""
    step = next(number for number in range(rows * 7 // 10 | 1, rows, 2) if number % 5 and rows % number)
    with path.open("w") as file:
        file.write("account,list\n")
        for begin in range(0, rows, 100_000):
            places = ((row * step) % rows for row in range(begin, min(begin + 100_000, rows)))
            file.writelines(f"user{place // LISTS:07d},list{place % LISTS}\n" for place in places)


class Emulator:
    """The service, where every account exists and any list can be deleted."""

    def __init__(self, command: str, folder: Path, accounts: int):
        state = folder / "state.json"
        state.write_text(json.dumps({"accounts": {f"user{number:07d}": {} for number in range(accounts)}}))
        line = [command, "emulator", "--port", "0", "--exit-on-stdin-eof", "--quota", "0", "--write-time-ms", "0"]
        self.process = subprocess.Popen(
            [*line, "--seed-state", state], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        ready = json.loads(self.process.stdout.readline())
        self.url = ready["url"]
        state.unlink()
        self.environment = {
            **os.environ,
            "IMGROUP_SDKAPPID": str(ready["sdkappid"]),
            "IMGROUP_IDENTIFIER": ready["identifier"],
            "IMGROUP_SECRET_KEY": KEY,
            "IMGROUP_ENDPOINT": self.url,
            "IMGROUP_QUOTA_DIR": str(folder),
        }

    def requests(self) -> int:
        with urllib.request.urlopen(f"{self.url}/_emulator/requests/count") as reply:
            return json.load(reply)["count"]

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


class Run:
    """One run of the job, watched."""

    def __init__(self, emulator: Emulator, line: list, folder: Path, watch_disk: Path):
        before = emulator.requests()
        begin = time.monotonic()
        process = subprocess.Popen([*map(str, line)], env=emulator.environment, stderr=subprocess.PIPE, text=True)
        self.peak_kb, self.disk, self.first_s = 0, 0, None
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status")
            try:
                self.peak_kb = max(self.peak_kb, int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1]))
            except (OSError, TypeError):
                pass
            self.disk = max(self.disk, size_of(watch_disk))
            if self.first_s is None and emulator.requests() > before:
                self.first_s = time.monotonic() - begin
            if time.monotonic() - begin > PATIENCE_S:
                process.kill()
            time.sleep(0.02 if self.first_s is None else 0.2)
        self.took_s, self.code, self.said = time.monotonic() - begin, process.returncode, process.stderr.read()


def size_of(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            pass
    return total


def main() -> int:
    command, rows = os.path.abspath(sys.argv[1]), int(sys.argv[2])
    faults = []

    def demand(what: str, holds: bool) -> None:
        print(f"{'ok  ' if holds else 'FAIL'} {what}", flush=True)
        if not holds:
            faults.append(what)

    with tempfile.TemporaryDirectory(prefix="imgroup-soak-", dir=os.environ.get("TMPDIR", "/var/tmp")) as name:
        folder = Path(name)
        work = folder / "work"
        work.mkdir()
        source = folder / "rows.csv"
        write_rows(source, rows)
        size = source.stat().st_size
        emulator = Emulator(command, folder, rows // LISTS)
        try:
            line = [command, "bulk", "delete", source, "--journal", work / "journal", "--rate", RATE, "--yes", "--quiet"]
            half = Run(emulator, [*line, "--max-delete", rows // 2], folder, work)
            demand(f"half of {rows:,} rows, {half.took_s:.0f} s: ends at the limit (exit {half.code})", half.code == 4)
            report = folder / "report.json"
            rest = Run(emulator, [*line, "--report", report], folder, work)
            demand(f"the other half, {rest.took_s:.0f} s: ends well (exit {rest.code})", rest.code == 0)
            found = json.loads(report.read_text())["rows"]
            demand(f"every row was deleted: {found}", found["total"] == found["deleted"] == rows)
            count = emulator.requests()
            demand(f"{count:,} requests for {rows // LISTS:,} accounts", count == rows // LISTS)
            for what, run in (("first", half), ("resumed", rest)):
                demand(f"{what} run: {run.peak_kb / 1024:.1f} MiB at most", run.peak_kb < MEMORY_KB)
                demand(f"{what} run: {run.disk / size:.2f} times the input on disk at most", run.disk < 2 * size)
            # The journal is beside the spool: 32 bytes a request.
            demand(f"the resumed run sent after {rest.first_s:.2f} s", rest.first_s < RESUME_S)
        finally:
            emulator.close()
        for run in (half, rest):
            if faults:
                print(run.said[-2000:], file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
