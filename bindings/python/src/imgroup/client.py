"""The client: one Python call for each call of the C library, and nothing more.

What a call means (retries, pace, order of writes, deadlines) is the library's
business. This module passes arguments in, takes results out, and looks after
what only Python knows: threads, signals, fork and the end of the interpreter.
"""

from __future__ import annotations

import atexit
import itertools
import math
import os
import sys
import threading
import time
import weakref
from dataclasses import dataclass, field
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterable,
    List,
    Literal,
    Mapping,
    Optional,
    Tuple,
    Type,
    TypeVar,
    Union,
)

from . import _ffi, _worker
from ._errors import CLASSES, OUTCOMES, Cancelled, Code, ImGroupError, invalid

if TYPE_CHECKING:
    import logging
    from concurrent.futures import ThreadPoolExecutor
    from datetime import datetime, timedelta
    from types import TracebackType

__all__ = [
    "AddResult",
    "Cancellation",
    "Client",
    "DeleteResult",
    "FriendList",
    "FriendResult",
    "GetResult",
    "Result",
    "usersig",
]

#: Seconds, as a number or as a timedelta.
Seconds = Union[float, "timedelta"]
#: The data centres.
Region = Literal["cn", "sgp", "kr", "jpn", "ger", "usa", "idn", "ind", "ksa"]
LogLevelName = Literal["error", "warning", "info", "debug"]

_lib = _ffi.lib
_byref = _ffi.byref
_ResponsePointer = _ffi.Response
_ErrorPointer = _ffi.Error
_response_free = _lib.imgroup_response_free
_response_sequence = _lib.imgroup_response_sequence
_response_has_sequence = _lib.imgroup_response_has_sequence
_response_attempts = _lib.imgroup_response_attempts
_response_was_ambiguous = _lib.imgroup_response_was_ambiguous
_response_body = _lib.imgroup_response_body

_LOG_LEVELS = {"error": 1, "warning": 2, "info": 3, "debug": 4}
# The numbers of the logging module, which is not imported for them.
_LOGGING_LEVELS = {1: 40, 2: 30, 3: 20, 4: 10}
_UINT32_MAX = 2**32 - 1
# Each asynchronous call under way holds a thread.
_ASYNC_THREADS = 64
_REQUEST_IDEMPOTENT = 1


# Results.


@dataclass(frozen=True)
class Result:
    """What a call gave.

    .. versionadded:: 0.1.0
    """

    #: The version of the account's table of lists after the call, 0 to 2**64 - 1. It
    #: changes when the lists change; nothing else is promised of it. ``None`` if the
    #: reply held none.
    sequence: Optional[int]
    #: How many requests the call took.
    attempts: int
    #: Whether an attempt before the last one may have been applied already.
    was_ambiguous: bool
    #: The last reply as it came: a JSON object, UTF-8.
    body: bytes = field(repr=False)

    @property
    def raw(self) -> Dict[str, Any]:
        """The last reply, parsed at each access."""
        import json

        reply: Dict[str, Any] = json.loads(self.body)
        return reply


@dataclass(frozen=True)
class DeleteResult(Result):
    """What :meth:`Client.delete_lists` gave."""


@dataclass(frozen=True)
class FriendResult:
    """What became of one friend of :meth:`Client.add_lists`."""

    #: The friend.
    account: str
    #: 0, or the service's code for this friend alone.
    code: int
    #: The service's text; may say ``"OK"`` or nothing on success.
    info: str

    @property
    def ok(self) -> bool:
        """Whether the friend is in the lists now."""
        return self.code == 0


@dataclass(frozen=True)
class AddResult(Result):
    """What :meth:`Client.add_lists` gave."""

    #: One for each friend that was given.
    friends: Tuple[FriendResult, ...]

    @property
    def failed(self) -> Tuple[FriendResult, ...]:
        """The friends that could not be put into the lists."""
        return tuple(friend for friend in self.friends if friend.code)


@dataclass(frozen=True)
class FriendList:
    """One friend list."""

    #: Its name.
    name: str
    #: How many friends are in it.
    friend_count: int
    #: Their accounts, if they were asked for.
    members: Tuple[str, ...]


@dataclass(frozen=True)
class GetResult(Result):
    """What :meth:`Client.get_lists` gave."""

    #: The lists, in the service's order.
    lists: Tuple[FriendList, ...]

    @property
    def names(self) -> Tuple[str, ...]:
        """The names of the lists."""
        return tuple(entry.name for entry in self.lists)


_R = TypeVar("_R")


def _common(response: Any) -> Tuple[Optional[int], int, bool, bytes]:
    return (
        _response_sequence(response) if _response_has_sequence(response) else None,
        _response_attempts(response),
        _response_was_ambiguous(response) != 0,
        _response_body(response, None),
    )


def _read_delete(response: Any) -> DeleteResult:
    return DeleteResult(*_common(response))


def _read_request(response: Any) -> Result:
    return Result(*_common(response))


