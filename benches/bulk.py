"""A bulk delete against one request a row, at the same pace, over real sockets.

100,000 rows for 20,000 accounts in a scrambled order. The pace is raised so that it
takes seconds; what counts is the time against the one that the requests need at it.
"""

import json
import subprocess
import tempfile
import time
from pathlib import Path

from harness import Bench, Section, at_least, at_most, run, table

ACCOUNTS, LISTS = 20_000, 5
ROWS = ACCOUNTS * LISTS
# Requests a second.
PACE = 2_000
# Every tenth account lacks the list that one of its rows names.
LACKING = 10


class Emulator:
    """The service, with every account and its lists."""

    def __init__(self, bench: Bench, folder: Path, unknown_list: str):
        self.lacking = unknown_list != "ok"
        state = {
            "accounts": {
                f"user{number:05d}": {"lists": [f"list{n}" for n in range(LISTS) if not self.lacks(number, n)]}
                for number in range(ACCOUNTS)
            }
        }
        (folder / "state.json").write_text(json.dumps(state))
        line = [bench.command, "emulator", "--port", "0", "--exit-on-stdin-eof", "--quota", "0"]
        line += ["--write-time-ms", "0", "--unknown-list", unknown_list, "--seed-state", folder / "state.json"]
        self.process = subprocess.Popen([*map(str, line)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = json.loads(self.process.stdout.readline())["url"]

    def lacks(self, account: int, n: int) -> bool:
        return self.lacking and n == 0 and account % LACKING == 0

    def __enter__(self) -> "Emulator":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        self.process.wait()


def in_bulk(bench: Bench, folder: Path, rows: Path, unknown_list: str) -> dict:
    """Seconds and requests of a bulk job; stops everything unless all rows end well."""
    with Emulator(bench, folder, unknown_list) as emulator:
        environment = {**bench.environment, "IMGROUP_ENDPOINT": emulator.url}
        report = folder / "report.json"
        line = [bench.command, "bulk", "delete", rows, "--journal", folder / f"journal-{unknown_list}"]
        begin = time.monotonic()
        run(*line, "--rate", PACE, "--yes", "--quiet", "--report", report, env=environment)
        took = time.monotonic() - begin
        found = json.loads(report.read_text())
        assert found["rows"]["deleted"] + found["rows"]["already_gone"] == ROWS, found
        return {"s": took, "requests": found["this_run"]["requests_sent"], "rows": found["rows"]}


def row_by_row(bench: Bench, folder: Path, rows: Path) -> dict:
    """Seconds of one request a row, by 64 threads on one client."""
    program = bench.c("rows", "imgroup")
    with Emulator(bench, folder, "ok") as emulator:
        environment = {**bench.environment, "IMGROUP_ENDPOINT": emulator.url}
        said = run(program, PACE, input=rows.read_text(), env=environment)
        nanoseconds, requests = map(int, said.split())
        return {"s": nanoseconds / 1e9, "requests": requests}


def section(bench: Bench) -> Section:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = folder / "rows.csv"
        # A step that shares no divisor with the number of rows meets each once.
        order = [(place * 61_813) % ROWS for place in range(ROWS)]
        lines = [f"user{row // LISTS:05d},list{row % LISTS}\n" for row in order]
        rows.write_text("account,list\n" + "".join(lines))
        bulk = in_bulk(bench, folder, rows, "ok")
        refusing = in_bulk(bench, folder, rows, "30001")
        single = row_by_row(bench, folder, rows)
    at_pace = ACCOUNTS / PACE
    figures = [
        ["bulk job", bulk],
        [f"bulk job, one of {LACKING * LISTS} lists gone, answered with 30001", refusing],
        ["one request a row, 64 threads", single],
    ]
    text = (
        f"{ROWS:,} rows for {ACCOUNTS:,} accounts, scrambled, at {PACE:,} requests a second: "
        f"{ACCOUNTS:,} requests take {at_pace:.1f} s. Reading, grouping and the journal are in the time.\n\n"
        + table(
            ["what", "seconds", f"of {at_pace:.0f} s", "requests"],
            [[what, f"{f['s']:.2f}", f"{f['s'] / at_pace:.3f}", f"{f['requests']:,}"] for what, f in figures],
        )
    )
    return Section(
        "Bulk",
        text + "\n",
        [
            at_most("bulk job / its requests at the pace", 1.05, bulk["s"] / at_pace),
            at_least("one request a row / bulk job", 4.75, single["s"] / bulk["s"]),
        ],
    )
