// Deletes a friend list, and says for every kind of failure what to do about it:
//
//	handle_errors ACCOUNT LIST
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

	imgroup "github.com/libimgroup/libimgroup/bindings/go"
)

// advice chooses by the class, which stays right when the service adds codes.
func advice(err error) string {
	switch {
	case errors.Is(err, imgroup.ErrArgument):
		return "correct the argument that the message names"
	case errors.Is(err, imgroup.ErrNotFound):
		return "the account does not exist: nothing is left to delete"
	case errors.Is(err, imgroup.ErrAuth):
		return "check the credentials and the app; repeating does not help"
	case errors.Is(err, imgroup.ErrThrottled):
		return "come back later, with less"
	case errors.Is(err, imgroup.ErrNetwork), errors.Is(err, imgroup.ErrServer):
		return "the library has tried again already; come back later"
	case errors.Is(err, imgroup.ErrDeadline):
		return "allow more time"
	case errors.Is(err, imgroup.ErrCancelled):
		return "somebody asked for it"
	default:
		return "report it with the message"
	}
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: handle_errors ACCOUNT LIST")
	}
	client, err := imgroup.NewClientFromEnv()
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	_, err = client.DeleteLists(context.Background(), os.Args[1], []string{os.Args[2]})
	var failure *imgroup.Error
	switch {
	case err == nil:
		fmt.Println("deleted")
	case errors.As(err, &failure):
		fmt.Printf("%s (%d), class %s: %s\n", failure.Name, failure.Code, failure.Class, advice(err))
		switch failure.Outcome {
		case imgroup.OutcomeNotSent:
			fmt.Println("nothing was sent")
		case imgroup.OutcomeRejected:
			fmt.Println("the service refused, and nothing was changed")
		case imgroup.OutcomeUnknown:
			fmt.Println("it may have been applied: read the lists before you count on it")
		}
		// With host and random, the vendor's support finds the request.
		if failure.Attempts > 0 {
			fmt.Printf("last of %d attempts: host %s, random %d\n", failure.Attempts, failure.Host, failure.Random)
		}
	default:
		log.Fatal(err)
	}
}
