// Creates friend lists of an account, puts a friend into them, and reads them:
//
//	create_and_read ACCOUNT FRIEND LIST...
//
// IMGROUP_SDKAPPID, IMGROUP_IDENTIFIER, IMGROUP_SECRET_KEY and IMGROUP_REGION (or
// IMGROUP_ENDPOINT) say which app.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"

	imgroup "github.com/libimgroup/libimgroup/bindings/go"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) < 4 {
		log.Fatal("usage: create_and_read ACCOUNT FRIEND LIST...")
	}
	client, err := imgroup.NewClientFromEnv()
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx := context.Background()
	account, friend, names := os.Args[1], os.Args[2], os.Args[3:]

	added, err := client.AddLists(ctx, account, names, []string{friend})
	if err != nil {
		log.Fatal(err)
	}
	// The lists exist now, whatever became of the friend.
	for _, result := range added.Results {
		if result.Code != imgroup.CodeOK {
			fmt.Printf("%s could not be put into them: %d %s\n", result.Account, result.Code, result.Info)
		}
	}

	read, err := client.GetLists(ctx, account, nil, imgroup.WithMembers())
	if err != nil {
		log.Fatal(err)
	}
	for _, list := range read.Lists {
		fmt.Printf("%s: %d friends: %s\n", list.Name, list.FriendCount, strings.Join(list.Members, ", "))
	}
}
