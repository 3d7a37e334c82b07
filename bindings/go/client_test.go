package imgroup_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	imgroup "github.com/libimgroup/libimgroup/bindings/go"
	"github.com/libimgroup/libimgroup/bindings/go/imgrouptest"
)

// fast lifts the pace, for tests of something else that make many calls.
func fast(t testing.TB, options ...imgroup.Option) (*imgrouptest.Server, *imgroup.Client) {
	t.Helper()
	server := imgrouptest.NewServer(t, imgrouptest.WithAccounts("alice", "bob", "carol"), imgrouptest.WithArguments("--quota", "0"))
	return server, server.Client(append([]imgroup.Option{imgroup.WithQuota(1_000_000)}, options...)...)
}

func TestListsAreMadeReadAndDeleted(t *testing.T) {
	t.Parallel()
	server := imgrouptest.NewServer(t, imgrouptest.WithAccounts("alice", "bob"))
	server.SetState(imgrouptest.State{Accounts: map[string]imgrouptest.Account{
		"alice": {Friends: []imgrouptest.Friend{{Account: "bob"}}},
		"bob":   {},
	}})
	client := server.Client()
	ctx := context.Background()

	added, err := client.AddLists(ctx, "alice", []string{"Family", "Work 家"}, []string{"bob", "carol"})
	if err != nil {
		t.Fatal(err)
	}
	if added.Attempts != 1 || added.WasAmbiguous || !added.HasSequence || added.Sequence != 1 {
		t.Errorf("%+v", added)
	}
	if len(added.Results) != 2 || added.Results[0].Account != "bob" || added.Results[0].Code != imgroup.CodeOK ||
		added.Results[1].Account != "carol" || added.Results[1].Code != 30001 || added.Results[1].Info == "" {
		t.Errorf("%+v", added.Results)
	}

	read, err := client.GetLists(ctx, "alice", nil, imgroup.WithMembers())
	if err != nil {
		t.Fatal(err)
	}
	want := []imgroup.List{{Name: "Family", FriendCount: 1, Members: []string{"bob"}}, {Name: "Work 家", FriendCount: 1, Members: []string{"bob"}}}
	if !reflect.DeepEqual(read.Lists, want) {
		t.Errorf("%+v", read.Lists)
	}
	read, err = client.GetLists(ctx, "alice", []string{"Work 家"})
	if err != nil {
		t.Fatal(err)
	}
	if want := []imgroup.List{{Name: "Work 家", FriendCount: 1}}; !reflect.DeepEqual(read.Lists, want) {
		t.Errorf("%+v", read.Lists)
	}

	deleted, err := client.DeleteLists(ctx, "alice", []string{"Family"})
	if err != nil {
		t.Fatal(err)
	}
	var body struct{ CurrentSequence uint64 }
	if err := json.Unmarshal(deleted.Body, &body); err != nil || body.CurrentSequence != deleted.Sequence || deleted.Sequence != 2 {
		t.Errorf("%s, %v", deleted.Body, err)
	}
	if lists := server.Lists("alice"); !slices.Equal(lists, []string{"Work 家"}) {
		t.Errorf("left: %q", lists)
	}
}

func TestBodiesOfManyTypesAreSent(t *testing.T) {
	t.Parallel()
	server, client := fast(t)
	type about struct {
		From_Account string
	}
	for _, body := range []any{
		`{"From_Account": "alice"}`, []byte(`{"From_Account": "alice"}`), json.RawMessage(`{"From_Account": "alice"}`),
		map[string]string{"From_Account": "alice"}, about{"alice"}, &about{"alice"},
	} {
		response, err := client.Request(context.Background(), "v4/sns/group_get", body, imgroup.Idempotent())
		if err != nil {
			t.Errorf("%T: %v", body, err)
		} else if !json.Valid(response.Body) || response.Lists != nil {
			t.Errorf("%T: %+v", body, response)
		}
	}
	_, err := client.Request(context.Background(), "v4/im_open_login_svc/account_check", nil)
	expect(t, err, 70402, imgroup.OutcomeRejected)
	requests := server.Requests("account_check")
	if len(requests) != 1 || string(requests[0].Body) != "{}" {
		t.Errorf("%+v", requests)
	}
}

