"""Jobs: one command for many accounts, with a journal to go on with.

What a job does (order, pace, retries, the journal) is the library's business, as
it is for single calls.
"""

from __future__ import annotations

import os
import threading
import weakref
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Callable, Dict, Literal, Optional, Tuple, Type, TypeVar, Union

from . import _ffi, _worker
from ._errors import Code, ImGroupError, invalid
from .client import (
    Client,
    Seconds,
    _callbacks,
    _check,
    _failure,
    _float,
    _milliseconds,
    _on_drop,
    _path,
    _registered,
    _text,
    _uint32,
)

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Job", "JobCommand", "JobFormat", "JobProgress"]

#: What a job does with each account.
JobCommand = Literal["delete", "export"]
#: How a file of rows is written.
JobFormat = Literal["csv", "tsv", "jsonl"]
_FilePath = Union[str, "os.PathLike[str]"]

_lib = _ffi.lib
_byref = _ffi.byref
_job_count = _lib.imgroup_job_count

_COMMANDS = {"delete": 1, "export": 2}
_UINT64_MAX = 2**64 - 1


@dataclass(frozen=True)
class JobProgress:
    """How far a job is, in the run that is under way or was the last.

    .. versionadded:: 0.1.0
    """

    #: Rows to do; 0 while the input is being read.
    rows: int
    #: Rows that ended well: deleted, or read by an export.
    done: int
    #: Rows whose list was gone already, as a read showed.
    already_gone: int
    #: Rows that were refused.
    failed: int
    #: Rows that may have been applied, or not.
    unknown: int
    #: Rows among the four above that earlier runs had ended.
    resumed: int
    #: Requests that this run sent, repeats included.
    requests: int
    #: Connections in use.
    connections: int
    #: Seconds that requests of this run waited for the pace, all added.
    waited: float
    #: Seconds since this run began, or that it took.
    elapsed: float

    @property
    def ended(self) -> int:
        """Rows that have ended, however they did."""
        return self.done + self.already_gone + self.failed + self.unknown


# Its fields stand in the order of the counters in the C ABI, which begin with 1.
_COUNTERS = range(1, 1 + len(fields(JobProgress)))


def _progress(handle: Any) -> JobProgress:
    counts = [_job_count(handle, number) for number in _COUNTERS]
    counts[-2:] = (milliseconds / 1000 for milliseconds in counts[-2:])
    return JobProgress(*counts)


@_ffi.job_callback
def _on_progress(token: int, handle: Any) -> None:
    # Runs on the thread that is inside the run, which raises what is left here.
    if _failure.error is not None:
        return
    try:
        _callbacks[token](_progress(handle))
    except BaseException as error:
        _failure.error = error
        _lib.imgroup_job_cancel(handle)


def _one_of(value: str, parameter: str, allowed: Any) -> str:
    if value not in allowed:
        raise invalid(parameter, f"must be one of {', '.join(allowed)}, not {value!r}")
    return value


