//go:build cgo

package imgroup

/*
#cgo noescape imgroup_job_count
#cgo nocallback imgroup_job_count
#cgo noescape imgroup_job_pause
#cgo nocallback imgroup_job_pause
#cgo noescape imgroup_job_cancel
#cgo nocallback imgroup_job_cancel
#cgo noescape imgroup_job_stopped_by
#cgo nocallback imgroup_job_stopped_by
#include "binding.h"

// Declared in the form in which cgo exports them.
extern void imgroupGoProgress(uintptr_t handle, imgroup_job *job);
extern void imgroupGoDrop(uintptr_t handle);

static void progress(void *handle, const imgroup_job *job) {
	imgroupGoProgress((uintptr_t)handle, (imgroup_job *)job);
}

static void drop(void *handle) { imgroupGoDrop((uintptr_t)handle); }

static int32_t set_progress(imgroup_job *job, uintptr_t handle, imgroup_error **error) {
	return imgroup_job_set_progress(job, progress, (void *)handle, drop, error);
}
*/
import "C"

import (
	"context"
	"encoding/json"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// JobCommand is what a job does with each account.
//
// Since v0.1.0.
type JobCommand int32

// The commands.
//
// Since v0.1.0.
const (
	// JobDelete deletes the lists that the rows name.
	JobDelete JobCommand = C.IMGROUP_JOB_DELETE
	// JobExport reads the lists of the accounts that the rows name.
	JobExport JobCommand = C.IMGROUP_JOB_EXPORT
)

// Job does one command for many accounts, millions if need be, with a journal so
// that a run which was stopped or killed goes on where it ended and repeats no more
// than was in flight.
//
// Rows come from a file ([Job.InputFile]) or are pushed one by one ([Job.Push]), in
// any order. They are all checked before the first request leaves. Rows of one
// account are sent together, up to 32 lists a request, and two requests of one
// account never overlap. Pace, retries and lists that are already gone are dealt
// with as everywhere in this library. Each row ends once: done, already gone, failed
// or unknown.
//
// Beside the journal J stand J.spool, the requests, and J.results. The three belong
// together; remove them together when they are of no more use. Reading the input
// takes at most twice its size on that disk.
//
// A job is for one goroutine at a time, except for Pause, Cancel, Progress, StoppedBy
// and Close, which any goroutine may call. While Run is under way, every other method
// that can fail does so with [CodeInvalidArgument]. Close it when it is not needed any
// more.
//
// Since v0.1.0.
type Job struct {
	// Held for reading by every use, so that none begins while the handle is freed.
	mu      sync.RWMutex
	pointer *C.imgroup_job

	// Held by a run.
	running   sync.Mutex
	closing   atomic.Bool
	closeOnce sync.Once
	cleanup   runtime.Cleanup
	stoppedBy atomic.Pointer[string]
	// What a callback panicked with, the job's own or the client's, until it is
	// raised again.
	panicked, clientPanicked *atomic.Pointer[string]
}

// JobOption sets something of a job that is being made. A wrong value fails
// [Client.NewJob] with [ErrArgument], and the message names the setting and its
// range. All but [WithPartition] may change between the runs of one journal.
//
// Since v0.1.0.
type JobOption func(*jobSettings) error

type jobSettings struct {
	job      *C.imgroup_job
	panicked *atomic.Pointer[string]
}

// setJob applies a setter of C.
func setJob(setter func(*C.imgroup_job, **C.imgroup_error) C.int32_t) JobOption {
	return func(s *jobSettings) error {
		var failure *C.imgroup_error
		if code := setter(s.job, &failure); code != C.IMGROUP_OK {
			return takeError(code, failure)
		}
		return nil
	}
}

// WithPartition takes only the accounts of one part, so that several machines share
// an input: an account is always in the same part. More machines do not go faster, as
// the pace is the app's; they go on when one is lost.
//
// index is which part, 1 to count; count is how many, 1 to 65536. It is 1/1 unless
// set. The journal is bound to it.
//
// Since v0.1.0.
func WithPartition(index, count int) JobOption {
	return setJob(func(job *C.imgroup_job, failure **C.imgroup_error) C.int32_t {
		return C.imgroup_job_set_partition(job, number(index), number(count), failure)
	})
}

// WithMaxDeletes sets how many rows may be deleted, those of earlier runs included; 0
// for no limit, as unless set. The run stops before there are more, with
// [ErrJobStopped].
//
// Since v0.1.0.
func WithMaxDeletes(rows uint64) JobOption {
	return setJob(func(job *C.imgroup_job, failure **C.imgroup_error) C.int32_t {
		return C.imgroup_job_set_max_deletes(job, C.uint64_t(rows), failure)
	})
}

// WithMaxFailures sets the share of a run's rows that may fail or stay unknown, 0 to
// 1; 0.5 unless set. The run stops with [ErrJobStopped] when there are more, counted
// after 1000 rows.
//
// Since v0.1.0.
func WithMaxFailures(share float64) JobOption {
	return setJob(func(job *C.imgroup_job, failure **C.imgroup_error) C.int32_t {
		return C.imgroup_job_set_max_failures(job, C.double(share), failure)
	})
}

// WithConnections sets how many connections, each with a thread, a run uses at most:
// 1 to 256; 0, as unless set, for as many as latency needs, up to 64.
//
// Since v0.1.0.
func WithConnections(connections int) JobOption {
	return setJob(func(job *C.imgroup_job, failure **C.imgroup_error) C.int32_t {
		return C.imgroup_job_set_connections(job, number(connections), failure)
	})
}

// WithGiveUp sets for how long a run goes on trying while the service cannot be
// reached: 100 ms to 24 h, in milliseconds, rounded up; 0 for the default of 1 min.
// Until then an outage costs time and no rows. A run that never reached the service
// stops after 5 s at most.
//
// Since v0.1.0.
func WithGiveUp(after time.Duration) JobOption {
	return setJob(func(job *C.imgroup_job, failure **C.imgroup_error) C.int32_t {
		return C.imgroup_job_set_give_up_ms(job, milliseconds(after), failure)
	})
}

// WithProgress tells a function how the job goes on, about ten times a second once
// requests leave, and a last time at the end.
//
// The function runs on the goroutine that called [Job.Run]. It may use Pause, Cancel,
// Progress and StoppedBy of the job; it must not close the job, nor use the client. If
// it panics, the run is cancelled, and Run panics with the same words. A job that the
// function refers to is freed by Close alone.
//
// Since v0.1.0.
func WithProgress(progress func(Progress)) JobOption {
	return func(s *jobSettings) error {
		if progress == nil {
			return newError(CodeInvalidArgument, "progress: must not be nil")
		}
		handle := newCallback(&callback{progress: progress, panicked: s.panicked})
		return setJob(func(job *C.imgroup_job, failure **C.imgroup_error) C.int32_t {
			return C.set_progress(job, C.uintptr_t(handle), failure)
		})(s)
	}
}

// NewJob makes a job, new or to go on with the one that the journal holds. It opens
// nothing yet.
//
// journal is the path of a file, which the first run makes. It is bound to the
// command, the app, the partition and the input; all else may change between runs.
//
// The job lives on when the client is closed, but its runs do not: they end at once,
// resumable, with [ErrClosed], and Close of the client does not wait for them.
//
// Errors are of [ErrArgument], the message names the parameter or the option; or
// [ErrClosed].
//
// Since v0.1.0.
func (c *Client) NewJob(command JobCommand, journal string, options ...JobOption) (*Job, error) {
	arena, err := newArena(text("journal", journal))
	if err != nil {
		return nil, err
	}
	defer arena.free()
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.pointer == nil {
		return nil, closedError("NewJob", "client")
	}
	settings := jobSettings{panicked: new(atomic.Pointer[string])}
	var failure *C.imgroup_error
	code := C.imgroup_job_new(c.pointer, C.int32_t(command), arena.text(0), &settings.job, &failure)
	if code != C.IMGROUP_OK {
		return nil, takeError(code, failure)
	}
	for _, option := range options {
		if err := option(&settings); err != nil {
			C.imgroup_job_free(settings.job)
			return nil, err
		}
	}
	job := &Job{pointer: settings.job, panicked: settings.panicked, clientPanicked: c.panicked}
	// A net under Close. No run can be under way: it would hold the job.
	job.cleanup = runtime.AddCleanup(job, func(pointer *C.imgroup_job) { C.imgroup_job_free(pointer) }, settings.job)
	return job, nil
}

// enter keeps the handle from being freed until leave. It does not wait, as Close
// may be waiting for a run whose progress function is what asks.
func (j *Job) enter() bool {
	if !j.mu.TryRLock() {
		return false
	}
	if j.pointer == nil {
		j.mu.RUnlock()
		return false
	}
	return true
}

func (j *Job) leave() { j.mu.RUnlock() }

// use does something with the handle that can fail.
func (j *Job) use(name string, run func(*C.imgroup_job, **C.imgroup_error) C.int32_t) error {
	if !j.enter() {
		return closedError(name, "job")
	}
	defer j.leave()
	shake()
	var failure *C.imgroup_error
	if code := run(j.pointer, &failure); code != C.IMGROUP_OK {
		return takeError(code, failure)
	}
	return nil
}

// InputFile takes the rows from a file, which Run reads whole and checks before it
// sends anything. A journal that was begun needs no input any more; if one is given,
// it must be the same, or the run is refused with [ErrJobMismatch].
//
// CSV and TSV begin with a header line; the columns "account" and, unless it is an
// export, "list" count, others are ignored. A line of JSONL is an object with these
// members. One row names one list.
//
// path is the file, "/dev/stdin" for standard input; Run opens it. format is "csv",
// "tsv" or "jsonl"; "" to go by the ending of the path, CSV if it says nothing. No row
// may have been pushed.
//
// Errors are of [ErrArgument]; or [ErrClosed].
//
// Since v0.1.0.
func (j *Job) InputFile(path, format string) error {
	arena, err := newArena(text("path", path), text("format", format))
	if err != nil {
		return err
	}
	defer arena.free()
	return j.use("InputFile", func(job *C.imgroup_job, failure **C.imgroup_error) C.int32_t {
		return C.imgroup_job_set_input_file(job, arena.text(0), orNil(format, arena.text(1)), failure)
	})
}

// orNil gives what C takes for "by the ending of the path".
func orNil(format string, text *C.char) *C.char {
	if format == "" {
		return nil
	}
	return text
}

// Push takes one row. It is checked now and sent by Run. The first one opens the
// journal. To go on with a journal that was begun, push nothing, or the same rows in
// the same order. A row that is refused is not part of the job; the others are.
//
// account is whose list, 1 to 32 bytes. list is which list, 1 to 30 bytes; "" for an
// export. The job must have no input file.
//
// Errors are of [ErrArgument], also if the journal cannot be opened; [ErrJobBusy],
// [ErrJobMismatch] or [ErrJobCorrupt] as from Run; [CodeResource] if it cannot be
// written; or [ErrClosed].
//
// Since v0.1.0.
func (j *Job) Push(account, list string) error {
	arena, err := newArena(text("account", account), text("list", list))
	if err != nil {
		return err
	}
	defer arena.free()
	return j.use("Push", func(job *C.imgroup_job, failure **C.imgroup_error) C.int32_t {
		return C.imgroup_job_push(job, arena.text(0), arena.text(1), failure)
	})
}

// Run runs the job until every row has ended or something stops it. The end of its
// context cancels it as [Job.Cancel] does; without one it takes what its rows take.
// It holds one thread of the operating system, and one for each connection, which do
// not count for [WithMaxConcurrentCalls].
//
// Whatever stopped it, a crash or kill -9 included, nothing is lost: run a job with
// the same journal again, this one or a new one, and it goes on. Requests that were in
// flight when the process was killed are sent again, which does no harm, and their
// rows are named in the report. A run holds the journal alone.
//
// It gives nil when every row has ended, be it badly: [Job.Progress] and [Job.Report]
// tell. Errors:
//   - [ErrJobStopped] after [Job.Pause], or at a limit that was set;
//   - [ErrCancelled] when the context ended, with [context.Cause] to be found in it,
//     and after [Job.Cancel] or [Job.Close]; [ErrClosed] when the client was closed;
//   - [ErrAuth] when the service refuses the credentials, [ErrNetwork] or
//     [ErrDeadline] when it could not be reached for too long;
//   - [ErrArgument] if rows of the input are wrong (the message names the first), there
//     is no input, the job is running already, or the journal cannot be opened;
//   - [ErrJobBusy] if another run holds the journal, [ErrJobMismatch] if it belongs to
//     another job, [ErrJobCorrupt] if it is damaged, [CodeResource] if it cannot be
//     written.
//
// Since v0.1.0. Protocol: v4/sns/group_delete or v4/sns/group_get.
func (j *Job) Run(ctx context.Context) error {
	if ctx.Err() != nil {
		return contextError(ctx, "Run")
	}
	if !j.enter() {
		return closedError("Run", "job")
	}
	defer j.leave()
	if !j.running.TryLock() {
		return newError(CodeInvalidArgument, "job: is running")
	}
	defer j.running.Unlock()
	// After the lock: a Close from here on cancels this run and no earlier one.
	if j.closing.Load() {
		return closedError("Run", "job")
	}
	cancelled := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(cancelled)
		C.imgroup_job_cancel(j.pointer)
	})
	shake()
	var failure *C.imgroup_error
	code := C.imgroup_job_run(j.pointer, &failure)
	shake()
	if !stop() {
		<-cancelled
	}
	word := C.GoString(C.imgroup_job_stopped_by(j.pointer))
	j.stoppedBy.Store(&word)
	for _, panicked := range []*atomic.Pointer[string]{j.panicked, j.clientPanicked} {
		if text := panicked.Swap(nil); text != nil {
			C.imgroup_error_free(failure)
			panic(*text)
		}
	}
	if code != C.IMGROUP_OK {
		err := takeError(code, failure)
		if err.Code == CodeCancelled && ctx.Err() != nil {
			err.cause = context.Cause(ctx)
		}
		return err
	}
	return nil
}

