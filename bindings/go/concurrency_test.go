package imgroup_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	imgroup "github.com/libimgroup/libimgroup/bindings/go"
	"github.com/libimgroup/libimgroup/bindings/go/imgrouptest"
)

// punctual runs trials and wants their median within a bound, and none beyond ten
// times that: what holds on a busy machine.
func punctual(t *testing.T, bound time.Duration, trial func() time.Duration) {
	t.Helper()
	times := make([]time.Duration, 20)
	for i := range times {
		times[i] = trial()
	}
	slices.Sort(times)
	if median, worst := times[10], times[19]; median > bound || worst > 10*bound {
		t.Errorf("median %v and worst %v, bound %v", median, worst, bound)
	}
}

func TestADeadlineEndsAStalledCall(t *testing.T) {
	t.Parallel()
	server, client := fast(t)
	server.Fault(imgrouptest.Fault{Kind: "delay", DelayMs: 10_000, Times: 1000, When: "before"})
	punctual(t, 80*time.Millisecond, func() time.Duration {
		ctx, stop := context.WithTimeout(context.Background(), 30*time.Millisecond)
		defer stop()
		begin := time.Now()
		_, err := client.GetLists(ctx, "alice", nil)
		took := time.Since(begin)
		failure := expect(t, err, imgroup.CodeDeadline, imgroup.OutcomeUnknown)
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || !failure.Timeout() || !os.IsTimeout(err) {
			t.Errorf("%#v", failure)
		}
		if took < 25*time.Millisecond {
			t.Errorf("too early: %v", took)
		}
		return took
	})
}

func TestACancelEndsAStalledCall(t *testing.T) {
	t.Parallel()
	server, client := fast(t)
	server.Fault(imgrouptest.Fault{Kind: "silence", Times: 1000})
	reason := errors.New("the user went away")
	punctual(t, 50*time.Millisecond, func() time.Duration {
		ctx, cancel := context.WithCancelCause(context.Background())
		var cancelled time.Time
		time.AfterFunc(30*time.Millisecond, func() {
			cancelled = time.Now()
			cancel(reason)
		})
		_, err := client.DeleteLists(ctx, fmt.Sprint("account", rand.Int()), []string{"Family"})
		took := time.Since(cancelled)
		expect(t, err, imgroup.CodeCancelled, imgroup.OutcomeUnknown)
		if !errors.Is(err, context.Canceled) || !errors.Is(err, imgroup.ErrCancelled) || !errors.Is(err, reason) || errors.Is(err, imgroup.ErrClosed) {
			t.Errorf("%#v", err)
		}
		return took
	})
}

func TestAContextThatEndedSendsNothing(t *testing.T) {
	t.Parallel()
	server, client := fast(t)
	cancelled, cancel := context.WithCancelCause(context.Background())
	reason := errors.New("no more")
	cancel(reason)
	late, stop := context.WithTimeout(context.Background(), -time.Second)
	defer stop()
	_, err := client.DeleteLists(cancelled, "alice", []string{"Family"})
	failure := expect(t, err, imgroup.CodeCancelled, imgroup.OutcomeNotSent)
	if !errors.Is(err, context.Canceled) || !errors.Is(err, reason) || failure.Attempts != 0 || failure.Retryable {
		t.Errorf("%+v", failure)
	}
	_, err = client.DeleteLists(late, "alice", []string{"Family"})
	failure = expect(t, err, imgroup.CodeDeadline, imgroup.OutcomeNotSent)
	if !errors.Is(err, context.DeadlineExceeded) || !failure.Timeout() || !failure.Retryable {
		t.Errorf("%+v", failure)
	}
	if count := server.Count(""); count != 0 {
		t.Errorf("%d requests arrived", count)
	}
}

// stranger is a context of somebody else's making, which keeps its deadline to itself.
type stranger struct{ context.Context }

func (stranger) Deadline() (time.Time, bool) { return time.Time{}, false }

