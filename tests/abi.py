#!/usr/bin/env python3
"""The ABI check notices what breaks a program, and lets pass what does not.

Each row changes the header; the last word is whether programs that were built by
the old one go on working.
"""

import importlib.util
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
specification = importlib.util.spec_from_file_location("abi", ROOT / "packaging/abi.py")
abi = importlib.util.module_from_spec(specification)
specification.loader.exec_module(abi)

ROWS = [
    ("nothing", "", "", True),
    ("a function is added", "IMGROUP_API void imgroup_string_free(",
     "IMGROUP_API int32_t imgroup_new_thing(void);\nIMGROUP_API void imgroup_string_free(", True),
    ("a handle type and its function are added", "typedef struct imgroup_call imgroup_call;",
     "typedef struct imgroup_call imgroup_call;\ntypedef struct imgroup_batch imgroup_batch;\n"
     "IMGROUP_API void imgroup_batch_free(imgroup_batch *batch);", True),
    ("an enumeration is added", "typedef struct imgroup_call imgroup_call;",
     "typedef enum { IMGROUP_NEW = 1 } imgroup_new;\ntypedef struct imgroup_call imgroup_call;", True),
    ("a number is added to an enumeration", "IMGROUP_LOG_DEBUG = 4,", "IMGROUP_LOG_DEBUG = 4, IMGROUP_LOG_TRACE = 5,", True),
    ("a function is removed", "IMGROUP_API void imgroup_string_free(char *text);", "", False),
    ("a function is renamed", "void imgroup_string_free(", "void imgroup_text_free(", False),
    ("a parameter is added", "imgroup_string_free(char *text)", "imgroup_string_free(char *text, int32_t how)", False),
    ("a parameter becomes wider", "imgroup_code_name(int32_t code)", "imgroup_code_name(int64_t code)", False),
    ("a parameter is of another handle", "void imgroup_call_free(imgroup_call *", "void imgroup_call_free(imgroup_config *", False),
    ("a result becomes wider", "uint32_t imgroup_version_number(void)", "uint64_t imgroup_version_number(void)", False),
    ("a result is no longer a text", "const char *imgroup_version(void)", "int32_t imgroup_version(void)", False),
    ("a callback gives something else", "typedef int64_t (*imgroup_quota_callback)", "typedef int32_t (*imgroup_quota_callback)", False),
    ("a callback takes one more", "typedef void (*imgroup_drop_callback)(void *userdata)",
     "typedef void (*imgroup_drop_callback)(void *userdata, int32_t why)", False),
    ("a code gets another number", "IMGROUP_E_CANCELLED = -21,", "IMGROUP_E_CANCELLED = -26,", False),
    ("a class is removed", "IMGROUP_CLASS_INTERNAL = 9,", "", False),
    ("an outcome is renamed", "IMGROUP_OUTCOME_UNKNOWN = 2,", "IMGROUP_OUTCOME_OPEN = 2,", False),
    ("two levels change places", "IMGROUP_LOG_INFO = 3,", "IMGROUP_LOG_INFO = 7,", False),
]


def main():
    header = (ROOT / "include/imgroup.h").read_text()
    old = abi.dump(header, "libimgroup.so.test")
    for foreign in (str(ROOT), "/tmp", "/usr", "/home", "/root"):
        assert foreign not in old, f"a path of this machine in the dump: {foreign}"
    wrong = 0
    for what, text, instead, fine in ROWS:
        if text and header.count(text) != 1:
            sys.exit(f"{what}: the header holds {header.count(text)} times, not once: {text}")
        broken, _ = abi.compare(old, abi.dump(header.replace(text, instead, 1) if text else header, "libimgroup.so.test"))
        if (not broken) != fine:
            wrong += 1
            print(f"WRONG: {what}: {'let pass' if not broken else broken}")
    print(f"ABI check: {len(ROWS) - wrong} passed, {wrong} failed")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
