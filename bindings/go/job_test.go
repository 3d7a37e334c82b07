package imgroup_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	imgroup "github.com/libimgroup/libimgroup/bindings/go"
	"github.com/libimgroup/libimgroup/bindings/go/imgrouptest"
)

// bulk is what the tests of jobs work on: accounts u0, u1, … with the lists A and B,
// and a directory for the files.
type bulk struct {
	*testing.T
	server    *imgrouptest.Server
	client    *imgroup.Client
	directory string
}

const accounts = 24

func newBulk(t *testing.T) *bulk {
	t.Helper()
	server, client := fast(t)
	state := imgrouptest.State{Accounts: map[string]imgrouptest.Account{"bob": {}}}
	for i := range accounts {
		state.Accounts[fmt.Sprint("u", i)] = imgrouptest.Account{Lists: []string{"A", "B"}}
	}
	server.SetState(state)
	return &bulk{t, server, client, t.TempDir()}
}

func (b *bulk) path(name string) string { return filepath.Join(b.directory, name) }

// file writes one.
func (b *bulk) file(name, text string) string {
	b.Helper()
	if err := os.WriteFile(b.path(name), []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	return b.path(name)
}

func (b *bulk) read(name string) string {
	b.Helper()
	text, err := os.ReadFile(b.path(name))
	if err != nil {
		b.Error(err)
	}
	return string(text)
}

func (b *bulk) exists(name string) bool {
	_, err := os.Stat(b.path(name))
	return !errors.Is(err, fs.ErrNotExist)
}

// job makes one that is closed with the test.
func (b *bulk) job(command imgroup.JobCommand, journal string, options ...imgroup.JobOption) *imgroup.Job {
	b.Helper()
	job, err := b.client.NewJob(command, b.path(journal), options...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = job.Close() })
	return job
}

// pushed makes a delete job of one row an account, on one connection.
func (b *bulk) pushed(journal string, options ...imgroup.JobOption) *imgroup.Job {
	b.Helper()
	job := b.job(imgroup.JobDelete, journal, append([]imgroup.JobOption{imgroup.WithConnections(1)}, options...)...)
	for i := range accounts {
		b.do(job.Push(fmt.Sprint("u", i), "A"))
	}
	return job
}

// stuck makes such a job, whose first request gets no answer, and waits in another
// goroutine for its run.
func (b *bulk) stuck(ctx context.Context) (*imgroup.Job, <-chan error) {
	b.Helper()
	b.server.Fault(imgrouptest.Fault{Kind: "silence"})
	job := b.pushed("journal")
	ended := make(chan error, 1)
	go func() { ended <- job.Run(ctx) }()
	for b.server.Count("group_delete") == 0 {
		time.Sleep(time.Millisecond)
	}
	return job, ended
}

