"""The client: arguments, results, errors, callbacks, its own life."""

from __future__ import annotations

import base64
import copy
import doctest
import gc
import hashlib
import hmac
import json
import logging
import pickle
import resource
import sys
import threading
import time
import weakref
import zlib
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, List, Tuple, Type

import pytest

import imgroup
import imgroup.client
from imgroup import Client
from imgroup.testing import Emulator

BUILTIN = [
    (imgroup.InvalidArgument, ValueError),
    (imgroup.NetworkError, ConnectionError),
    (imgroup.DeadlineExceeded, TimeoutError),
    (imgroup.AuthError, PermissionError),
    (imgroup.NotFound, LookupError),
    (imgroup.InternalError, RuntimeError),
    (imgroup.LibraryLoadError, ImportError),
    (imgroup.Cancelled, Exception),
    (imgroup.Throttled, Exception),
    (imgroup.ServerError, Exception),
]


def test_results_are_plain_frozen_data(alice: Emulator, imgroup_client: Client) -> None:
    added = imgroup_client.add_lists("alice", ("News",), friends={"bob": 1})
    assert (added.sequence, added.attempts, added.was_ambiguous, added.failed) == (1, 1, False, ())
    assert added.friends == (imgroup.FriendResult("bob", 0, ""),) and added.friends[0].ok
    got = imgroup_client.get_lists("alice", ["News"], with_members=True)
    assert got.lists == (imgroup.FriendList("News", 1, ("bob",)),)
    deleted = imgroup_client.delete_lists("alice", iter(["News", "Work"]), ignore_missing=True)
    assert deleted.sequence == 2
    assert deleted.raw["CurrentSequence"] == 2 and json.loads(deleted.body) == deleted.raw
    assert repr(deleted) == "DeleteResult(sequence=2, attempts=1, was_ambiguous=False)"
    with pytest.raises(AttributeError):
        deleted.sequence = 5  # type: ignore[misc]
    for result in (added, got, deleted):
        assert pickle.loads(pickle.dumps(result)) == result
    assert alice.lists("alice") == ["Family"]


def test_a_request_takes_a_mapping_or_its_text(alice: Emulator, imgroup_client: Client) -> None:
    body = {"From_Account": "alice", "StartIndex": 0}
    first = imgroup_client.request("v4/sns/friend_get", body, idempotent=True)
    second = imgroup_client.request("v4/sns/friend_get", json.dumps(body))
    assert first.raw["UserDataItem"][0]["To_Account"] == "bob" and first.raw == second.raw
    with pytest.raises(TypeError, match="body must be a mapping"):
        imgroup_client.request("v4/sns/friend_get", [body])  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        imgroup_client.request("v4/sns/friend_get", {"x": float("nan")})


@pytest.mark.parametrize(
    ("arguments", "kind", "text"),
    [
        (("alice", "Work"), TypeError, "names must be a list of str, not a single str"),
        (("alice", b"Work"), TypeError, "not a single bytes"),
        (("alice", ["a", 5]), TypeError, r"names\[1\] must be a str, not int"),
        (("alice", [b"a"]), TypeError, r"names\[0\] must be a str, not bytes"),
        ((b"alice", ["a"]), TypeError, "account must be a str"),
        ((None, ["a"]), TypeError, "account must be a str"),
        (("alice", None), TypeError, "not iterable"),
        (("al\0ice", ["a"]), imgroup.InvalidArgument, "account: must not contain NUL"),
        (("alice", ["a\0"]), imgroup.InvalidArgument, r"names\[0\]: must not contain NUL"),
        (("alice", ["\ud800"]), imgroup.InvalidArgument, r"IMGROUP_E_INVALID_UTF8 \(-2\): names\[0\]"),
    ],
)
def test_what_c_cannot_be_given_is_refused(
    imgroup_client: Client, arguments: Any, kind: Type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=text):
        imgroup_client.delete_lists(*arguments)


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"timeout": 0}, imgroup.InvalidArgument, "timeout: must be above 0"),
        ({"timeout": -1}, imgroup.InvalidArgument, "timeout: must be above 0"),
        ({"timeout": float("nan")}, imgroup.InvalidArgument, "timeout: must be above 0"),
        ({"timeout": float("inf")}, imgroup.InvalidArgument, "timeout_ms: must be 1 to 600000"),
        ({"timeout": timedelta(minutes=11)}, imgroup.InvalidArgument, "timeout_ms: must be 1 to 600000"),
        ({"timeout": "5"}, TypeError, "timeout must be seconds or a timedelta"),
        ({"timeout": True}, TypeError, "timeout must be seconds or a timedelta"),
        ({"region": "moon"}, imgroup.InvalidArgument, "region: must be one of cn, sgp"),
        ({"endpoint": "http://example.com"}, imgroup.InvalidArgument, "endpoint: plain http"),
        ({"max_attempts": 6}, imgroup.InvalidArgument, "max_attempts: must be 1 to 5"),
        ({"max_attempts": 2**32 + 3}, imgroup.InvalidArgument, "max_attempts: must be 0 to 4294967295"),
        ({"max_attempts": 2.5}, TypeError, "max_attempts must be an int"),
        ({"quota_share": 2}, imgroup.InvalidArgument, "quota_share: must be 0.001 to 1"),
        ({"quota_share": "1"}, TypeError, "quota_share must be a number"),
        ({"usersig_ttl": 5}, imgroup.InvalidArgument, "usersig_ttl_s: must be 60"),
        ({"ca_file": "/nowhere.pem"}, imgroup.InvalidArgument, "ca_file"),
        ({"log": 5}, TypeError, "log must be callable"),
        ({"log": print, "log_level": "loud"}, imgroup.InvalidArgument, "log_level: must be one of error"),
        ({"limiter": 5}, TypeError, "limiter must be callable"),
        ({"colour": "red"}, TypeError, "colour"),
    ],
)
def test_options_are_checked_and_named(options: Dict[str, Any], kind: Type[Exception], text: str) -> None:
    with pytest.raises(kind, match=text):
        Client(1400000000, "administrator", "key", **{"endpoint": "http://127.0.0.1:1", **options})


