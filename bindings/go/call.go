//go:build cgo

package imgroup

// #cgo noescape imgroup_call_new
// #cgo nocallback imgroup_call_new
// #cgo noescape imgroup_call_set_timeout_ms
// #cgo nocallback imgroup_call_set_timeout_ms
// #cgo noescape imgroup_call_set_ignore_missing
// #cgo nocallback imgroup_call_set_ignore_missing
// #cgo noescape imgroup_call_cancel
// #cgo nocallback imgroup_call_cancel
// #cgo noescape imgroup_call_free
// #cgo nocallback imgroup_call_free
// #include "binding.h"
import "C"

import (
	"context"
	"math/bits"
	"time"
)

// CallOption asks something of one call, beyond its arguments. All but [Timeout]
// belong to one kind of call, and are refused by the others.
//
// Since v0.1.0.
type CallOption func(*callOptions)

type callOptions struct {
	flags   flags
	timeout time.Duration
}

type flags uint32

const (
	ignoreMissing flags = 1 << iota
	withMembers
	idempotent
)

var flagNames = [...]string{"IgnoreMissing", "WithMembers", "Idempotent"}

// Timeout sets how long the call may take, all attempts, pauses and waits included:
// 1 ms to 10 min, 0 for the client's own (see [WithTimeout]). An earlier deadline
// of its context wins. Waiting for a thread (see [WithMaxConcurrentCalls]) does not
// count.
//
// Since v0.1.0.
func Timeout(timeout time.Duration) CallOption { return func(o *callOptions) { o.timeout = timeout } }

// IgnoreMissing lets [Client.DeleteLists] succeed when a list does not exist. The
// service may refuse the whole request for one missing list; the library then
// reads the account's lists and deletes those that are left, which costs up to
// two requests more. Without this option a missing list may fail the call, as the
// service decides.
//
// Since v0.1.0.
func IgnoreMissing() CallOption { return func(o *callOptions) { o.flags |= ignoreMissing } }

// WithMembers lets [Client.GetLists] read who is in the lists, and not only how many.
//
// Since v0.1.0.
func WithMembers() CallOption { return func(o *callOptions) { o.flags |= withMembers } }

// Idempotent tells [Client.Request] that the command does no harm when it is
// applied twice, so that it may be repeated when its outcome is open.
//
// Since v0.1.0.
func Idempotent() CallOption { return func(o *callOptions) { o.flags |= idempotent } }

// call is what goes through C for one call.
type call struct {
	options  callOptions
	control  *C.imgroup_call
	response *C.imgroup_response
	failure  *C.imgroup_error
}

// timeoutMax is the longest timeout that the library takes.
const timeoutMax = 10 * time.Minute

// do is the way of every call: its turn, its context, C, and what came back.
func (c *Client) do(
	ctx context.Context, name string, allowed flags, options []CallOption, run func(*call) C.int32_t,
) (*Response, error) {
	var call call
	for _, option := range options {
		option(&call.options)
	}
	if strange := call.options.flags &^ allowed; strange != 0 {
		return nil, newError(CodeInvalidArgument, "options: %s takes no %s", name,
			flagNames[bits.TrailingZeros32(uint32(strange))])
	}
	if err := c.enter(ctx, name); err != nil {
		return nil, err
	}
	defer c.leave()

	var finish func()
	if ctx.Done() != nil || call.options.timeout != 0 || call.options.flags&ignoreMissing != 0 {
		var err error
		if finish, err = call.prepare(ctx); err != nil {
			return nil, err
		}
	}
	shake()
	code := run(&call)
	shake()
	if finish != nil {
		finish()
	}
	if text := c.panicked.Swap(nil); text != nil {
		C.imgroup_response_free(call.response)
		C.imgroup_error_free(call.failure)
		panic(*text)
	}
	if code != C.IMGROUP_OK {
		err := takeError(code, call.failure)
		if (err.Class == ClassDeadline || err.Code == CodeCancelled) && ctx.Err() != nil {
			err.cause = context.Cause(ctx)
		}
		return nil, err
	}
	return takeResponse(call.response), nil
}

// enter waits for one of the threads that the client may hold.
func (c *Client) enter(ctx context.Context, name string) error {
	if ctx.Err() != nil {
		return contextError(ctx, name)
	}
	if c.slots == nil {
		return closedError(name, "client")
	}
	select {
	case c.slots <- struct{}{}:
	default:
		select {
		case c.slots <- struct{}{}:
		case <-ctx.Done():
			return contextError(ctx, name)
		case <-c.closing:
			return closedError(name, "client")
		}
	}
	c.mu.RLock()
	if c.pointer == nil {
		c.leave()
		return closedError(name, "client")
	}
	return nil
}

func (c *Client) leave() {
	c.mu.RUnlock()
	<-c.slots
}

// prepare makes the control by which the context ends the call. What it gives is
// to be called when C has returned.
func (call *call) prepare(ctx context.Context) (finish func(), err error) {
	var failure *C.imgroup_error
	if code := C.imgroup_call_new(&call.control, &failure); code != C.IMGROUP_OK {
		return nil, takeError(code, failure)
	}
	control := call.control
	deadline, timed := ctx.Deadline()
	if timeout := call.options.timeout; timeout != 0 {
		if code := C.imgroup_call_set_timeout_ms(control, milliseconds(timeout), &failure); code != C.IMGROUP_OK {
			C.imgroup_call_free(control)
			return nil, takeError(code, failure)
		}
	}
	if timed {
		left := min(max(time.Until(deadline), time.Millisecond), timeoutMax)
		if timeout := call.options.timeout; timeout == 0 || left < timeout {
			C.imgroup_call_set_timeout_ms(control, milliseconds(left), nil)
		}
	}
	if call.options.flags&ignoreMissing != 0 {
		C.imgroup_call_set_ignore_missing(control, 1, nil)
	}
	if ctx.Done() == nil {
		return func() { C.imgroup_call_free(control) }, nil
	}
	cancelled := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(cancelled)
		// The library watches the deadline itself, and then says so.
		if !timed || ctx.Err() != context.DeadlineExceeded {
			C.imgroup_call_cancel(control)
		}
	})
	return func() {
		if !stop() {
			<-cancelled
		}
		C.imgroup_call_free(control)
	}, nil
}

// contextError is the error of a call that its context ended before it began.
func contextError(ctx context.Context, name string) *Error {
	code, what := CodeCancelled, "was cancelled"
	if ctx.Err() == context.DeadlineExceeded {
		code, what = CodeDeadline, "had no time left"
	}
	err := newError(code, "%s: the context %s before anything was sent", name, what)
	err.Retryable = code == CodeDeadline
	err.cause = context.Cause(ctx)
	return err
}

func closedError(name, what string) *Error {
	return newError(CodeShutdown, "%s: the %s is closed", name, what)
}