def _read_add(response: Any) -> AddResult:
    friends = tuple(
        FriendResult(
            _lib.imgroup_response_result_account(response, index).decode(),
            _lib.imgroup_response_result_code(response, index),
            _lib.imgroup_response_result_info(response, index).decode(),
        )
        for index in range(_lib.imgroup_response_result_count(response))
    )
    return AddResult(*_common(response), friends)


def _read_get(response: Any) -> GetResult:
    member = _lib.imgroup_response_member
    lists = tuple(
        FriendList(
            _lib.imgroup_response_list_name(response, index).decode(),
            _lib.imgroup_response_list_friend_count(response, index),
            tuple(
                member(response, index, number).decode()
                for number in range(_lib.imgroup_response_member_count(response, index))
            ),
        )
        for index in range(_lib.imgroup_response_list_count(response))
    )
    return GetResult(*_common(response), lists)


# Arguments. Only what C cannot even be passed is refused here; the rules are the library's.


def _text(value: str, parameter: str) -> bytes:
    try:
        data = value.encode()
    except AttributeError:
        raise TypeError(f"{parameter} must be a str, not {type(value).__name__}") from None
    except UnicodeEncodeError:
        raise invalid(parameter, "must be valid text, without lone surrogates", Code.INVALID_UTF8) from None
    if b"\0" in data:
        raise invalid(parameter, "must not contain NUL")
    return data


def _texts(values: Iterable[str], parameter: str) -> Tuple[Any, int]:
    # A str is an iterable of strings too: "abc" would be three lists.
    if isinstance(values, (str, bytes)):
        raise TypeError(f"{parameter} must be a list of str, not a single {type(values).__name__}")
    encoded = []
    for index, value in enumerate(values):
        try:
            data = value.encode()
            if b"\0" in data:
                raise ValueError
        except (AttributeError, ValueError):
            data = _text(value, f"{parameter}[{index}]")
        encoded.append(data)
    return _ffi.texts(encoded), len(encoded)


def _uint32(value: int, parameter: str) -> int:
    # ctypes would cut off what does not fit.
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{parameter} must be an int, not {type(value).__name__}")
    if not 0 <= value <= _UINT32_MAX:
        raise invalid(parameter, f"must be 0 to {_UINT32_MAX}, not {value}")
    return value


def _number(value: Seconds, parameter: str) -> float:
    # Asked without datetime, whose import costs more than the rest of this module.
    total_seconds = getattr(value, "total_seconds", None)
    if total_seconds is not None:
        return float(total_seconds())
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{parameter} must be seconds or a timedelta, not {type(value).__name__}")
    return float(value)


def _milliseconds(value: Seconds, parameter: str) -> int:
    seconds = _number(value, parameter)
    # In C, 0 asks for the default; here, None does. NaN fails the comparison too.
    if not seconds > 0:
        raise invalid(parameter, f"must be above 0 seconds, not {seconds:g}")
    return math.ceil(min(seconds * 1000, _UINT32_MAX))


def _whole_seconds(value: Seconds, parameter: str) -> int:
    seconds = _number(value, parameter)
    if not 0 <= seconds <= _UINT32_MAX:
        raise invalid(parameter, f"must be 0 to {_UINT32_MAX} seconds, not {seconds:g}")
    return math.ceil(seconds)


# Errors.


def _taken(error: Any) -> ImGroupError:
    """The exception for an error of the library, which is freed."""
    try:
        class_name, kind = CLASSES.get(_lib.imgroup_error_class(error), CLASSES[9])
        return kind(
            _lib.imgroup_error_message(error).decode(),
            code=_lib.imgroup_error_code(error),
            name=_lib.imgroup_error_name(error).decode(),
            error_class=class_name,
            outcome=OUTCOMES[_lib.imgroup_error_outcome(error)],
            http_status=_lib.imgroup_error_http_status(error),
            attempts=_lib.imgroup_error_attempts(error),
            host=_lib.imgroup_error_host(error).decode(),
            random=_lib.imgroup_error_random(error),
            display=_lib.imgroup_error_display(error).decode(),
            retryable=_lib.imgroup_error_is_retryable(error) != 0,
        )
    finally:
        _lib.imgroup_error_free(error)


def _check(function: Callable[..., int], *arguments: Any) -> None:
    """Calls a function of the library whose last parameter is the error."""
    error = _ErrorPointer()
    if function(*arguments, _byref(error)):
        raise _taken(error)


# Callbacks. The C functions are made once and live for ever; which Python function is
# meant is told by their userdata, so nothing can be called that is gone.

_callbacks: Dict[int, Callable[..., Any]] = {}
_tokens = itertools.count(1)
_failure = threading.local()


@_ffi.log_callback
def _on_log(token: int, level: int, message: bytes) -> None:
    try:
        _callbacks[token](level, message.decode(errors="replace"))
    except BaseException as error:
        # A log line must not turn a call that succeeded into one that failed.
        _report(error, _callbacks.get(token))


