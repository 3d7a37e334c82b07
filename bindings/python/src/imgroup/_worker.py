"""Calls of the main thread, so that Ctrl-C ends them.

Python runs signal handlers between bytecodes of the main thread; while that
thread is inside a C function, Ctrl-C waits. So a call of the main thread is made
by a helper thread, and the main thread waits for it on a lock, which a signal
interrupts. Other threads never see signals and call straight through.

The helper is kept between calls and woken by a lock: a tenth of what starting a
thread for each call would cost.
"""

from __future__ import annotations

import os
import threading
from typing import Any, Callable, List, Optional, Tuple

__all__ = ["is_main_thread", "run"]

_main = threading.main_thread().ident
_get_ident = threading.get_ident
# More than one only if a signal handler makes a call while another one waits.
_idle: List["_Worker"] = []
# A cancelled call ends within 50 ms; this is for a callback that hangs.
_PATIENCE_S = 1.0


def is_main_thread() -> bool:
    """Whether signal handlers run on this thread."""
    return _get_ident() == _main


class _Worker:
    __slots__ = ("abandoned", "done", "error", "job", "result", "wake")

    def __init__(self) -> None:
        self.job: Optional[Tuple[Callable[..., Any], Tuple[Any, ...]]] = None
        self.result: Any = None
        self.error: Optional[BaseException] = None
        self.abandoned = False
        self.wake = threading.Lock()
        self.done = threading.Lock()
        self.wake.acquire()
        self.done.acquire()
        threading.Thread(target=self._loop, name="imgroup-main", daemon=True).start()

    def _loop(self) -> None:
        while True:
            self.wake.acquire()
            job, self.job = self.job, None
            if job is not None:
                try:
                    self.result = job[0](*job[1])
                except BaseException as error:
                    self.error = error
                job = None
            self.done.release()
            if self.abandoned:
                return


def run(cancel: Callable[[], None], function: Callable[..., Any], *arguments: Any) -> Any:
    """Runs the function on a helper thread. What interrupts the wait calls `cancel`."""
    try:
        worker = _idle.pop()
    except IndexError:
        worker = _Worker()
    worker.job = (function, arguments)
    worker.wake.release()
    try:
        worker.done.acquire()
    except BaseException:
        # Ctrl-C, or whatever a signal handler raised.
        worker.abandoned = True
        cancel()
        worker.done.acquire(timeout=_PATIENCE_S)
        raise
    error, result = worker.error, worker.result
    worker.error = worker.result = None
    _idle.append(worker)
    if error is None:
        return result
    try:
        raise error
    finally:
        # Its traceback holds this frame.
        del error


def _after_fork_in_child() -> None:
    global _main
    # The thread that forked is the only one, and the main one, of the child.
    _main = threading.get_ident()
    _idle.clear()


os.register_at_fork(after_in_child=_after_fork_in_child)
