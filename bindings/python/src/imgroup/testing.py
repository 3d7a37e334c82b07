"""A local service for your tests, and pytest fixtures for it.

With this package installed, pytest knows three fixtures::

    def test_a_list_goes(imgroup_emulator, imgroup_client):
        imgroup_emulator.seed({"alice": ["Family", "Work"]})
        imgroup_client.delete_lists("alice", ["Work"])
        assert imgroup_emulator.lists("alice") == ["Family"]

``imgroup_emulator``
    an :class:`Emulator`, started once a session and reset before each test. Options
    of ``imgroup emulator`` are given by a marker, which starts another one::

        @pytest.mark.imgroup_emulator("--unknown-list", "30001")

``imgroup_client``
    an :class:`imgroup.Client` for it, closed after the test.

``imgroup_environment``
    sets the ``IMGROUP_*`` variables by which ``Client.from_env()`` finds it.

The command is ``$IMGROUP_COMMAND``, or ``imgroup`` beside this Python, or on the
``PATH``. Where there is none, tests that need it are skipped; with the setting
``imgroup_missing = fail`` (or ``--imgroup-missing=fail``) they fail.

Without pytest, use :class:`Emulator` as a context manager.

.. versionadded:: 0.1.0
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Type

if TYPE_CHECKING:
    from types import TracebackType

    from .client import Client

__all__ = ["CommandNotFound", "Emulator", "find_command"]

#: The key of the emulator's app; obviously fake, and the same everywhere.
DEMO_SECRET_KEY = "00000000000000000000000000000000000000000000000000000000deadbeef"


class CommandNotFound(FileNotFoundError):
    """The ``imgroup`` command is nowhere to be found."""


def find_command() -> str:
    """The path of the ``imgroup`` command.

    :raises CommandNotFound: where it was looked for.
    """
    named = os.environ.get("IMGROUP_COMMAND")
    if named:
        # Whoever names a file wants that file and no other.
        found = shutil.which(named)
        if found is None:
            raise CommandNotFound(f"IMGROUP_COMMAND names {named!r}, which cannot be run")
        return found
    directories = [sysconfig.get_path("scripts"), os.path.dirname(sys.executable)]
    for place in [*directories, None]:
        found = shutil.which("imgroup", path=place)
        if found is not None:
            return found
    raise CommandNotFound(
        "the imgroup command was not found in $IMGROUP_COMMAND, "
        + ", ".join(dict.fromkeys(directories))
        + " or PATH; install the imgroup package with its command, or set IMGROUP_COMMAND"
    )


class Emulator:
    """A running ``imgroup emulator``, on a free port of this machine.

    It ends with :meth:`stop`, and in any case with this process. The app it serves
    is a fixed, fake one; the environment's own ``IMGROUP_*`` do not reach it.

    :param options: further options of the command, as ``"--unknown-list", "30001"``.
    :param command: the command; by default :func:`find_command`.
    :raises CommandNotFound: if there is no command.
    :raises RuntimeError: if it does not start; with what it said.

    .. versionadded:: 0.1.0
    """

    #: ``http://127.0.0.1:port``
    url: str
    #: ``https://localhost:port`` with the option ``--tls``, else ``None``.
    tls_url: Optional[str]
    #: The certificate of its authority, with the option ``--tls``.
    ca_file: Optional[str]
    sdkappid: int
    identifier: str
    secret_key: str = DEMO_SECRET_KEY

    def __init__(self, *options: str, command: Optional[str] = None) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("IMGROUP_")}
        line = [command or find_command(), "emulator", "--port", "0", "--exit-on-stdin-eof", *options]
        # Its standard input is the leash: when this process ends, however it does, so does it.
        self._process = subprocess.Popen(
            line,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            # Ctrl-C in a terminal is for the tests alone.
            start_new_session=True,
        )
        assert self._process.stdout is not None
        ready = self._process.stdout.readline()
        try:
            facts = json.loads(ready)
        except ValueError:
            assert self._process.stdin is not None
            _, said = self._process.communicate()
            raise RuntimeError(
                f"{' '.join(line)} did not start: {said.decode(errors='replace').strip()}"
            ) from None
        self.url = facts["url"]
        self.tls_url = facts.get("tls_url")
        self.ca_file = facts.get("ca_file")
        self.sdkappid = facts["sdkappid"]
        self.identifier = facts["identifier"]
        self.pid: int = facts["pid"]
        self._pid = os.getpid()
        self._pace: Optional[tempfile.TemporaryDirectory[str]] = None

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Asks the emulator itself: ``control("POST", "/_emulator/reset")``.

        ``imgroup emulator --help`` lists the paths.

        :raises RuntimeError: with its reason, if it refuses.
        """
        from http.client import HTTPConnection

        connection = HTTPConnection(self.url.rpartition("/")[2], timeout=30)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise RuntimeError(f"{method} {path}: {answer['error']}")
        return answer

    def reset(self) -> None:
        """Back to the start: no accounts, no faults, no journal, the right time."""
        self.control("POST", "/_emulator/reset")

    def seed(self, accounts: Mapping[str, Sequence[str]], friends: Mapping[str, Sequence[str]] = {}) -> None:
        """Makes exactly these accounts, with these lists and friends.

        :param accounts: account -> names of its lists.
        :param friends: account -> its friends, who become accounts too.
        """
        state: Dict[str, Any] = {name: {"lists": list(lists)} for name, lists in accounts.items()}
        for name, others in friends.items():
            state.setdefault(name, {})["friends"] = [{"account": other} for other in others]
            for other in others:
                state.setdefault(other, {})
        self.control("PUT", "/_emulator/state", {"accounts": state})

    def state(self) -> Dict[str, Any]:
        """All accounts, with lists, friends and sequences."""
        accounts: Dict[str, Any] = self.control("GET", "/_emulator/state")["accounts"]
        return accounts

    def lists(self, account: str) -> List[str]:
        """The names of the lists of an account."""
        names: List[str] = self.state()[account]["lists"]
        return names

    def fault(self, kind: str, **details: Any) -> None:
        """Makes the next call fail: ``fault("error", code=30006, command="group_delete")``.

        ``imgroup emulator --help`` lists the kinds and their details.
        """
        self.control("POST", "/_emulator/faults", {"kind": kind, **details})

    def requests(self, command: Optional[str] = None) -> List[Dict[str, Any]]:
        """What arrived since the last reset, oldest first."""
        query = f"?command={command}" if command else ""
        entries: List[Dict[str, Any]] = self.control("GET", "/_emulator/requests" + query)["requests"]
        return entries

    def count(self, command: Optional[str] = None) -> int:
        """How many requests arrived since the last reset."""
        query = f"?command={command}" if command else ""
        number: int = self.control("GET", "/_emulator/requests/count" + query)["count"]
        return number

    def advance_clock(self, seconds: int) -> None:
        """Moves the emulator's clock, so that tickets expire."""
        self.control("POST", "/_emulator/clock", {"advance_s": seconds})

    def client(self, **options: Any) -> "Client":
        """A client for it, which is not slowed down by the quota.

        :param options: the keyword options of :class:`imgroup.Client`, which win.
        """
        from .client import Client

        defaults: Dict[str, Any] = {
            "endpoint": self.url,
            "quota": 1_000_000,
            "quota_directory": self._quota_directory(),
        }
        return Client(self.sdkappid, self.identifier, self.secret_key, **{**defaults, **options})

    def environment(self) -> Dict[str, str]:
        """The variables by which ``Client.from_env()`` and the command find it."""
        return {
            "IMGROUP_SDKAPPID": str(self.sdkappid),
            "IMGROUP_IDENTIFIER": self.identifier,
            "IMGROUP_SECRET_KEY": self.secret_key,
            "IMGROUP_ENDPOINT": self.url,
            "IMGROUP_QUOTA_DIR": self._quota_directory(),
        }

    def _quota_directory(self) -> str:
        # The files by which processes share a pace would stay behind in /dev/shm.
        if self._pace is None:
            self._pace = tempfile.TemporaryDirectory(prefix="imgroup-")
        return self._pace.name

    def stop(self) -> None:
        """Ends it. Idempotent."""
        if self._pid != os.getpid():
            return
        process = self._process
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._pace is not None:
            self._pace.cleanup()
            self._pace = None

    def __enter__(self) -> "Emulator":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional["TracebackType"],
    ) -> None:
        self.stop()


