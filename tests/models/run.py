#!/usr/bin/env python3
"""Runs the models, then shows that they are awake: each spoiled line has to fail one.

  run.py                     the check
  LOOM_MAX_PREEMPTIONS=5 run.py   deeper, and longer
"""
import os
import pathlib
import shutil
import subprocess
import sys

MODELS = pathlib.Path(__file__).resolve().parent
ROOT = MODELS.parents[1]
CARGO = os.environ.get("CARGO", "cargo")

# What is spoiled, the line, what stands in its place, the model that has to notice.
MUTANTS = [
    (
        "a slot is taken by a load and a store",
        "slots.rs",
        "word.compare_exchange(current, new, Ordering::Relaxed, Ordering::Relaxed).is_ok()",
        "let same = word.load(Ordering::Relaxed) == current; if same { word.store(new, Ordering::Relaxed); } same",
        "slots_are_given_once_spaced_and_without_a_gap",
    ),
    (
        "a complaint sets the word whatever it holds",
        "slots.rs",
        "stored >= now + SECOND && stored <= now + ABSURD || replace(next, stored, now + SECOND)",
        "{ let _ = stored; next.store(now + SECOND, Ordering::Relaxed); true }",
        "a_complaint_stops_all_for_a_second_and_loses_no_slot",
    ),
    (
        "a wake-up does not wait for the one who is about to sleep",
        "call.rs",
        "let _connection = self.lock();\n        self.wake",
        "self.wake",
        "one_writes_at_a_time_and_everybody_does",
    ),
    (
        "a turn is given to two",
        "queue.rs",
        "next.move_to(Place::Turn);\n                line",
        "next.move_to(Place::Turn);\n                if let Some(second) = line.waiting.pop_front()"
        " { second.move_to(Place::Turn); }\n                line",
        "one_writes_at_a_time_and_everybody_does",
    ),
    (
        "the last in the line is the first",
        "queue.rs",
        "while let Some(next) = line.waiting.pop_front()",
        "while let Some(next) = line.waiting.pop_back()",
        "turns_come_in_the_order_of_the_line",
    ),
    (
        "riders go back to the line in the wrong order",
        "queue.rs",
        "in riders.into_iter().rev()",
        "in riders.into_iter()",
        "riders_that_are_handed_back_keep_their_order",
    ),
    (
        "a rider is told of its result before it is there",
        "queue.rs",
        "*lock(&self.result) = Some(result);\n        self.move_to(Place::Served);",
        "self.move_to(Place::Served);\n        *lock(&self.result) = Some(result);",
        "each_rider_gets_the_result_of_its_own_names_once",
    ),
    (
        "who is cancelled takes the turn along",
        "queue.rs",
        "else { Entered::Stopped(stop, waiter.outcome()) }",
        "else { std::mem::forget(turn); Entered::Stopped(stop, waiter.outcome()) }",
        "who_is_cancelled_leaves_and_never_keeps_the_turn",
    ),
    (
        "riders can leave while they embark",
        "queue.rs",
        "let _lines = lock(self.shard);",
        "",
        "who_leaves_while_riding_is_told_whether_its_names_were_sent",
    ),
    (
        "riders are not marked before their names are sent",
        "queue.rs",
        "rider.waiter.set_outcome(Outcome::Unknown);",
        "",
        "who_leaves_while_riding_is_told_whether_its_names_were_sent",
    ),
]


def test(folder, *names):
    """cargo test in a copy of the package; all copies share what was built for them."""
    command = [CARGO, "test", "--quiet", "--locked", "--", *(names or ["models::"])]
    environment = dict(os.environ, CARGO_TARGET_DIR=str(ROOT / "target/models"), RUST_BACKTRACE="0")
    # A lost wake-up ends as a deadlock, which loom reports; the time is for what nobody thought of.
    return subprocess.run(
        command, cwd=folder, env=environment, timeout=900, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def mutate(file, old, new):
    """A tree with one spoiled line; gives the folder of its models."""
    tree = ROOT / "target/models/spoiled"
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(ROOT / "src", tree / "src")
    shutil.copytree(MODELS, tree / "tests/models")
    # Under the same name cargo would take it for the package that is built already.
    for manifest in ("Cargo.toml", "Cargo.lock"):
        path = tree / "tests/models" / manifest
        path.write_text(path.read_text().replace('name = "models"\nversion', 'name = "spoiled"\nversion'))
    source = tree / "src" / file
    text = source.read_text()
    if text.count(old) != 1:
        sys.exit(f"run.py: src/{file} holds {text.count(old)} times, not once: {old}")
    source.write_text(text.replace(old, new))
    return tree / "tests/models"


def main():
    whole = test(MODELS)
    print(whole.stdout, end="")
    if whole.returncode:
        sys.exit(whole.returncode)
    asleep = 0
    for what, file, old, new, model in MUTANTS:
        spoiled = test(mutate(file, old, new), f"models::{model}", "--exact")
        if "error: could not compile" in spoiled.stdout:
            sys.exit(f"{what}: does not compile\n{spoiled.stdout}")
        noticed = spoiled.returncode != 0 and f"\n    models::{model}\n" in spoiled.stdout
        asleep += not noticed
        print(f"{'noticed' if noticed else 'UNNOTICED'}: {what} (src/{file}; {model})")
    shutil.rmtree(ROOT / "target/models/spoiled", ignore_errors=True)
    print(f"{len(MUTANTS) - asleep} of {len(MUTANTS)} spoiled lines noticed")
    sys.exit(asleep > 0)


if __name__ == "__main__":
    main()
