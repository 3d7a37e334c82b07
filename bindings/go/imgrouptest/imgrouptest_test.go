package imgrouptest_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	imgroup "github.com/libimgroup/libimgroup/bindings/go"
	"github.com/libimgroup/libimgroup/bindings/go/imgrouptest"
)

var ctx = context.Background()

func TestServersAreApart(t *testing.T) {
	for i := range 5 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			account := fmt.Sprint("account", i)
			server := imgrouptest.NewServer(t, imgrouptest.WithAccounts(account))
			if _, err := server.Client().AddLists(ctx, account, []string{"News"}, nil); err != nil {
				t.Fatal(err)
			}
			if state := server.State(); len(state.Accounts) != 1 || len(server.Lists(account)) != 1 {
				t.Errorf("%+v", state)
			}
		})
	}
}

func TestTheJournalTellsWhatArrived(t *testing.T) {
	t.Parallel()
	server := imgrouptest.NewServer(t, imgrouptest.WithAccounts("alice"))
	client := server.Client()
	server.Fault(imgrouptest.Fault{Kind: "error", Code: 30006, Command: "group_delete"})
	if queued := server.Faults(); len(queued) != 1 || queued[0].Code != 30006 || queued[0].Times != 1 {
		t.Errorf("%+v", queued)
	}
	if _, err := client.DeleteLists(ctx, "alice", []string{"Family"}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.GetLists(ctx, "alice", nil); err != nil {
		t.Fatal(err)
	}
	requests := server.Requests("group_delete")
	if len(requests) != 2 || len(server.Requests("")) != 3 || server.Count("group_delete") != 2 || server.Count("") != 3 {
		t.Fatalf("%+v", requests)
	}
	first := requests[0]
	if first.Command != "group_delete" || first.Verdict == nil || first.Verdict.Code != 30006 || first.Verdict.Fault == nil ||
		first.Verdict.Fault.Kind != "error" || !strings.Contains(string(first.Body), `"Family"`) {
		t.Errorf("%+v", first)
	}
	server.ForgetRequests()
	if count := server.Count(""); count != 0 {
		t.Errorf("%d requests are remembered", count)
	}
	server.Fault(imgrouptest.Fault{Kind: "reset"}, imgrouptest.Fault{Kind: "hang_up"})
	server.ClearFaults()
	if queued := server.Faults(); len(queued) != 0 {
		t.Errorf("%+v", queued)
	}
}

func TestAStateComesBackAsItWas(t *testing.T) {
	t.Parallel()
	server := imgrouptest.NewServer(t, imgrouptest.WithAccounts("zoe"))
	state := imgrouptest.State{Accounts: map[string]imgrouptest.Account{
		"alice": {
			Nick: "Al", FaceURL: "http://localhost/", AllowType: "AllowType_Type_DenyAny", Lists: []string{"Family"},
			Friends: []imgrouptest.Friend{{
				Account: "bob", Lists: []string{"Family"}, Remark: "r", AddSource: "s", AddWording: "w", AddTime: 1, RemarkTime: 2,
				Custom: map[string]any{"Tag_SNS_Custom_X": "y"},
			}},
			Blocklist: []imgrouptest.Blocked{{Account: "eve", AddedAt: 3}},
			Pending:   []string{"carol"},
			Sequences: imgrouptest.Sequences{Lists: 1, Standard: 2, Custom: 3, Blocklist: 1<<63 + 1},
		},
	}}
	server.SetState(state)
	again := server.State()
	server.SetState(again)
	if after := server.State(); !reflect.DeepEqual(after, again) {
		t.Errorf("%+v is not %+v", after, again)
	}
	alice, want := again.Accounts["alice"], state.Accounts["alice"]
	if !reflect.DeepEqual(alice, want) {
		t.Errorf("%+v is not %+v", alice, want)
	}
	server.Reset()
	if state := server.State(); len(state.Accounts) != 1 {
		t.Errorf("after a reset: %+v", state)
	}
}

func TestTheClockCanBeMoved(t *testing.T) {
	t.Parallel()
	server := imgrouptest.NewServer(t, imgrouptest.WithAccounts("alice"))
	client := server.Client(imgroup.WithUserSigTTL(time.Hour))
	if _, err := client.GetLists(ctx, "alice", nil); err != nil {
		t.Fatal(err)
	}
	server.AdvanceClock(2 * time.Hour)
	if ahead := time.Until(server.Now()); ahead < 119*time.Minute || ahead > 121*time.Minute {
		t.Errorf("the clock is %v ahead", ahead)
	}
	// The ticket has expired, and is signed anew by the service's clock.
	if _, err := client.GetLists(ctx, "alice", nil); err != nil {
		t.Error(err)
	}
	if requests := server.Requests("group_get"); len(requests) != 3 || requests[1].Verdict.Code != 70001 {
		t.Errorf("%+v", requests)
	}
	server.SetClock(time.Unix(1_700_000_000, 0))
	if now := server.Now().Unix(); now < 1_700_000_000 || now > 1_700_000_060 {
		t.Errorf("it is %d", now)
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	path, err := imgrouptest.Command()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("IMGROUP_COMMAND", "")
	t.Setenv("PATH", t.TempDir())
	if _, err := imgrouptest.Start(); err == nil || !strings.Contains(err.Error(), "IMGROUP_COMMAND") {
		t.Error(err)
	}
	t.Setenv("IMGROUP_COMMAND", filepath.Join(t.TempDir(), "imgroup"))
	if _, err := imgrouptest.Command(); err == nil || !strings.Contains(err.Error(), "IMGROUP_COMMAND") {
		t.Error(err)
	}
	t.Setenv("IMGROUP_COMMAND", path)
	if _, err := imgrouptest.Start(imgrouptest.WithArguments("--colour")); err == nil || !strings.Contains(err.Error(), "--colour") {
		t.Error(err)
	}
}

func TestTheCredentialsOfARealAppStayOut(t *testing.T) {
	t.Setenv("IMGROUP_SDKAPPID", "1234")
	t.Setenv("IMGROUP_SECRET_KEY", "the real one")
	t.Setenv("IMGROUP_IDENTIFIER", "root")
	server := imgrouptest.NewServer(t)
	if server.SDKAppID != 1400000000 || server.Identifier != "administrator" {
		t.Errorf("%d %s", server.SDKAppID, server.Identifier)
	}
	if _, err := server.Client().Request(ctx, "v4/im_open_login_svc/account_import", `{"UserID":"alice"}`); err != nil {
		t.Error(err)
	}
}

// A parent that is killed takes its emulator along.
func TestNoServerOutlivesItsParent(t *testing.T) {
	const child = "IMGROUP_TEST_ORPHAN"
	if os.Getenv(child) != "" {
		server, err := imgrouptest.Start()
		if err != nil {
			t.Fatal(err)
		}
		var health struct{ PID int }
		server.Control("GET", "health", nil, &health)
		fmt.Printf("pid %d\n", health.PID)
		time.Sleep(time.Minute)
		return
	}
	t.Parallel()
	command := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	command.Env = append(os.Environ(), child+"=1", "TMPDIR="+t.TempDir())
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	_, err = fmt.Fscanf(output, "pid %d\n", &pid)
	_ = command.Process.Kill()
	_ = command.Wait()
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		// A zombie is nobody's any more: what counts is that it runs no longer.
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(text), ") Z ") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d is still there: %s", pid, text)
		}
	}
}
