"""multiprocessing's fork over a client that is in use, through ctypes alone.

fork.py LIBRARY URL KEY DIRECTORY; the account "alice" has the list "Family".
"""

import ctypes
import multiprocessing
import sys

library, url, key, directory = sys.argv[1:]
imgroup = ctypes.CDLL(library)
imgroup.imgroup_response_list_name.restype = ctypes.c_char_p
imgroup.imgroup_response_list_name.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
imgroup.imgroup_error_message.restype = ctypes.c_char_p
imgroup.imgroup_error_message.argtypes = [ctypes.c_void_p]


def check(code, error=None):
    if code != 0:
        raise SystemExit(f"{code}: {imgroup.imgroup_error_message(error)}")


config, client = ctypes.c_void_p(), ctypes.c_void_p()
check(imgroup.imgroup_config_new(1400000000, b"administrator", key.encode(), ctypes.byref(config), None))
check(imgroup.imgroup_config_set_endpoint(config, url.encode(), None))
check(imgroup.imgroup_config_set_quota_directory(config, directory.encode(), None))
check(imgroup.imgroup_client_new(config, ctypes.byref(client), None))


def read(_):
    response, error = ctypes.c_void_p(), ctypes.c_void_p()
    check(
        imgroup.imgroup_get_lists(
            client, b"alice", None, ctypes.c_size_t(0), 0, None, ctypes.byref(response), ctypes.byref(error)
        ),
        error,
    )
    name = imgroup.imgroup_response_list_name(response, 0)
    imgroup.imgroup_response_free(response)
    return name


if __name__ == "__main__":
    assert read(0) == b"Family"
    with multiprocessing.get_context("fork").Pool(4) as pool:
        names = pool.map(read, range(100))
    assert names == [b"Family"] * 100, names
    assert read(0) == b"Family"
    imgroup.imgroup_client_free(client)
    imgroup.imgroup_config_free(config)
    print("fine")
