package imgroup_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	imgroup "github.com/libimgroup/libimgroup/bindings/go"
	"github.com/libimgroup/libimgroup/bindings/go/imgrouptest"
)

type control struct {
	Method, Path string
	Body         any
}

type clientOf struct {
	SDKAppID         *uint32
	Identifier       *string
	SecretKey        *string `json:"secret_key"`
	Endpoint         *string
	CAFile           *string `json:"ca_file"`
	MaxAttempts      *int    `json:"max_attempts"`
	AttemptTimeoutMs *int    `json:"attempt_timeout_ms"`
	QuotaCallback    *int    `json:"quota_callback"`
}

type callOf struct {
	Function, Account, Command, Body string
	Names, Friends                   []string
	Idempotent                       bool
	WithMembers                      bool `json:"with_members"`
	IgnoreMissing                    bool `json:"ignore_missing"`
	TimeoutMs                        int  `json:"timeout_ms"`
	Cancel, Shutdown                 string
	SDKAppID                         uint32
	Identifier                       string
	SecretKey                        string `json:"secret_key"`
	TTLs                             int64  `json:"ttl_s"`
	IssuedAt                         int64  `json:"issued_at"`
	UserBuf                          *string
}

type caseOf struct {
	Name, About string
	Emulator    []string
	Control     []control
	Client      clientOf
	Call        callOf
	Expect      map[string]any
	ListsLeft   []string `json:"lists_left"`
}

// The table that holds for all languages; tests/cases.md explains it.
func TestTheTableOfCases(t *testing.T) {
	file, err := os.Open("../../tests/cases.json")
	if err != nil {
		t.Skip("the table is not beside this copy of the package")
	}
	defer file.Close()
	var table struct {
		App struct {
			SDKAppID   uint32
			Identifier string
			SecretKey  string `json:"secret_key"`
		}
		Before []control
		Cases  []caseOf
	}
	// What this suite does not know of, it would not test.
	decoder := json.NewDecoder(file)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&table); err != nil {
		t.Fatal(err)
	}
	if len(table.Cases) < 50 {
		t.Fatalf("only %d cases", len(table.Cases))
	}
	directory := t.TempDir()
	for _, row := range table.Cases {
		t.Run(row.Name, func(t *testing.T) {
			// A server each, so that the pace of one is not that of another.
			t.Parallel()
			server := imgrouptest.NewServer(t, imgrouptest.WithArguments(row.Emulator...))
			for _, step := range append(table.Before, row.Control...) {
				server.Control(step.Method, strings.TrimPrefix(step.Path, "/_emulator/"), step.Body, nil)
			}
			got := map[string]any{"code": json.Number("0")}
			if err := run(t, server, &row, table.App.SDKAppID, table.App.Identifier, table.App.SecretKey, directory, got); err != nil {
				var failure *imgroup.Error
				if !errors.As(err, &failure) {
					t.Fatalf("%v is no *Error", err)
				}
				got = map[string]any{
					"code": number(failure.Code), "name": failure.Name, "class": failure.Class.String(),
					"outcome": failure.Outcome.String(), "attempts": number(failure.Attempts), "retryable": failure.Retryable,
					"http_status": number(failure.HTTPStatus), "display": failure.Display, "message": failure.Message,
				}
			}
			for member, want := range row.Expect {
				if member == "message_has" {
					if message, _ := got["message"].(string); !strings.Contains(message, want.(string)) {
						t.Errorf("%q does not stand in %q", want, message)
					}
				} else if write(t, got[member]) != write(t, want) {
					t.Errorf("%s is %s, not %s (%v)", member, write(t, got[member]), write(t, want), got["message"])
				}
			}
			if row.ListsLeft != nil {
				if left := server.Lists("alice"); strings.Join(left, "\n") != strings.Join(row.ListsLeft, "\n") {
					t.Errorf("left: %q, not %q", left, row.ListsLeft)
				}
			}
		})
	}
}

func number[T ~int | ~int32 | ~uint64](value T) json.Number {
	return json.Number(strconv.FormatInt(int64(value), 10))
}

