"""Jobs over many accounts. What they do to accounts and journals is tested with the
library; here, what Python makes of it."""

from __future__ import annotations

import csv
import dataclasses
import gc
import multiprocessing
import os
import pickle
import subprocess
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Type

import pytest

import imgroup
from imgroup import Client, Code, ImGroupError, Job, JobProgress
from imgroup.testing import Emulator

RunScript = Callable[..., "subprocess.CompletedProcess[str]"]
ACCOUNTS = [f"u{number}" for number in range(24)]


@pytest.fixture
def emulator(imgroup_emulator: Emulator) -> Emulator:
    """Accounts with the lists A and B each."""
    imgroup_emulator.seed({account: ["A", "B"] for account in ACCOUNTS})
    return imgroup_emulator


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """An input that deletes list A of each account."""
    return write(tmp_path / "rows.csv", "account,list\n" + "".join(f"{account},A\n" for account in ACCOUNTS))


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def lists_left(emulator: Emulator) -> List[str]:
    return [name for account in emulator.state().values() for name in account["lists"]]


def pushed(job: Job) -> Job:
    for account in ACCOUNTS:
        job.push(account, "A")
    return job


@pytest.fixture
def in_flight(
    emulator: Emulator, imgroup_client: Client, journal: Path
) -> Iterator[Callable[..., "Running"]]:
    """Begins a run, on a thread of its own, whose only request gets no answer."""
    begun: List[Running] = []

    def begin(**options: Any) -> Running:
        emulator.fault("silence")
        begun.append(Running(pushed(Job(imgroup_client, "delete", journal, connections=1, **options))))
        end = time.monotonic() + 30
        while emulator.count("group_delete") == 0:
            assert time.monotonic() < end
            time.sleep(0.01)
        return begun[0]

    yield begin
    for running in begun:
        running.job.cancel()
        running.thread.join()
        running.job.close()


