"""The loop of the workers in Python, as worker.h."""

import resource
import sys
import time
from typing import Callable

WARM_UP = 100


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def run(call: Callable[[], object]) -> None:
    now = time.monotonic_ns
    for line in sys.stdin:
        for _ in range(WARM_UP):
            call()
        took = []
        before = cpu()
        begin = last = now()
        for _ in range(int(line)):
            call()
            after = now()
            took.append(after - last)
            last = after
        print(int((cpu() - before) * 1e9), last - begin, *took, flush=True)
