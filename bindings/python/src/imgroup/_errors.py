"""The exceptions. Which one it is follows from the class of the error alone."""

from __future__ import annotations

import enum
from typing import Any, Dict, Literal, Tuple, Type, Union

__all__ = [
    "AuthError",
    "Cancelled",
    "Code",
    "DeadlineExceeded",
    "ErrorClass",
    "ImGroupError",
    "InternalError",
    "InvalidArgument",
    "LibraryLoadError",
    "NetworkError",
    "NotFound",
    "Outcome",
    "ServerError",
    "Throttled",
]

#: What kind of failure an error is.
ErrorClass = Literal[
    "argument",
    "network",
    "deadline",
    "cancelled",
    "throttled",
    "auth",
    "not_found",
    "server",
    "internal",
]


class Outcome(str, enum.Enum):
    """What became of a failed request, the worst over all its attempts.

    The members compare equal to their names: ``error.outcome == "UNKNOWN"``.
    """

    #: Nothing was sent that could have been applied.
    NOT_SENT = "NOT_SENT"
    #: The service answered and refused; nothing was applied.
    REJECTED = "REJECTED"
    #: It may have been applied, or not.
    UNKNOWN = "UNKNOWN"

    def __str__(self) -> str:
        return self.value


class Code(enum.IntEnum):
    """The codes that the library itself raises. Positive codes are the service's."""

    INVALID_ARGUMENT = -1
    INVALID_UTF8 = -2
    HANDLE = -3
    CONFIG = -4
    DNS = -10
    CONNECT = -11
    TLS = -12
    IO = -13
    HTTP_STATUS = -14
    BAD_REPLY = -15
    DEADLINE = -20
    CANCELLED = -21
    SHUTDOWN = -22
    QUOTA = -23
    RESOURCE = -30
    PANIC = -31
    JOB_MISMATCH = -40
    JOB_BUSY = -41
    JOB_CORRUPT = -42
    JOB_STOPPED = -43


class ImGroupError(Exception):
    """Every failure of this package.

    Choose what to do by the subclass; it stays right when the service adds codes.
    Look at :attr:`outcome` before repeating what must not happen twice. Errors can
    be pickled. Neither the secret key nor a UserSig ever stands in one.

    .. versionadded:: 0.1.0
    """

    #: Negative: raised by the library, see :class:`Code`. Positive: the service's ``ErrorCode``.
    code: int
    #: The symbolic name of the code; ``"UNKNOWN"`` if nobody documented it.
    name: str
    #: What kind of failure it is.
    error_class: ErrorClass
    #: What became of the request.
    outcome: Outcome
    #: The HTTP status of the last reply; 0 if there was none.
    http_status: int
    #: How many requests were sent or tried to be sent.
    attempts: int
    #: The host of the last attempt; ``""`` if there was none.
    host: str
    #: The number by which the vendor's support finds the last request; 0 if there was none.
    random: int
    #: The service's text meant for end users; mostly empty.
    display: str
    #: Whether the same call may succeed later. It does not say that repeating is harmless.
    retryable: bool

    def __init__(
        self,
        message: str = "",
        *,
        code: int = Code.INVALID_ARGUMENT,
        name: str = "",
        error_class: ErrorClass = "internal",
        outcome: Outcome = Outcome.NOT_SENT,
        http_status: int = 0,
        attempts: int = 0,
        host: str = "",
        random: int = 0,
        display: str = "",
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.name = name
        self.error_class = error_class
        self.outcome = outcome
        self.http_status = http_status
        self.attempts = attempts
        self.host = host
        self.random = random
        self.display = display
        self.retryable = retryable

    def __str__(self) -> str:
        message = str(self.args[0]) if self.args else ""
        return f"{self.name} ({int(self.code)}): {message}" if self.name else message

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({self.args[0] if self.args else ''!r}, code={int(self.code)},"
            f" name={self.name!r}, outcome={self.outcome.value!r})"
        )

    def __reduce__(self) -> Tuple[Any, ...]:
        # The default passes positional arguments only, and OSError has a way of its own.
        return _rebuild, (type(self), self.args, dict(self.__dict__))


def _rebuild(kind: Type[ImGroupError], args: Tuple[Any, ...], state: Dict[str, Any]) -> ImGroupError:
    error = kind(*args)
    error.__dict__.update(state)
    return error


class InvalidArgument(ImGroupError, ValueError):
    """An argument or a setting breaks a rule, or the service refused a value."""


class NetworkError(ImGroupError, ConnectionError):
    """The service could not be reached, or the reply was lost."""


class DeadlineExceeded(ImGroupError, TimeoutError):
    """The time for the call, or for its only attempt, ran out."""


class Cancelled(ImGroupError):
    """The call was cancelled, or the client shut down."""


class Throttled(ImGroupError):
    """Too many requests for the quota of the app."""


class AuthError(ImGroupError, PermissionError):
    """Credentials, permissions or the state of the app."""


class NotFound(ImGroupError, LookupError):
    """The account, friend or list does not exist."""


class ServerError(ImGroupError):
    """The service failed, or its reply makes no sense."""


class InternalError(ImGroupError, RuntimeError):
    """The library or the process ran out of something, or has a bug."""


class LibraryLoadError(ImGroupError, ImportError):  # type: ignore[misc]
    """The C library cannot be loaded. The message lists what was tried."""


for _class in (
    AuthError,
    Cancelled,
    Code,
    DeadlineExceeded,
    ImGroupError,
    InternalError,
    InvalidArgument,
    LibraryLoadError,
    NetworkError,
    NotFound,
    Outcome,
    ServerError,
    Throttled,
):
    # Where users import them from: for tracebacks, and so that pickles outlive this file.
    _class.__module__ = "imgroup"

#: By the number of the class in the C ABI.
CLASSES: Dict[int, Tuple[ErrorClass, Type[ImGroupError]]] = {
    1: ("argument", InvalidArgument),
    2: ("network", NetworkError),
    3: ("deadline", DeadlineExceeded),
    4: ("cancelled", Cancelled),
    5: ("throttled", Throttled),
    6: ("auth", AuthError),
    7: ("not_found", NotFound),
    8: ("server", ServerError),
    9: ("internal", InternalError),
}

#: By their numbers in the C ABI.
OUTCOMES = (Outcome.NOT_SENT, Outcome.REJECTED, Outcome.UNKNOWN)


def invalid(parameter: str, rule: str, code: Union[int, Code] = Code.INVALID_ARGUMENT) -> InvalidArgument:
    """For what C cannot even be passed."""
    return InvalidArgument(
        f"{parameter}: {rule}", code=code, name=f"IMGROUP_E_{Code(code).name}", error_class="argument"
    )
