"""The program examples/python/dask_partitions.py, with a worker killed on the way.
Needs Dask: `make check-dask`."""

from __future__ import annotations

import os
import random
import runpy
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

import pytest
from conftest import ROOT

import imgroup
from imgroup.testing import Emulator

distributed = pytest.importorskip("distributed", reason="Dask is not installed: make check-dask")
psutil = pytest.importorskip("psutil")

EXAMPLE = ROOT / "examples" / "python" / "dask_partitions.py"
WORKERS, PARTITIONS = 3, 5
# As many as keep the pace of 180 a second busy for some eight seconds.
ACCOUNTS = [f"u{number}" for number in range(1500)]
# What the example allows for each partition.
CONNECTIONS = 4


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """One with the quota of the service, which the environment names."""
    for name in [name for name in os.environ if name.startswith("IMGROUP_")]:
        monkeypatch.delenv(name)
    with Emulator() as emulator:
        for name, value in emulator.environment().items():
            monkeypatch.setenv(name, value)
        yield emulator


@pytest.fixture
def journals(tmp_path: Path) -> Path:
    path = tmp_path / "journals"
    path.mkdir()
    return path


def write_rows(path: Path, accounts: List[str]) -> str:
    """Two rows an account, in no order."""
    rows = [f"{account},{name}\n" for account in accounts for name in ("Old", "Older")]
    random.Random(5).shuffle(rows)
    path.write_text("account,list\n" + "".join(rows))
    return str(path)


def begin(*arguments: str, stderr: Optional[int] = None) -> subprocess.Popen[str]:
    line = [sys.executable, str(EXAMPLE), *arguments]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=stderr, text=True)


def parse(output: str) -> Dict[int, Dict[str, int]]:
    """What the example said of each partition."""
    found = {}
    for line in output.splitlines():
        numbers = [int(word) for word in line.replace(":", " ").split() if word.isdecimal()]
        partition, rows, failed, unknown, resumed, again, pid = numbers
        found[partition] = {
            "rows": rows,
            "bad": failed + unknown,
            "resumed": resumed,
            "again": again,
            "pid": pid,
        }
    return found


def wait_until_all_are_in_the_middle(journals: Path) -> None:
    """Until each worker has done some of the first partition it was given."""
    first: Dict[Path, int] = {}
    end = time.monotonic() + 30
    while True:
        sizes = {path: path.stat().st_size for path in journals.glob("*.journal")}
        for path, size in sizes.items():
            if size:
                first.setdefault(path, size)
        grown = [path for path in first if sizes[path] > first[path] + 1000]
        if len(grown) >= WORKERS:
            return
        assert time.monotonic() < end, sizes
        time.sleep(0.02)


def most_in_a_second(arrivals: List[int]) -> int:
    first = most = 0
    for last, arrival in enumerate(arrivals):
        while arrivals[first] <= arrival - 1_000_000:
            first += 1
        most = max(most, last - first + 1)
    return most


def test_a_killed_worker_loses_nothing(emulator: Emulator, journals: Path, tmp_path: Path) -> None:
    emulator.seed({account: ["Keep", "Old", "Older"] for account in ACCOUNTS})
    rows = write_rows(tmp_path / "rows.csv", ACCOUNTS)
    with (
        distributed.LocalCluster(
            n_workers=WORKERS,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=None,
            local_directory=str(tmp_path),
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        pids: Dict[str, int] = client.run(os.getpid)
        assert len(set(pids.values()) - {os.getpid()}) == WORKERS
        example = begin(rows, str(journals), str(PARTITIONS), cluster.scheduler_address)
        wait_until_all_are_in_the_middle(journals)
        busy = [worker for worker, tasks in client.processing().items() if tasks]
        victim = pids[busy[0]]
        os.kill(victim, signal.SIGKILL)
        output, _ = example.communicate(timeout=60)
        started = psutil.Process().children(recursive=True)

    assert example.returncode == 0, output
    found = parse(output)
    assert found.keys() == set(range(1, PARTITIONS + 1))
    assert sum(partition["rows"] for partition in found.values()) == 2 * len(ACCOUNTS)
    assert not any(partition["bad"] for partition in found.values())
    # The partition of the victim was gone on with by another process.
    (resumed,) = (partition for partition in found.values() if partition["resumed"])
    assert 0 < resumed["resumed"] < resumed["rows"] and resumed["pid"] != victim
    assert sum(partition["again"] for partition in found.values()) == resumed["again"] <= 2 * CONNECTIONS

    # Nothing lost; repeated no more than was in flight.
    assert {name: account["lists"] for name, account in emulator.state().items()} == {
        name: ["Keep"] for name in ACCOUNTS
    }
    arrivals = sorted(entry["arrival_us"] for entry in emulator.requests("group_delete"))
    assert len(ACCOUNTS) <= len(arrivals) <= len(ACCOUNTS) + CONNECTIONS
    # All workers together kept to the pace of the app.
    assert most_in_a_second(arrivals) <= 200

    # The tracker belongs to multiprocessing, and ends with this process.
    started = [
        process
        for process in started
        if process.pid != emulator.pid and "resource_tracker" not in command_line(process)
    ]
    _, left = psutil.wait_procs(started, timeout=10)
    assert not left


def command_line(process: Any) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_on_workers_of_its_own(emulator: Emulator, journals: Path, tmp_path: Path) -> None:
    emulator.seed({account: ["Old", "Older"] for account in ACCOUNTS[:20]})
    rows = write_rows(tmp_path / "rows.csv", [*ACCOUNTS[:20], "mallory"])
    for resumed in (0, 42):
        example = begin(rows, str(journals), "2")
        output, _ = example.communicate(timeout=60)
        found = parse(output)
        # Once more: nothing is left to do, and what failed stays so.
        assert sum(partition["resumed"] for partition in found.values()) == resumed
        assert example.returncode == 1 and sum(partition["bad"] for partition in found.values()) == 2
    assert emulator.count("group_delete") == 21
    failed = [path.read_text() for path in sorted(journals.glob("*.failed.csv"))]
    assert len(failed) == 2 and "".join(failed).count("mallory,") == 2


def test_an_input_with_a_bad_row_is_refused(emulator: Emulator, journals: Path, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.csv", ["u1", "x" * 33])
    example = begin(rows, str(journals), "2", stderr=subprocess.PIPE)
    output, errors = example.communicate(timeout=60)
    assert (example.returncode, output) == (2, "")
    assert "account: must be 1 to 32 bytes, not 33" in errors
    assert emulator.count() == 0


def test_a_task_waits_for_the_run_that_holds_its_journal(
    emulator: Emulator, journals: Path, tmp_path: Path
) -> None:
    emulator.seed({"u1": ["Old", "Older"]})
    rows = write_rows(tmp_path / "rows.csv", ["u1"])
    delete_partition = runpy.run_path(str(EXAMPLE))["delete_partition"]
    results: List[Dict[str, Any]] = []
    with imgroup.Client.from_env() as client:
        with imgroup.Job(client, "delete", journals / "1-of-1.journal") as other:
            other.push("u1", "Old")
            task = threading.Thread(
                target=lambda: results.append(delete_partition(rows, str(journals), 1, 1))
            )
            task.start()
            task.join(0.5)
            assert task.is_alive() and emulator.count() == 0
    task.join(30)
    assert not task.is_alive() and results[0]["rows"]["deleted"] == 2
    assert emulator.lists("u1") == []
