"""Bounds a call in time, and ends another from outside: cancel_and_deadline.py ACCOUNT"""

import asyncio
import sys
import threading

import imgroup


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    account = sys.argv[1]
    with imgroup.Client.from_env() as client:
        # A deadline of its own: all attempts, pauses and waits included.
        try:
            print("with a deadline:", ", ".join(client.get_lists(account, timeout=0.3).names))
        except imgroup.DeadlineExceeded:
            print("with a deadline: too late")

        # Cancelled by another thread. (Ctrl-C would do it too.)
        stop = imgroup.Cancellation()
        timer = threading.Timer(0.3, stop.cancel)
        timer.start()
        try:
            print("cancelled by a thread:", ", ".join(client.get_lists(account, cancel=stop).names))
        except imgroup.Cancelled as error:
            print("cancelled by a thread: ended, outcome", error.outcome)
        timer.cancel()

        # In asyncio, cancelling the task is enough.
        try:
            names = asyncio.run(asyncio.wait_for(client.get_lists_async(account), 0.3)).names
            print("cancelled by asyncio:", ", ".join(names))
        except asyncio.TimeoutError:
            print("cancelled by asyncio: ended")
    return 0


if __name__ == "__main__":
    sys.exit(main())