// write gives a value in the form in which two of them can be compared.
func write(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// run makes the call of a case and fills in what it gave.
func run(t *testing.T, server *imgrouptest.Server, row *caseOf, sdkappid uint32, identifier, key, directory string, got map[string]any) error {
	call := row.Call
	if call.Function == "usersig" {
		var buffer []byte
		if call.UserBuf != nil {
			var err error
			if buffer, err = base64.StdEncoding.DecodeString(*call.UserBuf); err != nil {
				t.Fatal(err)
			}
		}
		options := []imgroup.UserSigOption{imgroup.UserBuf(buffer)}
		if call.IssuedAt != 0 {
			options = append(options, imgroup.IssuedAt(time.Unix(call.IssuedAt, 0)))
		}
		ticket, err := imgroup.UserSig(call.SDKAppID, call.Identifier, call.SecretKey, time.Duration(call.TTLs)*time.Second, options...)
		got["text"] = ticket
		return err
	}

	resolve := strings.NewReplacer("{tls_url}", server.TLSURL, "{ca_file}", server.CAFile).Replace
	options := []imgroup.Option{imgroup.WithEndpoint(server.URL), imgroup.WithQuotaDirectory(directory)}
	about := row.Client
	if about.SDKAppID != nil {
		sdkappid = *about.SDKAppID
	}
	if about.Identifier != nil {
		identifier = *about.Identifier
	}
	if about.SecretKey != nil {
		key = *about.SecretKey
	}
	if about.Endpoint != nil {
		options = append(options, imgroup.WithEndpoint(resolve(*about.Endpoint)))
	}
	if about.CAFile != nil {
		options = append(options, imgroup.WithCAFile(resolve(*about.CAFile)))
	}
	if about.MaxAttempts != nil {
		options = append(options, imgroup.WithMaxAttempts(*about.MaxAttempts))
	}
	if about.AttemptTimeoutMs != nil {
		options = append(options, imgroup.WithAttemptTimeout(time.Duration(*about.AttemptTimeoutMs)*time.Millisecond))
	}
	if about.QuotaCallback != nil {
		options = append(options, imgroup.WithQuotaFunc(func(string) time.Duration {
			return time.Duration(*about.QuotaCallback) * time.Millisecond
		}))
	}
	client, err := imgroup.NewClient(sdkappid, identifier, key, options...)
	if err != nil {
		return err
	}
	defer client.Close()

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	switch call.Cancel {
	case "":
	case "before":
		cancel()
	case "after_100_ms":
		time.AfterFunc(100*time.Millisecond, cancel)
	default:
		t.Fatalf("cancel %q is not known here", call.Cancel)
	}
	switch call.Shutdown {
	case "":
	case "before":
		_ = client.Close()
	default:
		t.Fatalf("shutdown %q is not known here", call.Shutdown)
	}
	var asked []imgroup.CallOption
	if call.TimeoutMs != 0 {
		asked = append(asked, imgroup.Timeout(time.Duration(call.TimeoutMs)*time.Millisecond))
	}
	for flag, option := range map[*bool]imgroup.CallOption{
		&call.IgnoreMissing: imgroup.IgnoreMissing(), &call.WithMembers: imgroup.WithMembers(), &call.Idempotent: imgroup.Idempotent(),
	} {
		if *flag {
			asked = append(asked, option)
		}
	}
	var response *imgroup.Response
	switch call.Function {
	case "delete_lists":
		response, err = client.DeleteLists(ctx, call.Account, call.Names, asked...)
	case "add_lists":
		response, err = client.AddLists(ctx, call.Account, call.Names, call.Friends, asked...)
	case "get_lists":
		response, err = client.GetLists(ctx, call.Account, call.Names, asked...)
	case "request":
		response, err = client.Request(ctx, call.Command, call.Body, asked...)
	default:
		t.Fatalf("function %q is not known here", call.Function)
	}
	if err != nil {
		return err
	}
	got["attempts"], got["was_ambiguous"], got["body"] = number(response.Attempts), response.WasAmbiguous, string(response.Body)
	got["sequence"] = nil
	if response.HasSequence {
		got["sequence"] = strconv.FormatUint(response.Sequence, 10)
	}
	lists, results := []any{}, []any{}
	for _, list := range response.Lists {
		lists = append(lists, map[string]any{"name": list.Name, "friend_count": list.FriendCount, "members": append([]string{}, list.Members...)})
	}
	for _, result := range response.Results {
		results = append(results, map[string]any{"account": result.Account, "code": result.Code})
	}
	got["lists"], got["results"] = lists, results
	return nil
}