// Pause lets a run end soon: nothing new is sent, what is in flight is waited for.
// Before a run, the next one ends at once. Any goroutine may call it; it does nothing
// after Close.
//
// Since v0.1.0.
func (j *Job) Pause() {
	if j.enter() {
		defer j.leave()
		C.imgroup_job_pause(j.pointer)
	}
}

// Cancel is as Pause, but what is in flight is ended too, within 50 ms. It is sent
// again when the job goes on.
//
// Since v0.1.0.
func (j *Job) Cancel() {
	if j.enter() {
		defer j.leave()
		C.imgroup_job_cancel(j.pointer)
	}
}

// Progress is how far a job is, in the run that is under way or was the last.
//
// Since v0.1.0.
type Progress struct {
	// Rows is how many rows there are to do; 0 while the input is being read.
	Rows uint64
	// Done counts the rows that ended well: deleted, or read by an export.
	Done uint64
	// AlreadyGone counts those whose list was gone already, as a read showed.
	AlreadyGone uint64
	// Failed counts those that were refused.
	Failed uint64
	// Unknown counts those that may have been applied, or not.
	Unknown uint64
	// Resumed counts the rows among the four above that earlier runs had ended.
	Resumed uint64
	// Requests is how many requests this run sent, repeats included.
	Requests uint64
	// Connections is how many connections are in use.
	Connections uint64
	// Waited is how long requests of this run waited for the pace, all added, in
	// whole milliseconds as Elapsed.
	Waited time.Duration
	// Elapsed is the time since this run began, or that it took.
	Elapsed time.Duration
}

