"""Deletes the lists that a file names, on a Dask cluster:
dask_partitions.py INPUT DIRECTORY PARTITIONS [SCHEDULER]

Each partition is one task with a journal of its own in DIRECTORY. When a worker
dies, Dask gives its task to another one, which goes on by the journal: nothing is
lost, and no more is repeated than was in flight.

Needs `pip install distributed`, and on every worker: the imgroup package, the
variables of Client.from_env(), INPUT and DIRECTORY under the same path. Without
SCHEDULER, workers are started on this machine.

The quota belongs to the app, so a cluster gives availability, not speed. The workers
of one machine share its pace by themselves. Over several machines, share it through
Redis (IMGROUP_QUOTA_REDIS), and give each machine its part for the time when Redis is
away (IMGROUP_QUOTA_SHARE).
"""

import os
import sys
import time
from typing import Any, Dict

from distributed import Client, LocalCluster, as_completed

import imgroup


def delete_partition(source: str, directory: str, index: int, count: int) -> Dict[str, Any]:
    """Part `index` of `count`. However often and wherever it is run, each row ends once."""
    journal = os.path.join(directory, f"{index}-of-{count}.journal")
    with imgroup.Client.from_env() as client:
        # Some connections are plenty for a share of one pace, and bound what a dead
        # worker leaves in flight.
        with imgroup.Job(client, "delete", journal, partition=(index, count), connections=4) as job:
            job.input_file(source)
            while True:
                try:
                    job.run()
                    break
                except imgroup.InvalidArgument as error:
                    # A worker that Dask has given up may be alive, and still at it.
                    if error.code != imgroup.Code.JOB_BUSY:
                        raise
                    time.sleep(1)
            job.write_failed(f"{journal}.failed.csv")
            report = job.report()
            return {
                "partition": index,
                "rows": report["rows"],
                "resumed": job.progress.resumed,
                "sent_again": len(report["this_run"]["repeated"]),
                "pid": os.getpid(),
            }


def main() -> int:
    if len(sys.argv) not in (4, 5):
        print(__doc__, file=sys.stderr)
        return 2
    source, directory = map(os.path.abspath, sys.argv[1:3])
    count, scheduler = int(sys.argv[3]), sys.argv[4:]
    try:
        if scheduler:
            return run(scheduler[0], source, directory, count)
        # On this machine, for this machine alone.
        with LocalCluster(
            n_workers=3, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
        ) as workers:
            return run(workers, source, directory, count)
    except imgroup.ImGroupError as error:
        # The same line goes on.
        print(error, file=sys.stderr)
        return 2


def run(workers: Any, source: str, directory: str, count: int) -> int:
    unfinished = 0
    with Client(workers) as cluster:
        # Not pure: a task is no value to be remembered, it is to be run.
        tasks = [
            cluster.submit(delete_partition, source, directory, index, count, pure=False)
            for index in range(1, count + 1)
        ]
        for _, result in as_completed(tasks, with_results=True):
            rows = result["rows"]
            unfinished += rows["failed"] + rows["unknown"]
            print(
                f"partition {result['partition']}: {rows['total']} rows, {rows['failed']} failed,"
                f" {rows['unknown']} unknown; {result['resumed']} were done before,"
                f" {result['sent_again']} sent again; process {result['pid']}",
                flush=True,
            )
    return 1 if unfinished else 0


if __name__ == "__main__":
    sys.exit(main())