class Running:
    """A run on a thread of its own."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.error: Optional[BaseException] = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.job.run()
        except BaseException as error:
            self.error = error

    def ended(self) -> Any:
        """What it raised."""
        self.thread.join(10)
        assert not self.thread.is_alive()
        return self.error


# Rows that end.


@pytest.mark.parametrize("path_type", [str, Path])
@pytest.mark.parametrize(
    ("name", "format", "text"),
    [
        ("rows.csv", None, "list,account\nA,u1\nA,u2\nB,u1\n"),
        ("rows.tsv", None, "account\tlist\nu1\tA\nu2\tA\nu1\tB\n"),
        (
            "rows",
            "jsonl",
            '{"account":"u1","list":"A"}\n{"account":"u2","list":"A"}\n{"account":"u1","list":"B"}\n',
        ),
    ],
    ids=["csv", "tsv", "jsonl"],
)
def test_rows_of_a_file(
    emulator: Emulator,
    imgroup_client: Client,
    tmp_path: Path,
    path_type: Any,
    name: str,
    format: Any,
    text: str,
) -> None:
    with Job(imgroup_client, "delete", path_type(tmp_path / "journal")) as job:
        job.input_file(path_type(write(tmp_path / name, text)), format)
        assert job.progress == JobProgress(0, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0)
        job.run()
        progress = job.progress
        assert (progress.rows, progress.done, progress.ended, progress.requests) == (3, 3, 3, 2)
        assert 0 < progress.elapsed < 30 and job.stopped_by is None
        report = job.report()
        assert report["finished"] and report["rows"]["deleted"] == 3
        job.write_report(path_type(tmp_path / "report.json"))
    assert emulator.lists("u1") == [] and emulator.lists("u2") == ["B"]
    assert (tmp_path / "report.json").read_text().startswith("{")
    assert "<html" in (tmp_path / "report.html").read_text()


def test_rows_that_are_pushed(emulator: Emulator, imgroup_client: Client, journal: Path) -> None:
    with pushed(Job(imgroup_client, "delete", journal)) as job:
        job.run()
        assert job.progress.done == len(ACCOUNTS) == job.progress.requests
        # Once more: nothing is left to do.
        job.run()
        assert (job.progress.requests, job.progress.resumed) == (0, len(ACCOUNTS))
    assert lists_left(emulator) == ["B"] * len(ACCOUNTS)


def test_an_export(emulator: Emulator, imgroup_client: Client, journal: Path, tmp_path: Path) -> None:
    with Job(imgroup_client, "export", journal) as job:
        for account in ("u1", "mallory"):
            job.push(account)
        job.run()
        assert job.write_lists(tmp_path / "lists.csv") == 2
        assert job.progress.failed == 1
    assert (tmp_path / "lists.csv").read_text() == "account,list,friends\nu1,A,0\nu1,B,0\n"


def test_failed_rows_are_an_input_again(
    emulator: Emulator, imgroup_client: Client, journal: Path, tmp_path: Path
) -> None:
    with pushed(Job(imgroup_client, "delete", journal)) as job:
        job.push("late", "A")
        job.run()
        assert (job.progress.done, job.progress.failed) == (len(ACCOUNTS), 1)
        assert job.write_failed(tmp_path / "failed.csv") == 1
        assert job.write_failed(str(tmp_path / "failed"), "jsonl") == 1
        assert [failure["code"] for failure in job.report()["failures"]] == [30003]
    with open(tmp_path / "failed.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["account"], row["list"], row["code"]) == ("late", "A", "30003")
    emulator.seed({"late": ["A"]})
    with Job(imgroup_client, "delete", tmp_path / "second") as job:
        job.input_file(tmp_path / "failed.csv")
        job.run()
        assert job.progress.done == 1
    assert emulator.lists("late") == []


def test_partitions_share_an_input(
    emulator: Emulator, imgroup_client: Client, rows: Path, tmp_path: Path
) -> None:
    done = []
    for index in (1, 2, 3):
        with Job(imgroup_client, "delete", tmp_path / f"{index}", partition=(index, 3)) as job:
            job.input_file(rows)
            job.run()
            done.append(job.progress.done)
    assert all(done) and sum(done) == len(ACCOUNTS) == emulator.count("group_delete")


# The callback.


def test_progress_is_told(emulator: Emulator, imgroup_client: Client, journal: Path) -> None:
    told: List[JobProgress] = []
    threads = set()

    def progress(now: JobProgress) -> None:
        told.append(now)
        threads.add(threading.current_thread())

    emulator.fault("delay", delay_ms=30, times=1000)
    with pushed(Job(imgroup_client, "delete", journal, connections=1, progress=progress)) as job:
        job.run()
        assert job.progress == dataclasses.replace(told[-1], connections=0)
    assert len(told) > 2 and {entry.rows for entry in told} == {len(ACCOUNTS)}
    assert [entry.done for entry in told] == sorted(entry.done for entry in told)
    assert told[-1].ended == told[-1].done == len(ACCOUNTS)
    assert threading.main_thread() not in threads


@pytest.mark.parametrize("main", [True, False], ids=["main thread", "another thread"])
def test_what_the_callback_raises_ends_the_run(
    emulator: Emulator, imgroup_client: Client, journal: Path, main: bool
) -> None:
    calls = []

    def progress(now: JobProgress) -> None:
        calls.append(now)
        raise KeyError("mine")

    emulator.fault("delay", delay_ms=50, times=1000)
    with pushed(Job(imgroup_client, "delete", journal, connections=1, progress=progress)) as job:
        if main:
            with pytest.raises(KeyError, match="mine"):
                job.run()
        else:
            assert repr(Running(job).ended()) == "KeyError('mine')"
        assert job.stopped_by == "cancel" and len(calls) == 1
        before = job.progress.ended
        assert before < len(ACCOUNTS)
    with Job(imgroup_client, "delete", journal) as job:
        job.run()
        assert (job.progress.resumed, job.progress.ended) == (before, len(ACCOUNTS))
    assert lists_left(emulator) == ["B"] * len(ACCOUNTS)


def test_the_callback_may_pause(emulator: Emulator, imgroup_client: Client, journal: Path) -> None:
    emulator.fault("delay", delay_ms=30, times=1000)
    job = Job(imgroup_client, "delete", journal, connections=1, progress=lambda now: job.pause())
    with pushed(job), pytest.raises(imgroup.Cancelled):
        job.run()


# Runs that are stopped, and gone on with.


def test_paused_by_another_thread_and_gone_on_with(
    emulator: Emulator, imgroup_client: Client, journal: Path
) -> None:
    emulator.fault("delay", delay_ms=20, times=1000)
    with pushed(Job(imgroup_client, "delete", journal, connections=1)) as job:
        running = Running(job)
        while job.progress.done < 5:
            time.sleep(0.001)
        job.pause()
        error = running.ended()
        assert isinstance(error, imgroup.Cancelled) and error.code == Code.JOB_STOPPED
        assert job.stopped_by == "pause" and not job.report()["finished"]
        before = job.progress.ended
        # What was in flight has been waited for.
        assert 5 <= before == job.progress.requests < len(ACCOUNTS)
    with Job(imgroup_client, "delete", journal) as job:
        job.pause()
        with pytest.raises(imgroup.Cancelled):
            job.run()
        job.run()
        assert (job.progress.resumed, job.progress.ended) == (before, len(ACCOUNTS))
        assert job.stopped_by is None
    assert lists_left(emulator) == ["B"] * len(ACCOUNTS)
    assert emulator.count("group_delete") == len(ACCOUNTS)


@pytest.mark.parametrize(
    ("end", "code", "word"),
    [
        (lambda job, client: job.cancel(), Code.CANCELLED, "cancel"),
        (lambda job, client: client.shutdown(), Code.SHUTDOWN, "shutdown"),
    ],
    ids=["cancel", "shutdown of the client"],
)
def test_cancelled_by_another_thread(
    in_flight: Callable[..., Running],
    imgroup_client: Client,
    end: Callable[[Job, Client], None],
    code: Code,
    word: str,
) -> None:
    running = in_flight()
    assert running.job.progress.connections == 1 and running.job.stopped_by is None
    began = time.monotonic()
    end(running.job, imgroup_client)
    error = running.ended()
    assert time.monotonic() - began < 2
    assert isinstance(error, imgroup.Cancelled) and error.code == code
    assert running.job.stopped_by == word


def test_a_job_in_a_run_is_busy_for_all_else(
    in_flight: Callable[..., Running], imgroup_client: Client, journal: Path, tmp_path: Path
) -> None:
    running = in_flight()
    job = running.job
    uses: List[Callable[[], object]] = [
        job.run,
        job.report,
        lambda: job.push("u1", "B"),
        lambda: job.input_file("rows.csv"),
        lambda: job.write_failed(tmp_path / "failed.csv"),
        lambda: job.write_report(tmp_path / "report.json"),
    ]
    for use in uses:
        with pytest.raises(imgroup.InvalidArgument, match="job: is running"):
            use()
    with Job(imgroup_client, "delete", journal) as other:
        with pytest.raises(imgroup.InvalidArgument) as caught:
            other.run()
    assert caught.value.code == Code.JOB_BUSY


def test_close_waits_for_the_run(in_flight: Callable[..., Running]) -> None:
    running = in_flight()
    closing = threading.Thread(target=running.job.close)
    closing.start()
    closing.join(0.3)
    assert closing.is_alive() and running.error is None
    # Which may still be ended meanwhile.
    running.job.cancel()
    closing.join(10)
    assert not closing.is_alive() and running.job.closed
    assert running.ended().code == Code.CANCELLED


def test_leaving_by_an_error_ends_the_run(in_flight: Callable[..., Running]) -> None:
    running = in_flight()
    with pytest.raises(KeyError), running.job:
        raise KeyError
    assert running.ended().code == Code.CANCELLED


def test_closing_the_client_waits_for_the_run(
    in_flight: Callable[..., Running], imgroup_client: Client
) -> None:
    running = in_flight()
    closing = threading.Thread(target=imgroup_client.close)
    closing.start()
    closing.join(0.3)
    assert closing.is_alive()
    running.job.cancel()
    closing.join(10)
    assert not closing.is_alive()
    with pytest.raises(imgroup.Cancelled, match="the client is closed"):
        running.job.run()


def test_ctrl_c_ends_a_run_of_the_main_thread(
    emulator: Emulator, imgroup_client: Client, journal: Path, run_script: RunScript
) -> None:
    emulator.fault("delay", delay_ms=50, times=1000)
    done = run_script(
        """
        import imgroup, os, signal, sys, threading, time
        signal.signal(signal.SIGINT, signal.default_int_handler)
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        with imgroup.Client.from_env() as client, imgroup.Job(client, "delete", sys.argv[1], connections=1) as job:
            for number in range(24):
                job.push(f"u{number}", "A")
            try:
                job.run()
            except KeyboardInterrupt:
                print(job.stopped_by)
        """,
        str(journal),
    )
    assert done.stdout == "cancel\n"
    with Job(imgroup_client, "delete", journal) as job:
        job.run()
        assert job.progress.ended == len(ACCOUNTS) and job.progress.resumed < len(ACCOUNTS)
    assert lists_left(emulator) == ["B"] * len(ACCOUNTS)


def test_a_limit_stops_the_run(emulator: Emulator, imgroup_client: Client, journal: Path) -> None:
    with pushed(Job(imgroup_client, "delete", journal, max_deletes=10)) as job:
        with pytest.raises(imgroup.Cancelled, match="more than 10 rows") as caught:
            job.run()
        assert caught.value.code == Code.JOB_STOPPED
        assert job.stopped_by == "max_deletes" and job.progress.done == 10
    assert len(lists_left(emulator)) == 2 * len(ACCOUNTS) - 10


# What is refused.


def test_a_bad_row_is_refused(
    emulator: Emulator, imgroup_client: Client, journal: Path, tmp_path: Path
) -> None:
    with Job(imgroup_client, "delete", journal) as job:
        job.push("u1", "A")
        with pytest.raises(imgroup.InvalidArgument, match="list: must be 1 to 30 bytes, not 0"):
            job.push("u1", "")
        with pytest.raises(imgroup.InvalidArgument, match="list_name: must not contain NUL"):
            job.push("u1", "A\0")
        with pytest.raises(TypeError, match="account must be a str, not int"):
            job.push(1, "A")  # type: ignore[arg-type]
        with pytest.raises(imgroup.InvalidArgument, match="input: rows were pushed already"):
            job.input_file(tmp_path / "rows.csv")
    # Pushed and never run: as if nothing had been.
    assert not list(tmp_path.iterdir())
    with Job(imgroup_client, "delete", journal) as job:
        job.input_file(write(tmp_path / "rows.csv", "account,list\nu1,A\n,B\n"))
        with pytest.raises(imgroup.InvalidArgument, match="line 3: account: must be 1 to 32 bytes, not 0"):
            job.run()
    assert emulator.count() == 0 and not journal.exists()


def test_a_journal_of_another_job_is_refused(
    emulator: Emulator, imgroup_client: Client, journal: Path, rows: Path, tmp_path: Path
) -> None:
    with Job(imgroup_client, "delete", journal) as job:
        job.input_file(rows)
        job.run()
    others: List[Dict[str, Any]] = [
        {"command": "export"},
        {"partition": (1, 2)},
        {"input": write(tmp_path / "other.csv", "account,list\nu1,B\n")},
    ]
    for other in others:
        path = other.pop("input", rows)
        with Job(imgroup_client, **{"command": "delete", "journal": journal, **other}) as job:
            job.input_file(path)
            with pytest.raises(imgroup.InvalidArgument) as caught:
                job.run()
            assert caught.value.code == Code.JOB_MISMATCH
    journal.write_bytes(b"?" * 100 + journal.read_bytes()[100:])
    with Job(imgroup_client, "delete", journal) as job, pytest.raises(imgroup.InternalError) as corrupt:
        job.run()
    assert corrupt.value.code == Code.JOB_CORRUPT


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"command": "create"}, imgroup.InvalidArgument, "must be one of delete, export, not 'create'"),
        ({"journal": ""}, imgroup.InvalidArgument, "journal: must be the path of a file"),
        ({"partition": (0, 4)}, imgroup.InvalidArgument, "partition"),
        ({"partition": (1, 2**32)}, imgroup.InvalidArgument, r"partition\[1\]: must be 0 to 4294967295"),
        ({"max_deletes": 0}, imgroup.InvalidArgument, "max_deletes: must be 1 to"),
        ({"max_deletes": "5"}, TypeError, "max_deletes must be an int, not str"),
        ({"max_failures": 1.5}, imgroup.InvalidArgument, "max_failures"),
        ({"connections": 257}, imgroup.InvalidArgument, "connections"),
        ({"give_up": 0}, imgroup.InvalidArgument, "give_up: must be above 0 seconds"),
        ({"progress": 1}, TypeError, "progress must be callable, not int"),
    ],
)
def test_a_bad_option_is_refused(
    imgroup_client: Client, journal: Path, options: Dict[str, Any], kind: Type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        Job(imgroup_client, **{"command": "delete", "journal": journal, **options})


def test_a_closed_job_says_so(imgroup_client: Client, journal: Path) -> None:
    job = pushed(Job(imgroup_client, "delete", journal))
    assert repr(job) == f"<imgroup.Job delete {str(journal)!r}>"
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(job)
    job.close()
    job.close()
    assert repr(job).endswith(", closed>")
    job.pause()
    job.cancel()
    uses: List[Callable[[], object]] = [job.run, job.report, lambda: job.progress, lambda: job.stopped_by]
    for use in uses:
        with pytest.raises(ValueError, match="job: is closed"):
            use()
    imgroup_client.close()
    with pytest.raises(imgroup.Cancelled, match="the client is closed"):
        Job(imgroup_client, "delete", journal)


def test_a_job_that_nobody_closed_lets_go_of_its_files(imgroup_client: Client, journal: Path) -> None:
    pushed(Job(imgroup_client, "delete", journal, progress=lambda now: None))
    gc.collect()
    assert not journal.exists()


# Processes.


def in_child(client: Client, job: Job, journal: str, queue: Any) -> None:
    try:
        job.run()
    except ImGroupError as error:
        queue.put(str(error))
    # The files are the parent's.
    job.close()
    with Job(client, "delete", journal + ".child") as own:
        own.push("u1", "B")
        own.run()
        queue.put(own.progress.done)


def test_a_forked_child_leaves_the_job_alone_and_makes_its_own(
    emulator: Emulator, imgroup_client: Client, journal: Path
) -> None:
    context = multiprocessing.get_context("fork")
    with pushed(Job(imgroup_client, "delete", journal)) as job:
        queue = context.SimpleQueue()
        child = context.Process(target=in_child, args=(imgroup_client, job, str(journal), queue))
        child.start()
        assert "belongs to the process that made it" in queue.get()
        assert queue.get() == 1
        child.join(30)
        assert child.exitcode == 0 and journal.exists()
        job.run()
        assert job.progress.done == len(ACCOUNTS)
    assert len(lists_left(emulator)) == len(ACCOUNTS) - 1


def spawned(journal: str, rows: str, queue: Any) -> None:
    with Client.from_env() as client, Job(client, "delete", journal) as job:
        job.input_file(rows)
        job.run()
        queue.put(job.progress)


def test_a_spawned_process_goes_on(
    emulator: Emulator, imgroup_client: Client, journal: Path, rows: Path, imgroup_environment: Any
) -> None:
    with Job(imgroup_client, "delete", journal, max_deletes=10) as job:
        job.input_file(rows)
        with pytest.raises(imgroup.Cancelled):
            job.run()
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    child = context.Process(target=spawned, args=(str(journal), str(rows), queue))
    child.start()
    progress = queue.get()
    child.join(30)
    assert (child.exitcode, progress.resumed, progress.ended) == (0, 10, len(ACCOUNTS))
    assert lists_left(emulator) == ["B"] * len(ACCOUNTS)
    assert os.path.getsize(journal) > 0


def test_a_run_of_a_daemon_thread_does_not_hinder_the_end(
    emulator: Emulator, journal: Path, run_script: RunScript
) -> None:
    emulator.fault("silence", times=1000)
    began = time.monotonic()
    run_script(
        """
        import imgroup, sys, threading, time
        client = imgroup.Client.from_env()
        job = imgroup.Job(client, "delete", sys.argv[1], progress=lambda now: now)
        job.push("u1", "A")
        def run():
            try:
                job.run()
            except imgroup.Cancelled:
                pass
        threading.Thread(target=run, daemon=True).start()
        while not job.progress.connections:
            time.sleep(0.01)
        time.sleep(0.3)
        """,
        str(journal),
    )
    assert time.monotonic() - began < 10 and journal.exists()
