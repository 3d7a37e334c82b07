"""Whether counts got worse than those that were committed."""

from typing import Dict, List, Union

Row = Dict[str, Union[float, Dict[str, float]]]
Figures = Dict[str, Row]

# Compilers, and the digits of random numbers, move the counts by less.
TOLERANCE = 0.05
# The kernel maps pages of a file in clumps that depend on how it came into its cache.
# What is written to is in "anonymous memory added", exactly.
COARSE = {"memory added": 0.15}
# What a warm call asks of the system: one look whether the connection is quiet, one
# write, one read. Nothing else, whatever was committed.
SYSTEM_CALLS = {"recvfrom": 2, "sendto": 1}


def complaints(measured: Figures, committed: Figures) -> List[str]:
    """What is wrong, a line for each; nothing if all is well."""
    found = [f"{name}: there is no committed figure" for name in measured.keys() - committed.keys()]
    for name, row in committed.items():
        if name not in measured:
            found.append(f"{name}: not measured any more")
            continue
        for what, limit in row.items():
            value = measured[name].get(what)
            if value is None:
                found.append(f"{name}: {what}: not measured any more")
            elif what == "system calls":
                if value != SYSTEM_CALLS:
                    found.append(f"{name}: system calls are {calls(value)}, not {calls(SYSTEM_CALLS)}")
            elif value > limit * (1 + COARSE.get(what, TOLERANCE)):
                found.append(
                    f"{name}: {what}: {value:g}, {value / limit - 1 if limit else 1:+.1%} on {limit:g}"
                )
    return found


def calls(counts: Dict[str, float]) -> str:
    return ", ".join(f"{name} {count:g}" for name, count in sorted(counts.items())) or "none"
