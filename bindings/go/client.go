//go:build cgo

package imgroup

// #cgo noescape imgroup_string_free
// #cgo nocallback imgroup_string_free
// #include "binding.h"
import "C"

import (
	"context"
	"encoding/json"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"
)

// Client sends requests in the name of an app. It is for any number of goroutines
// at once; make one and keep it. Close it when it is not needed any more.
//
// Since v0.1.0.
type Client struct {
	// Held for reading by every call, so that none begins while the handle is freed.
	mu      sync.RWMutex
	pointer *C.imgroup_client

	slots     chan struct{}
	closing   chan struct{}
	closeOnce sync.Once
	cleanup   runtime.Cleanup
	// What a callback panicked with, until it is raised again.
	panicked *atomic.Pointer[string]
}

// NewClient makes a client from the credentials of an app. It connects nowhere
// yet. One of [WithRegion] and [WithEndpoint] is needed.
//
// sdkappid is the SDKAppID of the app, not 0. identifier is an admin account of
// the app, 1 to 32 bytes of printable ASCII: "administrator" unless it was
// changed in the console. secretKey is the key of the app as printed in the
// console, 1 to 1024 bytes.
//
// Errors are of [ErrArgument]; the message names the parameter or the option.
//
// Since v0.1.0. Protocol: "RESTful API Overview".
func NewClient(sdkappid uint32, identifier, secretKey string, options ...Option) (*Client, error) {
	return newClient(func(config **C.imgroup_config, failure **C.imgroup_error) (C.int32_t, error) {
		arena, err := newArena(text("identifier", identifier), text("secret_key", secretKey))
		if err != nil {
			return 0, err
		}
		defer arena.wipe()
		return C.imgroup_config_new(C.uint32_t(sdkappid), arena.text(0), arena.text(1), config, failure), nil
	}, options)
}

// NewClientFromEnv makes a client from the environment: IMGROUP_SDKAPPID,
// IMGROUP_IDENTIFIER, IMGROUP_SECRET_KEY (or IMGROUP_SECRET_KEY_FILE),
// IMGROUP_REGION or IMGROUP_ENDPOINT, and, where set, IMGROUP_CA_FILE,
// IMGROUP_TIMEOUT_MS, IMGROUP_QUOTA_DIR, IMGROUP_QUOTA_SHARE and
// IMGROUP_QUOTA_REDIS. Options come on top and win. No other goroutine may change
// the environment meanwhile.
//
// Errors are of [ErrArgument]; the message names the variable or the option.
//
// Since v0.1.0.
func NewClientFromEnv(options ...Option) (*Client, error) {
	return newClient(func(config **C.imgroup_config, failure **C.imgroup_error) (C.int32_t, error) {
		return C.imgroup_config_from_env(config, failure), nil
	}, options)
}

func newClient(
	begin func(**C.imgroup_config, **C.imgroup_error) (C.int32_t, error), options []Option,
) (*Client, error) {
	if err := checkVersion(); err != nil {
		return nil, err
	}
	var config *C.imgroup_config
	var failure *C.imgroup_error
	code, err := begin(&config, &failure)
	if err != nil {
		return nil, err
	}
	if code != C.IMGROUP_OK {
		return nil, takeError(code, failure)
	}
	defer C.imgroup_config_free(config)
	settings := settings{config: config, concurrent: defaultConcurrent, panicked: new(atomic.Pointer[string])}
	for _, option := range options {
		if err := option(&settings); err != nil {
			return nil, err
		}
	}
	var pointer *C.imgroup_client
	if code := C.imgroup_client_new(config, &pointer, &failure); code != C.IMGROUP_OK {
		return nil, takeError(code, failure)
	}
	client := &Client{
		pointer:  pointer,
		slots:    make(chan struct{}, settings.concurrent),
		closing:  make(chan struct{}),
		panicked: settings.panicked,
	}
	// A net under Close. No call can be under way: it would hold the client.
	client.cleanup = runtime.AddCleanup(client, func(pointer *C.imgroup_client) { C.imgroup_client_free(pointer) }, pointer)
	return client, nil
}

