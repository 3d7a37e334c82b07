// Deletes the friend lists of many accounts:
//
//	bulk_delete INPUT JOURNAL
//
// INPUT is a CSV file with the header "account,list", one list a row. Interrupt it
// (Ctrl-C), or kill it: the same command goes on where it ended. Rows that failed are
// written to JOURNAL.failed.csv, which is an input again, and what became of all to
// JOURNAL.report.json and JOURNAL.report.html.
//
// IMGROUP_SDKAPPID, IMGROUP_IDENTIFIER, IMGROUP_SECRET_KEY and IMGROUP_REGION (or
// IMGROUP_ENDPOINT) say which app.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"

	imgroup "github.com/libimgroup/libimgroup/bindings/go"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: bulk_delete INPUT JOURNAL")
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func run(input, journal string) error {
	client, err := imgroup.NewClientFromEnv()
	if err != nil {
		return err
	}
	defer client.Close()
	job, err := client.NewJob(imgroup.JobDelete, journal, imgroup.WithProgress(show))
	if err != nil {
		return err
	}
	defer job.Close()
	if err := job.InputFile(input, "csv"); err != nil {
		return err
	}

	ctx, release := signal.NotifyContext(context.Background(), os.Interrupt)
	defer release()
	// Ctrl-C lets what is in flight come to its end; cancelling would cut it off.
	stop := context.AfterFunc(ctx, job.Pause)
	defer stop()
	err = job.Run(context.Background())
	fmt.Fprintln(os.Stderr)
	if errors.Is(err, imgroup.ErrJobStopped) {
		return fmt.Errorf("stopped (%s); the same command goes on", job.StoppedBy())
	}
	if err != nil {
		return err
	}

	ended := job.Progress()
	fmt.Printf("%d deleted, %d already gone, %d failed, %d unknown\n", ended.Done, ended.AlreadyGone, ended.Failed, ended.Unknown)
	if err := job.WriteReport(journal + ".report.json"); err != nil {
		return err
	}
	failed := journal + ".failed.csv"
	rows, err := job.WriteFailed(failed, "csv")
	if err != nil {
		return err
	}
	if rows > 0 {
		return fmt.Errorf("%d rows to look at are in %s", rows, failed)
	}
	return nil
}

// show rewrites one line of the terminal.
func show(progress imgroup.Progress) {
	ended := progress.Done + progress.AlreadyGone + progress.Failed + progress.Unknown
	fmt.Fprintf(os.Stderr, "\r%d of %d rows, %d failed, %s", ended, progress.Rows, progress.Failed, progress.Elapsed)
}
