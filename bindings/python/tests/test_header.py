"""Names, types and numbers of this package are those of imgroup.h."""

from __future__ import annotations

import ctypes
import dataclasses
import subprocess
from typing import Any, Dict, List, Tuple

import pytest
from conftest import ROOT
from pycparser import c_ast, c_parser

import imgroup
from imgroup import _errors, _ffi, client, job

# What pycparser has to know of the system's headers.
SCALARS = {
    "int32_t": ctypes.c_int32,
    "int64_t": ctypes.c_int64,
    "uint8_t": ctypes.c_uint8,
    "uint32_t": ctypes.c_uint32,
    "uint64_t": ctypes.c_uint64,
    "size_t": ctypes.c_size_t,
    "double": ctypes.c_double,
}
CALLBACKS = {
    "imgroup_log_callback": _ffi.LogCallback,
    "imgroup_quota_callback": _ffi.QuotaCallback,
    "imgroup_job_callback": _ffi.JobCallback,
    "imgroup_drop_callback": _ffi.DropCallback,
}
HANDLES = {
    "imgroup_call": _ffi.Call,
    "imgroup_client": _ffi.Client,
    "imgroup_config": _ffi.Config,
    "imgroup_error": _ffi.Error,
    "imgroup_job": _ffi.Job,
    "imgroup_response": _ffi.Response,
}


@pytest.fixture(scope="module")
def header() -> c_ast.FileAST:
    header = ROOT / "include" / "imgroup.h"
    empty = "".join(f"typedef int {name};\n" for name in SCALARS if name != "double")
    text = header.read_text("utf-8").replace("#include <stddef.h>", empty).replace("#include <stdint.h>", "")
    line = ["cc", "-E", "-P", "-D__attribute__(x)=", "-"]
    preprocessed = subprocess.run(line, input=text, capture_output=True, text=True, check=True).stdout
    return c_parser.CParser().parse(preprocessed)


def ctype(node: c_ast.Node) -> Any:
    """The ctypes type that a declaration asks for."""
    if isinstance(node, c_ast.TypeDecl):
        (name,) = node.type.names
        if name in CALLBACKS:
            return CALLBACKS[name]
        return None if name == "void" else SCALARS[name]
    assert isinstance(node, c_ast.PtrDecl)
    target = node.type
    if isinstance(target, c_ast.TypeDecl):
        (name,) = target.type.names
        if name in HANDLES:
            return HANDLES[name]
        if name == "void":
            return ctypes.c_void_p
        if name == "char":
            # What is const is lent, what is not is given away.
            return ctypes.c_char_p if "const" in target.quals else _ffi.OwnedText
    return ctypes.POINTER(ctype(target))


def signature(function: c_ast.FuncDecl) -> Tuple[Any, List[Any]]:
    parameters = [parameter.type for parameter in function.args.params]
    types = [ctype(parameter) for parameter in parameters]
    return ctype(function.type), [] if types == [None] else types


def test_every_function_is_declared_as_in_the_header(header: c_ast.FileAST) -> None:
    declared: Dict[str, Any] = {
        node.name: signature(node.type)
        for node in header.ext
        if isinstance(node, c_ast.Decl) and isinstance(node.type, c_ast.FuncDecl)
    }
    assert not declared.keys() - _ffi.FUNCTIONS.keys(), (
        "functions of the header that this package does not know"
    )
    for name, found in _ffi.FUNCTIONS.items():
        expected = declared[name]
        assert found == expected, name
        function: Any = getattr(_ffi.lib, name)
        assert (function.restype, list(function.argtypes)) == expected, name


def test_every_callback_is_declared_as_in_the_header(header: c_ast.FileAST) -> None:
    found = {}
    for node in header.ext:
        if isinstance(node, c_ast.Typedef) and isinstance(node.type, c_ast.PtrDecl):
            result, parameters = signature(node.type.type)
            found[node.name] = (result, tuple(parameters))
    assert found.keys() == CALLBACKS.keys()
    for name, expected in found.items():
        prototype: Any = CALLBACKS[name]
        assert (prototype._restype_, prototype._argtypes_) == expected, name


def enumeration(header: c_ast.FileAST, name: str) -> Dict[str, int]:
    for node in header.ext:
        if isinstance(node, c_ast.Typedef) and node.name == name:
            values = {}
            for entry in node.type.type.values.enumerators:
                negative = isinstance(entry.value, c_ast.UnaryOp)
                constant = entry.value.expr if negative else entry.value
                values[entry.name] = -int(constant.value) if negative else int(constant.value)
            return values
    raise AssertionError(f"no {name}")


def test_numbers_are_those_of_the_header(header: c_ast.FileAST) -> None:
    codes = enumeration(header, "imgroup_code")
    assert codes.pop("IMGROUP_OK") == 0
    assert {f"IMGROUP_E_{code.name}": code.value for code in imgroup.Code} == codes
    for name, number in codes.items():
        assert imgroup.code_name(number) == name
    classes = enumeration(header, "imgroup_class")
    assert {
        f"IMGROUP_CLASS_{name.upper()}": number for number, (name, _) in _errors.CLASSES.items()
    } == classes
    for number, (class_name, _) in _errors.CLASSES.items():
        assert _ffi.lib.imgroup_class_name(number).decode() == class_name
    outcomes = enumeration(header, "imgroup_outcome")
    assert {
        f"IMGROUP_OUTCOME_{outcome.value}": number for number, outcome in enumerate(_errors.OUTCOMES)
    } == outcomes
    levels = enumeration(header, "imgroup_log_level")
    assert {f"IMGROUP_LOG_{name.upper()}": number for name, number in client._LOG_LEVELS.items()} == levels
    assert enumeration(header, "imgroup_request_flag") == {
        "IMGROUP_REQUEST_IDEMPOTENT": client._REQUEST_IDEMPOTENT
    }
    commands = enumeration(header, "imgroup_job_command")
    assert {f"IMGROUP_JOB_{name.upper()}": number for name, number in job._COMMANDS.items()} == commands
    # What is milliseconds there is seconds here.
    fields = {"waited": "WAITED_MS", "elapsed": "ELAPSED_MS"}
    names = [field.name for field in dataclasses.fields(job.JobProgress)]
    assert {
        f"IMGROUP_JOB_{fields.get(name, name.upper())}": number for name, number in zip(names, job._COUNTERS)
    } == enumeration(header, "imgroup_job_counter")


def test_the_handles_are_types_of_their_own() -> None:
    with pytest.raises(ctypes.ArgumentError):
        _ffi.lib.imgroup_client_free(_ffi.Error())


def test_the_version_is_that_of_the_header() -> None:
    text = (ROOT / "include" / "imgroup.h").read_text("utf-8")
    parts = [
        text.split(f"#define IMGROUP_VERSION_{part} ")[1].split()[0] for part in ("MAJOR", "MINOR", "PATCH")
    ]
    assert imgroup.__version__ == ".".join(parts) == imgroup.library_version()
