"""The guard against known-bad figures: each must be complained about, a good one not."""

import copy
import json
import unittest
from pathlib import Path

import guard

COMMITTED = json.loads((Path(__file__).resolve().parent / "figures.json").read_text())
CALL = "delete, TLS"
WRITTEN = "anonymous memory added"
START = "instructions to the first reply"

# What became of the figures of a row, and what the complaint about it says.
SITUATIONS = [
    ("as committed", CALL, lambda row: row, None),
    ("4 % more instructions", CALL, lambda row: row | {"instructions": row["instructions"] * 1.04}, None),
    ("half the instructions", CALL, lambda row: row | {"instructions": row["instructions"] / 2}, None),
    ("6 % more instructions", CALL, lambda row: row | {"instructions": row["instructions"] * 1.06}, "instructions"),
    ("three more allocations", CALL, lambda row: row | {"allocations": row["allocations"] + 3}, "allocations"),
    ("6 % more memory written", CALL, lambda row: row | {WRITTEN: row[WRITTEN] * 1.06}, WRITTEN),
    ("10 % more pages of files", CALL, lambda row: row | {"memory added": row["memory added"] * 1.1}, None),
    ("16 % more memory", CALL, lambda row: row | {"memory added": row["memory added"] * 1.16}, "memory added"),
    ("a slower start", CALL, lambda row: row | {START: row[START] * 1.06}, START),
    ("a poll", CALL, lambda row: row | {"system calls": row["system calls"] | {"poll": 1}}, "poll 1"),
    ("two writes", CALL, lambda row: row | {"system calls": row["system calls"] | {"sendto": 2}}, "sendto 2"),
    ("no probe", CALL, lambda row: row | {"system calls": row["system calls"] | {"recvfrom": 1}}, "recvfrom 1"),
    ("a thread every other call", CALL, lambda row: row | {"system calls": row["system calls"] | {"clone3": 0.5}}, "clone3 0.5"),
    ("a figure less", CALL, lambda row: {what: row[what] for what in row if what != "allocations"}, "not measured"),
    ("a bigger library", "library", lambda row: row | {"bytes": row["bytes"] * 1.06}, "bytes"),
    ("another file loaded", "library", lambda row: row | {"files loaded": row["files loaded"] + 1}, "files loaded"),
]


class Guard(unittest.TestCase):
    def test_situations(self) -> None:
        for situation, name, change, expected in SITUATIONS:
            with self.subTest(situation):
                measured = copy.deepcopy(COMMITTED)
                measured[name] = change(measured[name])
                found = guard.complaints(measured, COMMITTED)
                if expected is None:
                    self.assertEqual(found, [])
                else:
                    self.assertEqual(len(found), 1, found)
                    self.assertIn(expected, found[0])

    def test_rows_come_and_go(self) -> None:
        less = {name: row for name, row in COMMITTED.items() if name != CALL}
        self.assertEqual(guard.complaints(less, COMMITTED), [f"{CALL}: not measured any more"])
        self.assertEqual(guard.complaints(COMMITTED, less), [f"{CALL}: there is no committed figure"])

    def test_committed_system_calls_are_no_excuse(self) -> None:
        worse = copy.deepcopy(COMMITTED)
        worse[CALL]["system calls"]["poll"] = 1
        self.assertEqual(len(guard.complaints(worse, worse)), 1)


if __name__ == "__main__":
    unittest.main()
