package imgroup_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	imgroup "github.com/libimgroup/libimgroup/bindings/go"
)

func TestTextsReachCAsTheyAre(t *testing.T) {
	long := strings.Repeat("x", 70_000)
	many := make([]string, 5000)
	for i := range many {
		many[i] = strings.Repeat("好", i%7)
	}
	rows := []struct {
		single string
		list   []string
	}{
		{"", nil},
		{"", []string{""}},
		{"a", []string{"", "b", "", ""}},
		{"爱丽丝", []string{"家人 👪", "\xff\xfe", "a\nb\tc"}},
		{long, []string{long, "", long}},
		{"many", many},
	}
	for _, row := range rows {
		back, err := imgroup.ArenaTexts(row.single, row.list)
		if err != nil || !slices.Equal(back, append([]string{row.single}, row.list...)) {
			t.Errorf("%.20q and %d texts came back otherwise, %v", row.single, len(row.list), err)
		}
	}
}

func TestANulIsRefusedByTheNameOfItsParameter(t *testing.T) {
	client := offline(t)
	ctx := context.Background()
	_, newErr := imgroup.NewClient(1, "a\x00b", "key")
	_, keyErr := imgroup.NewClient(1, "a", "\x00")
	_, sigErr := imgroup.UserSig(1, "a", "k\x00", time.Hour)
	_, deleteErr := client.DeleteLists(ctx, "alice\x00", []string{"a"})
	_, nameErr := client.DeleteLists(ctx, "alice", []string{"a", "b", "c\x00d"})
	_, addErr := client.AddLists(ctx, "alice", []string{"a"}, []string{"\x00"})
	_, getErr := client.GetLists(ctx, "alice", []string{"\x00"})
	_, requestErr := client.Request(ctx, "v4/sns/friend_get\x00", nil)
	rows := []struct {
		name string
		err  error
	}{
		{"identifier", newErr}, {"secret_key", keyErr}, {"secret_key", sigErr}, {"account", deleteErr},
		{"names[2]", nameErr}, {"friends[0]", addErr}, {"names[0]", getErr}, {"command", requestErr},
		{"region", build(imgroup.WithRegion("cn\x00"))},
		{"endpoint", build(imgroup.WithEndpoint("https://host\x00"))},
		{"backup_endpoint", build(imgroup.WithBackupEndpoint("\x00"))},
		{"ca_file", build(imgroup.WithCAFile("/etc/ca\x00.pem"))},
		{"proxy", build(imgroup.WithProxy("\x00"))},
		{"quota_directory", build(imgroup.WithQuotaDirectory("\x00"))},
		{"quota_redis", build(imgroup.WithQuotaRedis("\x00"))},
	}
	for _, row := range rows {
		failure := expect(t, row.err, imgroup.CodeInvalidArgument, imgroup.OutcomeNotSent)
		if !strings.HasPrefix(failure.Message, row.name+": must not contain a NUL") {
			t.Errorf("%q does not name %s", failure.Message, row.name)
		}
	}
}

