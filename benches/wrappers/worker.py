"""A worker of the wrapper benchmark, as worker.c: calls on the main thread, or,
with the argument "thread", on another one."""

import sys
import threading
import time

import imgroup


def work() -> None:
    with imgroup.Client.from_env(quota=1_000_000) as client:
        for line in sys.stdin:
            calls = int(line)
            begin = time.perf_counter()
            for _ in range(calls):
                reply = client.get_lists("alice", ["Family"], with_members=True)
                assert len(reply.lists[0].members) == 1
            print((time.perf_counter() - begin) / calls * 1e6, flush=True)


if sys.argv[1:] == ["thread"]:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
else:
    work()
