"""The C library: where it is found, and what its functions look like.

Nothing else in this package touches ctypes types. Every function stands in one
table; a test compares it with ``imgroup.h``, so that the two cannot drift apart.
Handles are pointers to types of their own, not ``void *``: passing an error
where a client goes is a Python exception, not a crash.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import (
    POINTER,
    Structure,
    c_char,
    c_char_p,
    c_double,
    c_int32,
    c_int64,
    c_size_t,
    c_uint8,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any, Callable, Dict, List, Protocol, Sequence, Tuple, TypeVar, cast

from ._errors import LibraryLoadError
from ._version import __version__

__all__ = ["FUNCTIONS", "LIBRARY_PATH", "lib"]

SONAME = "libimgroup.so.0.1"


class CallObject(Structure):
    """imgroup_call"""


class ClientObject(Structure):
    """imgroup_client"""


class ConfigObject(Structure):
    """imgroup_config"""


class ErrorObject(Structure):
    """imgroup_error"""


class JobObject(Structure):
    """imgroup_job"""


class ResponseObject(Structure):
    """imgroup_response"""


Call = POINTER(CallObject)
Client = POINTER(ClientObject)
Config = POINTER(ConfigObject)
Error = POINTER(ErrorObject)
Job = POINTER(JobObject)
Response = POINTER(ResponseObject)
# Text that the library gives away; what it lends is a c_char_p.
OwnedText = POINTER(c_char)
Texts = POINTER(c_char_p)
Uint64 = c_uint64

QuotaCallback = ctypes.CFUNCTYPE(c_int64, c_void_p, c_char_p)
LogCallback = ctypes.CFUNCTYPE(None, c_void_p, c_int32, c_char_p)
JobCallback = ctypes.CFUNCTYPE(None, c_void_p, Job)
DropCallback = ctypes.CFUNCTYPE(None, c_void_p)

#: C name -> (result, parameters).
FUNCTIONS: Dict[str, Tuple[Any, List[Any]]] = {
    "imgroup_call_new": (c_int32, [POINTER(Call), POINTER(Error)]),
    "imgroup_call_set_timeout_ms": (c_int32, [Call, c_uint32, POINTER(Error)]),
    "imgroup_call_set_ignore_missing": (c_int32, [Call, c_int32, POINTER(Error)]),
    "imgroup_call_cancel": (None, [Call]),
    "imgroup_call_reset": (None, [Call]),
    "imgroup_call_free": (None, [Call]),
    "imgroup_client_new": (c_int32, [Config, POINTER(Client), POINTER(Error)]),
    "imgroup_delete_lists": (
        c_int32,
        [Client, c_char_p, Texts, c_size_t, Call, POINTER(Response), POINTER(Error)],
    ),
    "imgroup_add_lists": (
        c_int32,
        [Client, c_char_p, Texts, c_size_t, Texts, c_size_t, Call, POINTER(Response), POINTER(Error)],
    ),
    "imgroup_get_lists": (
        c_int32,
        [Client, c_char_p, Texts, c_size_t, c_int32, Call, POINTER(Response), POINTER(Error)],
    ),
    "imgroup_request": (
        c_int32,
        [Client, c_char_p, c_char_p, c_size_t, c_uint32, Call, POINTER(Response), POINTER(Error)],
    ),
    "imgroup_client_stats": (c_int32, [Client, POINTER(OwnedText), POINTER(Error)]),
    "imgroup_client_shutdown": (None, [Client]),
    "imgroup_client_free": (None, [Client]),
    "imgroup_code_name": (c_char_p, [c_int32]),
    "imgroup_code_class": (c_int32, [c_int32]),
    "imgroup_class_name": (c_char_p, [c_int32]),
    "imgroup_outcome_name": (c_char_p, [c_int32]),
    "imgroup_config_new": (c_int32, [c_uint32, c_char_p, c_char_p, POINTER(Config), POINTER(Error)]),
    "imgroup_config_from_env": (c_int32, [POINTER(Config), POINTER(Error)]),
    "imgroup_config_set_region": (c_int32, [Config, c_char_p, POINTER(Error)]),
    "imgroup_config_set_endpoint": (c_int32, [Config, c_char_p, POINTER(Error)]),
    "imgroup_config_set_backup_endpoint": (c_int32, [Config, c_char_p, POINTER(Error)]),
    "imgroup_config_set_ca_file": (c_int32, [Config, c_char_p, POINTER(Error)]),
    "imgroup_config_set_proxy": (c_int32, [Config, c_char_p, POINTER(Error)]),
    "imgroup_config_set_quota_directory": (c_int32, [Config, c_char_p, POINTER(Error)]),
    "imgroup_config_set_quota_redis": (c_int32, [Config, c_char_p, POINTER(Error)]),
    "imgroup_config_set_timeout_ms": (c_int32, [Config, c_uint32, POINTER(Error)]),
    "imgroup_config_set_attempt_timeout_ms": (c_int32, [Config, c_uint32, POINTER(Error)]),
    "imgroup_config_set_resolve_timeout_ms": (c_int32, [Config, c_uint32, POINTER(Error)]),
    "imgroup_config_set_connect_timeout_ms": (c_int32, [Config, c_uint32, POINTER(Error)]),
    "imgroup_config_set_max_attempts": (c_int32, [Config, c_uint32, POINTER(Error)]),
    "imgroup_config_set_usersig_ttl_s": (c_int32, [Config, c_uint32, POINTER(Error)]),
    "imgroup_config_set_max_reply_bytes": (c_int32, [Config, c_uint32, POINTER(Error)]),
    "imgroup_config_set_quota": (c_int32, [Config, c_uint32, POINTER(Error)]),
    "imgroup_config_set_quota_share": (c_int32, [Config, c_double, POINTER(Error)]),
    "imgroup_config_set_quota_callback": (
        c_int32,
        [Config, QuotaCallback, c_void_p, DropCallback, POINTER(Error)],
    ),
    "imgroup_config_set_log_callback": (
        c_int32,
        [Config, c_int32, LogCallback, c_void_p, DropCallback, POINTER(Error)],
    ),
    "imgroup_config_free": (None, [Config]),
    "imgroup_error_code": (c_int32, [Error]),
    "imgroup_error_name": (c_char_p, [Error]),
    "imgroup_error_message": (c_char_p, [Error]),
    "imgroup_error_display": (c_char_p, [Error]),
    "imgroup_error_class": (c_int32, [Error]),
    "imgroup_error_outcome": (c_int32, [Error]),
    "imgroup_error_is_retryable": (c_int32, [Error]),
    "imgroup_error_http_status": (c_int32, [Error]),
    "imgroup_error_attempts": (c_uint32, [Error]),
    "imgroup_error_host": (c_char_p, [Error]),
    "imgroup_error_random": (c_uint32, [Error]),
    "imgroup_error_free": (None, [Error]),
    "imgroup_job_new": (c_int32, [Client, c_int32, c_char_p, POINTER(Job), POINTER(Error)]),
    "imgroup_job_set_partition": (c_int32, [Job, c_uint32, c_uint32, POINTER(Error)]),
    "imgroup_job_set_max_deletes": (c_int32, [Job, c_uint64, POINTER(Error)]),
    "imgroup_job_set_max_failures": (c_int32, [Job, c_double, POINTER(Error)]),
    "imgroup_job_set_connections": (c_int32, [Job, c_uint32, POINTER(Error)]),
    "imgroup_job_set_give_up_ms": (c_int32, [Job, c_uint32, POINTER(Error)]),
    "imgroup_job_set_input_file": (c_int32, [Job, c_char_p, c_char_p, POINTER(Error)]),
    "imgroup_job_set_progress": (c_int32, [Job, JobCallback, c_void_p, DropCallback, POINTER(Error)]),
    "imgroup_job_push": (c_int32, [Job, c_char_p, c_char_p, POINTER(Error)]),
    "imgroup_job_run": (c_int32, [Job, POINTER(Error)]),
    "imgroup_job_pause": (None, [Job]),
    "imgroup_job_cancel": (None, [Job]),
    "imgroup_job_count": (c_uint64, [Job, c_int32]),
    "imgroup_job_stopped_by": (c_char_p, [Job]),
    "imgroup_job_report": (c_int32, [Job, POINTER(OwnedText), POINTER(Error)]),
    "imgroup_job_write_report": (c_int32, [Job, c_char_p, POINTER(Error)]),
    "imgroup_job_write_failed": (c_int32, [Job, c_char_p, c_char_p, POINTER(Uint64), POINTER(Error)]),
    "imgroup_job_write_lists": (c_int32, [Job, c_char_p, POINTER(Uint64), POINTER(Error)]),
    "imgroup_job_free": (None, [Job]),
    "imgroup_response_sequence": (c_uint64, [Response]),
    "imgroup_response_has_sequence": (c_int32, [Response]),
    "imgroup_response_attempts": (c_uint32, [Response]),
    "imgroup_response_was_ambiguous": (c_int32, [Response]),
    "imgroup_response_body": (c_char_p, [Response, POINTER(c_size_t)]),
    "imgroup_response_list_count": (c_size_t, [Response]),
    "imgroup_response_list_name": (c_char_p, [Response, c_size_t]),
    "imgroup_response_list_friend_count": (c_uint64, [Response, c_size_t]),
    "imgroup_response_member_count": (c_size_t, [Response, c_size_t]),
    "imgroup_response_member": (c_char_p, [Response, c_size_t, c_size_t]),
    "imgroup_response_result_count": (c_size_t, [Response]),
    "imgroup_response_result_account": (c_char_p, [Response, c_size_t]),
    "imgroup_response_result_code": (c_int32, [Response, c_size_t]),
    "imgroup_response_result_info": (c_char_p, [Response, c_size_t]),
    "imgroup_response_free": (None, [Response]),
    "imgroup_usersig": (
        c_int32,
        [
            c_uint32,
            c_char_p,
            c_char_p,
            c_uint32,
            c_int64,
            POINTER(c_uint8),
            c_size_t,
            POINTER(OwnedText),
            POINTER(Error),
        ],
    ),
    "imgroup_string_free": (None, [OwnedText]),
    "imgroup_version": (c_char_p, []),
    "imgroup_version_number": (c_uint32, []),
}


def _candidates() -> List[Tuple[str, str]]:
    """Where the library may be: (path, how it was found), best first."""
    named = os.environ.get("IMGROUP_LIBRARY")
    if named:
        # Whoever names a file wants that file and no other.
        return [(named, "named by IMGROUP_LIBRARY")]
    bundled = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libimgroup.so")
    return [(bundled, "bundled with this package"), (SONAME, "installed on the system")]


def _check_version(library: ctypes.CDLL) -> None:
    """Raises if the library is not the one this package was written for."""
    number = library.imgroup_version_number
    number.restype, number.argtypes = c_uint32, []
    found = int(number())
    major, minor, patch = (int(part) for part in __version__.split("."))
    text = f"{found // 1_000_000}.{found // 1000 % 1000}.{found % 1000}"
    if (found // 1000, found % 1000 >= patch) != (major * 1000 + minor, True):
        raise OSError(
            f"it is version {text}, and this package needs {major}.{minor}.{patch}"
            f" or a later {major}.{minor}.x"
        )


def _load() -> Tuple[ctypes.CDLL, str]:
    tried = []
    for path, how in _candidates():
        try:
            library = ctypes.CDLL(path)
            _check_version(library)
            for name, (result, parameters) in FUNCTIONS.items():
                function = getattr(library, name)
                function.restype, function.argtypes = result, parameters
            return library, path
        except (OSError, AttributeError) as error:
            tried.append(f"\n  {path} ({how}): {error}")
    raise LibraryLoadError(
        "libimgroup cannot be loaded. Tried:"
        + "".join(tried)
        + "\nInstall it, or name the file in IMGROUP_LIBRARY."
    )


lib, LIBRARY_PATH = _load()


def texts(encoded: Sequence[bytes]) -> Any:
    """An array of C strings."""
    return (c_char_p * len(encoded))(*encoded)


def octets(data: bytes) -> Any:
    """An array of bytes; None for an empty one."""
    return (c_uint8 * len(data)).from_buffer_copy(data) if data else None


def take_text(pointer: Any) -> str:
    """The text that the library gave away, which is freed."""
    try:
        return ctypes.cast(pointer, c_char_p).value.decode()  # type: ignore[union-attr]
    finally:
        lib.imgroup_string_free(pointer)


_Function = TypeVar("_Function", bound=Callable[..., Any])


class _Decorator(Protocol):
    def __call__(self, function: _Function) -> _Function: ...


def _typed(prototype: Any) -> _Decorator:
    def decorate(function: _Function) -> _Function:
        return cast(_Function, prototype(function))

    return decorate


#: Decorators that make C functions of Python ones.
log_callback = _typed(LogCallback)
quota_callback = _typed(QuotaCallback)
job_callback = _typed(JobCallback)
drop_callback = _typed(DropCallback)

byref: Callable[..., Any] = ctypes.byref
