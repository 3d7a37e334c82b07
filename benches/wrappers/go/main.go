// A worker of the wrapper benchmark, as worker.c: calls with a plain context, or,
// with the argument "deadline", with one that can be cancelled.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

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
	var calls int
	for {
		if _, err := fmt.Scan(&calls); err != nil {
			return
		}
		begin := time.Now()
		for range calls {
			reply, err := client.GetLists(ctx, "alice", []string{"Family"}, imgroup.WithMembers())
			if err != nil {
				log.Fatal(err)
			}
			if len(reply.Lists[0].Members) != 1 {
				log.Fatal("no member")
			}
		}
		fmt.Println(float64(time.Since(begin).Nanoseconds()) / float64(calls) / 1e3)
	}
}
