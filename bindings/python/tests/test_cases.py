"""The table that the C, C++, Go and Python suites have in common (tests/cases.md)."""

from __future__ import annotations

import base64
import json
import threading
import time
from pathlib import Path
from typing import Any, Dict

import pytest

import imgroup
from imgroup.testing import Emulator

TABLE = json.loads((Path(__file__).parents[3] / "tests" / "cases.json").read_text("utf-8"))
APP = TABLE["app"]
# Options that this package names by the unit it takes.
SECONDS = {"timeout_ms": "timeout", "attempt_timeout_ms": "attempt_timeout"}


def client_of(case: Dict[str, Any], emulator: Emulator, directory: Path) -> imgroup.Client:
    options: Dict[str, Any] = {
        "endpoint": emulator.url,
        "quota_directory": directory,
        **case.get("client", {}),
    }
    app = [options.pop(name, APP[name]) for name in ("sdkappid", "identifier", "secret_key")]
    for name in ("endpoint", "ca_file"):
        if name in options:
            options[name] = options[name].format(tls_url=emulator.tls_url, ca_file=emulator.ca_file)
    for name in SECONDS.keys() & options.keys():
        options[SECONDS[name]] = options.pop(name) / 1000
    if "quota_callback" in options:
        wait_ms = options.pop("quota_callback")
        options["limiter"] = lambda command: wait_ms / 1000
    return imgroup.Client(*app, **options)


def make_call(call: Dict[str, Any], client: imgroup.Client) -> Any:
    arguments = dict(call)
    function = arguments.pop("function")
    if function == "usersig":
        userbuf = base64.b64decode(arguments["userbuf"] or "")
        return imgroup.usersig(
            arguments["sdkappid"],
            arguments["identifier"],
            arguments["secret_key"],
            ttl=arguments["ttl_s"],
            issued_at=arguments["issued_at"],
            userbuf=userbuf,
        )
    if "timeout_ms" in arguments:
        arguments["timeout"] = arguments.pop("timeout_ms") / 1000
    if arguments.pop("shutdown", None):
        client.shutdown()
    when = arguments.pop("cancel", None)
    if when:
        arguments["cancel"] = cancellation = imgroup.Cancellation()
        if when == "before":
            cancellation.cancel()
        else:
            assert when == "after_100_ms"
            threading.Timer(0.1, cancellation.cancel).start()
    return getattr(client, function)(**arguments)


@pytest.mark.parametrize("case", TABLE["cases"], ids=lambda case: case["name"])
def test_case(case: Dict[str, Any], imgroup_emulators: Any, tmp_path_factory: Any) -> None:
    options = ("cases", *case.get("emulator", ()))
    emulator = imgroup_emulators.get(options)
    if emulator is None:
        emulator = imgroup_emulators[options] = Emulator(*options[1:])
    directory = tmp_path_factory.getbasetemp() / "pace"
    directory.mkdir(exist_ok=True)
    for control in [*TABLE["before"], *case.get("control", ())]:
        emulator.control(control["method"], control["path"], control.get("body"))
    expect = dict(case["expect"])
    started = time.monotonic()
    with client_of(case, emulator, directory) as client:
        if expect["code"] == 0:
            result = make_call(case["call"], client)
            check_result(result, expect)
        else:
            with pytest.raises(imgroup.ImGroupError) as caught:
                make_call(case["call"], client)
            check_error(caught.value, expect)
    assert time.monotonic() - started < 10
    if "lists_left" in case:
        assert emulator.lists("alice") == case["lists_left"]


def check_result(result: Any, expect: Dict[str, Any]) -> None:
    if "text" in expect:
        assert result == expect["text"]
        return
    got = {
        "code": 0,
        "sequence": None if result.sequence is None else str(result.sequence),
        "attempts": result.attempts,
        "was_ambiguous": result.was_ambiguous,
    }
    if "lists" in expect:
        got["lists"] = [
            {"name": entry.name, "friend_count": entry.friend_count, "members": list(entry.members)}
            for entry in result.lists
        ]
    if "results" in expect:
        got["results"] = [{"account": friend.account, "code": friend.code} for friend in result.friends]
    if "body" in expect:
        got["body"] = result.body.decode()
    assert got == expect


def check_error(error: imgroup.ImGroupError, expect: Dict[str, Any]) -> None:
    assert expect.pop("message_has", "") in str(error)
    names = {"class": "error_class"}
    got = {name: getattr(error, names.get(name, name)) for name in expect}
    assert got == expect, str(error)
