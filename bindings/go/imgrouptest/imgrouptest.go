// Package imgrouptest starts a local stand-in for the friend-list REST API of
// Tencent Cloud Chat (IM), for tests:
//
//	func TestCleanup(t *testing.T) {
//		server := imgrouptest.NewServer(t, imgrouptest.WithAccounts("alice"))
//		client := server.Client()
//		// … use client; then look at server.Requests("group_delete")
//	}
//
// The stand-in is the command `imgroup emulator`, which is found in
// $IMGROUP_COMMAND, else in PATH. It verifies every signature, keeps accounts,
// friends and lists, and fails on order. Each server is a process of its own on a
// port of its own, so tests may run in parallel; it ends with the test, and with
// the test program, however that ends.
package imgrouptest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	imgroup "github.com/libimgroup/libimgroup/bindings/go"
)

// demoKey is the key of the emulator's demo app: obviously fake, and no secret.
const demoKey = "00000000000000000000000000000000000000000000000000000000deadbeef"

// Server is a running emulator. Its methods are for any number of goroutines; what
// fails in them fails the test, from whose goroutine they are then to be called.
//
// Since v0.1.0.
type Server struct {
	// URL is where it listens, "http://127.0.0.1:40001".
	URL string
	// TLSURL is where it speaks HTTPS, and CAFile the PEM file of the authority
	// that signed its certificate; "" without [WithTLS].
	TLSURL, CAFile string
	// SDKAppID, Identifier and SecretKey are the credentials of its demo app.
	SDKAppID   uint32
	Identifier string
	SecretKey  string

	t       testing.TB
	command *exec.Cmd
	stdin   io.Closer
	stderr  *output
	http    *http.Client
	// Where clients of the server share their pace; gone with it.
	directory string
	once      sync.Once
}

// output keeps what the emulator says, with a lock as its reader may come early.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(text []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(text)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.TrimSpace(o.text.String())
}

// Option sets something of a server that is being started.
//
// Since v0.1.0.
type Option func(*[]string)

// WithArguments passes further arguments to the command, as "--unknown-list",
// "30001"; `imgroup emulator --help` lists them.
//
// Since v0.1.0.
func WithArguments(arguments ...string) Option {
	return func(all *[]string) { *all = append(*all, arguments...) }
}

// WithAccounts makes accounts exist from the start, also after [Server.Reset].
//
// Since v0.1.0.
func WithAccounts(accounts ...string) Option {
	return WithArguments("--seed-accounts", strings.Join(accounts, ","))
}

// WithTLS lets the server speak HTTPS, too, at [Server.TLSURL].
//
// Since v0.1.0.
func WithTLS() Option { return WithArguments("--tls") }

// Command gives the path of the `imgroup` command: $IMGROUP_COMMAND, else the one
// in PATH. The error says what to do, for a test that would rather be skipped:
//
//	if _, err := imgrouptest.Command(); err != nil {
//		t.Skip(err)
//	}
//
// Since v0.1.0.
func Command() (string, error) {
	if path := os.Getenv("IMGROUP_COMMAND"); path != "" {
		if _, err := exec.LookPath(path); err != nil {
			return "", fmt.Errorf("imgrouptest: IMGROUP_COMMAND is no command: %w", err)
		}
		return path, nil
	}
	path, err := exec.LookPath("imgroup")
	if err != nil {
		return "", errors.New("imgrouptest: the command imgroup is not in PATH; install it with libimgroup, or set IMGROUP_COMMAND to its path")
	}
	return path, nil
}

// NewServer starts a server that ends with the test. It fails the test if it
// cannot.
//
// Since v0.1.0.
func NewServer(t testing.TB, options ...Option) *Server {
	t.Helper()
	server, err := Start(options...)
	if err != nil {
		t.Fatal(err)
	}
	server.t = t
	t.Cleanup(func() {
		server.Close()
		if said := server.stderr.String(); said != "" && t.Failed() {
			t.Logf("the emulator said: %s", said)
		}
	})
	return server
}

