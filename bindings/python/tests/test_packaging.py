"""What pip makes of this directory. Files that are built already stand in for cargo,
but for one test that takes minutes: IMGROUP_TEST_CARGO=1."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path
from typing import Any, Dict, List, Mapping, Set

import pytest
from conftest import ROOT

import imgroup
from imgroup import _ffi
from imgroup.testing import find_command

SOURCE = ROOT / "bindings" / "python"
VERSION = imgroup.__version__
PLATFORM = sysconfig.get_platform().replace("-", "_")


def run(*line: str, code: int = 0, environment: Mapping[str, str] = {}) -> str:
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("IMGROUP_", "PYTHONPATH"))
    }
    done = subprocess.run(
        line,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=SOURCE,
        env={**clean, **environment},
    )
    assert done.returncode == code, done.stdout
    return done.stdout


def pip(*arguments: str, code: int = 0, environment: Mapping[str, str] = {}) -> str:
    return run(
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        *arguments,
        code=code,
        environment=environment,
    )


def built() -> Dict[str, str]:
    return {"IMGROUP_BUILD_LIB": os.path.abspath(_ffi.LIBRARY_PATH), "IMGROUP_BUILD_COMMAND": find_command()}


def wheel(source: Path, directory: Path, environment: Mapping[str, str]) -> Path:
    pip(
        "wheel",
        "-q",
        "--no-deps",
        "--no-build-isolation",
        str(source),
        "-w",
        str(directory),
        environment=environment,
    )
    (path,) = directory.glob("*.whl")
    return path


def names_in(path: Path) -> Set[str]:
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


class Environment:
    """A virtual environment without pip, which installs with this one's."""

    def __init__(self, directory: Path) -> None:
        run(sys.executable, "-m", "venv", "--without-pip", str(directory))
        self.bin = directory / "bin"

    def pip(self, *arguments: str, environment: Mapping[str, str] = {}) -> None:
        pip("--python", str(self.bin / "python"), "install", "-q", *arguments, environment=environment)

    def check(self) -> List[str]:
        """Uses what was installed; where it lies."""
        text = (
            "import imgroup, imgroup.testing as t\n"
            "with t.Emulator() as e:\n"
            "    e.seed({'alice': ['Work']})\n"
            "    with e.client() as c: assert c.delete_lists('alice', ['Work']).sequence == 1\n"
            "print(imgroup.__file__, imgroup._ffi.LIBRARY_PATH, t.find_command(), sep='\\n')\n"
        )
        return run(str(self.bin / "python"), "-I", "-c", text, environment={"PATH": "/usr/bin:/bin"}).split()


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "environment")


def test_the_wheel_is_for_every_python_of_this_platform(tmp_path: Path, environment: Environment) -> None:
    path = wheel(SOURCE, tmp_path, built())
    assert path.name == f"imgroup-{VERSION}-py3-none-{PLATFORM}.whl"
    names = names_in(path)
    package = {name for name in names if name.startswith("imgroup/")}
    sources = {f"imgroup/{file.name}" for file in (SOURCE / "src" / "imgroup").glob("*.py")}
    assert package == sources | {"imgroup/py.typed", "imgroup/libimgroup.so"}
    assert f"imgroup-{VERSION}.data/scripts/imgroup" in names
    assert f"imgroup-{VERSION}.dist-info/licenses/LICENSE-MIT" in names
    with zipfile.ZipFile(path) as archive:
        metadata = archive.read(f"imgroup-{VERSION}.dist-info/METADATA").decode()
    assert "Requires-Dist" not in metadata, "no dependency at run time"
    environment.pip(str(path))
    module, library, command = environment.check()
    assert library == str(Path(module).parent / "libimgroup.so")
    assert command == str(environment.bin / "imgroup")


def test_a_wheel_for_the_systems_library_is_pure(tmp_path: Path) -> None:
    path = wheel(SOURCE, tmp_path, {"IMGROUP_BUILD_LIB": "system"})
    assert path.name == f"imgroup-{VERSION}-py3-none-any.whl"
    assert not any(name.endswith(".so") or ".data/" in name for name in names_in(path))


def test_the_source_distribution_is_all_it_takes(tmp_path: Path, environment: Environment) -> None:
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path))
    (path,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = archive.getnames()
        # Pythons of before 2023 know no filters.
        options: Dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(tmp_path, **options)
    assert len(names) == len(set(names))
    unpacked = tmp_path / f"imgroup-{VERSION}"
    for directory, pattern in (("src", "*.rs"), ("include", "imgroup.h")):
        for file in (ROOT / directory).rglob(pattern):
            assert (unpacked / "rust" / file.relative_to(ROOT)).is_file(), file
    if shutil.which("cargo"):
        # Of all that cargo does offline, this looks closest at the manifest; that
        # crates of other systems may be missing here is no matter.
        manifest = str(unpacked / "rust" / "Cargo.toml")
        line = ["cargo", "fetch", "--offline", "--locked", "--manifest-path", manifest]
        done = subprocess.run(line, capture_output=True, text=True)
        assert "manifest" not in done.stderr and "lock file" not in done.stderr, done.stderr
    environment.pip(str(wheel(path, tmp_path / "wheel", built())))
    environment.check()


def test_an_editable_install_uses_the_sources(tmp_path: Path, environment: Environment) -> None:
    # Of a copy: the library is put beside the sources.
    copy = tmp_path / "copy"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("*.so", "__pycache__", ".*_cache", "dist"))
    tools = sysconfig.get_path("purelib")
    site = run(
        str(environment.bin / "python"), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"
    )
    # Behind everything else, so that it gives the build backend and no more.
    (Path(site.strip()) / "zz.pth").write_text(tools)
    environment.pip("--no-deps", "--no-build-isolation", "-e", str(copy), environment=built())
    module, library, command = environment.check()
    assert module == str(copy / "src" / "imgroup" / "__init__.py")
    assert library == str(copy / "src" / "imgroup" / "libimgroup.so")
    assert command == str(environment.bin / "imgroup")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"PATH": "/usr/bin:/bin"}, "there is no cargo on PATH"),
        ({"IMGROUP_BUILD_LIB": "/nowhere.so"}, "IMGROUP_BUILD_LIB names /nowhere.so, which is no file"),
    ],
)
def test_a_build_that_cannot_be_says_why(variables: Dict[str, str], message: str, tmp_path: Path) -> None:
    if shutil.which("cargo", path="/usr/bin:/bin"):
        pytest.skip("cargo is where the system keeps its programs")
    line = ["wheel", "--no-deps", "--no-build-isolation", str(SOURCE), "-w", str(tmp_path)]
    assert message in pip(*line, code=1, environment=variables)


@pytest.mark.skipif(not os.environ.get("IMGROUP_TEST_CARGO"), reason="takes minutes; IMGROUP_TEST_CARGO=1")
def test_pip_install_by_the_words_of_the_readme(tmp_path: Path, environment: Environment) -> None:
    target = os.environ.get("CARGO_TARGET_DIR", str(tmp_path / "target"))
    environment.pip(str(SOURCE), environment={"CARGO_TARGET_DIR": target})
    environment.check()
    # The library of a wheel has the Redis client in it.
    text = "import imgroup; imgroup.Client(1, 'a', 'k', region='sgp', quota_redis='redis://localhost')"
    run(str(environment.bin / "python"), "-I", "-c", text)