def test_credentials_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(imgroup.InvalidArgument, match="sdkappid"):
        Client(0, "administrator", "key", region="sgp")
    with pytest.raises(imgroup.InvalidArgument, match="sdkappid: must be 0 to 4294967295"):
        Client(2**32 + 1, "administrator", "key", region="sgp")
    with pytest.raises(imgroup.InvalidArgument, match="region") as caught:
        Client(1, "administrator", "key")
    assert caught.value.code == imgroup.Code.CONFIG
    monkeypatch.delenv("IMGROUP_SDKAPPID", raising=False)
    with pytest.raises(imgroup.InvalidArgument, match="IMGROUP_SDKAPPID"):
        Client.from_env()


def test_every_option_arrives(alice: Emulator, tmp_path: Any, imgroup_environment: Any) -> None:
    options: Dict[str, Any] = {
        "region": "sgp",
        "endpoint": alice.url,
        "backup_endpoint": alice.url,
        "ca_file": "",
        "proxy": "",
        "timeout": timedelta(seconds=9),
        "attempt_timeout": 4.5,
        "resolve_timeout": 1,
        "connect_timeout": 1,
        "max_attempts": 2,
        "usersig_ttl": timedelta(days=2),
        "max_reply_bytes": 2048,
        "quota": 1000,
        "quota_share": 0.5,
        "quota_directory": tmp_path,
    }
    for client in (
        Client(alice.sdkappid, alice.identifier, alice.secret_key, **options),
        Client.from_env(**options),
    ):
        with client:
            assert client.get_lists("alice").names == ("Family", "Work")
    assert list(tmp_path.iterdir()), "the pace is kept in quota_directory"
    with pytest.raises(imgroup.InvalidArgument, match="redis"):
        Client.from_env(quota_redis="nonsense")
    with pytest.raises(TypeError, match="unknown option: colour"):
        Client.from_env(colour="red")


@pytest.mark.parametrize(("kind", "builtin"), BUILTIN)
def test_exceptions_are_caught_pickled_and_read(kind: Type[imgroup.ImGroupError], builtin: type) -> None:
    assert issubclass(kind, builtin) and issubclass(kind, imgroup.ImGroupError)
    error = kind(
        "why",
        code=-13,
        error_class="network",
        outcome=imgroup.Outcome.UNKNOWN,
        http_status=200,
        attempts=3,
        host="h",
        random=7,
        display="d",
        retryable=True,
    )
    error.name = "IMGROUP_E_IO"
    error.__cause__ = ValueError("deeper")
    assert str(error) == "IMGROUP_E_IO (-13): why"
    assert repr(error) == f"{kind.__name__}('why', code=-13, name='IMGROUP_E_IO', outcome='UNKNOWN')"
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is kind and again.args == ("why",)
        assert (again.code, again.outcome, again.attempts, again.random) == (-13, "UNKNOWN", 3, 7)
        assert (again.http_status, again.host, again.display, again.retryable) == (200, "h", "d", True)


