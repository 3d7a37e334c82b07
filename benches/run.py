#!/usr/bin/env python3
"""make bench: measures, prints, and writes RESULTS.md.

    run.py LIBRARY_DIRECTORY COMMAND [SECTION...]

A section is a module beside this file with a function `section`, and its name stands in
SECTIONS. Naming some prints these and leaves RESULTS.md alone.
"""

import datetime
import importlib
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import List

from harness import HERE, NODE_PACKAGE, ROOT, Bench, Section, run, table

SECTIONS = ("calls", "threads", "signing", "bulk")


def machine() -> str:
    """What it was measured on and with, without names of hosts and folders."""
    cpu = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    ureq = re.search(r'name = "ureq"\nversion = "(.*)"', (HERE / "programs/ureq/Cargo.lock").read_text())
    pinned = (HERE / "requirements.txt").read_text().replace("==", " ").splitlines()
    found = {
        "machine": [
            cpu[1] if cpu else platform.machine(),
            f"{os.cpu_count()} cores",
            f"{platform.system()} {platform.release().split('-')[0]}",
            f"glibc {platform.libc_ver()[1]}",
        ],
        "compilers": [
            f"rustc {run('rustc', '--version').split()[1]}",
            f"gcc {run('cc', '-dumpfullversion').strip()}",
            run("go", "version").split()[2].replace("go", "go "),
        ],
        "compared with": [
            run("curl-config", "--version").strip(),
            " ".join(run("openssl", "version").split()[:2]),
            f"ureq {ureq[1]}",
            f"Python {platform.python_version()}",
            *pinned,
            f"node {run('node', '--version').strip().lstrip('v')}",
            f"npm's {NODE_PACKAGE.replace('@', ' ')}",
        ],
    }
    return "\n".join(f"- {what}: {', '.join(items)}" for what, items in found.items())


def commit() -> str:
    """The commit, and whether what was measured differs from it."""
    git = ["git", "-C", str(ROOT)]
    found = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], text=True, capture_output=True)
    if found.returncode:
        return "unknown"
    changed = run(*git, "status", "--porcelain", "-uno", "--", ".", ":!benches/RESULTS.md").strip()
    return found.stdout.strip() + (" with changes" if changed else "")


def report(sections: List[Section], whole: bool, load: float) -> str:
    rows = [
        [*target[:3], "met" if target.met else "missed"] for section in sections for target in section.targets
    ]
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d")
    head = (
        "# Measured\n\nWritten by `make bench`; what does not depend on the machine's mood is counted by\n"
        f"`make bench-counts`. {date}, commit {commit()}.\n\n{machine()}\n"
        f"- load of the machine when it began: {load:.1f}; with more than 1, p99 tells of the others on it\n\n"
        if whole
        else ""
    )
    parts = [f"## {section.title}\n\n{section.text}\n" for section in sections]
    return head + f"## Targets\n\n{table(['what', 'target', 'measured', ''], rows)}\n\n" + "\n".join(parts)


def main() -> int:
    library, command, *chosen = sys.argv[1:]
    unknown = set(chosen) - set(SECTIONS)
    if unknown:
        sys.exit(f"no such section: {' '.join(sorted(unknown))}; there are {' '.join(SECTIONS)}")
    load = os.getloadavg()[0]
    bench = Bench(Path(library), Path(command))
    sections = []
    for name in chosen or SECTIONS:
        print(f"measuring: {name}", file=sys.stderr, flush=True)
        sections.append(importlib.import_module(name).section(bench))
    text = report(sections, not chosen, load)
    print(text)
    if not chosen:
        (HERE / "RESULTS.md").write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
