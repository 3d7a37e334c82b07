"""What only Python does to a library: signals, fork, the end of the interpreter."""

from __future__ import annotations

import multiprocessing
import os
import statistics
import subprocess
import sys
import threading
import time
from typing import Any, Callable, List, Tuple

import pytest

import imgroup
from imgroup import Client
from imgroup.testing import Emulator

RunScript = Callable[..., "subprocess.CompletedProcess[str]"]


def test_ctrl_c_ends_a_call_of_the_main_thread(alice: Emulator, run_script: RunScript) -> None:
    alice.fault("silence", times=1000)
    trials = 20
    done = run_script(
        """
        import imgroup, os, signal, sys, threading, time
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sent = [0.0]
        def interrupt():
            sent[0] = time.monotonic()
            os.kill(os.getpid(), signal.SIGINT)
        with imgroup.Client.from_env(quota=100000) as client:
            for _ in range(int(sys.argv[1])):
                timer = threading.Timer(0.1, interrupt)
                timer.start()
                try:
                    client.delete_lists("alice", ["Work"])
                except KeyboardInterrupt:
                    print(time.monotonic() - sent[0])
                timer.join()
            print(len(threading.enumerate()))
        """,
        str(trials),
    )
    *times, threads = done.stdout.split()
    assert len(times) == trials
    assert statistics.median(map(float, times)) < 0.3 and max(map(float, times)) < 3.0
    assert int(threads) <= 2, "a helper thread was left behind at each interrupt"
    # On a busy machine, a call may be ended before it is sent.
    assert alice.count("group_delete") >= trials - 5


def test_a_storm_of_signals_leaves_nothing_behind(alice: Emulator, run_script: RunScript) -> None:
    done = run_script(
        """
        import imgroup, os, random, signal, threading, time
        client = imgroup.Client.from_env(quota=1000000)
        client.get_lists("alice")
        end = time.monotonic() + 1.5
        def storm():
            while time.monotonic() < end:
                time.sleep(random.random() * 0.01)
                os.kill(os.getpid(), signal.SIGINT)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        thread = threading.Thread(target=storm)
        interrupts = 0
        while True:
            try:
                thread.ident or thread.start()
                while time.monotonic() < end + 0.1:
                    client.get_lists("alice")
                break
            except KeyboardInterrupt:
                interrupts += 1
        print(interrupts, threading.active_count(), client._busy)
        """
    )
    interrupts, threads, busy = map(int, done.stdout.split())
    assert interrupts > 10 and threads < 8 and busy == 0


def test_a_client_works_after_ctrl_c(alice: Emulator, run_script: RunScript) -> None:
    alice.fault("silence")
    done = run_script(
        """
        import imgroup, os, signal, threading
        signal.signal(signal.SIGINT, signal.default_int_handler)
        client = imgroup.Client.from_env()
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            client.delete_lists("alice", ["Work"])
        except KeyboardInterrupt:
            print(client.get_lists("alice").names)
        """
    )
    assert done.stdout == "('Family', 'Work')\n"


def test_a_signal_handler_runs_during_a_call_and_may_call(alice: Emulator, run_script: RunScript) -> None:
    alice.fault("delay", delay_ms=400, command="group_delete")
    done = run_script(
        """
        import imgroup, os, signal, threading
        client = imgroup.Client.from_env()
        signal.signal(signal.SIGUSR1, lambda *_: print("handler", client.get_lists("alice").names))
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        print("main", client.delete_lists("alice", ["Work"]).sequence)
        """
    )
    assert done.stdout == "handler ('Family', 'Work')\nmain 1\n"


def _child(account: str) -> Tuple[int, Tuple[str, ...]]:
    return os.getpid(), _inherited.get_lists(account).names


_inherited: Client


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_pools_of_processes(method: str, alice: Emulator, imgroup_environment: Any) -> None:
    global _inherited
    context = multiprocessing.get_context(method)
    with Client.from_env(quota=100000) as client:
        assert client.get_lists("alice").names
        _inherited = client
        initializer = None if method == "fork" else _make_own_client
        with context.Pool(2, initializer=initializer) as pool:
            rows = pool.map(_child, ["alice"] * 8)
            assert {names for _, names in rows} == {("Family", "Work")}
            assert os.getpid() not in {pid for pid, _ in rows}
            # Its error comes back as what it is.
            with pytest.raises(imgroup.NotFound) as caught:
                pool.map(_child, ["mallory"])
            assert caught.value.code == 30003 and caught.value.outcome is imgroup.Outcome.REJECTED
            pool.close()
            pool.join()
        assert client.get_lists("alice").names


def _make_own_client() -> None:
    global _inherited
    _inherited = Client.from_env()


def test_fork_in_the_midst_of_calls(alice: Emulator, imgroup_client: Client) -> None:
    stop = threading.Event()
    errors: List[BaseException] = []

    def hammer() -> None:
        while not stop.is_set():
            try:
                imgroup_client.get_lists("alice")
            except BaseException as error:
                errors.append(error)
                return

    threads = [threading.Thread(target=hammer) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            pid = os.fork()
            if pid == 0:
                try:
                    good = imgroup_client.get_lists("alice", timeout=5).names == ("Family", "Work")
                    # Waits for nobody: the parent's other threads are not here.
                    imgroup_client.close()
                    os._exit(0 if good else 3)
                except BaseException:
                    os._exit(4)
            deadline = time.monotonic() + 10
            while True:
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    break
                if time.monotonic() > deadline:
                    os.kill(pid, 9)
                    os.waitpid(pid, 0)
                    pytest.fail("the child hangs")
                time.sleep(0.005)
            assert os.waitstatus_to_exitcode(status) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert errors == []
    assert imgroup_client.get_lists("alice").names


@pytest.mark.parametrize("ending", ["return", "exit", "exception"])
def test_the_end_of_the_interpreter_during_a_call(
    ending: str, alice: Emulator, run_script: RunScript
) -> None:
    alice.fault("silence", times=10)
    began = time.monotonic()
    script = f"""
        import imgroup, sys, threading, time
        lines = []
        client = imgroup.Client.from_env(
            quota=100000, log=lambda level, text: lines.append(text), log_level="debug")
        def call():
            try:
                client.delete_lists("alice", ["Work"])
            except imgroup.Cancelled:
                pass
        for _ in range(3):
            threading.Thread(target=call, daemon=True).start()
        time.sleep(0.3)
        if {ending!r} == "exit":
            sys.exit(7)
        if {ending!r} == "exception":
            sys.excepthook = lambda *_: None
            raise KeyError
        """
    run_script(script, code={"return": 0, "exit": 7, "exception": 1}[ending])
    assert time.monotonic() - began < 5


def test_an_idle_client_does_not_hinder_the_end(alice: Emulator, run_script: RunScript) -> None:
    run_script(
        """
        import asyncio, imgroup
        client = imgroup.Client.from_env(log=print, log_level="error")
        client.get_lists("alice")
        asyncio.run(client.get_lists_async("alice"))
        """
    )


def test_importing_is_quick_and_pulls_in_no_asyncio() -> None:
    text = """
import sys, time
began = time.process_time()
import imgroup
print((time.process_time() - began) * 1000)
print(sorted({"asyncio", "logging", "concurrent.futures", "subprocess", "pytest"} & set(sys.modules)))
"""
    times = []
    for _ in range(7):
        # Processor time: how busy the machine is does not matter.
        done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
        elapsed, modules = done.stdout.split("\n", 1)
        assert modules.strip() == "[]"
        times.append(float(elapsed))
    assert statistics.median(times) < 60, times