// Start starts a server where there is no test, as in TestMain or an example.
// Close it at the end. What fails in its methods panics.
//
// Since v0.1.0.
func Start(options ...Option) (*Server, error) {
	path, err := Command()
	if err != nil {
		return nil, err
	}
	arguments := []string{"emulator", "--port", "0", "--exit-on-stdin-eof"}
	for _, option := range options {
		option(&arguments)
	}
	command := exec.Command(path, arguments...)
	// The credentials of a real app have no business here.
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "IMGROUP_") {
			command.Env = append(command.Env, entry)
		}
	}
	stderr := new(output)
	command.Stderr = stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	directory, err := os.MkdirTemp("", "imgrouptest-")
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		_ = os.Remove(directory)
		return nil, fmt.Errorf("imgrouptest: %s: %w", path, err)
	}
	server := &Server{
		SecretKey: demoKey,
		directory: directory,
		command:   command,
		stdin:     stdin,
		stderr:    stderr,
		http:      &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{}},
	}
	killer := time.AfterFunc(30*time.Second, func() { _ = command.Process.Kill() })
	line, _ := bufio.NewReader(stdout).ReadBytes('\n')
	killer.Stop()
	var ready struct {
		Event, URL, Identifier string
		SDKAppID               uint32
		TLSURL                 string `json:"tls_url"`
		CAFile                 string `json:"ca_file"`
	}
	if err := json.Unmarshal(line, &ready); err != nil || ready.Event != "ready" {
		server.Close()
		return nil, fmt.Errorf("imgrouptest: %s did not start: %s%s", strings.Join(command.Args, " "), line, server.stderr)
	}
	server.URL, server.TLSURL, server.CAFile = ready.URL, ready.TLSURL, ready.CAFile
	server.SDKAppID, server.Identifier = ready.SDKAppID, ready.Identifier
	return server, nil
}

// Close ends the server. [NewServer] does it at the end of the test. It may be
// called any number of times.
//
// Since v0.1.0.
func (s *Server) Close() {
	s.once.Do(func() {
		s.http.CloseIdleConnections()
		_ = s.stdin.Close()
		killer := time.AfterFunc(10*time.Second, func() { _ = s.command.Process.Kill() })
		_ = s.command.Wait()
		killer.Stop()
		_ = os.RemoveAll(s.directory)
	})
}

// Client makes a client of the server, over plain HTTP unless an option says
// otherwise. Within a test it is closed with it.
//
// Since v0.1.0.
func (s *Server) Client(options ...imgroup.Option) *imgroup.Client {
	s.helper()
	options = append([]imgroup.Option{imgroup.WithEndpoint(s.URL), imgroup.WithQuotaDirectory(s.directory)}, options...)
	client, err := imgroup.NewClient(s.SDKAppID, s.Identifier, s.SecretKey, options...)
	if err != nil {
		s.fail(err)
	}
	if s.t != nil {
		s.t.Cleanup(func() { _ = client.Close() })
	}
	return client
}

// Environ gives the variables with which a program finds the server through
// [imgroup.NewClientFromEnv], as "NAME=value".
//
// Since v0.1.0.
func (s *Server) Environ() []string {
	return []string{
		"IMGROUP_SDKAPPID=" + strconv.FormatUint(uint64(s.SDKAppID), 10),
		"IMGROUP_IDENTIFIER=" + s.Identifier,
		"IMGROUP_SECRET_KEY=" + s.SecretKey,
		"IMGROUP_ENDPOINT=" + s.URL,
		"IMGROUP_QUOTA_DIR=" + s.directory,
	}
}

func (s *Server) helper() {
	if s.t != nil {
		s.t.Helper()
	}
}

func (s *Server) fail(err error) {
	if s.t == nil {
		panic(err)
	}
	s.t.Helper()
	s.t.Fatal(err)
}

// Control asks something of the emulator itself, for what has no method here: path
// is behind /_emulator/, as "health"; body is written as JSON unless nil; the
// answer is read into result unless that is nil.
//
// Since v0.1.0.
func (s *Server) Control(method, path string, body, result any) {
	s.helper()
	if err := s.control(method, path, body, result); err != nil {
		s.fail(fmt.Errorf("imgrouptest: %s %s: %w", method, path, err))
	}
}

func (s *Server) control(method, path string, body, result any) error {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequest(method, s.URL+"/_emulator/"+path, content)
	if err != nil {
		return err
	}
	reply, err := s.http.Do(request)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		return err
	}
	if reply.StatusCode != http.StatusOK {
		var refused struct{ Error string }
		_ = json.Unmarshal(text, &refused)
		return fmt.Errorf("%s: %s", reply.Status, refused.Error)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(text, result)
}