@_ffi.quota_callback
def _on_quota(token: int, command: bytes) -> int:
    try:
        wait = _callbacks[token](command.decode())
        seconds = 0.0 if wait is None else _number(wait, "what the limiter returns")
        return -1 if seconds < 0 else math.ceil(min(seconds * 1000, 2.0**53))
    except BaseException as error:
        # Raised by the call that is refused because of it.
        _failure.error = error
        return -1


@_ffi.drop_callback
def _on_drop(token: int) -> None:
    _callbacks.pop(token, None)


def _report(error: BaseException, function: Any) -> None:
    from types import SimpleNamespace

    details: Any = SimpleNamespace(
        exc_type=type(error),
        exc_value=error,
        exc_traceback=error.__traceback__,
        err_msg="Exception ignored in the log function of imgroup",
        object=function,
    )
    sys.unraisablehook(details)


def _log_function(log: Union["logging.Logger", Callable[[int, str], object]]) -> Callable[[int, str], object]:
    """The function that receives the library's level and a line."""
    if callable(log):
        return lambda level, message: log(_LOGGING_LEVELS[level], message)
    logger_log = getattr(log, "log", None)
    if logger_log is None:
        raise TypeError(f"log must be callable or a logging.Logger, not {type(log).__name__}")
    # As an argument, so that a % in the line is none of a format.
    return lambda level, message: logger_log(_LOGGING_LEVELS[level], "%s", message)


# The control of one call.


class _Control:
    """An ``imgroup_call``. May be cancelled by any thread at any time."""

    __slots__ = ("_lock", "handle")

    def __init__(self, timeout: Optional[Seconds], ignore_missing: bool) -> None:
        self._lock = threading.RLock()
        self.handle: Any = _ffi.Call()
        timeout_ms = None if timeout is None else _milliseconds(timeout, "timeout")
        _check(_lib.imgroup_call_new, _byref(self.handle))
        try:
            if timeout_ms is not None:
                _check(_lib.imgroup_call_set_timeout_ms, self.handle, timeout_ms)
            if ignore_missing:
                _check(_lib.imgroup_call_set_ignore_missing, self.handle, 1)
        except BaseException:
            self.free()
            raise

    def cancel(self) -> None:
        with self._lock:
            if self.handle is not None:
                _lib.imgroup_call_cancel(self.handle)

    def free(self) -> None:
        with self._lock:
            if self.handle is not None:
                _lib.imgroup_call_free(self.handle)
                self.handle = None


class Cancellation:
    """Cancels calls from another thread.

    Give it to any number of calls as ``cancel=``; :meth:`cancel` ends those that
    are under way within 50 ms, and all that begin later, with :class:`Cancelled`.
    Whether a call that was cancelled has been applied is told by
    :attr:`ImGroupError.outcome`. May be used from any thread.

    .. versionadded:: 0.1.0
    """

    def __init__(self) -> None:
        # A signal handler may cancel while its own thread is in here.
        self._lock = threading.RLock()
        self._controls: List[_Control] = []
        self._cancelled = False

    @property
    def cancelled(self) -> bool:
        """Whether :meth:`cancel` was called, and :meth:`reset` not since."""
        return self._cancelled

    def cancel(self) -> None:
        """Ends the calls that use this object, and all later ones."""
        with self._lock:
            self._cancelled = True
            for control in self._controls:
                control.cancel()

    def reset(self) -> None:
        """Allows calls again. Those that were cancelled stay so."""
        with self._lock:
            self._cancelled = False

    def _add(self, control: _Control) -> None:
        with self._lock:
            self._controls.append(control)
            if self._cancelled:
                control.cancel()

    def _remove(self, control: _Control) -> None:
        with self._lock:
            self._controls.remove(control)


# The client.


def _free_client(handle: Any, pid: int) -> None:
    # What a child inherited belongs to its parent.
    if os.getpid() == pid:
        _lib.imgroup_client_free(handle)


_Self = TypeVar("_Self", bound="Client")