// Close ends all calls of the client within 50 ms, with [ErrClosed], waits for
// them, and frees what the client holds. Later calls fail with ErrClosed. It may
// be called any number of times, by any goroutine, but not from a function given
// to [WithLogger], [WithQuotaFunc] or [WithProgress]. The runs of its jobs end too,
// but are not waited for: see [Job.Close]. The error is always nil.
//
// Since v0.1.0.
func (c *Client) Close() error {
	c.closeOnce.Do(func() {
		if c.slots == nil {
			return
		}
		c.cleanup.Stop()
		close(c.closing)
		C.imgroup_client_shutdown(c.pointer)
		c.mu.Lock()
		defer c.mu.Unlock()
		C.imgroup_client_free(c.pointer)
		c.pointer = nil
	})
	return nil
}

// DeleteLists deletes friend lists of an account. The friends in them stay
// friends. It succeeds when none of the lists exists any more.
//
// account is whose lists, 1 to 32 bytes. names are 1 to 32 names of 1 to 30 bytes.
// [IgnoreMissing] may be given.
//
// Writes on one account are sent one after the other, and deletes that wait for
// the same account leave as one request. A delete is safe to repeat, so that is
// done when an attempt fails without a clear answer.
//
// Errors: any of the classes. Among the service's codes are 30001 (a list does
// not exist, or a parameter is wrong) and 30003 (no such account,
// [ErrNotFound]).
//
// Since v0.1.0. Protocol: v4/sns/group_delete, "Deleting a List".
func (c *Client) DeleteLists(ctx context.Context, account string, names []string, options ...CallOption) (*Response, error) {
	arena, err := newArena(text("account", account), texts("names", names))
	if err != nil {
		return nil, err
	}
	defer arena.free()
	return c.do(ctx, "DeleteLists", ignoreMissing, options, func(call *call) C.int32_t {
		return C.imgroup_delete_lists(c.pointer, arena.text(0), arena.texts(1), C.size_t(len(names)),
			call.control, &call.response, &call.failure)
	})
}

// AddLists creates friend lists of an account, and puts friends into every one
// of them.
//
// account is whose lists, 1 to 32 bytes. names are 1 to 32 names of 1 to 30 bytes
// without control characters; an account has 32 lists at most. friends are up to
// 1000 accounts of 1 to 32 bytes, nil for nobody. A friend that could not be put
// into the lists does not fail the call: see [Response.Results].
//
// Errors: any of the classes. Adding is not safe to repeat: if an attempt fails
// without a clear answer, the error has [OutcomeUnknown]. Among the service's
// codes are 30001 (a list exists already), 30003 (no such account,
// [ErrNotFound]) and 30011 (32 lists already).
//
// Since v0.1.0. Protocol: v4/sns/group_add, "Adding a List".
func (c *Client) AddLists(ctx context.Context, account string, names, friends []string, options ...CallOption) (*Response, error) {
	arena, err := newArena(text("account", account), texts("names", names), texts("friends", friends))
	if err != nil {
		return nil, err
	}
	defer arena.free()
	return c.do(ctx, "AddLists", 0, options, func(call *call) C.int32_t {
		return C.imgroup_add_lists(c.pointer, arena.text(0), arena.texts(1), C.size_t(len(names)),
			arena.texts(1+len(names)), C.size_t(len(friends)), call.control, &call.response, &call.failure)
	})
}

// GetLists reads friend lists of an account into [Response.Lists].
//
// account is whose lists, 1 to 32 bytes. names are up to 32 names, nil for all
// lists. [WithMembers] may be given.
//
// Errors: any of the classes. Among the service's codes is 30003 (no such
// account, [ErrNotFound]).
//
// Since v0.1.0. Protocol: v4/sns/group_get, "Pulling Lists".
func (c *Client) GetLists(ctx context.Context, account string, names []string, options ...CallOption) (*Response, error) {
	arena, err := newArena(text("account", account), texts("names", names))
	if err != nil {
		return nil, err
	}
	defer arena.free()
	return c.do(ctx, "GetLists", withMembers, options, func(call *call) C.int32_t {
		return C.imgroup_get_lists(c.pointer, arena.text(0), arena.texts(1), C.size_t(len(names)),
			C.int32_t(call.options.flags&withMembers), call.control, &call.response, &call.failure)
	})
}

