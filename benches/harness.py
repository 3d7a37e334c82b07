"""What all benchmarks share: building, a server, workers that take turns, tables."""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Sequence

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PROGRAMS = HERE / "programs"
BUILD = ROOT / "target" / "bench"
NODE_PACKAGE = "tls-sig-api-v2@1.0.2"
FEWEST_ROUNDS = 7
# Of one section.
PATIENCE_S = 240
# Settings that lead clients to a proxy, or have them trust somebody else.
ELSEWHERE = ("_proxy", "ca_bundle", "ssl_cert_file", "ssl_cert_dir")
APP = {
    "IMGROUP_SDKAPPID": "1400000000",
    "IMGROUP_IDENTIFIER": "administrator",
    "IMGROUP_SECRET_KEY": "00000000000000000000000000000000000000000000000000000000deadbeef",
}


class Target(NamedTuple):
    """A figure that was promised, and what became of it."""

    what: str
    promised: str
    measured: str
    met: bool


class Section(NamedTuple):
    """A part of the report: Markdown, and the targets it has figures for."""

    title: str
    text: str
    targets: List[Target]


def at_most(what: str, limit: float, value: float) -> Target:
    return Target(what, f"≤ {limit:.2f}", f"{value:.3f}", value <= limit)


def at_least(what: str, limit: float, value: float) -> Target:
    return Target(what, f"≥ {limit:.2f}", f"{value:.3f}", value >= limit)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table that can be read as it is; the first column to the left."""
    cells = [list(head), *map(list, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    lines = [
        "| "
        + " | ".join(
            f"{cell:<{width}}" if not i else f"{cell:>{width}}"
            for i, (cell, width) in enumerate(zip(row, widths))
        )
        + " |"
        for row in cells
    ]
    lines.insert(
        1, "|" + "|".join("-" * (width + 1) + ("-" if not i else ":") for i, width in enumerate(widths)) + "|"
    )
    return "\n".join(lines)


def run(*command: object, **options) -> str:
    """Runs a command to its end; what it says goes nowhere unless it fails."""
    done = subprocess.run([*map(str, command)], text=True, capture_output=True, **options)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}:\n{done.stdout}{done.stderr}")
    return done.stdout


class Bench:
    """The programs, built, and the files they need, all under target/bench."""

    def __init__(self, library: Path, command: Path):
        BUILD.mkdir(parents=True, exist_ok=True)
        self.library, self.command = library.absolute(), command.absolute()
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.lower().endswith(ELSEWHERE)},
            **APP,
            "LD_LIBRARY_PATH": str(self.library),
            "IMGROUP_LIBRARY": str(self.library / "libimgroup.so"),
            "PYTHONPATH": str(ROOT / "bindings/python/src"),
        }
        run(self.command, "--version")
        self.environment["BENCH_USERSIG"] = run(
            self.command, "usersig", APP["IMGROUP_IDENTIFIER"], env=self.environment
        ).strip()

    def c(self, name: str, *libraries: str) -> Path:
        """A C program that uses these libraries."""
        used = [f"-I{ROOT}/include", f"-L{self.library}", *(f"-l{library}" for library in libraries)]
        flags = "-O2 -std=c11 -Wall -Wextra -Werror -pthread".split()
        run("cc", *flags, PROGRAMS / f"{name}.c", *used, "-o", BUILD / name)
        return BUILD / name

    def go(self, name: str) -> Path:
        """A Go program."""
        (BUILD / "imgroup.pc").write_text(
            "Name: imgroup\nDescription: friend lists\nVersion: 0.1.0\n"
            f"Cflags: -I{ROOT}/include\nLibs: -L{self.library} -limgroup\n"
        )
        program, environment = BUILD / f"go-{name}", {**os.environ, "PKG_CONFIG_PATH": str(BUILD)}
        run("go", "build", "-o", program, f"./{name}", cwd=PROGRAMS / "go", env=environment)
        return program

    def cargo(self, name: str) -> Path:
        """A Rust program outside of the library's workspace."""
        manifest = PROGRAMS / name / "Cargo.toml"
        build = "cargo build --locked --release --manifest-path".split()
        run(*build, manifest, "--target-dir", BUILD / name)
        return BUILD / name / "release" / f"bench-{name}"

    def python(self) -> Path:
        """A Python that has what is compared with."""
        venv, wanted = BUILD / "venv", (HERE / "requirements.txt").read_text()
        stamp = venv / "requirements.txt"
        if not stamp.exists() or stamp.read_text() != wanted:
            run(sys.executable, "-m", "venv", "--clear", venv)
            install = "install -q --disable-pip-version-check -r".split()
            run(venv / "bin/pip", *install, HERE / "requirements.txt")
            stamp.write_text(wanted)
        return venv / "bin/python"

    def node(self) -> Path:
        """A folder for NODE_PATH that has the vendor's generator."""
        folder = BUILD / "npm"
        stamp = folder / "installed"
        if not stamp.exists() or stamp.read_text() != NODE_PACKAGE:
            quietly = "--no-audit --no-fund --no-package-lock --ignore-scripts".split()
            run("npm", "install", *quietly, "--prefix", folder, NODE_PACKAGE)
            stamp.write_text(NODE_PACKAGE)
        return folder / "node_modules"

    def certificates(self) -> None:
        """A CA of one certificate, and one for localhost."""
        base = (
            "openssl req -x509 -config /dev/stdin -newkey ec -pkeyopt ec_paramgen_curve:prime256v1"
            " -nodes -sha256 -days 2"
        ).split()
        text = (
            "[req]\ndistinguished_name=name\nx509_extensions=ext\nprompt=no\n[name]\nCN={}\n[ext]\n"
            "basicConstraints=critical,{}\n{}\n"
        )
        for name, subject, constraint, more, signed in (
            ("ca", "benchmark CA", "CA:TRUE", "keyUsage=critical,keyCertSign", []),
            (
                "server",
                "localhost",
                "CA:FALSE",
                "subjectAltName=DNS:localhost,IP:127.0.0.1",
                ["-CA", BUILD / "ca.pem", "-CAkey", BUILD / "ca.key"],
            ),
        ):
            files = ["-keyout", BUILD / f"{name}.key", "-out", BUILD / f"{name}.pem"]
            run(*base, *signed, *files, input=text.format(subject, constraint, more))