func progressOf(job *C.imgroup_job) Progress {
	return Progress{
		Rows:        uint64(C.imgroup_job_count(job, C.IMGROUP_JOB_ROWS)),
		Done:        uint64(C.imgroup_job_count(job, C.IMGROUP_JOB_DONE)),
		AlreadyGone: uint64(C.imgroup_job_count(job, C.IMGROUP_JOB_ALREADY_GONE)),
		Failed:      uint64(C.imgroup_job_count(job, C.IMGROUP_JOB_FAILED)),
		Unknown:     uint64(C.imgroup_job_count(job, C.IMGROUP_JOB_UNKNOWN)),
		Resumed:     uint64(C.imgroup_job_count(job, C.IMGROUP_JOB_RESUMED)),
		Requests:    uint64(C.imgroup_job_count(job, C.IMGROUP_JOB_REQUESTS)),
		Connections: uint64(C.imgroup_job_count(job, C.IMGROUP_JOB_CONNECTIONS)),
		Waited:      time.Duration(C.imgroup_job_count(job, C.IMGROUP_JOB_WAITED_MS)) * time.Millisecond,
		Elapsed:     time.Duration(C.imgroup_job_count(job, C.IMGROUP_JOB_ELAPSED_MS)) * time.Millisecond,
	}
}

