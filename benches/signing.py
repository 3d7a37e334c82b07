"""UserSig tickets, against the vendor's own generators that compress them."""

import os
from typing import Dict

from harness import PROGRAMS, Bench, Section, Target, Worker, at_least, table, take_turns

ROUNDS = 11
TICKETS = 5000
OWN = "imgroup"
PYTHON = "PyPI tls-sig-api-v2"
# Left to itself, glibc gives the compressor's memory back to the system after each ticket.
KEEPING = "the same, glibc told to keep memory"
KEEP = {"MALLOC_TRIM_THRESHOLD_": "-1", "MALLOC_MMAP_THRESHOLD_": "33554432"}
NODE = "npm tls-sig-api-v2"
# As their packages come; the one that is helped stands in the table beside them.
INSTALLED = (PYTHON, NODE)
OFFICIAL = (*INSTALLED, KEEPING)


def ask(_: str, worker: Worker) -> Dict[str, float]:
    cpu, size = worker.ask(TICKETS)
    return {"CPU": cpu / TICKETS / 1e3, "tickets": TICKETS / cpu * 1e9, "length": size / TICKETS}


def section(bench: Bench) -> Section:
    environment = {**bench.environment, "NODE_PATH": str(bench.node())}
    python = [bench.python(), PROGRAMS / "usersig.py"]
    own = bench.c("usersig", "imgroup")
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(everywhere)})
    try:
        rounds = take_turns(
            {
                OWN: Worker([own], environment),
                PYTHON: Worker(python, environment),
                KEEPING: Worker(python, environment | KEEP),
                NODE: Worker(["node", PROGRAMS / "usersig.js"], environment),
            },
            ROUNDS,
            ask,
        )
    finally:
        os.sched_setaffinity(0, everywhere)
    # Each ticket is a few characters more or less, as its signature compresses.
    length = {name: rounds.mean(name, "length") for name in (OWN, *OFFICIAL)}
    rows = [
        [
            name,
            f"{rounds.median(name, 'tickets'):.0f}",
            f"{rounds.median(name, 'CPU'):.2f}",
            f"{length[name]:.2f}",
            f"{rounds.ratio(OWN, name, 'tickets'):.2f}",
        ]
        for name in (OWN, *OFFICIAL)
    ]
    shortest = min(length[name] for name in OFFICIAL)
    targets = [
        at_least(
            "UserSig, tickets a CPU second / the fastest official generator",
            2,
            min(rounds.ratio(OWN, name, "tickets") for name in INSTALLED),
        ),
        Target(
            "UserSig, mean length of a ticket",
            f"≤ {shortest:.2f}",
            f"{length[OWN]:.2f}",
            length[OWN] <= shortest,
        ),
    ]
    text = f"One thread, {rounds.count} rounds of {TICKETS} tickets for different accounts.\n\n" + table(
        ["", "tickets a CPU second", "CPU µs", "mean characters", "imgroup / this"], rows
    )
    return Section("Signing tickets", text, targets)
