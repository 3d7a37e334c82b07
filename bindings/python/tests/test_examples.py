"""The programs in examples/python do what they say."""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Dict, List

import pytest
from conftest import ROOT

from imgroup import _ffi
from imgroup.testing import Emulator

EXAMPLES = ROOT / "examples" / "python"


@pytest.fixture(autouse=True)
def environment(imgroup_environment: Any) -> None:
    """All of them take endpoint and key from the environment."""


def run(name: str, *arguments: str, code: int = 0) -> str:
    line = [sys.executable, str(EXAMPLES / name), *arguments]
    environment = {**os.environ, "LIBIMGROUP": os.path.abspath(_ffi.LIBRARY_PATH)}
    done = subprocess.run(line, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == code, done
    return done.stdout + done.stderr


def test_delete_lists(alice: Emulator) -> None:
    assert (
        run("delete_lists.py", "alice", "Family", "Work") == "deleted 2 lists of alice, now at sequence 1\n"
    )
    assert alice.lists("alice") == []
    assert "ACCOUNT_NOT_FOUND (30003)" in run("delete_lists.py", "mallory", "Work", code=1)


def test_plain_ctypes(alice: Emulator) -> None:
    assert run("plain_ctypes.py", "alice", "Family", "Work") == "lists are now at sequence 1\n"
    assert alice.lists("alice") == []
    assert "ACCOUNT_NOT_FOUND (30003)" in run("plain_ctypes.py", "mallory", "Work", code=1)


def test_plain_ctypes_is_declared_as_the_package_is() -> None:
    def shape(ctype: Any) -> str:
        # Handles are other classes there.
        while hasattr(ctype, "_type_") and not isinstance(ctype._type_, str):
            return f"pointer to {shape(ctype._type_)}"
        return str(ctype.__name__ if ctype else None).replace("Object", "")

    signatures: Dict[str, Any] = runpy.run_path(str(EXAMPLES / "plain_ctypes.py"))["SIGNATURES"]
    for name, (result, parameters) in signatures.items():
        expected_result, expected = _ffi.FUNCTIONS[name]
        assert shape(result) == shape(expected_result), name
        assert [shape(parameter) for parameter in parameters] == [
            shape(parameter) for parameter in expected
        ], name


def test_create_and_read(alice: Emulator) -> None:
    output = run("create_and_read.py", "alice", "News", "bob", "mallory")
    assert output.splitlines() == [
        "mallory is not in it: 30001 Err_SNS_GroupAdd_Friend_Not_Exist",
        "Family: nobody",
        "Work: nobody",
        "News: bob",
    ]


@pytest.mark.parametrize(
    ("faults", "account", "lines"),
    [
        ([], "mallory", ["not_found: import the account first", "code 30003, attempts 1, outcome REJECTED"]),
        (
            [],
            "x" * 33,
            [
                "argument: correct the argument; the same call will never succeed",
                "code -1, attempts 0, outcome NOT_SENT",
            ],
        ),
        (
            [{"kind": "hang_up"}],
            "alice",
            [
                "network: check the network and the endpoint",
                "whether the list was created is open; read the lists before repeating",
                "code -13, attempts 1, outcome UNKNOWN",
            ],
        ),
        (
            [{"kind": "error", "code": 70009}],
            "alice",
            ["auth: check the key, the identifier and the app", "code 70009, attempts 1, outcome REJECTED"],
        ),
        (
            [{"kind": "error", "code": 30006}],
            "alice",
            [
                "server: try again later",
                "whether the list was created is open; read the lists before repeating",
                "code 30006, attempts 1, outcome UNKNOWN",
            ],
        ),
        (
            [{"kind": "error", "code": 72000}],
            "alice",
            ["throttled: come back later, less often", "code 72000, attempts 1, outcome REJECTED"],
        ),
    ],
    ids=["not_found", "argument", "network", "auth", "server", "throttled"],
)
def test_handle_errors(alice: Emulator, faults: List[Dict[str, Any]], account: str, lines: List[str]) -> None:
    for fault in faults:
        alice.fault(**fault)
    assert run("handle_errors.py", account, "News", code=1).splitlines() == lines


def test_handle_errors_without_one(alice: Emulator) -> None:
    assert run("handle_errors.py", "alice", "News") == "created\n"


def test_cancel_and_deadline(alice: Emulator) -> None:
    names = "Family, Work"
    assert run("cancel_and_deadline.py", "alice").splitlines() == [
        f"with a deadline: {names}",
        f"cancelled by a thread: {names}",
        f"cancelled by asyncio: {names}",
    ]
    alice.fault("silence", times=9)
    assert run("cancel_and_deadline.py", "alice").splitlines() == [
        "with a deadline: too late",
        "cancelled by a thread: ended, outcome UNKNOWN",
        "cancelled by asyncio: ended",
    ]


def test_bulk_delete(imgroup_emulator: Emulator, tmp_path: Path) -> None:
    rows, journal = tmp_path / "rows.csv", tmp_path / "journal"
    rows.write_text("account,list\nalice,Family\nbob,Work\nalice,Work\nmallory,Work\n")
    imgroup_emulator.seed({"alice": ["Family", "Work", "Keep"], "bob": ["Work"]})
    for requests in (3, 3):
        # The second time, nothing is left to do.
        output = run("bulk_delete.py", str(rows), str(journal), code=1)
        assert "4 of 4 rows" in output
        assert "4 total" in output and "3 deleted" in output and "1 failed" in output
        assert imgroup_emulator.count("group_delete") == requests
    assert imgroup_emulator.lists("alice") == ["Keep"] and imgroup_emulator.lists("bob") == []
    failed = f"{journal}.failed.csv"
    assert Path(failed).read_text().splitlines()[1].startswith("mallory,Work,")
    imgroup_emulator.seed({"mallory": ["Work"]})
    assert "1 deleted" in run("bulk_delete.py", failed, str(tmp_path / "second"))
    assert imgroup_emulator.lists("mallory") == []


def test_bulk_delete_is_interrupted_and_gone_on_with(imgroup_emulator: Emulator, tmp_path: Path) -> None:
    accounts = [f"u{number}" for number in range(1000)]
    imgroup_emulator.seed({account: ["Work"] for account in accounts})
    rows = tmp_path / "rows.csv"
    rows.write_text("account,list\n" + "".join(f"{account},Work\n" for account in accounts))
    arguments = (str(rows), str(tmp_path / "journal"))
    process = subprocess.Popen(
        [sys.executable, str(EXAMPLES / "bulk_delete.py"), *arguments],
        stderr=subprocess.PIPE,
        text=True,
        # As a terminal has it, whatever started these tests.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while imgroup_emulator.count("group_delete") < 50:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 3 and errors.endswith("\nstopped by cancel; the same line goes on\n")
    left = sum(bool(account["lists"]) for account in imgroup_emulator.state().values())
    assert 0 < left < len(accounts)
    assert "1000 deleted" in run("bulk_delete.py", *arguments)
    assert not any(account["lists"] for account in imgroup_emulator.state().values())


def test_use_emulator(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_use_emulator=(EXAMPLES / "use_emulator.py").read_text("utf-8"))
    pytester.runpytest("-p", "no:cacheprovider").assert_outcomes(passed=3)
