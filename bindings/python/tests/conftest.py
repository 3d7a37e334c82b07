"""What several test files need."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, Callable

import pytest

from imgroup.testing import Emulator

ROOT = Path(__file__).parents[3]


@pytest.fixture
def alice(imgroup_emulator: Emulator) -> Emulator:
    """An emulator with an account that has two lists and a friend."""
    imgroup_emulator.seed({"alice": ["Family", "Work"]}, friends={"alice": ["bob"]})
    return imgroup_emulator


@pytest.fixture
def run_script(imgroup_environment: Any, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a script in a process of its own; what it prints must be all it says."""

    def run(
        text: str, *arguments: str, code: int = 0, timeout: float = 30
    ) -> subprocess.CompletedProcess[str]:
        script = tmp_path / "script.py"
        script.write_text(textwrap.dedent(text))
        done = subprocess.run(
            [sys.executable, "-X", "dev", str(script), *arguments],
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert (done.returncode, done.stderr) == (code, ""), done
        return done

    return run