// Request sends any other command of the REST API, with the same signing, pace,
// retries and errors. The reply is [Response.Body].
//
// command is "v4/<service>/<command>", as "v4/sns/friend_get". body is a JSON
// object of up to 1048576 bytes: a []byte, [json.RawMessage] or string as it is,
// nil for "{}", anything else as [json.Marshal] writes it. [Idempotent] may be
// given.
//
// A command of v4/sns that writes waits for its turn among the writes on its
// From_Account.
//
// Errors: any of the classes.
//
// Since v0.1.0. Protocol: the page of the command.
func (c *Client) Request(ctx context.Context, command string, body any, options ...CallOption) (*Response, error) {
	var bytes []byte
	switch body := body.(type) {
	case nil:
		bytes = []byte("{}")
	case []byte:
		bytes = body
	case json.RawMessage:
		bytes = body
	case string:
		bytes = []byte(body)
	default:
		var err error
		if bytes, err = json.Marshal(body); err != nil {
			refused := newError(CodeInvalidArgument, "body: cannot be written as JSON: %v", err)
			refused.cause = err
			return nil, refused
		}
	}
	arena, err := newArena(text("command", command))
	if err != nil {
		return nil, err
	}
	defer arena.free()
	return c.do(ctx, "Request", idempotent, options, func(call *call) C.int32_t {
		var flags C.uint32_t
		if call.options.flags&idempotent != 0 {
			flags = C.IMGROUP_REQUEST_IDEMPOTENT
		}
		return C.imgroup_request(c.pointer, arena.text(0), (*C.char)(unsafe.Pointer(unsafe.SliceData(bytes))),
			C.size_t(len(bytes)), flags, call.control, &call.response, &call.failure)
	})
}

// Stats is what a client did so far, for an operator.
//
// Since v0.1.0.
type Stats struct {
	// Calls that ended, and the requests that they took.
	Calls    uint64 `json:"calls"`
	Attempts uint64 `json:"attempts"`
	// Deletes that left inside another caller's request.
	MergedDeletes uint64 `json:"merged_deletes"`
	// Reads that were made to find out whether a list is gone.
	MissingListReads uint64 `json:"missing_list_reads"`
	// Calls that were answered without asking, as the credentials are known to be wrong.
	LocalRefusals uint64 `json:"local_refusals"`
	// Tickets that were signed.
	Signatures uint64 `json:"usersig_signatures"`
	// Replies that said "too often".
	ThrottleReplies uint64 `json:"throttle_replies"`
	// Requests that went to the backup host.
	Failovers uint64 `json:"failovers"`
	// Retries by their reason, calls by their outcome, and so on.
	Retries     map[string]uint64 `json:"retries"`
	Outcomes    map[string]uint64 `json:"outcomes"`
	Connections map[string]uint64 `json:"connections"`
	Quota       map[string]uint64 `json:"quota"`
	Queue       map[string]uint64 `json:"queue"`
	// How long calls took, in microseconds: "p50", "p90", "p99", "max".
	LatencyUs map[string]uint64 `json:"latency_us"`
	// All of it as the library wrote it; later versions may add members.
	Raw json.RawMessage `json:"-"`
}

// Stats tells what the client did so far. It fails only when the client is
// closed, with [ErrClosed].
//
// Since v0.1.0.
func (c *Client) Stats() (*Stats, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.pointer == nil {
		return nil, closedError("Stats", "client")
	}
	var text *C.char
	var failure *C.imgroup_error
	if code := C.imgroup_client_stats(c.pointer, &text, &failure); code != C.IMGROUP_OK {
		return nil, takeError(code, failure)
	}
	defer C.imgroup_string_free(text)
	stats := Stats{Raw: json.RawMessage(C.GoString(text))}
	if err := json.Unmarshal(stats.Raw, &stats); err != nil {
		return nil, newError(CodePanic, "the statistics could not be understood: %v", err)
	}
	return &stats, nil
}