try:
    import pytest
except ImportError:
    # Emulator is of use without it.
    pass
else:

    def pytest_addoption(parser: pytest.Parser) -> None:
        about = "what becomes of tests that need the imgroup command where there is none: skip or fail"
        parser.addini("imgroup_missing", about, default="skip")
        parser.getgroup("imgroup").addoption("--imgroup-missing", choices=["skip", "fail"], help=about)

    def pytest_configure(config: pytest.Config) -> None:
        config.addinivalue_line(
            "markers", "imgroup_emulator(*options): options of `imgroup emulator` for this test"
        )

    @pytest.fixture(scope="session")
    def imgroup_emulators() -> Iterator[Dict[Tuple[str, ...], Emulator]]:
        """The emulators that run already, by their options."""
        running: Dict[Tuple[str, ...], Emulator] = {}
        yield running
        for emulator in running.values():
            emulator.stop()

    @pytest.fixture
    def imgroup_emulator(
        request: pytest.FixtureRequest, imgroup_emulators: Dict[Tuple[str, ...], Emulator]
    ) -> Emulator:
        """An emulator without accounts; see :mod:`imgroup.testing`."""
        marker = request.node.get_closest_marker("imgroup_emulator")
        options = tuple(str(option) for option in marker.args) if marker else ()
        emulator = imgroup_emulators.get(options)
        if emulator is None:
            try:
                emulator = Emulator("--quota", "0", *options)
            except CommandNotFound as error:
                config = request.config
                missing = config.getoption("imgroup_missing") or config.getini("imgroup_missing")
                # Who names a command that is not there has made a mistake.
                if missing == "fail" or os.environ.get("IMGROUP_COMMAND"):
                    pytest.fail(str(error), pytrace=False)
                pytest.skip(str(error))
            imgroup_emulators[options] = emulator
        emulator.reset()
        return emulator

    @pytest.fixture
    def imgroup_client(imgroup_emulator: Emulator) -> Iterator["Client"]:
        """A client for ``imgroup_emulator``; see :mod:`imgroup.testing`."""
        client = imgroup_emulator.client()
        yield client
        # A test may have left a call hanging.
        client.shutdown()
        client.close()

    @pytest.fixture
    def imgroup_environment(imgroup_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> Dict[str, str]:
        """Sets ``IMGROUP_*`` for ``imgroup_emulator``; see :mod:`imgroup.testing`."""
        for name in [name for name in os.environ if name.startswith("IMGROUP_")]:
            if name not in ("IMGROUP_LIBRARY", "IMGROUP_COMMAND"):
                monkeypatch.delenv(name)
        environment = imgroup_emulator.environment()
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return environment
