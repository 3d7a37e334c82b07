"""Calls of the main thread, so that Ctrl-C ends them.

Python runs signal handlers between bytecodes of the main thread; while that
thread is inside a C function, Ctrl-C waits. So a call of the main thread is made
by a helper thread, and the main thread waits for it on a lock, which a signal
interrupts. Other threads never see signals and call straight through.

The helper is kept between calls: a tenth of what starting a thread for each call
would cost.
"""

from __future__ import annotations

import os
import threading
from queue import SimpleQueue
from typing import Any, Callable, List, Optional, Tuple

__all__ = ["is_main_thread", "run"]

_main = threading.main_thread().ident
_get_ident = threading.get_ident
# A cancelled call ends within 50 ms; this is for a callback that hangs.
_PATIENCE_S = 1.0


def is_main_thread() -> bool:
    """Whether signal handlers run on this thread."""
    return _get_ident() == _main


class _Job:
    __slots__ = ("arguments", "done", "error", "finished", "function", "result")

    def __init__(self, function: Callable[..., Any], arguments: Tuple[Any, ...]) -> None:
        self.function = function
        self.arguments = arguments
        self.result: Any = None
        self.error: Optional[BaseException] = None
        self.finished = False
        self.done = threading.Lock()
        self.done.acquire()


# A signal may break off the main thread between any two of its steps. So all that is
# counted is counted by the helpers, which no signal interrupts.
_jobs: "SimpleQueue[_Job]" = SimpleQueue()
_idle: List[None] = []


def _help() -> None:
    jobs = _jobs
    _idle.append(None)
    while True:
        job = jobs.get()
        _idle.pop()
        try:
            job.result = job.function(*job.arguments)
        except BaseException as error:
            job.error = error
        job.finished = True
        # Counted as idle before the main thread can come with the next job.
        _idle.append(None)
        job.done.release()
        del job


def run(cancel: Callable[[], None], function: Callable[..., Any], *arguments: Any) -> Any:
    """Runs the function on a helper thread. What interrupts the wait calls `cancel`."""
    job = _Job(function, arguments)
    try:
        # One is enough, unless a signal handler makes a call while another one waits.
        if not _idle:
            threading.Thread(target=_help, name="imgroup-main", daemon=True).start()
        _jobs.put(job)
        job.done.acquire()
    except BaseException:
        # Ctrl-C, or whatever a signal handler raised.
        cancel()
        if not job.finished:
            job.done.acquire(timeout=_PATIENCE_S)
        raise
    if job.error is None:
        return job.result
    try:
        raise job.error
    finally:
        # Its traceback holds this frame.
        del job


def _after_fork_in_child() -> None:
    global _main, _jobs
    # The thread that forked is the only one, and the main one, of the child.
    _main = threading.get_ident()
    _jobs = SimpleQueue()
    _idle.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
