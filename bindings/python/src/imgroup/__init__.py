"""Friend lists of Tencent Cloud Chat (IM) from a server.

>>> from imgroup import Client, ImGroupError
>>> with Client.from_env() as client:
...     try:
...         print("lists are now at sequence", client.delete_lists("alice", ["Family", "Work"]).sequence)
...     except ImGroupError as error:
...         print(error, error.outcome)
lists are now at sequence 1

The package is a thin layer over the C library libimgroup; what a call means is
described there.
"""

from ._errors import (
    AuthError,
    Cancelled,
    Code,
    DeadlineExceeded,
    ErrorClass,
    ImGroupError,
    InternalError,
    InvalidArgument,
    LibraryLoadError,
    NetworkError,
    NotFound,
    Outcome,
    ServerError,
    Throttled,
)
from ._version import __version__
from .client import (
    AddResult,
    Cancellation,
    Client,
    DeleteResult,
    FriendList,
    FriendResult,
    GetResult,
    Result,
    usersig,
)
from .job import Job, JobProgress

__all__ = [
    "AddResult",
    "AuthError",
    "Cancellation",
    "Cancelled",
    "Client",
    "Code",
    "DeadlineExceeded",
    "DeleteResult",
    "ErrorClass",
    "FriendList",
    "FriendResult",
    "GetResult",
    "ImGroupError",
    "InternalError",
    "InvalidArgument",
    "Job",
    "JobProgress",
    "LibraryLoadError",
    "NetworkError",
    "NotFound",
    "Outcome",
    "Result",
    "ServerError",
    "Throttled",
    "__version__",
    "code_name",
    "library_version",
    "usersig",
]


def library_version() -> str:
    """The version of the loaded C library.

    .. versionadded:: 0.1.0
    """
    from . import _ffi

    version: str = _ffi.lib.imgroup_version().decode()
    return version


def code_name(code: int) -> str:
    """The symbolic name of any code, ``"UNKNOWN"`` for one that nobody documented.

    >>> from imgroup import code_name
    >>> code_name(30003)
    'ERR_SVR_FRIENDSHIP_ACCOUNT_NOT_FOUND'

    :param code: a negative code of :class:`Code`, 0, or one of the service.

    .. versionadded:: 0.1.0
    """
    from . import _ffi

    name: str = _ffi.lib.imgroup_code_name(code).decode()
    return name
