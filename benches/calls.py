"""A warm call, the same with every client: one list of one account deleted over a
connection that is kept. Client and server share one CPU."""

import os
from contextlib import ExitStack
from typing import Dict, List

from harness import PROGRAMS, Bench, Section, Server, Target, Worker, at_least, at_most, table, take_turns

ROUNDS = 11

FLOOR = "raw C"
CURL = "libcurl + cJSON"
UREQ = "ureq, stock"
C = "imgroup, C"
THREAD = "imgroup, Python, another thread"
MAIN = "imgroup, Python, main thread"
GO = "imgroup, Go"
GO_DEADLINE = "imgroup, Go, with a deadline"
REQUESTS = "Python requests"
NET_HTTP = "Go net/http"
# On one CPU, Go runs one goroutine at a time and takes that turn away from a call into
# C that takes longer than 20 us; with more turns it does not, but looks for work.
GO_TWO = "imgroup, Go, GOMAXPROCS 2"
NET_HTTP_TWO = "Go net/http, GOMAXPROCS 2"
SETTINGS = {name: {"GOMAXPROCS": "2"} for name in (GO_TWO, NET_HTTP_TWO)}

CALLS = 4000
# Of a client that would take most of the time otherwise.
FEWER = {REQUESTS: 1000, UREQ: 2000}


def ask(name: str, worker: Worker) -> Dict[str, float]:
    calls = FEWER.get(name.rsplit(", ", 1)[0], CALLS)
    cpu, wall, *took = worker.ask(calls)
    took.sort()
    return {
        "calls/s": calls / wall * 1e9,
        "CPU": cpu / calls / 1e3,
        "p50": took[calls // 2] / 1e3,
        "p99": took[calls * 99 // 100] / 1e3,
    }


def clients(bench: Bench) -> Dict[str, List[object]]:
    python = bench.python()
    go, net_http = bench.go("imgroup"), bench.go("nethttp")
    return {
        FLOOR: [bench.c("floor", "ssl", "crypto")],
        CURL: [bench.c("curl", "curl", "cjson")],
        UREQ: [bench.cargo("ureq")],
        C: [bench.c("imgroup", "imgroup")],
        THREAD: [python, PROGRAMS / "with_imgroup.py", "thread"],
        MAIN: [python, PROGRAMS / "with_imgroup.py"],
        REQUESTS: [python, PROGRAMS / "with_requests.py"],
        GO: [go],
        GO_DEADLINE: [go, "deadline"],
        NET_HTTP: [net_http],
        GO_TWO: [go],
        NET_HTTP_TWO: [net_http],
    }


def section(bench: Bench) -> Section:
    lines = clients(bench)
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(everywhere)})
    try:
        with ExitStack() as stack:
            workers = {}
            for scheme in ("HTTP", "TLS"):
                server = stack.enter_context(Server(bench, scheme == "TLS"))
                workers |= {
                    f"{name}, {scheme}": Worker(line, server.environment | SETTINGS.get(name, {}))
                    for name, line in lines.items()
                }
            rounds = take_turns(workers, ROUNDS, ask)
    finally:
        os.sched_setaffinity(0, everywhere)

    fewer = ", ".join(f"{name}: {calls}" for name, calls in FEWER.items())
    text = [f"""One list of one account deleted, over a connection that is kept, by each client in
turn: {rounds.count} rounds of {CALLS} calls ({fewer}), client and
server on one CPU. Medians of the rounds; a ratio is the median of the rounds' own
ratios. Times in microseconds; `{FLOOR}` sends a request that was built beforehand
over one socket."""]
    targets: List[Target] = []
    for scheme in ("HTTP", "TLS"):
        rows = []
        for client in lines:
            name, floor, curl = (f"{which}, {scheme}" for which in (client, FLOOR, CURL))
            figure = {what: rounds.median(name, what) for what in ("calls/s", "CPU", "p50", "p99")}
            rows.append(
                [
                    client,
                    f"{figure['calls/s']:.0f}",
                    f"{figure['p50']:.1f}",
                    f"{figure['p99']:.1f}",
                    f"{figure['CPU']:.1f}",
                    f"{rounds.ratio(name, floor, 'p50'):.2f}",
                    *(f"{rounds.ratio(name, curl, what):.2f}" for what in ("p50", "p99", "CPU")),
                ]
            )
        head = [
            "HTTP" if scheme == "HTTP" else "TLS 1.3",
            "calls/s",
            "p50",
            "p99",
            "CPU",
            "p50 / raw C",
            "p50 / libcurl",
            "p99 / libcurl",
            "CPU / libcurl",
        ]
        text += ["", table(head, rows)]

        def ratio(one: str, two: str, what: str) -> float:
            return rounds.ratio(f"{one}, {scheme}", f"{two}, {scheme}", what)

        targets += [
            at_most(
                f"median latency / raw C, {scheme}",
                1.40 if scheme == "HTTP" else 1.25,
                ratio(C, FLOOR, "p50"),
            ),
            at_most(f"CPU / libcurl, {scheme}", 0.45, ratio(C, CURL, "CPU")),
            at_most(f"p99 / libcurl, {scheme}", 0.55, ratio(C, CURL, "p99")),
            at_least(
                f"Python, another thread, calls/s / requests, {scheme}",
                10,
                ratio(THREAD, REQUESTS, "calls/s"),
            ),
            at_least(
                f"Python, main thread, calls/s / requests, {scheme}", 4, ratio(MAIN, REQUESTS, "calls/s")
            ),
            at_least(f"Go, calls/s / net/http, {scheme}", 1.5, ratio(GO, NET_HTTP, "calls/s")),
        ]
    return Section("A warm call", "\n".join(text), targets)