class Client:
    """A client of the friend-list API of Tencent Cloud Chat (IM).

    It may be used from many threads at once, and in a child after ``fork``. It
    keeps connections, the signed ticket and the order of writes on each account,
    so make one and keep it. Nothing is connected before the first call.

    Times are seconds, as a number or a :class:`datetime.timedelta`; they are
    rounded up to milliseconds.

    :param sdkappid: the SDKAppID of the app, 1 to 2**32 - 1.
    :param identifier: an admin account of the app, 1 to 32 bytes of printable
        ASCII; ``"administrator"`` unless changed in the console.
    :param secret_key: the key of the app as printed in the console, 1 to 1024 bytes.
    :param region: the data centre the app lives in: sets host and backup host.
    :param endpoint: any other host, ``"https://host[:port]"``, in place of a
        region's; ``"http://"`` for loopback addresses only. One of the two is needed.
    :param backup_endpoint: the host to try when the first one cannot be reached.
    :param ca_file: a PEM file of authorities to trust; ``"system"`` for the
        operating system's; by default the built-in Mozilla roots.
    :param proxy: ``"http://host:port"`` of a proxy that knows CONNECT. None is
        ever taken from the environment.
    :param timeout: how long a call may take, all attempts, pauses and waits
        included: up to 600 s; default 15 s.
    :param attempt_timeout: how long one attempt may take; default 5 s.
    :param resolve_timeout: how long resolving the name may take; default 2 s.
    :param connect_timeout: how long a TCP connection may take; default 3.1 s.
    :param max_attempts: how often a call is tried in all, 1 to 5; default 3.
    :param usersig_ttl: the life of the tickets, 60 s to 50 years; default 24 h.
    :param max_reply_bytes: the longest reply that is accepted, 1024 to 16777216;
        default 1048576.
    :param quota: what the service allows the app, in requests a second of each
        command, 1 to 1000000; by default what is documented (200, for three
        account commands 100). Requests leave evenly spaced at nine tenths of it,
        over all processes of this user on the machine.
    :param quota_share: the part of it that this machine may use, 0.001 to 1.
    :param quota_directory: where the processes share the pace; default ``/dev/shm``.
    :param quota_redis: shares the pace with other machines through a Redis at
        ``redis://[[user]:password@]host[:port][/database]``, ``rediss://`` for TLS or
        ``unix:///path``. Set ``quota_share`` to 1/n for the time when Redis is away.
        The library in the wheel can; one that was built without the cargo feature
        ``redis`` refuses it.
    :param limiter: is asked before every request in place of the built-in pace.
        Gets the command (``"group_delete"``), returns the seconds to wait, ``None``
        for none, or a negative number to refuse. What it raises refuses the request
        and becomes the ``__cause__`` of the exception.
    :param log: receives log lines: a :class:`logging.Logger`, or a function of a
        level (a number of the logging module) and a text. No key and no ticket ever
        stands in a line.
    :param log_level: the least important level wanted; default ``"info"``.
    :raises InvalidArgument: if an argument breaks a rule, or neither region nor
        endpoint is given.

    ``limiter`` and ``log`` are called on whatever thread makes the request (never
    on the main thread), possibly on several at once, and must not call the same
    client. What ``log`` raises goes to :func:`sys.unraisablehook`.

    .. versionadded:: 0.1.0
    """

    def __init__(
        self,
        sdkappid: int,
        identifier: str,
        secret_key: str,
        *,
        region: Optional[Region] = None,
        endpoint: Optional[str] = None,
        backup_endpoint: Optional[str] = None,
        ca_file: Union[str, "os.PathLike[str]", None] = None,
        proxy: Optional[str] = None,
        timeout: Optional[Seconds] = None,
        attempt_timeout: Optional[Seconds] = None,
        resolve_timeout: Optional[Seconds] = None,
        connect_timeout: Optional[Seconds] = None,
        max_attempts: Optional[int] = None,
        usersig_ttl: Optional[Seconds] = None,
        max_reply_bytes: Optional[int] = None,
        quota: Optional[int] = None,
        quota_share: Optional[float] = None,
        quota_directory: Union[str, "os.PathLike[str]", None] = None,
        quota_redis: Optional[str] = None,
        limiter: Optional[Callable[[str], Optional[Seconds]]] = None,
        log: Union["logging.Logger", Callable[[int, str], object], None] = None,
        log_level: LogLevelName = "info",
    ) -> None:
        config = _ffi.Config()
        _check(
            _lib.imgroup_config_new,
            _uint32(sdkappid, "sdkappid"),
            _text(identifier, "identifier"),
            _text(secret_key, "secret_key"),
            _byref(config),
        )
        self._open(
            config,
            f"sdkappid={sdkappid}, identifier={identifier!r}",
            region=region,
            endpoint=endpoint,
            backup_endpoint=backup_endpoint,
            ca_file=ca_file,
            proxy=proxy,
            timeout=timeout,
            attempt_timeout=attempt_timeout,
            resolve_timeout=resolve_timeout,
            connect_timeout=connect_timeout,
            max_attempts=max_attempts,
            usersig_ttl=usersig_ttl,
            max_reply_bytes=max_reply_bytes,
            quota=quota,
            quota_share=quota_share,
            quota_directory=quota_directory,
            quota_redis=quota_redis,
            limiter=limiter,
            log=log,
            log_level=log_level,
        )

    @classmethod
    def from_env(cls: Type[_Self], **options: Any) -> _Self:
        """A client from the environment.

        Reads ``IMGROUP_SDKAPPID``, ``IMGROUP_IDENTIFIER``, ``IMGROUP_SECRET_KEY`` (or
        ``IMGROUP_SECRET_KEY_FILE``), ``IMGROUP_REGION`` or ``IMGROUP_ENDPOINT``, and,
        where set, ``IMGROUP_CA_FILE``, ``IMGROUP_TIMEOUT_MS``, ``IMGROUP_QUOTA_DIR``,
        ``IMGROUP_QUOTA_SHARE`` and ``IMGROUP_QUOTA_REDIS``. No other thread may change
        the environment meanwhile.

        :param options: the keyword options of :class:`Client`, which win.
        :raises InvalidArgument: which variable is missing or wrong.

        .. versionadded:: 0.1.0
        """
        self = cls.__new__(cls)
        config = _ffi.Config()
        _check(_lib.imgroup_config_from_env, _byref(config))
        self._open(config, "from the environment", **options)
        return self

    def _open(self, config: Any, title: str, **options: Any) -> None:
        try:
            _configure(config, options)
            handle = _ffi.Client()
            _check(_lib.imgroup_client_new, config, _byref(handle))
        finally:
            _lib.imgroup_config_free(config)
        self._title = title
        self._handle = handle
        self._pid = os.getpid()
        # Whoever is inside a call is counted, so that none begins during the free.
        # Reentrant: a signal handler may shut down what its own thread is closing.
        self._lock = threading.RLock()
        self._busy = 0
        self._closed = False
        self._left: Optional[threading.Event] = None
        self._executor: Optional[ThreadPoolExecutor] = None
        self._finalizer = weakref.finalize(self, _free_client, handle, self._pid)
        # At exit the system frees faster, and a daemon thread may still be inside.
        self._finalizer.atexit = False
        _clients.add(self)

    # Calls.

    def delete_lists(
        self,
        account: str,
        names: Iterable[str],
        *,
        timeout: Optional[Seconds] = None,
        ignore_missing: bool = False,
        cancel: Optional[Cancellation] = None,
    ) -> DeleteResult:
        """Deletes friend lists of an account. The friends in them stay friends.

        Writes on one account are sent one after the other, and deletes that wait
        for the same account leave as one request. A delete is safe to repeat, so
        the library does that when an attempt fails without a clear answer.

        >>> client.delete_lists("alice", ["Family", "Work"]).sequence
        1

        :param account: whose lists: 1 to 32 bytes.
        :param names: which lists: 1 to 32 names of 1 to 30 bytes.
        :param timeout: in place of the client's own.
        :param ignore_missing: succeed also when a list does not exist. The service
            may refuse the whole request for one missing list; the library then
            reads the account's lists and deletes those that are left.
        :param cancel: by which another thread can end the call.
        :raises NotFound: 30003, there is no such account.
        :raises ImGroupError: any other subclass, see there.

        May be called from any thread. On the main thread, Ctrl-C ends it.

        .. versionadded:: 0.1.0
        """
        arguments = (_text(account, "account"), *_texts(names, "names"))
        return self._call(_lib.imgroup_delete_lists, arguments, _read_delete, timeout, cancel, ignore_missing)

    def add_lists(
        self,
        account: str,
        names: Iterable[str],
        friends: Iterable[str] = (),
        *,
        timeout: Optional[Seconds] = None,
        cancel: Optional[Cancellation] = None,
    ) -> AddResult:
        """Creates friend lists of an account, and puts friends into each of them.

        Adding is not safe to repeat: an attempt without a clear answer fails the
        call with the outcome ``UNKNOWN``. A friend that cannot be put into the
        lists does not fail it, see :attr:`AddResult.failed`.

        >>> client.add_lists("alice", ["News"], ["bob", "mallory"]).failed[0].account
        'mallory'

        :param account: whose lists: 1 to 32 bytes.
        :param names: which lists: 1 to 32 names of 1 to 30 bytes, without control
            characters. An account has 32 lists at most.
        :param friends: up to 1000 accounts, who are friends already.
        :param timeout: in place of the client's own.
        :param cancel: by which another thread can end the call.
        :raises InvalidArgument: 30001, a list exists already; 30011, too many.
        :raises NotFound: 30003, there is no such account.
        :raises ImGroupError: any other subclass, see there.

        May be called from any thread. On the main thread, Ctrl-C ends it.

        .. versionadded:: 0.1.0
        """
        arguments = (_text(account, "account"), *_texts(names, "names"), *_texts(friends, "friends"))
        return self._call(_lib.imgroup_add_lists, arguments, _read_add, timeout, cancel)

    def get_lists(
        self,
        account: str,
        names: Iterable[str] = (),
        *,
        with_members: bool = False,
        timeout: Optional[Seconds] = None,
        cancel: Optional[Cancellation] = None,
    ) -> GetResult:
        """Reads friend lists of an account.

        >>> client.get_lists("alice").names
        ('Family', 'Work')

        :param account: whose lists: 1 to 32 bytes.
        :param names: which lists: up to 32; none for all.
        :param with_members: read the members too.
        :param timeout: in place of the client's own.
        :param cancel: by which another thread can end the call.
        :raises NotFound: 30003, there is no such account.
        :raises ImGroupError: any other subclass, see there.

        May be called from any thread. On the main thread, Ctrl-C ends it.

        .. versionadded:: 0.1.0
        """
        arguments = (_text(account, "account"), *_texts(names, "names"), int(bool(with_members)))
        return self._call(_lib.imgroup_get_lists, arguments, _read_get, timeout, cancel)

    def request(
        self,
        command: str,
        body: Union[Mapping[str, Any], str],
        *,
        idempotent: bool = False,
        timeout: Optional[Seconds] = None,
        cancel: Optional[Cancellation] = None,
    ) -> Result:
        """Sends any other command of the REST API, with the same signing, pace,
        retries and errors.

        >>> client.request("v4/sns/friend_get", {"From_Account": "alice", "StartIndex": 0}).raw["FriendNum"]
        1

        :param command: ``"v4/<service>/<command>"``.
        :param body: a JSON object of up to 1 MiB: a mapping, or its text.
        :param idempotent: the command does no harm when it is applied twice, so it
            may be repeated when its outcome is open.
        :param timeout: in place of the client's own.
        :param cancel: by which another thread can end the call.
        :raises ImGroupError: any subclass, see there.

        May be called from any thread. On the main thread, Ctrl-C ends it.

        .. versionadded:: 0.1.0
        """
        arguments = _request_arguments(command, body, idempotent)
        return self._call(_lib.imgroup_request, arguments, _read_request, timeout, cancel)

    # The same for asyncio.

    async def delete_lists_async(
        self,
        account: str,
        names: Iterable[str],
        *,
        timeout: Optional[Seconds] = None,
        ignore_missing: bool = False,
        cancel: Optional[Cancellation] = None,
    ) -> DeleteResult:
        """:meth:`delete_lists` for asyncio: cancelling the task cancels the call.

        Up to 64 asynchronous calls of a client run at once, each on a thread of its
        own; others wait for one of these first.

        .. versionadded:: 0.1.0
        """
        arguments = (_text(account, "account"), *_texts(names, "names"))
        return await self._call_async(
            _lib.imgroup_delete_lists, arguments, _read_delete, timeout, cancel, ignore_missing
        )

    async def add_lists_async(
        self,
        account: str,
        names: Iterable[str],
        friends: Iterable[str] = (),
        *,
        timeout: Optional[Seconds] = None,
        cancel: Optional[Cancellation] = None,
    ) -> AddResult:
        """:meth:`add_lists` for asyncio, as :meth:`delete_lists_async`.

        .. versionadded:: 0.1.0
        """
        arguments = (_text(account, "account"), *_texts(names, "names"), *_texts(friends, "friends"))
        return await self._call_async(_lib.imgroup_add_lists, arguments, _read_add, timeout, cancel)

    async def get_lists_async(
        self,
        account: str,
        names: Iterable[str] = (),
        *,
        with_members: bool = False,
        timeout: Optional[Seconds] = None,
        cancel: Optional[Cancellation] = None,
    ) -> GetResult:
        """:meth:`get_lists` for asyncio, as :meth:`delete_lists_async`.

        .. versionadded:: 0.1.0
        """
        arguments = (_text(account, "account"), *_texts(names, "names"), int(bool(with_members)))
        return await self._call_async(_lib.imgroup_get_lists, arguments, _read_get, timeout, cancel)

    async def request_async(
        self,
        command: str,
        body: Union[Mapping[str, Any], str],
        *,
        idempotent: bool = False,
        timeout: Optional[Seconds] = None,
        cancel: Optional[Cancellation] = None,
    ) -> Result:
        """:meth:`request` for asyncio, as :meth:`delete_lists_async`.

        .. versionadded:: 0.1.0
        """
        arguments = _request_arguments(command, body, idempotent)
        return await self._call_async(_lib.imgroup_request, arguments, _read_request, timeout, cancel)

    # The rest.

    def stats(self) -> Dict[str, Any]:
        """What this client did so far: calls, attempts, retries by reason, outcomes,
        connections, quota waits, latencies. Members may be added in later versions.

        >>> client.stats()["calls"]
        0

        :raises Cancelled: if the client is closed.

        .. versionadded:: 0.1.0
        """
        text = _ffi.OwnedText()
        self._enter()
        try:
            _check(_lib.imgroup_client_stats, self._handle, _byref(text))
        finally:
            self._leave()
        import json

        stats: Dict[str, Any] = json.loads(_ffi.take_text(text))
        return stats

    def shutdown(self) -> None:
        """Ends all calls of the client within 50 ms, with :class:`Cancelled`, and lets
        no more begin. For good, and idempotent. May be called from any thread.

        .. versionadded:: 0.1.0
        """
        try:
            self._enter()
        except Cancelled:
            return
        try:
            _lib.imgroup_client_shutdown(self._handle)
        finally:
            self._leave()

    def close(self) -> None:
        """Lets no more calls begin, waits for those under way, and frees the client.

        To end those instead of waiting, call :meth:`shutdown` first. Idempotent; may
        be called from any thread, but not from ``limiter`` or ``log``.

        .. versionadded:: 0.1.0
        """
        with self._lock:
            self._closed = True
            if self._busy and self._left is None:
                self._left = threading.Event()
            left, executor, self._executor = self._left, self._executor, None
        if executor is not None:
            executor.shutdown(wait=False)
        if left is not None:
            left.wait()
        self._finalizer()

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional["TracebackType"],
    ) -> None:
        # Somebody is on the way out: let nobody wait for calls of other threads.
        if kind is not None:
            self.shutdown()
        self.close()

    async def __aenter__(self: _Self) -> _Self:
        return self

    async def __aexit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional["TracebackType"],
    ) -> None:
        import asyncio

        await asyncio.get_running_loop().run_in_executor(None, self.__exit__, kind, error, traceback)

    def __repr__(self) -> str:
        return f"<imgroup.Client {self._title}{', closed' if self._closed else ''}>"

    def __reduce__(self) -> Tuple[Any, ...]:
        raise TypeError("an imgroup.Client cannot be pickled: make one in each process, or use fork")

    # How a call is made.

    def _enter(self) -> None:
        with self._lock:
            if self._closed:
                raise Cancelled(
                    "the client is closed",
                    code=Code.SHUTDOWN,
                    name="IMGROUP_E_SHUTDOWN",
                    error_class="cancelled",
                )
            self._busy += 1

    def _leave(self) -> None:
        with self._lock:
            self._busy -= 1
            if self._left is not None and self._busy <= 0:
                self._left.set()

    def _exchange(
        self, function: Callable[..., int], arguments: Tuple[Any, ...], call: Any, read: Callable[[Any], _R]
    ) -> _R:
        response = _ResponsePointer()
        error = _ErrorPointer()
        self._enter()
        try:
            code = function(self._handle, *arguments, call, _byref(response), _byref(error))
        finally:
            self._leave()
        if code:
            raised = _taken(error)
            cause, _failure.error = getattr(_failure, "error", None), None
            raise raised from cause
        try:
            return read(response)
        finally:
            _response_free(response)

    def _controlled(
        self,
        control: _Control,
        cancel: Optional[Cancellation],
        function: Callable[..., int],
        arguments: Tuple[Any, ...],
        read: Callable[[Any], _R],
    ) -> _R:
        try:
            if cancel is None:
                return self._exchange(function, arguments, control.handle, read)
            cancel._add(control)
            try:
                return self._exchange(function, arguments, control.handle, read)
            finally:
                cancel._remove(control)
        finally:
            control.free()

    def _call(
        self,
        function: Callable[..., int],
        arguments: Tuple[Any, ...],
        read: Callable[[Any], _R],
        timeout: Optional[Seconds],
        cancel: Optional[Cancellation],
        ignore_missing: bool = False,
    ) -> _R:
        if _worker.is_main_thread():
            control = _Control(timeout, ignore_missing)
            result: _R = _worker.run(
                control.cancel, self._controlled, control, cancel, function, arguments, read
            )
            return result
        if timeout is None and cancel is None and not ignore_missing:
            return self._exchange(function, arguments, None, read)
        return self._controlled(_Control(timeout, ignore_missing), cancel, function, arguments, read)

    async def _call_async(
        self,
        function: Callable[..., int],
        arguments: Tuple[Any, ...],
        read: Callable[[Any], _R],
        timeout: Optional[Seconds],
        cancel: Optional[Cancellation],
        ignore_missing: bool = False,
    ) -> _R:
        # Imported here: it would more than double the time that `import imgroup` takes.
        import asyncio

        control = _Control(timeout, ignore_missing)
        try:
            future = self._threads().submit(self._controlled, control, cancel, function, arguments, read)
        except BaseException:
            control.free()
            raise
        waiter = asyncio.wrap_future(future)
        # What comes after a cancel is nobody's to look at.
        waiter.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            return await asyncio.shield(waiter)
        except asyncio.CancelledError:
            if future.cancel():
                control.free()
            else:
                control.cancel()
                await asyncio.wait([waiter])
            raise

    def _threads(self) -> "ThreadPoolExecutor":
        from concurrent.futures import ThreadPoolExecutor

        self._enter()
        try:
            with self._lock:
                if self._executor is None:
                    self._executor = ThreadPoolExecutor(_ASYNC_THREADS, thread_name_prefix="imgroup-async")
                return self._executor
        finally:
            self._leave()

    def _forked(self) -> None:
        # Other threads of the parent were inside, or held the lock; they are not here.
        self._lock = threading.RLock()
        self._busy = 0
        self._left = None
        self._executor = None