func TestContextsOfAnyKindAreObeyed(t *testing.T) {
	t.Parallel()
	server, client := fast(t)
	server.Fault(imgrouptest.Fault{Kind: "silence", Times: 1000})
	timed, stop := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer stop()
	_, err := client.GetLists(stranger{timed}, "alice", nil)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	// A deadline beyond what the library takes is cut, not refused.
	far, stopFar := context.WithTimeout(context.Background(), 100*time.Hour)
	time.AfterFunc(30*time.Millisecond, stopFar)
	_, err = client.GetLists(far, "alice", nil)
	expect(t, err, imgroup.CodeCancelled, imgroup.OutcomeUnknown)
}

func TestTheClientsOwnTimeoutHoldsWithoutADeadline(t *testing.T) {
	t.Parallel()
	server, _ := fast(t)
	client := server.Client(imgroup.WithTimeout(30 * time.Millisecond))
	server.Fault(imgrouptest.Fault{Kind: "delay", DelayMs: 300, Times: 2})
	_, err := client.GetLists(context.Background(), "alice", nil)
	expect(t, err, imgroup.CodeDeadline, imgroup.OutcomeUnknown)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	// The deadline of a context takes its place, also when it is later.
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Second)
	defer stop()
	if _, err := client.GetLists(ctx, "alice", nil); err != nil {
		t.Error(err)
	}
}

func TestWaitingForATurnHonoursTheContext(t *testing.T) {
	t.Parallel()
	server, _ := fast(t)
	client := server.Client(imgroup.WithMaxConcurrentCalls(1))
	server.Fault(imgrouptest.Fault{Kind: "silence"})
	var calls group
	first := make(chan error, 1)
	calls.start(func() {
		_, err := client.GetLists(context.Background(), "alice", nil)
		first <- err
	})
	for imgroup.Slots(client) == 0 {
		time.Sleep(time.Millisecond)
	}
	ctx, stop := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer stop()
	_, err := client.GetLists(ctx, "alice", nil)
	expect(t, err, imgroup.CodeDeadline, imgroup.OutcomeNotSent)
	cancelled, cancel := context.WithCancel(context.Background())
	time.AfterFunc(10*time.Millisecond, cancel)
	_, err = client.GetLists(cancelled, "alice", nil)
	expect(t, err, imgroup.CodeCancelled, imgroup.OutcomeNotSent)

	calls.start(func() {
		_, err := client.GetLists(context.Background(), "alice", nil)
		if !errors.Is(err, imgroup.ErrClosed) {
			t.Errorf("a call that waited for its turn: %v", err)
		}
	})
	time.Sleep(20 * time.Millisecond)
	begin := time.Now()
	_ = client.Close()
	if took := time.Since(begin); took > 500*time.Millisecond {
		t.Errorf("closing took %v", took)
	}
	calls.Wait()
	err = <-first
	expect(t, err, imgroup.CodeShutdown, imgroup.OutcomeUnknown)
	if !errors.Is(err, imgroup.ErrClosed) || !errors.Is(err, imgroup.ErrCancelled) || errors.Is(err, context.Canceled) {
		t.Errorf("%#v", err)
	}
}

func TestClosingWhileFiftyGoroutinesCall(t *testing.T) {
	t.Parallel()
	server, _ := fast(t)
	for round := range 8 {
		client := server.Client(imgroup.WithQuota(1_000_000), imgroup.WithMaxConcurrentCalls(20),
			imgroup.WithLogger(imgroup.LogDebug, func(imgroup.LogLevel, string) {}))
		var calls group
		begin := make(chan struct{})
		for i := range 50 {
			calls.start(func() {
				<-begin
				for {
					ctx, stop := context.WithTimeout(context.Background(), time.Duration(1+rand.IntN(40))*time.Millisecond)
					_, err := client.DeleteLists(ctx, fmt.Sprint("account", i%5), []string{"Family"})
					stop()
					if errors.Is(err, imgroup.ErrClosed) {
						return
					}
					_, _ = client.Stats()
				}
			})
		}
		for range 3 {
			calls.start(func() {
				<-begin
				time.Sleep(time.Duration(round*5) * time.Millisecond)
				_ = client.Close()
				if _, err := client.GetLists(context.Background(), "alice", nil); !errors.Is(err, imgroup.ErrClosed) {
					t.Errorf("after closing: %v", err)
				}
			})
		}
		close(begin)
		calls.Wait()
	}
}

