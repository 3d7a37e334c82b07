"""Deletes the lists that a file names, of as many accounts as it takes: bulk_delete.py INPUT JOURNAL

INPUT has the columns account and list. Stopped by Ctrl-C, or killed, the same line
goes on where it ended. Rows that failed are in JOURNAL.failed.csv at the end: an
input for another journal.
"""

import sys

import imgroup


def show(progress: imgroup.JobProgress) -> None:
    print(f"\r{progress.ended} of {progress.rows} rows", end="", file=sys.stderr)


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    source, journal = sys.argv[1:]
    with imgroup.Client.from_env() as client:
        with imgroup.Job(client, "delete", journal, max_failures=0.05, progress=show) as job:
            try:
                job.input_file(source)
                job.run()
            except (KeyboardInterrupt, imgroup.Cancelled):
                print(f"\nstopped by {job.stopped_by}; the same line goes on", file=sys.stderr)
                return 3
            except imgroup.ImGroupError as error:
                print(error, file=sys.stderr)
                return 2
            print(file=sys.stderr)
            rows = job.report()["rows"]
            print(", ".join(f"{count} {word}" for word, count in rows.items()))
            if rows["failed"] + rows["unknown"] == 0:
                return 0
            job.write_failed(f"{journal}.failed.csv")
            return 1


if __name__ == "__main__":
    sys.exit(main())
