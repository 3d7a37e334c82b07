"""What sharing a client costs: eight threads on one, and on one each."""

from contextlib import ExitStack
from typing import Dict

from harness import Bench, Section, Server, Worker, at_least, table, take_turns

# Many short ones: whatever else the machine does changes faster than long ones do.
ROUNDS = 41
THREADS = 8
CALLS = 500


def ask(_: str, worker: Worker) -> Dict[str, float]:
    cpu, wall = worker.ask(CALLS)
    return {"calls/s": THREADS * CALLS / wall * 1e9, "CPU": cpu / (THREADS * CALLS) / 1e3}


def section(bench: Bench) -> Section:
    program = bench.c("threads", "imgroup")
    with ExitStack() as stack:
        workers = {}
        for scheme in ("HTTP", "TLS"):
            server = stack.enter_context(Server(bench, scheme == "TLS"))
            workers |= {
                f"{way}, {scheme}": Worker([program, way], server.environment) for way in ("own", "shared")
            }
        rounds = take_turns(workers, ROUNDS, ask)
    rows, targets = [], []
    for scheme in ("HTTP", "TLS"):
        shared, own = f"shared, {scheme}", f"own, {scheme}"
        ratio = rounds.ratio(shared, own, "calls/s")
        rows.append(
            [
                scheme,
                *(f"{rounds.median(name, 'calls/s'):.0f}" for name in (shared, own)),
                f"{ratio:.2f}",
                *(f"{rounds.median(name, 'CPU'):.1f}" for name in (shared, own)),
            ]
        )
        targets.append(
            at_least(f"{THREADS} threads on one client / on one each, calls/s, {scheme}", 0.90, ratio)
        )
    head = ["", "one client, calls/s", "one each", "ratio", "CPU µs, one client", "one each"]
    text = (
        f"{THREADS} threads, each deleting for an account of its own, {rounds.count} rounds of {CALLS} calls a\n"
        "thread; server and threads on all CPUs.\n\n" + table(head, rows)
    )
    return Section("Many threads", text, targets)