def test_an_error_of_the_service_survives_a_pickle(alice: Emulator, imgroup_client: Client) -> None:
    with pytest.raises(imgroup.NotFound) as caught:
        imgroup_client.delete_lists("mallory", ["x"])
    error = caught.value
    assert error.code == 30003 and error.random > 0 and error.host in alice.url
    again = pickle.loads(pickle.dumps(error))
    assert vars(again) == vars(error) and str(again) == str(error)
    assert str(error).startswith("ERR_SVR_FRIENDSHIP_ACCOUNT_NOT_FOUND (30003): v4/sns/group_delete: ")
    assert alice.secret_key not in str(error)


@pytest.mark.parametrize("on_main", [True, False])
@pytest.mark.parametrize("how", ["cancel", "shutdown", "deadline"])
def test_a_call_is_ended(alice: Emulator, how: str, on_main: bool) -> None:
    alice.fault("silence")
    stop = imgroup.Cancellation()
    kind = imgroup.DeadlineExceeded if how == "deadline" else imgroup.Cancelled
    times: List[float] = []

    def call() -> None:
        with pytest.raises(kind) as caught:
            client.delete_lists("alice", ["Work"], timeout=0.2 if how == "deadline" else None, cancel=stop)
        times.append(time.monotonic())
        assert caught.value.outcome == "UNKNOWN"

    with alice.client() as client:
        end = {"cancel": stop.cancel, "shutdown": client.shutdown, "deadline": client.stats}[how]
        began = time.monotonic()
        timer = threading.Timer(0.2, end)
        timer.start()
        if on_main:
            call()
        else:
            thread = threading.Thread(target=call)
            thread.start()
            thread.join()
        timer.join()
    assert 0.19 < times[0] - began < 2


def test_a_cancellation_serves_many_calls_and_is_reset(alice: Emulator, imgroup_client: Client) -> None:
    stop = imgroup.Cancellation()
    stop.cancel()
    assert stop.cancelled
    for _ in range(2):
        with pytest.raises(imgroup.Cancelled) as caught:
            imgroup_client.get_lists("alice", cancel=stop)
        assert caught.value.outcome is imgroup.Outcome.NOT_SENT
    stop.reset()
    assert imgroup_client.get_lists("alice", cancel=stop).names == ("Family", "Work")
    assert stop._controls == []


def test_threads_run_side_by_side(alice: Emulator, imgroup_client: Client) -> None:
    alice.fault("delay", delay_ms=300, times=8)
    results: List[Any] = []
    threads = [
        threading.Thread(target=lambda: results.append(imgroup_client.get_lists("alice").names))
        for _ in range(8)
    ]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began < 1.8
    assert results == [("Family", "Work")] * 8


def test_closing_waits_for_calls_and_refuses_new_ones(alice: Emulator) -> None:
    client = alice.client()
    alice.fault("delay", delay_ms=200)
    results: List[Any] = []
    thread = threading.Thread(target=lambda: results.append(client.get_lists("alice").names))
    thread.start()
    time.sleep(0.1)
    client.close()
    thread.join()
    assert results == [("Family", "Work")]
    assert client.closed and "closed" in repr(client)
    client.close()
    client.shutdown()
    for call in (client.stats, lambda: client.get_lists("alice")):
        with pytest.raises(imgroup.Cancelled, match="the client is closed") as caught:
            call()
        assert caught.value.code == imgroup.Code.SHUTDOWN


def test_an_exception_in_the_block_ends_calls_of_other_threads(alice: Emulator) -> None:
    alice.fault("silence")
    errors: List[Any] = []

    def call() -> None:
        with pytest.raises(imgroup.Cancelled) as caught:
            client.get_lists("alice")
        errors.append(caught.value.code)

    began = time.monotonic()
    with pytest.raises(ZeroDivisionError), alice.client() as client:
        thread = threading.Thread(target=call)
        thread.start()
        time.sleep(0.1)
        raise ZeroDivisionError
    thread.join()
    assert time.monotonic() - began < 2 and errors == [imgroup.Code.SHUTDOWN]


def test_a_forgotten_client_is_freed_with_its_callbacks(alice: Emulator) -> None:
    class Log:
        def __call__(self, level: int, message: str) -> None:
            pass

    log = Log()
    client = alice.client(log=log)
    assert client.get_lists("alice").names
    dead, gone = weakref.ref(client), weakref.ref(log)
    before = len(imgroup.client._callbacks)
    del client, log
    gc.collect()
    assert dead() is None and gone() is None
    assert len(imgroup.client._callbacks) == before - 1