// Progress tells how far the job is. Any goroutine may call it. All is 0 before the
// first run and after Close.
//
// Since v0.1.0.
func (j *Job) Progress() Progress {
	if !j.enter() {
		return Progress{}
	}
	defer j.leave()
	return progressOf(j.pointer)
}

// StoppedBy tells why the last run that ended stopped before its end, as one word:
// "pause", "cancel", "credentials", "unreachable", "failures", "max_deletes",
// "journal", "spool", "threads" or "shutdown"; "" if it came to its end or never began
// sending. Any goroutine may call it, also after Close.
//
// Since v0.1.0.
func (j *Job) StoppedBy() string {
	if word := j.stoppedBy.Load(); word != nil {
		return *word
	}
	return ""
}

// Report gives the report of the last run, a JSON object: totals, failures by code,
// the rows that were sent again after a kill, the rate over time. Later versions may
// add members.
//
// Errors are of [ErrArgument], also if the job has not run yet; or [ErrClosed].
//
// Since v0.1.0.
func (j *Job) Report() (json.RawMessage, error) {
	var report json.RawMessage
	err := j.use("Report", func(job *C.imgroup_job, failure **C.imgroup_error) C.int32_t {
		var text *C.char
		code := C.imgroup_job_report(job, &text, failure)
		if code == C.IMGROUP_OK {
			defer C.imgroup_string_free(text)
			report = json.RawMessage(C.GoString(text))
		}
		return code
	})
	return report, err
}

