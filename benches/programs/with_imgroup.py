"""A delete with this library, on the main thread, or, with the argument "thread", on
another one."""

import sys
import threading

import imgroup
import worker


def work() -> None:
    with imgroup.Client.from_env(quota=1_000_000) as client:
        worker.run(lambda: client.delete_lists("alice", ["Family"]))


if sys.argv[1:] == ["thread"]:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
else:
    work()
