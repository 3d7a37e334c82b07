// A delete with net/http and encoding/json.
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/libimgroup/libimgroup/benches/programs/go/worker"
)

type request struct {
	Account string   `json:"From_Account"`
	Names   []string `json:"GroupName"`
}

type reply struct {
	ActionStatus    string
	ErrorCode       int
	ErrorInfo       string
	CurrentSequence uint64
}

func deleteLists(client *http.Client, account string, names []string) error {
	body, err := json.Marshal(request{account, names})
	if err != nil {
		return err
	}
	query := url.Values{
		"sdkappid":    {os.Getenv("IMGROUP_SDKAPPID")},
		"identifier":  {os.Getenv("IMGROUP_IDENTIFIER")},
		"usersig":     {os.Getenv("BENCH_USERSIG")},
		"random":      {strconv.FormatUint(uint64(rand.Uint32()), 10)},
		"contenttype": {"json"},
	}
	target := os.Getenv("IMGROUP_ENDPOINT") + "/v4/sns/group_delete?" + query.Encode()
	response, err := client.Post(target, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	var said reply
	if err := json.Unmarshal(text, &said); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || said.ActionStatus != "OK" || said.ErrorCode != 0 {
		return fmt.Errorf("%s: %s", response.Status, text)
	}
	return nil
}

func main() {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if file := os.Getenv("IMGROUP_CA_FILE"); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			log.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(text)
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	client := &http.Client{Timeout: 15 * time.Second, Transport: transport}
	worker.Run(func() error { return deleteLists(client, "alice", []string{"Family"}) })
}