// offline makes a client of which nothing can be reached.
func offline(t *testing.T) *imgroup.Client {
	t.Helper()
	client, err := imgroup.NewClient(1400000000, "administrator", "key", imgroup.WithEndpoint("http://127.0.0.1:1"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func build(options ...imgroup.Option) error {
	client, err := imgroup.NewClient(1400000000, "administrator", "key", options...)
	if err == nil {
		_ = client.Close()
	}
	return err
}

// expect wants an *Error with this code and outcome.
func expect(t *testing.T, err error, code imgroup.Code, outcome imgroup.Outcome) *imgroup.Error {
	t.Helper()
	var failure *imgroup.Error
	if !errors.As(err, &failure) {
		t.Fatalf("%v is no *Error", err)
	}
	if failure.Code != code || failure.Outcome != outcome {
		t.Errorf("code %v and outcome %v are expected: %v, outcome %v", code, outcome, failure, failure.Outcome)
	}
	return failure
}

func TestWhatIsWrongNamesTheParameter(t *testing.T) {
	client := offline(t)
	ctx := context.Background()
	do := func(_ any, err error) error { return err }
	rows := []struct {
		code  imgroup.Code
		start string
		err   error
	}{
		{imgroup.CodeInvalidArgument, "sdkappid: ", do(imgroup.NewClient(0, "a", "k"))},
		{imgroup.CodeInvalidArgument, "identifier: ", do(imgroup.NewClient(1, "", "k"))},
		{imgroup.CodeInvalidUTF8, "identifier: ", do(imgroup.NewClient(1, "\xff", "k"))},
		{imgroup.CodeInvalidArgument, "secret_key: ", do(imgroup.NewClient(1, "a", ""))},
		{imgroup.CodeConfig, "endpoint: set a region or an endpoint", build()},
		{imgroup.CodeConfig, "region: ", build(imgroup.WithRegion("mars"))},
		{imgroup.CodeConfig, "endpoint: ", build(imgroup.WithEndpoint("http://example.com"))},
		{imgroup.CodeConfig, "backup_endpoint: ", build(imgroup.WithBackupEndpoint("x"))},
		{imgroup.CodeConfig, "proxy: ", build(imgroup.WithProxy("socks5://x"))},
		{imgroup.CodeConfig, "timeout_ms: ", build(imgroup.WithTimeout(-1))},
		{imgroup.CodeConfig, "timeout_ms: ", build(imgroup.WithTimeout(10*time.Minute + 1))},
		{imgroup.CodeConfig, "timeout_ms: ", build(imgroup.WithTimeout(math.MaxInt64))},
		{imgroup.CodeConfig, "attempt_timeout_ms: ", build(imgroup.WithAttemptTimeout(time.Hour))},
		{imgroup.CodeConfig, "resolve_timeout_ms: ", build(imgroup.WithResolveTimeout(time.Hour))},
		{imgroup.CodeConfig, "connect_timeout_ms: ", build(imgroup.WithConnectTimeout(time.Hour))},
		{imgroup.CodeConfig, "max_attempts: ", build(imgroup.WithMaxAttempts(6))},
		{imgroup.CodeConfig, "max_attempts: ", build(imgroup.WithMaxAttempts(-1))},
		{imgroup.CodeConfig, "max_attempts: ", build(imgroup.WithMaxAttempts(1<<32 + 1))},
		{imgroup.CodeConfig, "usersig_ttl_s: ", build(imgroup.WithUserSigTTL(time.Second))},
		{imgroup.CodeConfig, "max_reply_bytes: ", build(imgroup.WithMaxReplyBytes(1))},
		{imgroup.CodeConfig, "quota: ", build(imgroup.WithQuota(-1))},
		{imgroup.CodeConfig, "quota_share: ", build(imgroup.WithQuotaShare(math.NaN()))},
		{imgroup.CodeConfig, "quota_directory: ", build(imgroup.WithQuotaDirectory(""))},
		{imgroup.CodeConfig, "max_concurrent_calls: ", build(imgroup.WithMaxConcurrentCalls(0))},
		{imgroup.CodeInvalidArgument, "level: ", build(imgroup.WithLogger(9, func(imgroup.LogLevel, string) {}))},
		{imgroup.CodeInvalidArgument, "log: ", build(imgroup.WithLogger(imgroup.LogDebug, nil))},
		{imgroup.CodeInvalidArgument, "acquire: ", build(imgroup.WithQuotaFunc(nil))},
		{imgroup.CodeInvalidArgument, "logger: ", build(imgroup.WithSlog(nil))},
		{imgroup.CodeInvalidArgument, "account: ", do(client.DeleteLists(ctx, "", []string{"a"}))},
		{imgroup.CodeInvalidArgument, "names: ", do(client.DeleteLists(ctx, "alice", nil))},
		{imgroup.CodeInvalidArgument, "names: ", do(client.DeleteLists(ctx, "alice", make([]string, 33)))},
		{imgroup.CodeInvalidArgument, "names: ", do(client.GetLists(ctx, "alice", make([]string, 5000)))},
		{imgroup.CodeInvalidArgument, "names[1]: ", do(client.DeleteLists(ctx, "alice", []string{"a", ""}))},
		{imgroup.CodeInvalidUTF8, "names[0]: ", do(client.DeleteLists(ctx, "alice", []string{"\xe5"}))},
		{imgroup.CodeInvalidArgument, "names[0]: ", do(client.AddLists(ctx, "alice", []string{"a\n"}, nil))},
		{imgroup.CodeInvalidArgument, "friends: ", do(client.AddLists(ctx, "alice", []string{"a"}, make([]string, 1001)))},
		{imgroup.CodeInvalidArgument, "command: ", do(client.Request(ctx, "friend_get", nil))},
		{imgroup.CodeInvalidArgument, "body: ", do(client.Request(ctx, "v4/sns/friend_get", ""))},
		{imgroup.CodeInvalidArgument, "body: ", do(client.Request(ctx, "v4/sns/friend_get", "[]"))},
		{imgroup.CodeInvalidArgument, "body: ", do(client.Request(ctx, "v4/sns/friend_get", []byte("{}\x00")))},
		{imgroup.CodeInvalidArgument, "body: ", do(client.Request(ctx, "v4/sns/friend_get", make(chan int)))},
		{imgroup.CodeInvalidUTF8, "body: ", do(client.Request(ctx, "v4/sns/friend_get", []byte("{\"\xff\":1}")))},
		{imgroup.CodeInvalidArgument, "options: DeleteLists takes no Idempotent", do(client.DeleteLists(ctx, "alice", []string{"a"}, imgroup.Idempotent()))},
		{imgroup.CodeInvalidArgument, "options: GetLists takes no IgnoreMissing", do(client.GetLists(ctx, "alice", nil, imgroup.IgnoreMissing(), imgroup.WithMembers()))},
		{imgroup.CodeInvalidArgument, "sdkappid: ", do(imgroup.UserSig(0, "a", "k", time.Hour))},
		{imgroup.CodeInvalidArgument, "ttl_s: ", do(imgroup.UserSig(1, "a", "k", 0))},
		{imgroup.CodeInvalidArgument, "ttl_s: ", do(imgroup.UserSig(1, "a", "k", -time.Hour))},
		{imgroup.CodeInvalidArgument, "ttl_s: ", do(imgroup.UserSig(1, "a", "k", 51*365*24*time.Hour))},
	}
	for _, row := range rows {
		failure := expect(t, row.err, row.code, imgroup.OutcomeNotSent)
		if !strings.HasPrefix(failure.Message, row.start) {
			t.Errorf("%q does not begin with %q", failure.Message, row.start)
		}
		if !errors.Is(row.err, imgroup.ErrArgument) || failure.Timeout() {
			t.Errorf("%v is not of its class", row.err)
		}
	}
	if live := imgroup.LiveCallbacks(); live != 0 {
		t.Errorf("%d callbacks of clients that were never made are held", live)
	}
}

func TestAnErrorIsItsClass(t *testing.T) {
	sentinels := []error{
		imgroup.ErrArgument, imgroup.ErrNetwork, imgroup.ErrDeadline, imgroup.ErrCancelled, imgroup.ErrThrottled,
		imgroup.ErrAuth, imgroup.ErrNotFound, imgroup.ErrServer, imgroup.ErrInternal, imgroup.ErrClosed,
		imgroup.ErrJobStopped, imgroup.ErrJobBusy, imgroup.ErrJobMismatch, imgroup.ErrJobCorrupt,
		context.Canceled, context.DeadlineExceeded,
	}
	rows := []struct {
		code imgroup.Code
		name string
		is   []error
	}{
		{imgroup.CodeConfig, "argument", []error{imgroup.ErrArgument}},
		{imgroup.CodeTLS, "network", []error{imgroup.ErrNetwork}},
		{imgroup.CodeDeadline, "deadline", []error{imgroup.ErrDeadline, context.DeadlineExceeded}},
		{imgroup.CodeCancelled, "cancelled", []error{imgroup.ErrCancelled, context.Canceled}},
		{imgroup.CodeShutdown, "cancelled", []error{imgroup.ErrCancelled, imgroup.ErrClosed}},
		{imgroup.CodeQuota, "throttled", []error{imgroup.ErrThrottled}},
		{70003, "auth", []error{imgroup.ErrAuth}},
		{30003, "not_found", []error{imgroup.ErrNotFound}},
		{30006, "server", []error{imgroup.ErrServer}},
		{imgroup.CodePanic, "internal", []error{imgroup.ErrInternal}},
		{imgroup.CodeJobStopped, "cancelled", []error{imgroup.ErrCancelled, imgroup.ErrJobStopped}},
		{imgroup.CodeJobBusy, "argument", []error{imgroup.ErrArgument, imgroup.ErrJobBusy}},
		{imgroup.CodeJobMismatch, "argument", []error{imgroup.ErrArgument, imgroup.ErrJobMismatch}},
		{imgroup.CodeJobCorrupt, "internal", []error{imgroup.ErrInternal, imgroup.ErrJobCorrupt}},
	}
	for _, row := range rows {
		err := fmt.Errorf("wrapped: %w", &imgroup.Error{Code: row.code, Class: row.code.Class()})
		for _, sentinel := range sentinels {
			if errors.Is(err, sentinel) != slices.Contains(row.is, sentinel) {
				t.Errorf("errors.Is(%v, %v) is wrong", row.code, sentinel)
			}
		}
		if row.code.Class().String() != row.name {
			t.Errorf("%v is of the class %v", row.code, row.code.Class())
		}
		if os.IsTimeout(errors.Unwrap(err)) != (row.name == "deadline") {
			t.Errorf("os.IsTimeout is wrong for %v", row.code)
		}
	}
	if text := imgroup.ErrNotFound.Error(); text != "imgroup: not_found" {
		t.Error(text)
	}
	if text := imgroup.ErrJobBusy.Error(); text != "imgroup: IMGROUP_E_JOB_BUSY" {
		t.Error(text)
	}
}

// The header is the contract: whatever it names in its enums is here too.
func TestConstantsAreThoseOfTheHeader(t *testing.T) {
	header, err := os.ReadFile("../../include/imgroup.h")
	if err != nil {
		t.Skip("the header is not beside this copy of the package")
	}
	source, err := os.ReadFile("errors.go")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`(?m)^\s+(IMGROUP_(?:E|CLASS|OUTCOME)_\w+|IMGROUP_OK) = `).FindAllStringSubmatch(string(header), -1)
	if len(names) < 30 {
		t.Fatalf("only %d names were found", len(names))
	}
	for _, name := range names {
		if !strings.Contains(string(source), "= C."+name[1]+"\n") {
			t.Errorf("%s has no constant", name[1])
		}
	}
	if text := imgroup.CodeDeadline.String(); text != "IMGROUP_E_DEADLINE" {
		t.Error(text)
	}
	if text := imgroup.Code(30003).String(); text != "ERR_SVR_FRIENDSHIP_ACCOUNT_NOT_FOUND" {
		t.Error(text)
	}
	if text := imgroup.Code(4711).String(); text != "UNKNOWN" {
		t.Error(text)
	}
	if text := imgroup.OutcomeUnknown.String(); text != "UNKNOWN" {
		t.Error(text)
	}
}

func TestOnlyAFittingLibraryIsTaken(t *testing.T) {
	rows := []struct {
		loaded, built uint32
		fits          bool
	}{
		{1000, 1000, true}, {1007, 1000, true}, {1000, 1001, false}, {2000, 1000, false}, {1_001_000, 1000, false}, {0, 1000, false},
	}
	for _, row := range rows {
		if imgroup.Fits(row.loaded, row.built) != row.fits {
			t.Errorf("%d for a program built with %d", row.loaded, row.built)
		}
	}
	if !strings.HasPrefix(imgroup.Version(), "0.1.") {
		t.Error(imgroup.Version())
	}
	if want := os.Getenv("IMGROUP_TEST_LINK_MODE"); want != "" && imgroup.LinkMode != want {
		t.Errorf("linked %s, and %s is what is to be tested", imgroup.LinkMode, want)
	}
}

func TestUserSigsAreThoseOfTheVendor(t *testing.T) {
	text, err := os.ReadFile("../../tests/data/usersig_vectors.json")
	if err != nil {
		t.Skip("the vectors are not beside this copy of the package")
	}
	var vectors []struct {
		SDKAppID     uint32
		Key          string
		Identifier   string
		Expire, Time int64
		UserBuf      []byte
		UserSig      string
	}
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	printable := regexp.MustCompile(`^[ -~]{1,32}$`)
	compared := 0
	for _, vector := range vectors {
		if !printable.MatchString(vector.Identifier) || vector.Expire < 1 || vector.Expire > 1_576_800_000 || vector.Time < 1 {
			continue
		}
		ticket, err := imgroup.UserSig(vector.SDKAppID, vector.Identifier, vector.Key, time.Duration(vector.Expire)*time.Second,
			imgroup.IssuedAt(time.Unix(vector.Time, 0)), imgroup.UserBuf(vector.UserBuf))
		if err != nil {
			t.Errorf("%q: %v", vector.Identifier, err)
		} else if !sameTicket(ticket, vector.UserSig) {
			t.Errorf("%q: %s is not %s", vector.Identifier, ticket, vector.UserSig)
		}
		compared++
	}
	if compared < 5 {
		t.Errorf("only %d of %d vectors were compared", compared, len(vectors))
	}
}

// sameTicket compares what two tickets say: two compressors may write it otherwise.
func sameTicket(a, b string) bool {
	unpack := func(ticket string) string {
		packed, err := base64.StdEncoding.DecodeString(strings.NewReplacer("*", "+", "-", "/", "_", "=").Replace(ticket))
		if err != nil {
			return err.Error()
		}
		reader, err := zlib.NewReader(bytes.NewReader(packed))
		if err != nil {
			return err.Error()
		}
		var content map[string]any
		if err := json.NewDecoder(reader).Decode(&content); err != nil {
			return err.Error()
		}
		return fmt.Sprint(content)
	}
	return unpack(a) == unpack(b)
}

// What the README says exists.
func TestTheReadmeNamesWhatThereIs(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	declared := regexp.MustCompile(`(?m)^(?:func (?:\([^)]*\) )?|type |const |var |\t)([A-Z]\w*)`)
	for prefix, pattern := range map[string]string{"imgroup": "*.go", "imgrouptest": "imgrouptest/*.go"} {
		names := make(map[string]bool)
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, match := range declared.FindAllStringSubmatch(string(text), -1) {
				names[match[1]] = true
			}
		}
		used := regexp.MustCompile(`\b`+prefix+`\.([A-Z]\w*)`).FindAllStringSubmatch(string(readme), -1)
		if len(used) < 3 {
			t.Errorf("only %d names of %s were found", len(used), prefix)
		}
		for _, match := range used {
			if !names[match[1]] {
				t.Errorf("there is no %s", match[0])
			}
		}
	}
}
