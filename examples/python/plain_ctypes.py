"""The C library from Python without the imgroup package: plain_ctypes.py ACCOUNT NAME...

All of it is the standard library. The package adds what is missing here: Ctrl-C
during a call, exceptions, types, and a test that compares each line of SIGNATURES
with imgroup.h. LIBIMGROUP may name the library.
"""

import os
import sys
from ctypes import CDLL, POINTER, Structure, byref, c_char_p, c_int32, c_size_t, c_uint64


class Config(Structure):
    """imgroup_config"""


class Client(Structure):
    """imgroup_client"""


class Call(Structure):
    """imgroup_call"""


class Response(Structure):
    """imgroup_response"""


class Error(Structure):
    """imgroup_error"""


# Without these, ctypes takes every pointer for an int of 32 bits.
OUT_ERROR = POINTER(POINTER(Error))
SIGNATURES = {
    "imgroup_config_from_env": (c_int32, [POINTER(POINTER(Config)), OUT_ERROR]),
    "imgroup_config_free": (None, [POINTER(Config)]),
    "imgroup_client_new": (c_int32, [POINTER(Config), POINTER(POINTER(Client)), OUT_ERROR]),
    "imgroup_client_free": (None, [POINTER(Client)]),
    "imgroup_delete_lists": (
        c_int32,
        [
            POINTER(Client),
            c_char_p,
            POINTER(c_char_p),
            c_size_t,
            POINTER(Call),
            POINTER(POINTER(Response)),
            OUT_ERROR,
        ],
    ),
    "imgroup_response_sequence": (c_uint64, [POINTER(Response)]),
    "imgroup_response_free": (None, [POINTER(Response)]),
    "imgroup_error_name": (c_char_p, [POINTER(Error)]),
    "imgroup_error_message": (c_char_p, [POINTER(Error)]),
    "imgroup_error_free": (None, [POINTER(Error)]),
}


def load() -> CDLL:
    library = CDLL(os.environ.get("LIBIMGROUP", "libimgroup.so.0.1"))
    for name, (result, parameters) in SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, parameters
    return library


def main() -> int:
    if len(sys.argv) < 3:
        print(__doc__, file=sys.stderr)
        return 2
    account, names = sys.argv[1].encode(), [name.encode() for name in sys.argv[2:]]
    lib = load()
    config, client = POINTER(Config)(), POINTER(Client)()
    response, error = POINTER(Response)(), POINTER(Error)()
    try:
        # A code other than 0 is a failure, and `error` says why.
        failed = (
            lib.imgroup_config_from_env(byref(config), byref(error))
            or lib.imgroup_client_new(config, byref(client), byref(error))
            or lib.imgroup_delete_lists(
                client,
                account,
                (c_char_p * len(names))(*names),
                len(names),
                None,
                byref(response),
                byref(error),
            )
        )
        if failed:
            name, message = lib.imgroup_error_name(error), lib.imgroup_error_message(error)
            print(f"{name.decode()} ({failed}): {message.decode()}", file=sys.stderr)
            return 1
        print("lists are now at sequence", lib.imgroup_response_sequence(response))
        return 0
    finally:
        # Each takes NULL.
        lib.imgroup_response_free(response)
        lib.imgroup_error_free(error)
        lib.imgroup_client_free(client)
        lib.imgroup_config_free(config)


if __name__ == "__main__":
    sys.exit(main())
