// Reads the friend lists of an account, at most as long as is allowed, and stops
// at once when it is interrupted (Ctrl-C):
//
//	cancel_and_deadline ACCOUNT DURATION        as "alice 500ms"
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
	"time"

	imgroup "github.com/libimgroup/libimgroup/bindings/go"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: cancel_and_deadline ACCOUNT DURATION")
	}
	allowed, err := time.ParseDuration(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	client, err := imgroup.NewClientFromEnv()
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	// The deadline is that of the whole call, retries and pauses included.
	ctx, stop := context.WithTimeout(context.Background(), allowed)
	defer stop()
	// Cancelling the context ends the call wherever it waits.
	ctx, release := signal.NotifyContext(ctx, os.Interrupt)
	defer release()

	response, err := client.GetLists(ctx, os.Args[1], nil)
	switch {
	case err == nil:
		fmt.Printf("%d lists\n", len(response.Lists))
	case errors.Is(err, context.DeadlineExceeded):
		fmt.Println("no time left")
	case errors.Is(err, context.Canceled):
		fmt.Println("cancelled")
	default:
		log.Fatal(err)
	}
}
