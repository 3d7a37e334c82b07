"""Which library is loaded, and which is refused."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict

import pytest

import imgroup
from imgroup import _ffi


def compiled(directory: Path, source: str) -> Path:
    library = directory / f"lib{abs(hash(source))}.so"
    line = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
    subprocess.run(line, input=source, text=True, check=True)
    return library


def of_version(directory: Path, number: int) -> Path:
    return compiled(directory, f"unsigned imgroup_version_number(void) {{ return {number}; }}\n")


def load(environment: Dict[str, str], package: Path) -> subprocess.CompletedProcess[str]:
    clean = {
        name: value for name, value in os.environ.items() if name not in ("IMGROUP_LIBRARY", "PYTHONPATH")
    }
    text = (
        f"import sys; sys.path.insert(0, {str(package)!r}); import imgroup; print(imgroup._ffi.LIBRARY_PATH)"
    )
    return subprocess.run(
        [sys.executable, "-I", "-c", text], capture_output=True, text=True, env={**clean, **environment}
    )


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """The package without a bundled library."""
    source = Path(imgroup.__file__).parent
    shutil.copytree(
        source, tmp_path / "bare" / "imgroup", ignore=shutil.ignore_patterns("*.so", "__pycache__")
    )
    return tmp_path / "bare"


@pytest.mark.parametrize(
    ("number", "fits"),
    [(1000, True), (1001, True), (1999, True), (999, False), (2000, False), (1_001_000, False), (0, False)],
)
def test_the_version_must_fit(number: int, fits: bool, tmp_path: Path) -> None:
    library = ctypes.CDLL(str(of_version(tmp_path, number)))
    if fits:
        _ffi._check_version(library)
    else:
        with pytest.raises(OSError, match=r"needs 0.1.0 or a later 0.1.x"):
            _ffi._check_version(library)


def test_a_named_file_is_taken_or_nothing(bare: Path, tmp_path: Path) -> None:
    good = load({"IMGROUP_LIBRARY": _ffi.LIBRARY_PATH}, bare)
    assert good.stdout.strip() == _ffi.LIBRARY_PATH, good.stderr
    rows = [
        (str(tmp_path / "absent.so"), "cannot open shared object file"),
        (
            str(of_version(tmp_path, 2000)),
            "it is version 0.2.0, and this package needs 0.1.0 or a later 0.1.x",
        ),
        (str(compiled(tmp_path, "int nothing;\n")), "undefined symbol: imgroup_version_number"),
        (str(of_version(tmp_path, 1000)), "undefined symbol: imgroup_call_new"),
    ]
    for path, reason in rows:
        bad = load({"IMGROUP_LIBRARY": path}, bare)
        assert bad.returncode == 1
        assert f"{path} (named by IMGROUP_LIBRARY): " in bad.stderr and reason in bad.stderr
        assert "bundled" not in bad.stderr


def test_without_a_name_the_bundled_one_comes_before_the_systems(bare: Path, tmp_path: Path) -> None:
    system = tmp_path / "system"
    system.mkdir()
    shutil.copy(_ffi.LIBRARY_PATH, system / "libimgroup.so.0.1")
    found = load({"LD_LIBRARY_PATH": str(system)}, bare)
    assert found.stdout.strip() == "libimgroup.so.0.1", found.stderr
    bundled = bare / "imgroup" / "libimgroup.so"
    shutil.copy(_ffi.LIBRARY_PATH, bundled)
    found = load({"LD_LIBRARY_PATH": str(system)}, bare)
    assert found.stdout.strip() == str(bundled), found.stderr


def test_the_error_lists_what_was_tried(bare: Path, tmp_path: Path) -> None:
    shutil.copy(of_version(tmp_path, 2000), tmp_path / "libimgroup.so.0.1")
    bad = load({"LD_LIBRARY_PATH": str(tmp_path)}, bare)
    assert "imgroup.LibraryLoadError: libimgroup cannot be loaded. Tried:\n" in bad.stderr
    assert f"\n  {bare}/imgroup/libimgroup.so (bundled with this package): " in bad.stderr
    assert "\n  libimgroup.so.0.1 (installed on the system): it is version 0.2.0" in bad.stderr
    assert bad.stderr.endswith("Install it, or name the file in IMGROUP_LIBRARY.\n")
