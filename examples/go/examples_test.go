// Package examples runs the programs of this directory against an emulator.
package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/libimgroup/libimgroup/bindings/go/imgrouptest"
)

func TestTheProgramsDoWhatTheySay(t *testing.T) {
	directory := t.TempDir()
	build := exec.Command("go", "build", "-o", directory, "./...")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	server := imgrouptest.NewServer(t)
	alice := imgrouptest.State{Accounts: map[string]imgrouptest.Account{
		"alice": {Lists: []string{"Family", "Work"}, Friends: []imgrouptest.Friend{{Account: "bob", Lists: []string{"Family"}}}},
		"bob":   {},
	}}
	silence := imgrouptest.Fault{Kind: "silence"}
	rejected := imgrouptest.Fault{Kind: "error", Code: 60010}
	input, wrong := filepath.Join(directory, "rows.csv"), filepath.Join(directory, "wrong.csv")
	for path, text := range map[string]string{
		input: "account,list\nalice,Family\nalice,Work\nmallory,Work\n",
		wrong: "account,list\n,Work\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rows := []struct {
		command string
		fault   *imgrouptest.Fault
		says    string
		fails   bool
	}{
		{"delete_lists alice Family Gym", nil, "alice: 2 lists deleted, now at sequence 1\n", false},
		{"delete_lists mallory Family", nil, "30003", true},
		{"delete_lists", nil, "usage: ", true},
		{"create_and_read alice bob News", nil, "Family: 1 friends: bob\nWork: 0 friends: \nNews: 1 friends: bob\n", false},
		{"create_and_read alice carol News", nil, "carol could not be put into them: 30001 ", false},
		{"handle_errors alice Family", nil, "deleted\n", false},
		{"handle_errors mallory Family", nil, "class not_found: the account does not exist", false},
		{"handle_errors alice " + strings.Repeat("x", 31), nil, "class argument: correct the argument", false},
		{"handle_errors alice Family", &rejected, "class auth: check the credentials", false},
		{"handle_errors alice Family", &imgrouptest.Fault{Kind: "hang_up", Times: 9}, "it may have been applied", false},
		{"cancel_and_deadline alice 5s", nil, "2 lists\n", false},
		{"cancel_and_deadline alice 100ms", &silence, "no time left\n", false},
		{"bulk_delete " + input + " " + input + ".journal", &rejected, "60010", true},
		{"bulk_delete " + input + " " + input + ".journal", nil, "2 deleted, 0 already gone, 1 failed, 0 unknown\n", true},
		{"bulk_delete " + input + " " + input + ".journal", nil, "1 rows to look at are in " + input + ".journal.failed.csv", true},
		{"bulk_delete " + wrong + " " + wrong + ".journal", nil, "line 2: account: ", true},
	}
	for _, row := range rows {
		server.Reset()
		server.SetState(alice)
		if row.fault != nil {
			server.Fault(*row.fault)
		}
		words := strings.Fields(row.command)
		command := exec.Command(filepath.Join(directory, words[0]), words[1:]...)
		command.Env = append(os.Environ(), server.Environ()...)
		output, err := command.CombinedOutput()
		if (err != nil) != row.fails || !strings.Contains(string(output), row.says) {
			t.Errorf("%s: %v\n%s", row.command, err, output)
		}
	}
}