def _limit(value: int, parameter: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{parameter} must be an int, not {type(value).__name__}")
    # In C, 0 means no limit; here, None does.
    if not 1 <= value <= _UINT64_MAX:
        raise invalid(parameter, f"must be 1 to {_UINT64_MAX}, not {value}")
    return value


def _free_job(handle: Any, pid: int) -> None:
    # What a child inherited belongs to its parent, and so do the files.
    if os.getpid() == pid:
        _lib.imgroup_job_free(handle)


_Self = TypeVar("_Self", bound="Job")


class Job:
    """One command for many accounts, millions if need be, with a journal so that a
    run which was stopped or killed goes on where it ended and repeats no more than
    was in flight::

        with imgroup.Client.from_env() as client:
            with imgroup.Job(client, "delete", "clean-up.journal") as job:
                job.input_file("rows.csv")
                job.run()
                print(job.report()["rows"])

    Rows come from a file or are pushed one by one, in any order. They are all checked
    before the first request leaves. Rows of one account are sent together, and two
    requests of one account never overlap. Each row ends once: done, already gone,
    failed or unknown.

    The journal is a file, which the first run makes. It is bound to the command, the
    app, the partition and the input; all else may change between runs. Beside it
    stand the requests (``.spool``) and what became of them (``.results``). The three
    belong together; remove them together when they are of no more use.

    One thread at a time, but for :meth:`pause`, :meth:`cancel`, :attr:`progress` and
    :meth:`close`, which any thread may use. A job is for the process that made it,
    not for its children after ``fork``, and cannot be pickled.

    :param client: who sends. Its :meth:`Client.shutdown` ends a run at once, and its
        :meth:`Client.close` waits for the run.
    :param command: ``"delete"`` for the lists that the rows name, ``"export"`` to read
        those of the accounts that the rows name.
    :param journal: the path of the journal. Nothing is opened before the first row or
        the first run.
    :param partition: ``(index, count)``: takes only the accounts of part ``index``, 1
        to ``count``, at most 65536. An account is always in the same part, so that
        several machines share an input. More of them do not go faster, as the pace is
        the app's; they go on when one is lost.
    :param max_deletes: stops before more rows than this are deleted, those of earlier
        runs included.
    :param max_failures: stops when a larger share of a run's rows failed or stayed
        unknown, counted after 1000 rows: 0 to 1; default 0.5.
    :param connections: the most connections, each with a thread, 1 to 256; by default
        as many as latency needs, up to 64.
    :param give_up: for how long a run goes on trying while the service cannot be
        reached, 0.1 s to 86400 s; default 60 s. A run that never reached it stops
        after 5 s at most.
    :param progress: is told how the job goes on, about ten times a second once
        requests leave and a last time at the end, on the thread that makes the run
        (never the main one). May use :meth:`pause` and :meth:`cancel`, and must not
        close the job nor call the same client. What it raises ends the run, and
        :meth:`run` raises it.
    :raises InvalidArgument: if an argument breaks a rule.
    :raises Cancelled: if the client is closed.

    .. versionadded:: 0.1.0
    """

    def __init__(
        self,
        client: Client,
        command: JobCommand,
        journal: _FilePath,
        *,
        partition: Tuple[int, int] = (1, 1),
        max_deletes: Optional[int] = None,
        max_failures: Optional[float] = None,
        connections: Optional[int] = None,
        give_up: Optional[Seconds] = None,
        progress: Optional[Callable[[JobProgress], object]] = None,
    ) -> None:
        number = _COMMANDS[_one_of(command, "command", _COMMANDS)]
        if progress is not None and not callable(progress):
            raise TypeError(f"progress must be callable, not {type(progress).__name__}")
        handle = _ffi.Job()
        client._enter()
        try:
            _check(_lib.imgroup_job_new, client._handle, number, _path(journal, "journal"), _byref(handle))
        finally:
            client._leave()
        self._client = client
        self._title = f"{command} {os.fspath(journal)!r}"
        self._handle = handle
        self._pid = os.getpid()
        # Whoever is inside a call is counted, so that none is inside during the free.
        # Reentrant: a signal handler may pause what its own thread looks at.
        self._lock = threading.RLock()
        self._busy = 0
        self._closed = False
        self._left: Optional[threading.Event] = None
        self._finalizer = weakref.finalize(self, _free_job, handle, self._pid)
        index, count = partition
        self._call(
            _lib.imgroup_job_set_partition, _uint32(index, "partition[0]"), _uint32(count, "partition[1]")
        )
        if max_deletes is not None:
            self._call(_lib.imgroup_job_set_max_deletes, _limit(max_deletes, "max_deletes"))
        if max_failures is not None:
            self._call(_lib.imgroup_job_set_max_failures, _float(max_failures, "max_failures"))
        if connections is not None:
            self._call(_lib.imgroup_job_set_connections, _uint32(connections, "connections"))
        if give_up is not None:
            self._call(_lib.imgroup_job_set_give_up_ms, _milliseconds(give_up, "give_up"))
        if progress is not None:
            self._call(_lib.imgroup_job_set_progress, _on_progress, _registered(progress), _on_drop)

    # Rows.

    def input_file(self, path: _FilePath, format: Optional[JobFormat] = None) -> None:
        """Takes the rows from a file, which :meth:`run` reads whole and checks before it
        sends anything. A journal that was begun needs no input any more; one that is
        given must be the same.

        CSV and TSV begin with a header line; the columns ``account`` and, unless it is
        an export, ``list`` count. A line of JSON lines is an object with these members.
        One row names one list.

        :param path: the file; ``"/dev/stdin"`` for standard input.
        :param format: by default what the ending of the path says, CSV if nothing.
        :raises InvalidArgument: if rows were pushed, or the job is running.

        .. versionadded:: 0.1.0
        """
        self._call(_lib.imgroup_job_set_input_file, _path(path, "path"), _format(format))

    def push(self, account: str, list_name: Optional[str] = None) -> None:
        """Takes one row, which is checked now and sent by :meth:`run`. The first one
        opens the journal. To go on with a journal that was begun, push nothing, or the
        same rows in the same order.

        :param account: whose list: 1 to 32 bytes.
        :param list_name: which list: 1 to 30 bytes; none for an export.
        :raises InvalidArgument: if the row breaks a rule, which leaves the job as it
            was; if there is an input file, the job is running, another run holds the
            journal (``JOB_BUSY``), or it belongs to another job (``JOB_MISMATCH``).
        :raises InternalError: if the journal is damaged or cannot be written.

        .. versionadded:: 0.1.0
        """
        name = None if list_name is None else _text(list_name, "list_name")
        self._call(_lib.imgroup_job_push, _text(account, "account"), name)

    # The run.

    def run(self) -> None:
        """Runs the job until every row has ended, be it badly, or something stops it.

        Whatever stopped it, a crash or ``kill -9`` included, nothing is lost: run a job
        with the same journal again, this one or a new one, and it goes on. Requests
        that were in flight when the process was killed are sent again, which does no
        harm, and their rows are named in the report. A run holds the journal alone.

        There is no deadline. Ctrl-C ends a run of the main thread as :meth:`cancel`
        does. For asyncio: ``await asyncio.to_thread(job.run)``.

        :raises Cancelled: after :meth:`pause` or at a limit that was set (code
            ``JOB_STOPPED``), after :meth:`cancel` (``CANCELLED``), or when the client
            shut down (``SHUTDOWN``).
        :raises AuthError: if the service refuses the credentials.
        :raises NetworkError: if the service could not be reached for too long.
        :raises InvalidArgument: if rows of the input are wrong (the message names the
            first), there is no input, the job is running already, another run holds the
            journal (``JOB_BUSY``), it belongs to another job (``JOB_MISMATCH``), or it
            cannot be opened (``CONFIG``).
        :raises InternalError: if the journal is damaged or cannot be written.

        .. versionadded:: 0.1.0
        """
        if _worker.is_main_thread():
            _worker.run(self.cancel, self._run)
        else:
            self._run()

    def _run(self) -> None:
        # Of the client, too: its close waits for this, and the end of the interpreter
        # shuts it down.
        self._client._enter()
        try:
            _failure.error = None
            try:
                self._call(_lib.imgroup_job_run)
            except ImGroupError:
                if _failure.error is None:
                    raise
            if _failure.error is not None:
                raise _failure.error
        finally:
            _failure.error = None
            self._client._leave()

    def pause(self) -> None:
        """Lets a run end soon: nothing new is sent, what is in flight is waited for.
        Before a run, the next one ends at once. May be called from any thread.

        .. versionadded:: 0.1.0
        """
        self._ask(_lib.imgroup_job_pause)

    def cancel(self) -> None:
        """As :meth:`pause`, but what is in flight is ended too, within 50 ms. It is sent
        again when the job goes on.

        .. versionadded:: 0.1.0
        """
        self._ask(_lib.imgroup_job_cancel)

    @property
    def progress(self) -> JobProgress:
        """How far the job is. May be read from any thread.

        :raises InvalidArgument: if the job is closed.
        """
        progress: JobProgress = self._look(_progress)
        return progress

    @property
    def stopped_by(self) -> Optional[str]:
        """Why the last run stopped before the end, as one word: ``"pause"``,
        ``"cancel"``, ``"credentials"``, ``"unreachable"``, ``"failures"``,
        ``"max_deletes"``, ``"journal"``, ``"spool"``, ``"threads"`` or ``"shutdown"``.
        ``None`` if it came to its end, never began sending, or is under way.

        :raises InvalidArgument: if the job is closed.
        """
        # No run can begin while the borrowed text is copied.
        word: Optional[bytes] = self._look(_lib.imgroup_job_stopped_by)
        return None if word is None else word.decode()

    # What it came to.

    def report(self) -> Dict[str, Any]:
        """The report of the last run: totals, failures by code, the rows that were sent
        again after a kill, the rate over time. Members may be added in later versions.

        :raises InvalidArgument: if the job has not run yet, or is running.

        .. versionadded:: 0.1.0
        """
        import json

        text = _ffi.OwnedText()
        self._call(_lib.imgroup_job_report, _byref(text))
        report: Dict[str, Any] = json.loads(_ffi.take_text(text))
        return report

    def write_report(self, path: _FilePath) -> None:
        """Writes the report of the last run to a file, and as a page to look at to the
        same name with the ending ``.html``. What is there is replaced.

        :raises InvalidArgument: if the job has not run yet, or is running.
        :raises InternalError: if it cannot be written.

        .. versionadded:: 0.1.0
        """
        self._call(_lib.imgroup_job_write_report, _path(path, "path"))

    def write_failed(self, path: _FilePath, format: Optional[JobFormat] = None) -> int:
        """Writes the rows that failed or are unknown, those of earlier runs with this
        journal included, in a form that is an input again, with the reasons beside
        them. A new job with a journal of its own tries them again.

        :param path: the file; what is there is replaced.
        :param format: as for :meth:`input_file`.
        :returns: how many rows there are.
        :raises InvalidArgument: if there is no journal yet, it belongs to another job,
            or the job is running.
        :raises InternalError: if the journal is damaged, or the file cannot be written.

        .. versionadded:: 0.1.0
        """
        rows = _ffi.Uint64()
        self._call(_lib.imgroup_job_write_failed, _path(path, "path"), _format(format), _byref(rows))
        return int(rows.value)

    def write_lists(self, path: _FilePath) -> int:
        """Writes the lists that an export found, as CSV with the columns ``account``,
        ``list`` and ``friends``, which is how many are in the list.

        :param path: the file; what is there is replaced.
        :returns: how many lists there are.
        :raises InvalidArgument: as :meth:`write_failed`.
        :raises InternalError: as :meth:`write_failed`.

        .. versionadded:: 0.1.0
        """
        lists = _ffi.Uint64()
        self._call(_lib.imgroup_job_write_lists, _path(path, "path"), _byref(lists))
        return int(lists.value)

    # The end.

    def close(self) -> None:
        """Waits for a run under way and frees the job. Its files stay, to go on with; of
        rows that were pushed and never run, everything is removed.

        To end a run instead of waiting, call :meth:`cancel` first. Idempotent; may be
        called from any thread, but not from ``progress``.

        .. versionadded:: 0.1.0
        """
        if os.getpid() != self._pid:
            return
        with self._lock:
            self._closed = True
            if self._busy and self._left is None:
                self._left = threading.Event()
            left = self._left
        if left is not None:
            left.wait()
        self._finalizer()

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional["TracebackType"],
    ) -> None:
        # Somebody is on the way out: let nobody wait for a run of another thread.
        if kind is not None and os.getpid() == self._pid:
            self.cancel()
        self.close()

    def __repr__(self) -> str:
        return f"<imgroup.Job {self._title}{', closed' if self._closed else ''}>"

    def __reduce__(self) -> Tuple[Any, ...]:
        raise TypeError("an imgroup.Job cannot be pickled: make one in each process, with its own journal")

    # How the handle is used.

    def _check_usable(self) -> None:
        if self._closed:
            raise invalid("job", "is closed", Code.HANDLE)

    def _check_process(self) -> None:
        # Before the lock, which another thread of the parent may have held.
        if os.getpid() != self._pid:
            raise invalid("job", "belongs to the process that made it", Code.HANDLE)

    def _call(self, function: Callable[..., int], *arguments: Any) -> None:
        """Calls what may take its time, during which the lock is free."""
        self._check_process()
        with self._lock:
            self._check_usable()
            self._busy += 1
        try:
            _check(function, self._handle, *arguments)
        finally:
            with self._lock:
                self._busy -= 1
                if self._left is not None and self._busy <= 0:
                    self._left.set()

    def _look(self, function: Callable[[Any], Any]) -> Any:
        """Calls what any thread may call at any time, and what never waits."""
        self._check_process()
        with self._lock:
            self._check_usable()
            return function(self._handle)

    def _ask(self, function: Callable[[Any], None]) -> None:
        self._check_process()
        with self._lock:
            # A run that close() waits for may still be asked to end.
            if self._finalizer.alive:
                function(self._handle)


def _format(format: Optional[str]) -> Optional[bytes]:
    return None if format is None else _text(format, "format")