func (b *bulk) do(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// fails wants an error with this code and text.
func (b *bulk) fails(err error, code imgroup.Code, text string) {
	b.Helper()
	if failure := expect(b.T, err, code, imgroup.OutcomeNotSent); !strings.Contains(failure.Message, text) {
		b.Errorf("%q does not say %q", failure.Message, text)
	}
}

// left counts the lists of all accounts.
func (b *bulk) left() int {
	b.Helper()
	count := 0
	for _, account := range b.server.State().Accounts {
		count += len(account.Lists)
	}
	return count
}

// ended counts the rows that did.
func ended(progress imgroup.Progress) uint64 {
	return progress.Done + progress.AlreadyGone + progress.Failed + progress.Unknown
}

func TestRowsArePushedAndRun(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	var told []imgroup.Progress
	job := b.pushed("journal", imgroup.WithProgress(func(progress imgroup.Progress) { told = append(told, progress) }))
	b.do(job.Push("u1", "B"))
	b.fails(job.Push("u1", ""), imgroup.CodeInvalidArgument, "list: must be 1 to 30 bytes, not 0")
	b.fails(job.InputFile(b.path("rows.csv"), ""), imgroup.CodeInvalidArgument, "rows were pushed already")
	_, err := job.Report()
	b.fails(err, imgroup.CodeInvalidArgument, "")
	if progress := job.Progress(); progress != (imgroup.Progress{}) || b.server.Count("") != 0 {
		t.Errorf("before the run: %+v", progress)
	}

	b.do(job.Run(context.Background()))
	progress := job.Progress()
	want := imgroup.Progress{Rows: accounts + 1, Done: accounts + 1, Requests: accounts, Waited: progress.Waited, Elapsed: progress.Elapsed}
	if progress != want || progress.Elapsed <= 0 || progress.Elapsed > time.Minute || job.StoppedBy() != "" {
		t.Errorf("%+v, stopped by %q", progress, job.StoppedBy())
	}
	for i, progress := range told {
		if i > 0 && ended(progress) < ended(told[i-1]) {
			t.Errorf("%+v after %+v", progress, told[i-1])
		}
	}
	if len(told) == 0 || told[len(told)-1].Done != accounts+1 {
		t.Errorf("told %+v", told)
	}
	if left := b.left(); left != accounts-1 {
		t.Errorf("%d lists are left", left)
	}

	text, err := job.Report()
	b.do(err)
	var report struct {
		Command  string
		Finished bool
		Rows     struct{ Total, Deleted uint64 }
	}
	b.do(json.Unmarshal(text, &report))
	if report.Command != "delete" || !report.Finished || report.Rows.Total != accounts+1 || report.Rows.Deleted != accounts+1 {
		t.Errorf("%s", text)
	}
	b.do(job.WriteReport(b.path("report.json")))
	if !json.Valid([]byte(b.read("report.json"))) || !strings.Contains(b.read("report.html"), "<html") {
		t.Error("the report was not written")
	}
	b.fails(job.WriteReport(b.path("none/report.json")), imgroup.CodeResource, "")

	// Once more: nothing is left to do.
	b.do(job.Run(context.Background()))
	if progress := job.Progress(); progress.Requests != 0 || progress.Resumed != accounts+1 {
		t.Errorf("%+v", progress)
	}
	if b.do(job.Close()); !b.exists("journal") || !b.exists("journal.spool") || !b.exists("journal.results") {
		t.Error("Close removed files of a job that ran")
	}
}

func TestRowsAreReadFromFiles(t *testing.T) {
	t.Parallel()
	const json = `{"account":"u1","list":"A"}` + "\n" + `{"account":"u2","list":"A"}` + "\n" + `{"account":"u1","list":"B"}` + "\n"
	rows := []struct {
		situation, name, format, text, refused string
	}{
		{"CSV", "rows.csv", "", "list,account\nA,u1\nA,u2\n\"B\",u1\n", ""},
		{"no ending", "rows", "", "account,list\nu1,A\nu2,A\nu1,B\n", ""},
		{"TSV", "rows.tsv", "", "account\tlist\tand more\nu1\tA\t\nu2\tA\t\nu1\tB\t\n", ""},
		{"JSON lines by name", "rows.txt", "jsonl", json, ""},
		{"another format than it is", "rows.csv", "tsv", "account,list\nu1,A\n", "input: "},
		{"a format that there is not", "rows.csv", "xml", "", "format: must be csv, tsv or jsonl"},
		{"a wrong row", "rows.csv", "", "account,list\nu1,A\n,B\n", "line 3: account: must be 1 to 32 bytes, not 0"},
		{"no such file", "none/rows.csv", "", "", "input: "},
		{"no file", "", "", "", "input: is not given"},
	}
	b := newBulk(t)
	all := b.server.State()
	for i, row := range rows {
		t.Run(row.situation, func(t *testing.T) {
			b := &bulk{t, b.server, b.client, b.directory}
			b.server.SetState(all)
			if row.text != "" {
				b.file(row.name, row.text)
			}
			journal := fmt.Sprint("journal", i)
			job := b.job(imgroup.JobDelete, journal)
			var err error
			if row.name != "" {
				err = job.InputFile(b.path(row.name), row.format)
			}
			if err == nil && row.name != "" {
				b.fails(job.Push("u3", "A"), imgroup.CodeInvalidArgument, "input: is given already")
			}
			if err == nil {
				err = job.Run(context.Background())
			}
			if row.refused != "" {
				b.fails(err, imgroup.CodeInvalidArgument, row.refused)
				if b.exists(journal) || b.left() != 2*accounts {
					t.Error("it was begun")
				}
				return
			}
			b.do(err)
			if progress := job.Progress(); progress.Done != 3 || progress.Requests != 2 || b.left() != 2*accounts-3 {
				t.Errorf("%+v, %d lists are left", progress, b.left())
			}
		})
	}
}

func TestFailedRowsAreTheNextInput(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	job := b.pushed("journal")
	b.do(job.Push("late", "A"))
	b.do(job.Run(context.Background()))
	if progress := job.Progress(); progress.Done != accounts || progress.Failed != 1 {
		t.Errorf("%+v", progress)
	}
	for _, row := range []struct{ name, format, start string }{
		{"failed.csv", "", "account,list,line,outcome,code,reason\nlate,A,25,failed,30003,"},
		{"failed.tsv", "", "account\tlist\t"},
		{"failed", "jsonl", "{"},
	} {
		count, err := job.WriteFailed(b.path(row.name), row.format)
		if text := b.read(row.name); err != nil || count != 1 || !strings.HasPrefix(text, row.start) || !strings.Contains(text, "late") {
			t.Errorf("%s: %d rows, %v, %q", row.name, count, err, text)
		}
	}
	_, err := job.WriteFailed(b.path("none/failed.csv"), "")
	b.fails(err, imgroup.CodeResource, "")

	b.server.SetState(imgrouptest.State{Accounts: map[string]imgrouptest.Account{"late": {Lists: []string{"A"}}}})
	again := b.job(imgroup.JobDelete, "journal-2")
	b.do(again.InputFile(b.path("failed.csv"), ""))
	b.do(again.Run(context.Background()))
	if progress := again.Progress(); progress.Rows != 1 || progress.Done != 1 || b.left() != 0 {
		t.Errorf("%+v", progress)
	}
}

func TestListsAreExported(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	job := b.job(imgroup.JobExport, "journal")
	b.do(job.Push("u1", ""))
	b.do(job.Push("bob", ""))
	b.fails(job.Push("u2", "A"), imgroup.CodeInvalidArgument, "list: ")
	_, err := job.WriteLists(b.path("lists.csv"))
	b.fails(err, imgroup.CodeInvalidArgument, "")
	b.do(job.Run(context.Background()))
	lists, err := job.WriteLists(b.path("lists.csv"))
	if text := b.read("lists.csv"); err != nil || lists != 2 || text != "account,list,friends\nu1,A,0\nu1,B,0\n" {
		t.Errorf("%d lists, %v, %q", lists, err, text)
	}
	_, err = job.WriteLists(b.path("none/lists.csv"))
	b.fails(err, imgroup.CodeResource, "")
}

func TestPartsDoAllRowsEachOnce(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	rows := "account,list\n"
	for i := range accounts {
		rows += fmt.Sprintf("u%d,A\n", i)
	}
	input := b.file("rows.csv", rows)
	var done uint64
	for part := 1; part <= 2; part++ {
		job := b.job(imgroup.JobDelete, fmt.Sprint("journal", part), imgroup.WithPartition(part, 2))
		b.do(job.InputFile(input, ""))
		b.do(job.Run(context.Background()))
		if job.Progress().Done == 0 {
			t.Errorf("part %d did nothing", part)
		}
		done += job.Progress().Done
	}
	if left := b.left(); done != accounts || left != accounts {
		t.Errorf("%d rows are done, %d lists are left", done, left)
	}
}

func TestAPausedJobGoesOn(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	b.server.Fault(imgrouptest.Fault{Kind: "delay", DelayMs: 20, Times: 1000})
	job := b.pushed("journal")
	var watching group
	watching.start(func() {
		for job.Progress().Done < 5 {
			time.Sleep(time.Millisecond)
		}
		job.Pause()
	})
	err := job.Run(context.Background())
	watching.Wait()
	b.fails(err, imgroup.CodeJobStopped, "the job was paused")
	if !errors.Is(err, imgroup.ErrJobStopped) || !errors.Is(err, imgroup.ErrCancelled) || errors.Is(err, imgroup.ErrJobBusy) {
		t.Errorf("%#v", err)
	}
	before := job.Progress()
	if ended(before) < 5 || ended(before) >= accounts || before.Requests != ended(before) || job.StoppedBy() != "pause" {
		t.Errorf("%+v, stopped by %q", before, job.StoppedBy())
	}
	b.do(job.Close())

	// Another handle goes on, without an input, unless it is paused before.
	job = b.job(imgroup.JobDelete, "journal")
	job.Pause()
	b.fails(job.Run(context.Background()), imgroup.CodeJobStopped, "the job was paused")
	if left := b.left(); left != 2*accounts-int(ended(before)) {
		t.Errorf("%d lists are left", left)
	}
	b.do(job.Run(context.Background()))
	after := job.Progress()
	if after.Resumed != ended(before) || after.Requests != accounts-ended(before) || ended(after) != accounts || b.left() != accounts || job.StoppedBy() != "" {
		t.Errorf("%+v", after)
	}
}

func TestWhateverEndsARunItGoesOn(t *testing.T) {
	t.Parallel()
	reason := errors.New("the machine goes down")
	type ends = func(*bulk, *imgroup.Job, context.CancelCauseFunc)
	rows := []struct {
		situation string
		timeout   time.Duration
		end       ends
		code      imgroup.Code
		is, isNot []error
		stoppedBy string
	}{
		{"the context is cancelled", time.Hour, func(_ *bulk, _ *imgroup.Job, cancel context.CancelCauseFunc) { cancel(reason) },
			imgroup.CodeCancelled, []error{imgroup.ErrCancelled, context.Canceled, reason}, []error{imgroup.ErrClosed}, "cancel"},
		{"its time runs out", 300 * time.Millisecond, func(*bulk, *imgroup.Job, context.CancelCauseFunc) {},
			imgroup.CodeCancelled, []error{imgroup.ErrCancelled, context.DeadlineExceeded}, []error{imgroup.ErrClosed}, "cancel"},
		{"the job is cancelled", time.Hour, func(_ *bulk, job *imgroup.Job, _ context.CancelCauseFunc) { job.Cancel() },
			imgroup.CodeCancelled, []error{imgroup.ErrCancelled, context.Canceled}, []error{imgroup.ErrClosed, reason}, "cancel"},
		{"the job is closed", time.Hour, func(_ *bulk, job *imgroup.Job, _ context.CancelCauseFunc) { _ = job.Close() },
			imgroup.CodeCancelled, []error{imgroup.ErrCancelled}, []error{reason}, "cancel"},
		{"the client is closed", time.Hour, func(b *bulk, _ *imgroup.Job, _ context.CancelCauseFunc) { _ = b.client.Close() },
			imgroup.CodeShutdown, []error{imgroup.ErrClosed, imgroup.ErrCancelled}, []error{context.Canceled, reason}, "shutdown"},
	}
	for _, row := range rows {
		t.Run(row.situation, func(t *testing.T) {
			t.Parallel()
			b := newBulk(t)
			timed, stop := context.WithTimeout(context.Background(), row.timeout)
			defer stop()
			ctx, cancel := context.WithCancelCause(timed)
			defer cancel(nil)
			job, run := b.stuck(ctx)

			// Meanwhile the journal is taken, and so is the job.
			err := b.job(imgroup.JobDelete, "journal").Run(context.Background())
			if row.timeout == time.Hour {
				expect(t, err, imgroup.CodeJobBusy, imgroup.OutcomeNotSent)
				if !errors.Is(err, imgroup.ErrJobBusy) || !errors.Is(err, imgroup.ErrArgument) {
					t.Errorf("%#v", err)
				}
				b.fails(job.Run(context.Background()), imgroup.CodeInvalidArgument, "job: is running")
				b.fails(job.Push("u1", "B"), imgroup.CodeInvalidArgument, "job: is running")
				_, err := job.Report()
				b.fails(err, imgroup.CodeInvalidArgument, "job: is running")
				if progress := job.Progress(); progress.Rows != accounts || progress.Connections != 1 || job.StoppedBy() != "" {
					t.Errorf("%+v", progress)
				}
			}

			begin := time.Now()
			row.end(b, job, cancel)
			err = <-run
			if took := time.Since(begin); took > 2*time.Second {
				t.Errorf("it took %v", took)
			}
			// The outcome is that of the call that told the run, if one did.
			var failure *imgroup.Error
			if !errors.As(err, &failure) || failure.Code != row.code {
				t.Errorf("%v, not %v", err, row.code)
			}
			for _, target := range row.is {
				if !errors.Is(err, target) {
					t.Errorf("%v is not %v", err, target)
				}
			}
			for _, target := range row.isNot {
				if errors.Is(err, target) {
					t.Errorf("%v is %v", err, target)
				}
			}
			if job.StoppedBy() != row.stoppedBy {
				t.Errorf("stopped by %q", job.StoppedBy())
			}

			// What was in flight is sent again.
			b.client = b.server.Client(imgroup.WithQuota(1_000_000))
			b.do(job.Close())
			job = b.job(imgroup.JobDelete, "journal")
			b.do(job.Run(context.Background()))
			if progress := job.Progress(); ended(progress) != accounts || b.left() != accounts {
				t.Errorf("%+v, %d lists are left", progress, b.left())
			}
		})
	}
}

func TestAContextThatEndedRunsNothing(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	job := b.pushed("journal")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := job.Run(ctx)
	expect(t, err, imgroup.CodeCancelled, imgroup.OutcomeNotSent)
	if !errors.Is(err, context.Canceled) || b.server.Count("") != 0 {
		t.Error(err)
	}
	// The rows are there still.
	b.do(job.Run(context.Background()))
	if b.left() != accounts {
		t.Errorf("%d lists are left", b.left())
	}
}

func TestLimitsAndRefusalsStopARun(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	job := b.pushed("journal", imgroup.WithMaxDeletes(10), imgroup.WithMaxFailures(0.01), imgroup.WithGiveUp(100*time.Millisecond))
	b.fails(job.Run(context.Background()), imgroup.CodeJobStopped, "stopped before more than 10 rows were deleted")
	if job.StoppedBy() != "max_deletes" || ended(job.Progress()) != 10 || b.left() != 2*accounts-10 {
		t.Errorf("stopped by %q, %+v", job.StoppedBy(), job.Progress())
	}

	var strangers strings.Builder
	strangers.WriteString("account\tlist\n")
	for i := range 2000 {
		fmt.Fprintf(&strangers, "x%d\tA\n", i)
	}
	job = b.job(imgroup.JobDelete, "failing", imgroup.WithMaxFailures(0.1))
	b.do(job.InputFile(b.file("rows.tsv", strangers.String()), ""))
	b.fails(job.Run(context.Background()), imgroup.CodeJobStopped, "fail")
	if failed := job.Progress().Failed; job.StoppedBy() != "failures" || failed < 1000 || failed > 1500 {
		t.Errorf("stopped by %q, %d failed", job.StoppedBy(), failed)
	}

	b.server.Fault(imgrouptest.Fault{Kind: "error", Code: 60010, Times: 1000})
	job = b.pushed("refused")
	if err := job.Run(context.Background()); !errors.Is(err, imgroup.ErrAuth) || job.StoppedBy() != "credentials" || ended(job.Progress()) != 0 {
		t.Errorf("%v, stopped by %q, %+v", err, job.StoppedBy(), job.Progress())
	}

	silent, err := imgroup.NewClient(1400000000, "administrator", "key", imgroup.WithEndpoint("http://127.0.0.1:1"))
	b.do(err)
	defer silent.Close()
	b.client = silent
	job = b.pushed("unreachable", imgroup.WithGiveUp(100*time.Millisecond))
	if err := job.Run(context.Background()); !errors.Is(err, imgroup.ErrNetwork) || job.StoppedBy() != "unreachable" {
		t.Errorf("%v, stopped by %q", err, job.StoppedBy())
	}
}

func TestAJournalIsForOneJob(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	job := b.pushed("journal")
	if !b.exists("journal") {
		t.Error("no journal")
	}
	// Pushed and never run: as if nothing had been.
	if b.do(job.Close()); b.exists("journal") || b.exists("journal.spool") {
		t.Error("files are left")
	}
	b.fails(b.job(imgroup.JobDelete, "none/journal").Push("u1", "A"), imgroup.CodeConfig, "journal")

	job = b.job(imgroup.JobDelete, "journal")
	b.do(job.Push("u1", "A"))
	b.do(job.Run(context.Background()))
	b.do(job.Close())
	other := b.file("other.csv", "account,list\nu1,B\n")
	damage := func() {
		text := []byte(b.read("journal"))
		text[20] ^= 0xff
		b.file("journal", string(text))
	}
	for _, row := range []struct {
		situation string
		command   imgroup.JobCommand
		options   []imgroup.JobOption
		input     string
		before    func()
		code      imgroup.Code
		is        []error
	}{
		{"another command", imgroup.JobExport, nil, "", nil, imgroup.CodeJobMismatch, []error{imgroup.ErrJobMismatch, imgroup.ErrArgument}},
		{"another part", imgroup.JobDelete, []imgroup.JobOption{imgroup.WithPartition(1, 2)}, "", nil, imgroup.CodeJobMismatch, []error{imgroup.ErrJobMismatch}},
		{"another input", imgroup.JobDelete, nil, other, nil, imgroup.CodeJobMismatch, []error{imgroup.ErrJobMismatch}},
		{"the same", imgroup.JobDelete, nil, "", nil, imgroup.CodeOK, nil},
		{"a damaged journal", imgroup.JobDelete, nil, "", damage, imgroup.CodeJobCorrupt, []error{imgroup.ErrJobCorrupt, imgroup.ErrInternal}},
	} {
		if row.before != nil {
			row.before()
		}
		job := b.job(row.command, "journal", row.options...)
		if row.input != "" {
			b.do(job.InputFile(row.input, ""))
		}
		err := job.Run(context.Background())
		if row.code == imgroup.CodeOK {
			b.do(err)
			continue
		}
		expect(t, err, row.code, imgroup.OutcomeNotSent)
		for _, target := range row.is {
			if !errors.Is(err, target) {
				t.Errorf("%s: %v is not %v", row.situation, err, target)
			}
		}
	}
	if left := b.left(); left != 2*accounts-1 {
		t.Errorf("%d lists are left", left)
	}
}

func TestAWrongOptionOfAJobNamesItself(t *testing.T) {
	client := offline(t)
	journal := filepath.Join(t.TempDir(), "journal")
	before := imgroup.LiveCallbacks()
	make := func(options ...imgroup.JobOption) error {
		_, err := client.NewJob(imgroup.JobDelete, journal, options...)
		return err
	}
	_, strange := client.NewJob(3, journal)
	_, nowhere := client.NewJob(imgroup.JobDelete, "")
	_, nul := client.NewJob(imgroup.JobDelete, "a\x00b")
	progress := imgroup.WithProgress(func(imgroup.Progress) {})
	for _, row := range []struct {
		start string
		err   error
	}{
		{"command: must be 1 or 2, not 3", strange},
		{"journal: ", nowhere},
		{"journal: must not contain a NUL", nul},
		{"partition: ", make(imgroup.WithPartition(3, 2))},
		{"partition: ", make(imgroup.WithPartition(0, 0))},
		{"partition: ", make(imgroup.WithPartition(-1, 2))},
		{"max_failures: must be 0 to 1", make(imgroup.WithMaxFailures(1.5))},
		{"max_failures: must be 0 to 1", make(imgroup.WithMaxFailures(math.NaN()))},
		{"connections: must be 0 to 256", make(imgroup.WithConnections(257))},
		{"connections: must be 0 to 256", make(imgroup.WithConnections(-1))},
		{"give_up_ms: ", make(progress, imgroup.WithGiveUp(99*time.Millisecond))},
		{"give_up_ms: ", make(imgroup.WithGiveUp(-time.Second))},
		{"give_up_ms: ", make(imgroup.WithGiveUp(25 * time.Hour))},
		{"progress: must not be nil", make(imgroup.WithProgress(nil))},
	} {
		failure := expect(t, row.err, imgroup.CodeInvalidArgument, imgroup.OutcomeNotSent)
		if !strings.HasPrefix(failure.Message, row.start) {
			t.Errorf("%q does not begin with %q", failure.Message, row.start)
		}
	}
	if live := imgroup.LiveCallbacks(); live != before {
		t.Errorf("%d callbacks are held, %d before", live, before)
	}
}

func TestTheProgressFunctionMayEndTheRun(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	b.server.Fault(imgrouptest.Fault{Kind: "delay", DelayMs: 50, Times: 1000})
	var job *imgroup.Job
	told := 0
	job = b.pushed("journal", imgroup.WithProgress(func(progress imgroup.Progress) {
		told++
		if seen := job.Progress(); seen.Rows != progress.Rows || job.StoppedBy() != "" {
			t.Errorf("%+v, not %+v", seen, progress)
		}
		b.fails(job.Push("u1", "B"), imgroup.CodeInvalidArgument, "job: is running")
		job.Pause()
	}))
	b.fails(job.Run(context.Background()), imgroup.CodeJobStopped, "the job was paused")
	if count := ended(job.Progress()); told == 0 || count >= accounts {
		t.Errorf("told %d times, %d rows ended", told, count)
	}
}

func TestAPanicOfTheProgressFunctionComesOutOfRun(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	b.server.Fault(imgrouptest.Fault{Kind: "delay", DelayMs: 50, Times: 1000})
	angry := true
	job := b.pushed("journal", imgroup.WithProgress(func(imgroup.Progress) {
		if angry {
			panic("planted")
		}
	}))
	func() {
		defer func() {
			if text, _ := recover().(string); !strings.Contains(text, "the progress function panicked: planted") {
				t.Errorf("%.80q", text)
			}
		}()
		t.Errorf("no panic, but %v", job.Run(context.Background()))
	}()
	if count := ended(job.Progress()); count >= accounts || job.StoppedBy() != "cancel" {
		t.Errorf("%d rows ended, stopped by %q", count, job.StoppedBy())
	}
	angry = false
	b.server.ClearFaults()
	b.do(job.Run(context.Background()))
	if ended(job.Progress()) != accounts || b.left() != accounts {
		t.Errorf("%+v", job.Progress())
	}
}

func TestAPanicOfTheClientsFunctionsComesOutOfRun(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	angry := true
	b.client = b.server.Client(imgroup.WithQuotaFunc(func(string) time.Duration {
		if angry {
			panic("planted")
		}
		return 0
	}))
	job := b.job(imgroup.JobDelete, "journal")
	b.do(job.Push("u1", "A"))
	defer func() {
		if text, _ := recover().(string); !strings.Contains(text, "the quota function panicked: planted") {
			t.Errorf("%.80q", text)
		}
		angry = false
		if err := job.Run(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	t.Errorf("no panic, but %v", job.Run(context.Background()))
}

func TestAnyGoroutineMayWatchAndClose(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	b.server.Fault(imgrouptest.Fault{Kind: "delay", DelayMs: 5, Times: 1_000_000})
	for round := range 6 {
		job := b.pushed(fmt.Sprint("journal", round), imgroup.WithProgress(func(imgroup.Progress) {}))
		var watching group
		watching.start(func() {
			for {
				ctx, stop := context.WithTimeout(context.Background(), 30*time.Millisecond)
				err := job.Run(ctx)
				stop()
				if err == nil || errors.Is(err, imgroup.ErrClosed) {
					return
				}
				if !errors.Is(err, imgroup.ErrCancelled) && !errors.Is(err, imgroup.ErrJobStopped) {
					t.Errorf("%v", err)
					return
				}
			}
		})
		for watcher := range 3 {
			watching.start(func() {
				for range 50 {
					if progress := job.Progress(); ended(progress) > accounts {
						t.Errorf("%+v", progress)
					}
					_ = job.StoppedBy()
					if watcher == 0 {
						job.Pause()
					}
					time.Sleep(time.Millisecond)
				}
				_ = job.Close()
				if _, err := job.Report(); !errors.Is(err, imgroup.ErrClosed) {
					t.Errorf("after closing: %v", err)
				}
			})
		}
		watching.Wait()
	}
}

func TestAClosedJobSaysSo(t *testing.T) {
	t.Parallel()
	b := newBulk(t)
	closed := b.pushed("journal")
	closed.Pause()
	b.fails(closed.Run(context.Background()), imgroup.CodeJobStopped, "")
	b.do(closed.Close())
	b.do(closed.Close())
	if word := closed.StoppedBy(); word != "pause" {
		t.Errorf("stopped by %q", word)
	}
	for _, job := range []*imgroup.Job{closed, new(imgroup.Job)} {
		_, report := job.Report()
		_, failed := job.WriteFailed("x", "")
		_, lists := job.WriteLists("x")
		for name, err := range map[string]error{
			"Run": job.Run(context.Background()), "Push": job.Push("u1", "A"), "InputFile": job.InputFile("x", ""), "Report": report,
			"WriteReport": job.WriteReport("x"), "WriteFailed": failed, "WriteLists": lists,
		} {
			if b.fails(err, imgroup.CodeShutdown, name+": the job is closed"); !errors.Is(err, imgroup.ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		}
		job.Pause()
		job.Cancel()
		if progress := job.Progress(); progress != (imgroup.Progress{}) {
			t.Errorf("%+v", progress)
		}
		b.do(job.Close())
	}

	job := b.job(imgroup.JobDelete, "journal")
	b.do(b.client.Close())
	_, err := b.client.NewJob(imgroup.JobDelete, b.path("journal"))
	b.fails(err, imgroup.CodeShutdown, "NewJob: the client is closed")
	if err := job.Run(context.Background()); !errors.Is(err, imgroup.ErrClosed) {
		t.Error(err)
	}
	_, err = new(imgroup.Client).NewJob(imgroup.JobDelete, "journal")
	b.fails(err, imgroup.CodeShutdown, "NewJob: the client is closed")
}

func TestAForgottenJobIsFreed(t *testing.T) {
	before := imgroup.LiveCallbacks()
	directory := t.TempDir()
	client := offline(t)
	func() {
		for i := range 20 {
			job, err := client.NewJob(imgroup.JobDelete, filepath.Join(directory, fmt.Sprint("journal", i)), imgroup.WithProgress(func(imgroup.Progress) {}))
			if err != nil {
				t.Fatal(err)
			}
			if err := job.Push("u1", "A"); err != nil {
				t.Fatal(err)
			}
		}
	}()
	for deadline := time.Now().Add(10 * time.Second); imgroup.LiveCallbacks() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d callbacks are held", imgroup.LiveCallbacks()-before)
		}
		runtime.GC()
	}
}

func TestProgressHasWhatTheHeaderCounts(t *testing.T) {
	header, err := os.ReadFile("../../include/imgroup.h")
	if err != nil {
		t.Skip("the header is not beside this copy of the package")
	}
	source, err := os.ReadFile("job.go")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`(?m)^\s+(IMGROUP_JOB_\w+) = `).FindAllStringSubmatch(string(header), -1)
	if want := 2 + reflect.TypeFor[imgroup.Progress]().NumField(); len(names) != want {
		t.Errorf("%d names were found, not %d", len(names), want)
	}
	for _, name := range names {
		if !regexp.MustCompile(`\bC\.` + name[1] + `\b`).Match(source) {
			t.Errorf("%s is not used", name[1])
		}
	}
}
