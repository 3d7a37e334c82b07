// A delete with this library, with a plain context, or, with the argument
// "deadline", with one that can be cancelled.
package main

import (
	"context"
	"log"
	"os"
	"time"

	"github.com/libimgroup/libimgroup/benches/programs/go/worker"
	imgroup "github.com/libimgroup/libimgroup/bindings/go"
)

func main() {
	client, err := imgroup.NewClientFromEnv(imgroup.WithQuota(1_000_000))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx := context.Background()
	if len(os.Args) > 1 && os.Args[1] == "deadline" {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Hour)
		defer cancel()
	}
	worker.Run(func() error {
		_, err := client.DeleteLists(ctx, "alice", []string{"Family"})
		return err
	})
}