func TestEveryClassHasItsError(t *testing.T) {
	t.Parallel()
	server := imgrouptest.NewServer(t, imgrouptest.WithAccounts("alice"))
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	ctx := context.Background()
	short, stop := context.WithTimeout(ctx, 50*time.Millisecond)
	defer stop()
	rows := []struct {
		situation string
		ctx       context.Context
		options   []imgroup.Option
		fault     *imgrouptest.Fault
		account   string
		sentinel  error
		code      imgroup.Code
		outcome   imgroup.Outcome
		retryable bool
	}{
		{"argument", ctx, nil, nil, "", imgroup.ErrArgument, imgroup.CodeInvalidArgument, imgroup.OutcomeNotSent, false},
		{"network", ctx, []imgroup.Option{imgroup.WithEndpoint("http://" + closed.Addr().String())}, nil, "alice", imgroup.ErrNetwork, imgroup.CodeConnect, imgroup.OutcomeNotSent, true},
		{"deadline", short, nil, &imgrouptest.Fault{Kind: "silence"}, "alice", imgroup.ErrDeadline, imgroup.CodeDeadline, imgroup.OutcomeUnknown, true},
		{"throttled", ctx, nil, &imgrouptest.Fault{Kind: "error", Code: 60007}, "alice", imgroup.ErrThrottled, 60007, imgroup.OutcomeRejected, true},
		{"auth", ctx, nil, &imgrouptest.Fault{Kind: "error", Code: 60010, Display: "no admin"}, "alice", imgroup.ErrAuth, 60010, imgroup.OutcomeRejected, false},
		{"not found", ctx, nil, nil, "mallory", imgroup.ErrNotFound, 30003, imgroup.OutcomeRejected, false},
		{"server", ctx, nil, &imgrouptest.Fault{Kind: "error", Code: 30006}, "alice", imgroup.ErrServer, 30006, imgroup.OutcomeUnknown, true},
		{"HTTP", ctx, nil, &imgrouptest.Fault{Kind: "http", Status: 403}, "alice", imgroup.ErrAuth, imgroup.CodeHTTPStatus, imgroup.OutcomeUnknown, false},
	}
	for _, row := range rows {
		t.Run(row.situation, func(t *testing.T) {
			client := server.Client(append([]imgroup.Option{imgroup.WithMaxAttempts(1)}, row.options...)...)
			if row.fault != nil {
				server.Fault(*row.fault)
			}
			_, err := client.DeleteLists(row.ctx, row.account, []string{"Family"})
			failure := expect(t, err, row.code, row.outcome)
			if !errors.Is(err, row.sentinel) {
				t.Errorf("%v is not %v", err, row.sentinel)
			}
			if failure.Retryable != row.retryable || failure.Name != row.code.String() {
				t.Errorf("%+v", failure)
			}
			sent := row.account != ""
			if (failure.Attempts == 1) != sent || (failure.Host != "") != sent || (failure.Random != 0) != sent {
				t.Errorf("%+v", failure)
			}
			if row.fault != nil {
				if failure.Display != row.fault.Display {
					t.Errorf("display %q", failure.Display)
				}
				if want := row.fault.Status; want != 0 && failure.HTTPStatus != want {
					t.Errorf("status %d", failure.HTTPStatus)
				}
			}
			if strings.Contains(err.Error(), server.SecretKey) {
				t.Error("the key is in the message")
			}
		})
	}
}

func TestTheEnvironmentMakesAClient(t *testing.T) {
	server := imgrouptest.NewServer(t, imgrouptest.WithAccounts("alice"))
	for _, entry := range server.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		t.Setenv(name, value)
	}
	client, err := imgroup.NewClientFromEnv()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.GetLists(context.Background(), "alice", nil); err != nil {
		t.Error(err)
	}
	t.Setenv("IMGROUP_SDKAPPID", "many")
	_, err = imgroup.NewClientFromEnv()
	failure := expect(t, err, imgroup.CodeConfig, imgroup.OutcomeNotSent)
	if !strings.HasPrefix(failure.Message, "IMGROUP_SDKAPPID: ") {
		t.Error(failure.Message)
	}
}

