"""Builds the C library and the command with cargo, and puts them into the wheel.

The environment can bring files that are built already:

``IMGROUP_BUILD_LIB``
    a libimgroup.so to bundle, or ``system`` for none: the wheel then holds Python
    alone and uses the library that the system has.
``IMGROUP_BUILD_COMMAND``
    an ``imgroup`` command to bundle, or ``none``. Without it the command is built
    together with the library, and left out where the library is brought along.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# What the crate is built from, besides src/.
CRATE_FILES = ["Cargo.lock", "build.rs", "cbindgen.toml", "include/imgroup.h"]
# As `make lib`.
LIBRARY_PROFILE = {"CARGO_PROFILE_RELEASE_LTO": "fat", "CARGO_PROFILE_RELEASE_STRIP": "symbols"}


class CustomBuildHook(BuildHookInterface[Any]):
    """What hatchling calls before it packs."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        if self.target_name == "sdist":
            crate = crate_directory(root)
            for name in CRATE_FILES:
                build_data["force_include"][str(crate / name)] = f"rust/{name}"
            build_data["force_include"][str(crate / "src")] = "rust/src"
            self.manifest = tempfile.NamedTemporaryFile("w", suffix=".toml")
            self.manifest.write(without_tests((crate / "Cargo.toml").read_text("utf-8")))
            self.manifest.flush()
            build_data["force_include"][self.manifest.name] = "rust/Cargo.toml"
            return

        library, command = find_or_build(root)
        if command is not None:
            build_data["shared_scripts"][str(command)] = "imgroup"
        if library is None and command is None:
            return
        build_data["pure_python"] = False
        # Nothing depends on the version of Python: ctypes loads the library.
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"
        if library is not None:
            if version == "editable":
                # Replaced, not overwritten: a process may have the old one mapped.
                beside = root / "src" / "imgroup" / "libimgroup.so"
                fresh = beside.with_suffix(".so.new")
                shutil.copy2(library, fresh)
                os.replace(fresh, beside)
            else:
                build_data["force_include"][str(library)] = "imgroup/libimgroup.so"


def without_tests(manifest: str) -> str:
    """A Cargo.toml that names no target but library and command: cargo wants to see
    the file of each target, and tests and benchmarks are not in an sdist."""
    tables = re.split(r"^(?=\[)", manifest, flags=re.MULTILINE)
    unwanted = ("[[test]]", "[[bench]]", "[[example]]")
    return "".join(table for table in tables if not table.startswith(unwanted))


def crate_directory(root: Path) -> Path:
    """Where the crate is: in an unpacked sdist, or around this directory."""
    for place in (root / "rust", root.parent.parent):
        if (place / "Cargo.toml").is_file():
            return place
    raise SystemExit(f"imgroup: the Rust sources are neither in {root / 'rust'} nor in {root.parent.parent}")


def find_or_build(root: Path) -> tuple[Path | None, Path | None]:
    """The library and the command to bundle; None where there shall be none."""
    named_library = os.environ.get("IMGROUP_BUILD_LIB", "")
    named_command = os.environ.get("IMGROUP_BUILD_COMMAND", "")
    library = command = None
    if named_library not in ("", "system"):
        library = existing("IMGROUP_BUILD_LIB", named_library)
    if named_command not in ("", "none"):
        command = existing("IMGROUP_BUILD_COMMAND", named_command)
    if not named_library:
        crate = crate_directory(root)
        # With the Redis client: who installs a wheel has no other library to choose.
        options = ["--lib", "--crate-type", "cdylib", "--features", "redis"]
        library = cargo(crate, ["rustc", *options], "cdylib", ".so", LIBRARY_PROFILE)
        if not named_command:
            # In a directory of its own, as `make command`: it would link the library anew.
            target = Path(os.environ.get("CARGO_TARGET_DIR") or crate / "target").resolve() / "command"
            options = ["--features", "cli", "--bin", "imgroup", "--target-dir", str(target)]
            command = cargo(crate, ["build", *options], "bin", "")
    return library, command


def existing(variable: str, name: str) -> Path:
    path = Path(name).resolve()
    if not path.is_file():
        raise SystemExit(f"imgroup: {variable} names {name}, which is no file")
    return path


def cargo(
    crate: Path, arguments: list[str], kind: str, suffix: str, environment: dict[str, str] | None = None
) -> Path:
    """Runs cargo; the path of what it made."""
    program = os.environ.get("CARGO") or shutil.which("cargo")
    if program is None:
        raise SystemExit(
            "imgroup: building it from source needs Rust, and there is no cargo on PATH.\n"
            "Install Rust (https://rustup.rs), or set IMGROUP_BUILD_LIB to a libimgroup.so,"
            " or to 'system' to use the one of the system."
        )
    line = [program, *arguments, "--release", "--message-format=json-render-diagnostics"]
    line += ["--manifest-path", str(crate / "Cargo.toml")]
    if (crate / "Cargo.lock").is_file():
        line.append("--locked")
    # Where the artefact is depends on the target directory and more; cargo says it.
    output = subprocess.run(
        line, stdout=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
    )
    if output.returncode != 0:
        raise SystemExit(f"imgroup: {' '.join(line)} failed; its messages are above")
    for text in output.stdout.splitlines():
        message = json.loads(text) if text.startswith("{") else {}
        if message.get("reason") != "compiler-artifact" or message["target"]["name"] != "imgroup":
            continue
        if kind in message["target"]["crate_types"]:
            for name in message["filenames"]:
                if Path(name).suffix == suffix:
                    return Path(name)
    raise SystemExit(f"imgroup: {' '.join(line)} made no {kind}")