class Server:
    """The server of the benchmark, plain or with TLS, until the end of the block."""

    def __init__(self, bench: Bench, tls: bool):
        program = bench.c("server", "ssl", "crypto")
        arguments = []
        if tls:
            bench.certificates()
            arguments = [BUILD / "server.pem", BUILD / "server.key"]
        self.process = subprocess.Popen(
            [program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        port = self.process.stdout.readline().strip()
        self.environment = {**bench.environment, "IMGROUP_ENDPOINT": f"http{'s' * tls}://localhost:{port}"}
        if tls:
            self.environment["IMGROUP_CA_FILE"] = str(BUILD / "ca.pem")

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.stdin.close()
        self.process.wait()


class Worker:
    """A process that stays and works when it is told a number."""

    def __init__(self, line: Sequence[object], environment: Dict[str, str]):
        self.line = [*map(str, line)]
        self.process = subprocess.Popen(
            self.line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, number: int) -> List[int]:
        self.process.stdin.write(f"{number}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit(f"{' '.join(self.line)}: no answer")
        return [int(word) for word in answer.split()]

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def take_turns(
    workers: Dict[str, Worker], rounds: int, ask: Callable[[str, Worker], Dict[str, float]]
) -> "Rounds":
    """Every worker once a round, another one first each time, so that whatever else
    the machine does slows all alike. A round before the first one is thrown away. A
    machine that is too busy gets fewer rounds."""
    names = list(workers)
    figures: Dict[str, List[Dict[str, float]]] = {name: [] for name in names}
    end = time.monotonic() + PATIENCE_S
    for number in range(rounds + 1):
        if number > FEWEST_ROUNDS and time.monotonic() > end:
            break
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            figure = ask(name, workers[name])
            if number:
                figures[name].append(figure)
    for worker in workers.values():
        worker.close()
    return Rounds(figures)


class Rounds:
    """What take_turns saw."""

    def __init__(self, figures: Dict[str, List[Dict[str, float]]]):
        self.figures = figures
        self.count = len(next(iter(figures.values())))

    def median(self, name: str, what: str) -> float:
        return statistics.median(figure[what] for figure in self.figures[name])

    def mean(self, name: str, what: str) -> float:
        return statistics.fmean(figure[what] for figure in self.figures[name])

    def ratio(self, name: str, other: str, what: str) -> float:
        """The median of the rounds' ratios: the two stood under the same load."""
        pairs = zip(self.figures[name], self.figures[other])
        return statistics.median(one[what] / two[what] for one, two in pairs)
