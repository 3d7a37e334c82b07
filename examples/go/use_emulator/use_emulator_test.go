// Tests of your own, against a local stand-in for the service.
package use_emulator

import (
	"context"
	"errors"
	"slices"
	"testing"

	imgroup "github.com/libimgroup/libimgroup/bindings/go"
	"github.com/libimgroup/libimgroup/bindings/go/imgrouptest"
)

// leaveTeam is what is to be tested.
func leaveTeam(ctx context.Context, client *imgroup.Client, account string) error {
	_, err := client.DeleteLists(ctx, account, []string{"Team"}, imgroup.IgnoreMissing())
	return err
}

func TestLeavingTakesTheListAway(t *testing.T) {
	t.Parallel()
	server := imgrouptest.NewServer(t)
	server.SetState(imgrouptest.State{Accounts: map[string]imgrouptest.Account{
		"alice": {Lists: []string{"Family", "Team"}},
	}})
	if err := leaveTeam(context.Background(), server.Client(), "alice"); err != nil {
		t.Fatal(err)
	}
	if left := server.Lists("alice"); !slices.Equal(left, []string{"Family"}) {
		t.Errorf("left: %q", left)
	}
}

func TestLeavingGetsOverAFailure(t *testing.T) {
	t.Parallel()
	server := imgrouptest.NewServer(t, imgrouptest.WithAccounts("alice"))
	server.Fault(imgrouptest.Fault{Kind: "http", Status: 502, Command: "group_delete"})
	if err := leaveTeam(context.Background(), server.Client(), "alice"); err != nil {
		t.Fatal(err)
	}
	if requests := server.Requests("group_delete"); len(requests) != 2 {
		t.Errorf("%d requests were sent", len(requests))
	}
}

func TestLeavingTellsOfAnAccountThatIsNotThere(t *testing.T) {
	t.Parallel()
	server := imgrouptest.NewServer(t)
	err := leaveTeam(context.Background(), server.Client(), "nobody")
	if !errors.Is(err, imgroup.ErrNotFound) {
		t.Error(err)
	}
}
