// Deletes friend lists of an account:
//
//	delete_lists ACCOUNT LIST...
//
// IMGROUP_SDKAPPID, IMGROUP_IDENTIFIER, IMGROUP_SECRET_KEY and IMGROUP_REGION (or
// IMGROUP_ENDPOINT) say which app.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	imgroup "github.com/libimgroup/libimgroup/bindings/go"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) < 3 {
		log.Fatal("usage: delete_lists ACCOUNT LIST...")
	}
	client, err := imgroup.NewClientFromEnv()
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	account, names := os.Args[1], os.Args[2:]
	response, err := client.DeleteLists(context.Background(), account, names, imgroup.IgnoreMissing())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %d lists deleted, now at sequence %d\n", account, len(names), response.Sequence)
}