def _request_arguments(
    command: str, body: Union[Mapping[str, Any], str], idempotent: bool
) -> Tuple[Any, ...]:
    if isinstance(body, str):
        text = body
    elif isinstance(body, Mapping):
        import json

        text = json.dumps(dict(body), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    else:
        raise TypeError(f"body must be a mapping or a str, not {type(body).__name__}")
    try:
        data = text.encode()
    except UnicodeEncodeError:
        raise invalid("body", "must be valid text, without lone surrogates", Code.INVALID_UTF8) from None
    return _text(command, "command"), data, len(data), _REQUEST_IDEMPOTENT if idempotent else 0


def _setting(name: str, convert: Callable[[Any, str], Any]) -> Tuple[Any, Callable[[Any, str], Any]]:
    return getattr(_lib, "imgroup_config_set_" + name), convert


def _path(value: Any, parameter: str) -> bytes:
    return _text(os.fspath(value), parameter)


def _float(value: Any, parameter: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{parameter} must be a number, not {type(value).__name__}")
    return float(value)


#: Option -> (setter, conversion of its value). Region before endpoint, which takes the
#: region's backup host away.
_SETTINGS: Dict[str, Tuple[Any, Callable[[Any, str], Any]]] = {
    "region": _setting("region", _text),
    "endpoint": _setting("endpoint", _text),
    "backup_endpoint": _setting("backup_endpoint", _text),
    "ca_file": _setting("ca_file", _path),
    "proxy": _setting("proxy", _text),
    "timeout": _setting("timeout_ms", _milliseconds),
    "attempt_timeout": _setting("attempt_timeout_ms", _milliseconds),
    "resolve_timeout": _setting("resolve_timeout_ms", _milliseconds),
    "connect_timeout": _setting("connect_timeout_ms", _milliseconds),
    "max_attempts": _setting("max_attempts", _uint32),
    "usersig_ttl": _setting("usersig_ttl_s", _whole_seconds),
    "max_reply_bytes": _setting("max_reply_bytes", _uint32),
    "quota": _setting("quota", _uint32),
    "quota_share": _setting("quota_share", _float),
    "quota_directory": _setting("quota_directory", _path),
    "quota_redis": _setting("quota_redis", _text),
}


def _configure(config: Any, options: Dict[str, Any]) -> None:
    limiter, log = options.pop("limiter", None), options.pop("log", None)
    level = options.pop("log_level", "info")
    if level not in _LOG_LEVELS:
        raise invalid("log_level", f"must be one of {', '.join(_LOG_LEVELS)}, not {level!r}")
    unknown = options.keys() - _SETTINGS.keys()
    if unknown:
        raise TypeError(f"unknown option: {', '.join(sorted(unknown))}")
    for name, (setter, convert) in _SETTINGS.items():
        value = options.get(name)
        if value is not None:
            _check(setter, config, convert(value, name))
    if limiter is not None:
        if not callable(limiter):
            raise TypeError(f"limiter must be callable, not {type(limiter).__name__}")
        _check(_lib.imgroup_config_set_quota_callback, config, _on_quota, _registered(limiter), _on_drop)
    if log is not None:
        function = _registered(_log_function(log))
        _check(_lib.imgroup_config_set_log_callback, config, _LOG_LEVELS[level], _on_log, function, _on_drop)


def _registered(function: Callable[..., Any]) -> int:
    token = next(_tokens)
    # Until the library calls _on_drop, which it does in any case.
    _callbacks[token] = function
    return token


def usersig(
    sdkappid: int,
    identifier: str,
    secret_key: str,
    *,
    ttl: Seconds = 86400,
    issued_at: Union[int, "datetime", None] = None,
    userbuf: bytes = b"",
) -> str:
    """Makes a UserSig, the ticket with which a user of the app logs in.

    Servers hand these to their own apps. A :class:`Client` needs none: it signs
    for itself.

    >>> from imgroup import usersig
    >>> usersig(1400000000, "alice", "the secret key")[:2]
    'eJ'

    :param sdkappid: the SDKAppID of the app.
    :param identifier: the user: 1 to 32 bytes of printable ASCII.
    :param secret_key: the key of the app as printed in the console.
    :param ttl: how long it is valid: 1 s to 50 years; the vendor advises a day or more.
    :param issued_at: from when on: seconds since 1970, or a datetime; now by default.
    :param userbuf: bytes for the room permissions of TRTC; none for IM.
    :raises InvalidArgument: if an argument breaks a rule.

    May be called from any thread.

    .. versionadded:: 0.1.0
    """
    if issued_at is None:
        seconds = 0
    elif isinstance(issued_at, int):
        seconds = issued_at
    else:
        seconds = int(issued_at.timestamp())
    if not 0 <= seconds < 2**63:
        raise invalid("issued_at", f"must be seconds since 1970, not {seconds}")
    data = _ffi.octets(userbuf)
    text = _ffi.OwnedText()
    _check(
        _lib.imgroup_usersig,
        _uint32(sdkappid, "sdkappid"),
        _text(identifier, "identifier"),
        _text(secret_key, "secret_key"),
        _whole_seconds(ttl, "ttl"),
        seconds,
        data,
        len(userbuf),
        _byref(text),
    )
    return _ffi.take_text(text)


# Processes.

_clients: "weakref.WeakSet[Client]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for client in list(_clients):
        client._forked()


def _at_exit() -> None:
    """Ends the calls of daemon threads: none may come back from C, or call a
    callback, while the interpreter goes down."""
    end = time.monotonic() + 1.0
    open_clients = [client for client in list(_clients) if client._busy]
    for client in open_clients:
        client.shutdown()
        client._closed = True
    for client in open_clients:
        while client._busy > 0 and time.monotonic() < end:
            time.sleep(0.001)


os.register_at_fork(after_in_child=_after_fork_in_child)
atexit.register(_at_exit)
