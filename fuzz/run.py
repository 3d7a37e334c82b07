#!/usr/bin/env python3
"""Builds the fuzz targets, proves that they would find something, and runs them.

    run.py [--seconds N] [--target NAME]

Ends with a table of executions and findings, the same in target/fuzz/figures.json;
fails if anything was found. What was found lies in target/fuzz/findings, the inputs
worth keeping in target/fuzz/corpus; fuzz/corpus is what every run begins with.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = ROOT / "target" / "fuzz"
KNOWN_BAD = "known_bad"
TARGETS = sorted(path.stem for path in (HERE / "targets").glob("*.rs") if path.stem != KNOWN_BAD)
# The stable compiler has the sanitizer behind the switch for its own build. For the
# counters that libFuzzer steers by, see rustc.sh.
FLAGS = "-Zsanitizer=address -Cforce-frame-pointers=yes"
# An input may take 20 s at most and 2 GB of memory.
LIMITS = ["-timeout=20", "-rss_limit_mb=2048", "-max_len=4096", "-print_final_stats=1"]


def build() -> Path:
    version = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    host = re.search(r"host: (\S+)", version)[1]
    # Not --locked: the library's dependencies may be ahead of this lock file.
    line = [os.environ.get("CARGO", "cargo"), "build", "--release", "--manifest-path",
            HERE / "Cargo.toml", "--target", host, "--target-dir", BUILD]
    environment = {**os.environ, "RUSTC_BOOTSTRAP": "1", "RUSTFLAGS": FLAGS, "RUSTC_WRAPPER": str(HERE / "rustc.sh")}
    if subprocess.run(line, env=environment).returncode:
        sys.exit(1)
    return BUILD / host / "release"


def run(programs: Path, target: str, options: list, environment: dict = {}) -> subprocess.CompletedProcess:
    """Runs a target in a directory of its own."""
    directory = BUILD / "run" / target
    directory.mkdir(parents=True, exist_ok=True)
    line = [programs / target, *LIMITS, *options]
    return subprocess.run(line, cwd=directory, env={**os.environ, **environment}, capture_output=True, text=True,
                          errors="replace")


def is_awake(programs: Path) -> bool:
    """Whether the planted bug is found, by its bytes and by the sanitizer."""
    # With so few inputs the usual way of choosing among them starves the right one.
    ran = run(programs, KNOWN_BAD, ["-max_total_time=60", "-seed=1", "-entropic=0", f"-artifact_prefix={BUILD}/{KNOWN_BAD}-"])
    return ran.returncode != 0 and "heap-use-after-free" in ran.stderr


def never_called(programs: Path) -> set:
    """Functions of the header that no program of the corpus calls."""
    header = (ROOT / "include" / "imgroup.h").read_text()
    declared = set(re.findall(r"IMGROUP_API\s[^;(]*?\b(imgroup_\w+)\(", header))
    ran = run(programs, "c_api", ["-runs=0", HERE / "corpus" / "c_api"], {"FUZZ_LIST_CALLED": "1"})
    called = set(re.findall(r"^called (\w+)$", ran.stdout, re.MULTILINE))
    assert len(declared) > 50, declared
    return declared - called


def fuzz(programs: Path, target: str, seconds: int) -> dict:
    corpus, findings = BUILD / "corpus" / target, BUILD / "findings"
    for directory in (corpus, findings):
        directory.mkdir(parents=True, exist_ok=True)
    seeds = HERE / "corpus" / target
    ran = run(programs, target, [f"-max_total_time={seconds}", f"-dict={HERE}/words.dict",
                                 f"-artifact_prefix={findings}/{target}-", corpus, seeds])
    (BUILD / f"{target}.log").write_text(ran.stderr)
    said = lambda pattern: [int(number) for number in re.findall(pattern, ran.stderr)] or [0]
    return {
        "target": target,
        "seeds": len(list(seeds.iterdir())),
        "executions": said(r"number_of_executed_units: (\d+)")[-1],
        "seconds": said(r"Done \d+ runs in (\d+) second")[-1],
        "coverage": said(r" cov: (\d+)")[-1],
        "findings": int(ran.returncode != 0),
        "reason": "" if ran.returncode == 0 else "\n".join(ran.stderr.splitlines()[-60:]),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--target", choices=TARGETS, help="only this one")
    arguments = parser.parse_args()
    programs = build()
    if not is_awake(programs):
        sys.exit("the planted bug was not found: nothing here would find anything")
    if missing := never_called(programs):
        sys.exit(f"fuzz/corpus/c_api never calls {', '.join(sorted(missing))}")
    targets = [arguments.target] if arguments.target else TARGETS
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        rows = list(pool.map(lambda target: fuzz(programs, target, arguments.seconds), targets))
    for row in rows:
        if row["findings"]:
            print(f"---- {row['target']}\n{row['reason']}\n")
    (BUILD / "figures.json").write_text(json.dumps(rows, indent=2) + "\n")
    print(f"{'target':<10} {'seeds':>6} {'executions':>11} {'seconds':>8} {'coverage':>9} {'findings':>9}")
    for row in rows:
        print(f"{row['target']:<10} {row['seeds']:>6} {row['executions']:>11} {row['seconds']:>8} "
              f"{row['coverage']:>9} {row['findings']:>9}")
    print("planted bug found; every function of the header called")
    failed = [row["target"] for row in rows if row["findings"]]
    if failed:
        print(f"\nfound something: {', '.join(failed)}; the inputs are in {BUILD}/findings; to see one again:\n"
              f"  {programs}/{failed[0]} FILE")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