// Reset takes the server back to its start: the seeded accounts, no journal, no
// faults, the right time.
//
// Since v0.1.0.
func (s *Server) Reset() {
	s.helper()
	s.Control("POST", "reset", nil, nil)
}

// Fault is something that shall go wrong. `imgroup emulator --help` tells what
// each kind does and which fields belong to it.
//
// Since v0.1.0.
type Fault struct {
	// Kind is "error", "http", "delay", "reset", "hang_up", "silence", "truncate",
	// "garbage", "dribble" or "close".
	Kind string `json:"kind"`
	// Command is which calls it is for, "group_delete"; "" is any, "@accept" a new
	// connection. Account narrows it to calls about one account.
	Command string `json:"command,omitempty"`
	Account string `json:"account,omitempty"`
	// Times is for how many calls, 0 is one. Skip is how many are spared first.
	Times int `json:"times,omitempty"`
	Skip  int `json:"skip,omitempty"`
	// When is "before" (the call is never carried out), "after" (it is) or "head"
	// (before its body is read); "" is what suits the kind.
	When string `json:"when,omitempty"`
	// DelayMs goes with every kind.
	DelayMs int `json:"delay_ms,omitempty"`
	// Code, Info and Display are what an "error" answers.
	Code    int    `json:"code,omitempty"`
	Info    string `json:"info,omitempty"`
	Display string `json:"display,omitempty"`
	// Status, Headers and Body are what "http" answers; Body is also "garbage".
	Status  int               `json:"status,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"`
	// BodyBase64 is Body for bytes that are no text.
	BodyBase64 string `json:"body_base64,omitempty"`
	// Bytes is how much of the answer "truncate" and "dribble" send; a pointer, as
	// nothing at all is possible, too.
	Bytes *int `json:"bytes,omitempty"`
	// Step and PauseMs are the pace of "dribble" and "garbage".
	Step    int `json:"step,omitempty"`
	PauseMs int `json:"pause_ms,omitempty"`
	// Then is what happens to the connection: "keep", "close", "reset" or "stall".
	Then string `json:"then,omitempty"`
	// CloseNotify lets TLS end as it should.
	CloseNotify bool `json:"close_notify,omitempty"`
}

// Fault orders faults, behind those that are queued. The first one that fits a
// call is played.
//
// Since v0.1.0.
func (s *Server) Fault(faults ...Fault) {
	s.helper()
	s.Control("POST", "faults", faults, nil)
}

// Faults gives those that are still queued.
//
// Since v0.1.0.
func (s *Server) Faults() []Fault {
	s.helper()
	var answer struct{ Faults []Fault }
	s.Control("GET", "faults", nil, &answer)
	return answer.Faults
}

// ClearFaults takes back all faults that are queued.
//
// Since v0.1.0.
func (s *Server) ClearFaults() {
	s.helper()
	s.Control("DELETE", "faults", nil, nil)
}

// State is everything the server remembers, by account.
//
// Since v0.1.0.
type State struct {
	Accounts map[string]Account `json:"accounts"`
}

// Account is one account of a [State]. Its lists are in the order in which they
// were made.
//
// Since v0.1.0.
type Account struct {
	Nick      string    `json:"nick,omitempty"`
	FaceURL   string    `json:"face_url,omitempty"`
	AllowType string    `json:"allow_type,omitempty"`
	Lists     []string  `json:"lists,omitempty"`
	Friends   []Friend  `json:"friends,omitempty"`
	Blocklist []Blocked `json:"blocklist,omitempty"`
	Pending   []string  `json:"pending,omitempty"`
	Sequences Sequences `json:"sequences"`
}

// Friend is one friend of an account, and the lists the friend is in.
//
// Since v0.1.0.
type Friend struct {
	Account    string         `json:"account"`
	Lists      []string       `json:"lists,omitempty"`
	Remark     string         `json:"remark,omitempty"`
	AddSource  string         `json:"add_source,omitempty"`
	AddWording string         `json:"add_wording,omitempty"`
	AddTime    int64          `json:"add_time,omitempty"`
	RemarkTime int64          `json:"remark_time,omitempty"`
	Custom     map[string]any `json:"custom,omitempty"`
}