def test_a_client_cannot_be_pickled_or_copied(imgroup_client: Client) -> None:
    for act in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError, match="cannot be pickled"):
            act(imgroup_client)
    assert "deadbeef" not in repr(imgroup_client)


def test_log_lines_arrive(alice: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    lines: List[Tuple[int, str]] = []
    with alice.client(log=lambda level, text: lines.append((level, text)), log_level="debug") as client:
        client.get_lists("alice")
    assert any(level == logging.DEBUG and "v4/sns/group_get" in text for level, text in lines)
    with caplog.at_level(logging.ERROR), alice.client(log=logging.getLogger("imgroup")) as client:
        with pytest.raises(imgroup.NotFound):
            client.get_lists("mallory 100%s")
    assert any(
        record.levelno == logging.ERROR and "100%s" in record.getMessage() and record.name == "imgroup"
        for record in caplog.records
    )


def test_what_log_raises_is_reported_and_fails_nothing(
    alice: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: List[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", reports.append)

    def log(level: int, message: str) -> None:
        raise KeyError("oops")

    with alice.client(log=log, log_level="debug") as client:
        assert client.get_lists("alice").names
    assert reports and isinstance(reports[0].exc_value, KeyError)


def test_a_limiter_waits_refuses_and_raises(alice: Emulator) -> None:
    asked: List[str] = []
    answers: List[Any] = [None, 0.05, timedelta(milliseconds=50), -1, RuntimeError("no idea")]

    def limiter(command: str) -> Any:
        asked.append(command)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with alice.client(limiter=limiter) as client:
        began = time.monotonic()
        for _ in range(3):
            client.get_lists("alice")
        assert 0.1 <= time.monotonic() - began < 2
        with pytest.raises(imgroup.Throttled) as caught:
            client.delete_lists("alice", ["Work"])
        assert caught.value.code == imgroup.Code.QUOTA and caught.value.__cause__ is None
        with pytest.raises(imgroup.Throttled) as caught:
            client.delete_lists("alice", ["Work"])
        assert isinstance(caught.value.__cause__, RuntimeError)
        answers[:] = [-1]
        with pytest.raises(imgroup.Throttled) as caught:
            client.delete_lists("alice", ["Work"])
        assert caught.value.__cause__ is None, "the cause was that of another call"
    assert asked == ["group_get"] * 3 + ["group_delete"] * 3


def test_usersig_is_what_the_service_verifies() -> None:
    moment = datetime(2024, 1, 2, tzinfo=timezone.utc)
    text = imgroup.usersig(5, "alice", "key", ttl=timedelta(hours=1), issued_at=moment, userbuf=b"\0\xff")
    packed = base64.b64decode(text.translate(str.maketrans("*-_", "+/=")))
    ticket = json.loads(zlib.decompress(packed))
    userbuf = base64.b64encode(b"\0\xff").decode()
    signed = f"TLS.identifier:alice\nTLS.sdkappid:5\nTLS.time:{int(moment.timestamp())}\nTLS.expire:3600\nTLS.userbuf:{userbuf}\n"
    digest = hmac.new(b"key", signed.encode(), hashlib.sha256).digest()
    assert ticket["TLS.sig"] == base64.b64encode(digest).decode()
    assert ticket["TLS.userbuf"] == userbuf
    assert imgroup.usersig(5, "alice", "key", issued_at=1) == imgroup.usersig(5, "alice", "key", issued_at=1)
    with pytest.raises(imgroup.InvalidArgument, match="issued_at"):
        imgroup.usersig(5, "alice", "key", issued_at=-1)


def test_errors_and_results_leak_nothing(alice: Emulator, imgroup_client: Client) -> None:
    def call() -> None:
        for _ in range(5000):
            try:
                imgroup_client.delete_lists("alice", [], timeout=1)
            except imgroup.InvalidArgument:
                pass
        for _ in range(300):
            imgroup_client.get_lists("alice", with_members=True)

    call()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    call()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2048, "kilobytes"


EXAMPLES = [
    test
    for module in (imgroup, imgroup.client)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module)
    if test.examples
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_examples_in_the_docstrings(
    example: doctest.DocTest, alice: Emulator, imgroup_client: Client, imgroup_environment: Any
) -> None:
    example.globs = {"client": imgroup_client}
    report: List[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(example, out=report.append)
    assert runner.failures == 0, "".join(report)