func TestHTTPSIsVerified(t *testing.T) {
	t.Parallel()
	server := imgrouptest.NewServer(t, imgrouptest.WithAccounts("alice"), imgrouptest.WithTLS())
	good := server.Client(imgroup.WithEndpoint(server.TLSURL), imgroup.WithCAFile(server.CAFile))
	if _, err := good.GetLists(context.Background(), "alice", nil); err != nil {
		t.Error(err)
	}
	bad := server.Client(imgroup.WithEndpoint(server.TLSURL))
	_, err := bad.GetLists(context.Background(), "alice", nil)
	expect(t, err, imgroup.CodeTLS, imgroup.OutcomeNotSent)
	if !errors.Is(err, imgroup.ErrNetwork) {
		t.Error(err)
	}
	err = build(imgroup.WithEndpoint(server.TLSURL), imgroup.WithCAFile("/nowhere.pem"))
	expect(t, err, imgroup.CodeConfig, imgroup.OutcomeNotSent)
}

func TestMissingListsMayBeIgnored(t *testing.T) {
	t.Parallel()
	server := imgrouptest.NewServer(t, imgrouptest.WithAccounts("alice"), imgrouptest.WithArguments("--unknown-list", "30001"))
	client := server.Client()
	ctx := context.Background()
	if _, err := client.AddLists(ctx, "alice", []string{"Family"}, nil); err != nil {
		t.Fatal(err)
	}
	_, err := client.DeleteLists(ctx, "alice", []string{"Family", "Work"})
	expect(t, err, 30001, imgroup.OutcomeRejected)
	if _, err := client.DeleteLists(ctx, "alice", []string{"Family", "Work"}, imgroup.IgnoreMissing()); err != nil {
		t.Error(err)
	}
	timed, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	if _, err := client.DeleteLists(timed, "alice", []string{"Family"}, imgroup.IgnoreMissing()); err != nil {
		t.Error(err)
	}
	if lists := server.Lists("alice"); len(lists) != 0 {
		t.Errorf("left: %q", lists)
	}
}

func TestStatisticsAreWhole(t *testing.T) {
	t.Parallel()
	_, client := fast(t)
	if _, err := client.GetLists(context.Background(), "alice", nil); err != nil {
		t.Fatal(err)
	}
	stats, err := client.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if stats.Calls != 1 || stats.Attempts != 1 || stats.Outcomes["ok"] != 1 || stats.LatencyUs["p50"] == 0 {
		t.Errorf("%+v", stats)
	}
	// Whatever the library counts has a place in the struct.
	var strict imgroup.Stats
	decoder := json.NewDecoder(strings.NewReader(string(stats.Raw)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&strict); err != nil {
		t.Error(err)
	}
}

func TestLogLinesArrive(t *testing.T) {
	t.Parallel()
	server, _ := fast(t)
	var mu sync.Mutex
	var lines []string
	quiet := 0
	client := server.Client(imgroup.WithLogger(imgroup.LogDebug, func(level imgroup.LogLevel, message string) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, level.String()+" "+message)
	}))
	silent := server.Client(imgroup.WithLogger(imgroup.LogError, func(imgroup.LogLevel, string) { quiet++ }))
	var text strings.Builder
	handler := slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelError})
	structured := server.Client(imgroup.WithSlog(slog.New(handler)))
	for _, client := range []*imgroup.Client{client, silent, structured} {
		if _, err := client.GetLists(context.Background(), "alice", nil); err != nil {
			t.Fatal(err)
		}
	}
	if quiet != 0 || text.Len() != 0 {
		t.Errorf("a success is logged as an error: %s", text.String())
	}
	if _, err := structured.GetLists(context.Background(), "mallory", nil); err == nil || !strings.Contains(text.String(), "level=ERROR") || !strings.Contains(text.String(), "30003") {
		t.Errorf("%v was logged as %q", err, text.String())
	}
	mu.Lock()
	defer mu.Unlock()
	all := strings.Join(lines, "\n")
	if !strings.Contains(all, "DEBUG ") || strings.Contains(all, server.SecretKey) || strings.Contains(all, "usersig=") {
		t.Errorf("lines: %s", all)
	}
}