// Blocked is one entry of a blocklist.
//
// Since v0.1.0.
type Blocked struct {
	Account string `json:"account"`
	AddedAt int64  `json:"added_at,omitempty"`
}

// Sequences are the counters of an account, which change with what they count.
//
// Since v0.1.0.
type Sequences struct {
	Lists     uint64 `json:"lists"`
	Standard  uint64 `json:"standard"`
	Custom    uint64 `json:"custom"`
	Blocklist uint64 `json:"blocklist"`
}

// State gives everything the server remembers.
//
// Since v0.1.0.
func (s *Server) State() State {
	s.helper()
	var state State
	s.Control("GET", "state", nil, &state)
	return state
}

// SetState replaces everything the server remembers.
//
// Since v0.1.0.
func (s *Server) SetState(state State) {
	s.helper()
	s.Control("PUT", "state", state, nil)
}

// Lists gives the names of an account's lists, nil if there is no such account.
//
// Since v0.1.0.
func (s *Server) Lists(account string) []string {
	s.helper()
	return s.State().Accounts[account].Lists
}

// Request is one request that arrived. No UserSig stands in it.
//
// Since v0.1.0.
type Request struct {
	// Index is its number, from 1.
	Index uint64 `json:"index"`
	// ArrivalUs is when it came, in microseconds since the server began.
	ArrivalUs  uint64 `json:"arrival_us"`
	Connection uint64 `json:"connection"`
	TLS        bool   `json:"tls"`
	Method     string `json:"method"`
	Path       string `json:"path"`
	// Command is the last part of the path, if it is a known command.
	Command    string          `json:"command"`
	SDKAppID   string          `json:"sdkappid"`
	Identifier string          `json:"identifier"`
	Random     string          `json:"random"`
	Body       json.RawMessage `json:"body"`
	BodyBytes  int             `json:"body_bytes"`
	// Verdict is what became of it; nil while it is under way.
	Verdict *Verdict `json:"verdict"`
}

// Verdict is what became of a request.
//
// Since v0.1.0.
type Verdict struct {
	Code       int    `json:"code"`
	Name       string `json:"name"`
	Text       string `json:"text"`
	HTTPStatus int    `json:"http_status"`
	// Applied is whether it may have changed what the server remembers.
	Applied bool `json:"applied"`
	// Fault is the fault that was played, if any.
	Fault *struct {
		ID   uint64 `json:"id"`
		Kind string `json:"kind"`
	} `json:"fault"`
}

// Requests gives the requests that arrived, of one command ("group_delete") or,
// for "", of all.
//
// Since v0.1.0.
func (s *Server) Requests(command string) []Request {
	s.helper()
	var answer struct{ Requests []Request }
	s.Control("GET", "requests"+query(command), nil, &answer)
	return answer.Requests
}

// Count tells how many requests arrived, of one command or, for "", of all. Unlike
// [Server.Requests] it is complete after many thousands.
//
// Since v0.1.0.
func (s *Server) Count(command string) int {
	s.helper()
	var answer struct{ Count int }
	s.Control("GET", "requests/count"+query(command), nil, &answer)
	return answer.Count
}

// ForgetRequests empties the journal of requests.
//
// Since v0.1.0.
func (s *Server) ForgetRequests() {
	s.helper()
	s.Control("DELETE", "requests", nil, nil)
}

func query(command string) string {
	if command == "" {
		return ""
	}
	return "?command=" + url.QueryEscape(command)
}

// Now gives the time by the clock of the server.
//
// Since v0.1.0.
func (s *Server) Now() time.Time {
	s.helper()
	var answer struct{ Now int64 }
	s.Control("GET", "clock", nil, &answer)
	return time.Unix(answer.Now, 0)
}

// AdvanceClock moves the clock of the server, forwards or back, so that tickets
// expire while a test looks on. It counts in whole seconds.
//
// Since v0.1.0.
func (s *Server) AdvanceClock(by time.Duration) {
	s.helper()
	s.Control("POST", "clock", map[string]int64{"advance_s": int64(by / time.Second)}, nil)
}

// SetClock sets the clock of the server, which goes on from there.
//
// Since v0.1.0.
func (s *Server) SetClock(now time.Time) {
	s.helper()
	s.Control("PUT", "clock", map[string]int64{"now": now.Unix()}, nil)
}
