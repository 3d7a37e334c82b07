"""What this package adds to a call, in one run against a local emulator.

Prints one JSON object: calls a second and microseconds a call of the C function
with its arguments ready (`c`), of the package on another thread (`thread`) and on
the main thread (`main`), and of a call that the library refuses before sending
(`refused`), which is next to nothing but wrapper. Median of several rounds, each
of which takes every way in turn, so that a busy machine slows all alike.
"""

import json
import statistics
import sys
import threading
import time
from typing import Callable, Dict, List

import imgroup
from imgroup import _ffi
from imgroup.testing import Emulator

ROUNDS = 7
CALLS = 500


def seconds_per_call(call: Callable[[], object]) -> float:
    call()
    began = time.perf_counter()
    for _ in range(CALLS):
        call()
    return (time.perf_counter() - began) / CALLS


def on_a_thread(call: Callable[[], object]) -> float:
    result: List[float] = []
    thread = threading.Thread(target=lambda: result.append(seconds_per_call(call)))
    thread.start()
    thread.join()
    return result[0]


def main() -> int:
    with Emulator("--quota", "0", "--write-time-ms", "0") as emulator:
        emulator.seed({"alice": ["Family"]})
        with emulator.client() as client:
            names = _ffi.texts([b"Family"])

            def in_c() -> None:
                response, error = _ffi.Response(), _ffi.Error()
                arguments = (b"alice", names, 1, 0, None, _ffi.byref(response), _ffi.byref(error))
                if _ffi.lib.imgroup_get_lists(client._handle, *arguments):
                    raise RuntimeError("the call failed")
                _ffi.lib.imgroup_response_free(response)

            def in_python() -> None:
                client.get_lists("alice", ["Family"])

            def refused() -> None:
                try:
                    client.get_lists("", ["Family"])
                except imgroup.InvalidArgument:
                    pass

            ways: Dict[str, Callable[[], float]] = {
                "c": lambda: on_a_thread(in_c),
                "thread": lambda: on_a_thread(in_python),
                "main": lambda: seconds_per_call(in_python),
                "refused": lambda: on_a_thread(refused),
            }
            times: Dict[str, List[float]] = {name: [] for name in ways}
            for _ in range(ROUNDS):
                for name, measure in ways.items():
                    times[name].append(measure())
    medians = {name: statistics.median(values) for name, values in times.items()}
    report = {
        "language": "python",
        "version": sys.version.split()[0],
        "calls_per_second": {name: round(1 / value) for name, value in medians.items()},
        "us_per_call": {name: round(value * 1e6, 1) for name, value in medians.items()},
    }
    print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