func TestOnesOwnLimiterIsAsked(t *testing.T) {
	t.Parallel()
	server, _ := fast(t)
	var commands []string
	wait := 50 * time.Millisecond
	client := server.Client(imgroup.WithQuotaFunc(func(command string) time.Duration {
		commands = append(commands, command)
		return wait
	}))
	begin := time.Now()
	if _, err := client.GetLists(context.Background(), "alice", nil); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < wait {
		t.Errorf("the wait was left out: %v", took)
	}
	if !slices.Equal(commands, []string{"group_get"}) {
		t.Errorf("%q", commands)
	}
	for _, wait = range []time.Duration{-1, time.Hour, 1<<63 - 1} {
		short, stop := context.WithTimeout(context.Background(), 5*time.Second)
		begin := time.Now()
		_, err := client.GetLists(short, "alice", nil)
		stop()
		if !errors.Is(err, imgroup.ErrThrottled) && !errors.Is(err, imgroup.ErrDeadline) {
			t.Errorf("%v gave %v", wait, err)
		}
		if took := time.Since(begin); took > 5500*time.Millisecond {
			t.Errorf("%v took %v", wait, took)
		}
	}
	if count := server.Count("group_get"); count != 1 {
		t.Errorf("%d requests arrived", count)
	}
}

func TestAPanicOfACallbackComesOutOfTheCall(t *testing.T) {
	t.Parallel()
	server, _ := fast(t)
	angry := true
	quota := server.Client(imgroup.WithQuotaFunc(func(string) time.Duration {
		if angry {
			panic("planted")
		}
		return 0
	}))
	log := server.Client(imgroup.WithLogger(imgroup.LogDebug, func(imgroup.LogLevel, string) {
		if angry {
			panic("planted")
		}
	}))
	for name, client := range map[string]*imgroup.Client{"quota": quota, "log": log} {
		angry = true
		func() {
			defer func() {
				if text, _ := recover().(string); !strings.Contains(text, "the "+name+" function panicked: planted") {
					t.Errorf("%s: %.80q", name, text)
				}
			}()
			_, err := client.GetLists(context.Background(), "alice", nil)
			t.Errorf("%s: no panic, but %v", name, err)
		}()
		angry = false
		if _, err := client.GetLists(context.Background(), "alice", nil); err != nil {
			t.Errorf("%s: the next call: %v", name, err)
		}
		if slots := imgroup.Slots(client); slots != 0 {
			t.Errorf("%s: %d slots are held", name, slots)
		}
	}
}

func TestAForgottenClientIsFreed(t *testing.T) {
	before := imgroup.LiveCallbacks()
	var freed atomic.Int64
	func() {
		for range 20 {
			client, err := imgroup.NewClient(1, "a", "k", imgroup.WithRegion("cn"), imgroup.WithSlog(slog.New(slog.NewTextHandler(io.Discard, nil))))
			if err != nil {
				t.Fatal(err)
			}
			runtime.AddCleanup(client, func(int) { freed.Add(1) }, 0)
		}
	}()
	for deadline := time.Now().Add(10 * time.Second); imgroup.LiveCallbacks() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d callbacks are held, %d clients are gone", imgroup.LiveCallbacks()-before, freed.Load())
		}
		runtime.GC()
	}
}

func TestAClientThatNobodyMadeIsClosed(t *testing.T) {
	var client imgroup.Client
	_, err := client.GetLists(context.Background(), "alice", nil)
	expect(t, err, imgroup.CodeShutdown, imgroup.OutcomeNotSent)
	if _, err := client.Stats(); !errors.Is(err, imgroup.ErrClosed) {
		t.Error(err)
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
}
