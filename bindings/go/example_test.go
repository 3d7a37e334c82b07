package imgroup_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	imgroup "github.com/libimgroup/libimgroup/bindings/go"
	"github.com/libimgroup/libimgroup/bindings/go/imgrouptest"
)

// emulator starts what the examples talk to, in place of the service.
func emulator() *imgrouptest.Server {
	server, err := imgrouptest.Start()
	if err != nil {
		log.Fatal(err)
	}
	server.SetState(imgrouptest.State{Accounts: map[string]imgrouptest.Account{
		"alice": {Lists: []string{"Family", "Work"}, Friends: []imgrouptest.Friend{{Account: "bob", Lists: []string{"Work"}}}},
		"bob":   {},
	}})
	return server
}

func ExampleClient_DeleteLists() {
	server := emulator()
	defer server.Close()
	client, err := imgroup.NewClient(server.SDKAppID, server.Identifier, server.SecretKey,
		imgroup.WithEndpoint(server.URL)) // imgroup.WithRegion("sgp") for the service itself
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	response, err := client.DeleteLists(context.Background(), "alice", []string{"Family", "Work"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("now at sequence", response.Sequence)
	// Output: now at sequence 1
}

func ExampleClient_AddLists() {
	server := emulator()
	defer server.Close()
	client := server.Client()
	defer client.Close()

	response, err := client.AddLists(context.Background(), "alice", []string{"News"}, []string{"bob", "carol"})
	if err != nil {
		log.Fatal(err)
	}
	for _, result := range response.Results {
		fmt.Println(result.Account, int32(result.Code), result.Code)
	}
	// Output:
	// bob 0 IMGROUP_OK
	// carol 30001 ERR_SVR_FRIENDSHIP_INVALID_PARAMETERS
}

func ExampleClient_GetLists() {
	server := emulator()
	defer server.Close()
	client := server.Client()
	defer client.Close()

	response, err := client.GetLists(context.Background(), "alice", nil, imgroup.WithMembers())
	if err != nil {
		log.Fatal(err)
	}
	for _, list := range response.Lists {
		fmt.Println(list.Name, list.FriendCount, list.Members)
	}
	// Output:
	// Family 0 []
	// Work 1 [bob]
}

func ExampleClient_Request() {
	server := emulator()
	defer server.Close()
	client := server.Client()
	defer client.Close()

	body := map[string]any{"From_Account": "alice", "To_Account": []string{"bob"}, "CheckType": "CheckResult_Type_Single"}
	response, err := client.Request(context.Background(), "v4/sns/friend_check", body, imgroup.Idempotent())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%.50s…\n", response.Body)
	// Output: {"InfoItem":[{"To_Account":"bob","Relation":"Check…
}

func ExampleJob() {
	server := emulator()
	defer server.Close()
	client := server.Client()
	defer client.Close()
	directory, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(directory)

	// Whatever ends the program, the same one goes on with the same journal.
	job, err := client.NewJob(imgroup.JobDelete, filepath.Join(directory, "journal"))
	if err != nil {
		log.Fatal(err)
	}
	defer job.Close()
	for _, account := range []string{"alice", "bob", "mallory"} {
		if err := job.Push(account, "Family"); err != nil {
			log.Fatal(err)
		}
	}
	if err := job.Run(context.Background()); err != nil {
		log.Fatal(err)
	}
	ended := job.Progress()
	fmt.Println(ended.Done+ended.AlreadyGone, "deleted or gone,", ended.Failed, "failed")
	// Output: 2 deleted or gone, 1 failed
}

func ExampleError() {
	server := emulator()
	defer server.Close()
	client := server.Client()
	defer client.Close()

	_, err := client.DeleteLists(context.Background(), "nobody", []string{"Family"})
	fmt.Println(errors.Is(err, imgroup.ErrNotFound))
	var failure *imgroup.Error
	if errors.As(err, &failure) {
		fmt.Println(int32(failure.Code), failure.Name, failure.Class, failure.Outcome)
	}
	// Output:
	// true
	// 30003 ERR_SVR_FRIENDSHIP_ACCOUNT_NOT_FOUND not_found REJECTED
}

func ExampleError_deadline() {
	server := emulator()
	defer server.Close()
	client := server.Client()
	defer client.Close()
	server.Fault(imgrouptest.Fault{Kind: "delay", DelayMs: 10_000})

	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := client.DeleteLists(ctx, "alice", []string{"Family"})
	fmt.Println(errors.Is(err, context.DeadlineExceeded), errors.Is(err, imgroup.ErrDeadline), os.IsTimeout(err))
	// Output: true true true
}

func ExampleUserSig() {
	// The key of the app, and the user who logs in with the ticket.
	ticket, err := imgroup.UserSig(1400000000, "alice", "the key of the app", 7*24*time.Hour)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(ticket) > 100)
	// Output: true
}

func ExampleWithQuotaFunc() {
	server := emulator()
	defer server.Close()
	client := server.Client(imgroup.WithQuotaFunc(func(command string) time.Duration {
		fmt.Println("asked for", command)
		return 0 // at once; with golang.org/x/time/rate: limiter.Reserve().Delay()
	}))
	defer client.Close()

	if _, err := client.DeleteLists(context.Background(), "alice", []string{"Family"}); err != nil {
		log.Fatal(err)
	}
	// Output: asked for group_delete
}

func ExampleWithLogger() {
	server := emulator()
	defer server.Close()
	client := server.Client(imgroup.WithLogger(imgroup.LogError, func(level imgroup.LogLevel, message string) {
		fmt.Printf("%s %.44s…\n", level, message)
	}))
	defer client.Close()

	_, err := client.DeleteLists(context.Background(), "nobody", []string{"Family"})
	fmt.Println(err != nil)
	// Output:
	// ERROR ERR_SVR_FRIENDSHIP_ACCOUNT_NOT_FOUND (30003)…
	// true
}