// WriteReport writes the report of the last run to a JSON file, and as a page to look
// at to the same name with the ending ".html". What is there is replaced.
//
// Errors are of [ErrArgument], also if the job has not run yet; [CodeResource] if it
// cannot be written; or [ErrClosed].
//
// Since v0.1.0.
func (j *Job) WriteReport(path string) error {
	arena, err := newArena(text("path", path))
	if err != nil {
		return err
	}
	defer arena.free()
	return j.use("WriteReport", func(job *C.imgroup_job, failure **C.imgroup_error) C.int32_t {
		return C.imgroup_job_write_report(job, arena.text(0), failure)
	})
}

// WriteFailed writes the rows that failed or are unknown, those of earlier runs with
// this journal included, in a form that is an input again, with the reasons beside
// them, and gives how many they are. A new job with a journal of its own tries them
// again. What is there is replaced. format is as for [Job.InputFile].
//
// Errors are those of [Job.WriteReport], and [ErrJobMismatch] or [ErrJobCorrupt] from
// the journal.
//
// Since v0.1.0.
func (j *Job) WriteFailed(path, format string) (rows uint64, err error) {
	arena, err := newArena(text("path", path), text("format", format))
	if err != nil {
		return 0, err
	}
	defer arena.free()
	var count C.uint64_t
	err = j.use("WriteFailed", func(job *C.imgroup_job, failure **C.imgroup_error) C.int32_t {
		return C.imgroup_job_write_failed(job, arena.text(0), orNil(format, arena.text(1)), &count, failure)
	})
	return uint64(count), err
}

// WriteLists writes the lists that an export found, as CSV with the columns account,
// list and friends, which is how many are in the list, and gives how many lists they
// are. What is there is replaced.
//
// Errors are those of [Job.WriteFailed].
//
// Since v0.1.0.
func (j *Job) WriteLists(path string) (lists uint64, err error) {
	arena, err := newArena(text("path", path))
	if err != nil {
		return 0, err
	}
	defer arena.free()
	var count C.uint64_t
	err = j.use("WriteLists", func(job *C.imgroup_job, failure **C.imgroup_error) C.int32_t {
		return C.imgroup_job_write_lists(job, arena.text(0), &count, failure)
	})
	return uint64(count), err
}

// Close cancels a run that is under way, waits for it, and frees what the job holds.
// Its files stay, to go on with; of rows that were pushed and never run, everything is
// removed. Later uses fail with [ErrClosed]. It may be called any number of times, by
// any goroutine, but not from the function given to [WithProgress]. The error is always
// nil.
//
// Since v0.1.0.
func (j *Job) Close() error {
	j.closeOnce.Do(func() {
		if j.pointer == nil {
			return
		}
		j.cleanup.Stop()
		j.closing.Store(true)
		C.imgroup_job_cancel(j.pointer)
		j.mu.Lock()
		defer j.mu.Unlock()
		C.imgroup_job_free(j.pointer)
		j.pointer = nil
	})
	return nil
}