func TestHundredsOfCallsLeakNothing(t *testing.T) {
	callbacks := imgroup.LiveCallbacks()
	server, client := fast(t)
	calls := func(count int) {
		for i := range count {
			ctx, stop := context.WithTimeout(context.Background(), time.Minute)
			var err error
			switch i % 3 {
			case 0:
				_, err = client.GetLists(ctx, "alice", nil, imgroup.WithMembers())
			case 1:
				_, err = client.DeleteLists(ctx, "alice", []string{"Family", "Work"}, imgroup.IgnoreMissing())
			case 2:
				_, err = client.GetLists(ctx, "mallory", nil)
				if errors.Is(err, imgroup.ErrNotFound) {
					err = nil
				}
			}
			stop()
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	calls(60)
	goroutines, threads, memory := runtime.NumGoroutine(), count(t, "task"), resident(t)
	calls(600)
	if after := runtime.NumGoroutine(); after > goroutines+2 {
		t.Errorf("%d goroutines, %d before", after, goroutines)
	}
	if after := count(t, "task"); after > threads+4 {
		t.Errorf("%d threads, %d before", after, threads)
	}
	// 600 leaked errors or responses would not be seen, 600 leaked clients would.
	if after := resident(t); after > memory+32<<20 {
		t.Errorf("%d bytes are resident, %d before", after, memory)
	}

	descriptors := count(t, "fd")
	for range 100 {
		other := server.Client(imgroup.WithLogger(imgroup.LogDebug, func(imgroup.LogLevel, string) {}), imgroup.WithQuota(1_000_000))
		if _, err := other.GetLists(context.Background(), "alice", nil); err != nil {
			t.Fatal(err)
		}
		_ = other.Close()
	}
	if after := count(t, "fd"); after > descriptors+4 {
		t.Errorf("%d descriptors, %d before", after, descriptors)
	}
	if live := imgroup.LiveCallbacks(); live != callbacks {
		t.Errorf("%d callbacks are held, %d before", live, callbacks)
	}
}

func count(t *testing.T, what string) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/" + what)
	if err != nil {
		t.Skip(err)
	}
	return len(entries)
}

func resident(t *testing.T) int {
	t.Helper()
	runtime.GC()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip(err)
	}
	var size, pages int
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

// Threads that Go once took it never gives back, so this is for a process of its own.
func TestAFloodOfGoroutinesTakesFewThreads(t *testing.T) {
	const child = "IMGROUP_TEST_FLOOD"
	if os.Getenv(child) == "" {
		t.Parallel()
		command := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		command.Env = append(os.Environ(), child+"=1")
		if output, err := command.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, output)
		}
		return
	}
	server, client := fast(t)
	server.Fault(imgrouptest.Fault{Kind: "delay", DelayMs: 30, Times: 1_000_000})
	before := count(t, "task")
	var calls group
	for range 500 {
		calls.start(func() {
			if _, err := client.GetLists(context.Background(), "alice", nil); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	if after := count(t, "task"); after > before+64+12 {
		t.Errorf("%d threads, %d before", after, before)
	} else {
		t.Logf("%d threads, %d before", after, before)
	}
	if arrived := server.Count("group_get"); arrived != 500 {
		t.Errorf("%d requests arrived", arrived)
	}
}

// group is a WaitGroup that starts its goroutines.
type group struct{ sync.WaitGroup }

func (g *group) start(run func()) {
	g.Add(1)
	go func() {
		defer g.Done()
		run()
	}()
}
