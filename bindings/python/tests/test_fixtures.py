"""The pytest plugin, as somebody else's tests use it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from imgroup.testing import CommandNotFound, Emulator, find_command

README = Path(__file__).parents[1] / "README.md"


def test_the_readme_examples_are_good_tests(pytester: pytest.Pytester) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.S)
    (example,) = [block for block in blocks if "def test_" in block]
    pytester.makepyfile(example)
    pytester.runpytest("-p", "no:cacheprovider").assert_outcomes(passed=2)


def test_each_test_begins_anew(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import imgroup, pytest

        @pytest.mark.parametrize("turn", [1, 2])
        def test_state(turn, imgroup_emulator, imgroup_client):
            assert imgroup_emulator.state() == {} and imgroup_emulator.count() == 0
            imgroup_emulator.seed({"alice": ["Work"]})
            assert imgroup_client.delete_lists("alice", ["Work"]).sequence == 1
            assert [r["path"] for r in imgroup_emulator.requests("group_delete")] == ["/v4/sns/group_delete"]
            imgroup_emulator.fault("hang_up", times=99)
            imgroup_emulator.advance_clock(10**6)

        @pytest.mark.imgroup_emulator("--unknown-list", "30001")
        def test_options(imgroup_emulator, imgroup_client):
            imgroup_emulator.seed({"alice": []})
            with pytest.raises(imgroup.InvalidArgument):
                imgroup_client.delete_lists("alice", ["Work"])

        def test_environment(imgroup_emulator, imgroup_environment):
            imgroup_emulator.seed({"alice": ["Work"]})
            with imgroup.Client.from_env() as client:
                assert client.get_lists("alice").names == ("Work",)
        """
    )
    pytester.runpytest("-p", "no:cacheprovider", "--strict-markers").assert_outcomes(passed=4)


def test_a_missing_command_skips_or_fails_with_a_reason(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile("def test_it(imgroup_client): pass")
    monkeypatch.setenv("IMGROUP_COMMAND", "/nowhere/imgroup")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*IMGROUP_COMMAND names '/nowhere/imgroup', which cannot be run*"])
    monkeypatch.delenv("IMGROUP_COMMAND")
    monkeypatch.setenv("PATH", "/nowhere")
    pytester.makeconftest(
        "import imgroup.testing as t\n"
        "t.sysconfig.get_path = lambda name: '/nowhere'\n"
        "t.sys = type('S', (), {'executable': '/nowhere/python'})\n"
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*the imgroup command was not found in*PATH*set IMGROUP_COMMAND*"])
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--imgroup-missing=fail")
    result.assert_outcomes(errors=1)


def test_the_command_is_the_named_one_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGROUP_COMMAND", sys.executable)
    assert find_command() == sys.executable
    monkeypatch.setenv("IMGROUP_COMMAND", "/nowhere")
    with pytest.raises(CommandNotFound):
        find_command()


def test_an_emulator_that_does_not_start_says_why() -> None:
    with pytest.raises(RuntimeError, match=r"did not start: .*--colour"):
        Emulator("--colour", "red")


def test_an_emulator_ends_with_its_parent(tmp_path: Path) -> None:
    text = "import os\nfrom imgroup.testing import Emulator\ne = Emulator()\nprint(e.pid, flush=True)\nos.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    pid = int(done.stdout)
    for _ in range(200):
        # It may be a zombie of another parent, which is as good as gone.
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        os.sched_yield()
        subprocess.run(["sleep", "0.02"])
    pytest.fail("the emulator outlived its parent")


def test_the_keys_of_the_environment_stay_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGROUP_SDKAPPID", "1400000007")
    monkeypatch.setenv("IMGROUP_SECRET_KEY", "a real key")
    with Emulator() as emulator:
        assert emulator.sdkappid == 1400000000
        emulator.seed({"alice": []})
        with emulator.client() as client:
            assert client.get_lists("alice").names == ()
    emulator.stop()
