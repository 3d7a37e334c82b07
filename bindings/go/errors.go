//go:build cgo

package imgroup

// #cgo noescape imgroup_code_name
// #cgo nocallback imgroup_code_name
// #cgo noescape imgroup_code_class
// #cgo nocallback imgroup_code_class
// #cgo noescape imgroup_class_name
// #cgo nocallback imgroup_class_name
// #cgo noescape imgroup_outcome_name
// #cgo nocallback imgroup_outcome_name
// #cgo noescape imgroup_error_name
// #cgo nocallback imgroup_error_name
// #cgo noescape imgroup_error_message
// #cgo nocallback imgroup_error_message
// #cgo noescape imgroup_error_display
// #cgo nocallback imgroup_error_display
// #cgo noescape imgroup_error_class
// #cgo nocallback imgroup_error_class
// #cgo noescape imgroup_error_outcome
// #cgo nocallback imgroup_error_outcome
// #cgo noescape imgroup_error_is_retryable
// #cgo nocallback imgroup_error_is_retryable
// #cgo noescape imgroup_error_http_status
// #cgo nocallback imgroup_error_http_status
// #cgo noescape imgroup_error_attempts
// #cgo nocallback imgroup_error_attempts
// #cgo noescape imgroup_error_host
// #cgo nocallback imgroup_error_host
// #cgo noescape imgroup_error_random
// #cgo nocallback imgroup_error_random
// #cgo noescape imgroup_error_free
// #cgo nocallback imgroup_error_free
// #include "binding.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
)

// Code tells why a call failed. A negative one was raised by the library and is
// one of the constants; a positive one is the service's own ErrorCode, unchanged.
//
// Since v0.1.0.
type Code int32

// What the library itself raises. The numbers are never reused.
//
// Since v0.1.0.
const (
	// CodeOK is success.
	CodeOK Code = C.IMGROUP_OK
	// CodeInvalidArgument: an argument breaks a rule; the message names the parameter.
	CodeInvalidArgument Code = C.IMGROUP_E_INVALID_ARGUMENT
	// CodeInvalidUTF8: a text is not valid UTF-8.
	CodeInvalidUTF8 Code = C.IMGROUP_E_INVALID_UTF8
	// CodeHandle: a handle is wrong. No program in Go should see it.
	CodeHandle Code = C.IMGROUP_E_HANDLE
	// CodeConfig: an option is wrong, or one is missing.
	CodeConfig Code = C.IMGROUP_E_CONFIG
	// CodeDNS: the host name could not be resolved.
	CodeDNS Code = C.IMGROUP_E_DNS
	// CodeConnect: the host could not be connected.
	CodeConnect Code = C.IMGROUP_E_CONNECT
	// CodeTLS: no trusted TLS connection could be made.
	CodeTLS Code = C.IMGROUP_E_TLS
	// CodeIO: the connection broke before the reply was complete.
	CodeIO Code = C.IMGROUP_E_IO
	// CodeHTTPStatus: the reply had another HTTP status than 200.
	CodeHTTPStatus Code = C.IMGROUP_E_HTTP_STATUS
	// CodeBadReply: the reply could not be understood.
	CodeBadReply Code = C.IMGROUP_E_BAD_REPLY
	// CodeDeadline: the time for the call or an attempt ran out.
	CodeDeadline Code = C.IMGROUP_E_DEADLINE
	// CodeCancelled: the call was cancelled.
	CodeCancelled Code = C.IMGROUP_E_CANCELLED
	// CodeShutdown: the client or the job is closed.
	CodeShutdown Code = C.IMGROUP_E_SHUTDOWN
	// CodeQuota: no quota slot could be had before the deadline.
	CodeQuota Code = C.IMGROUP_E_QUOTA
	// CodeResource: the process ran out of descriptors, threads or memory.
	CodeResource Code = C.IMGROUP_E_RESOURCE
	// CodePanic: an internal error of the library was caught.
	CodePanic Code = C.IMGROUP_E_PANIC
	// CodeJobMismatch: the journal belongs to another job.
	CodeJobMismatch Code = C.IMGROUP_E_JOB_MISMATCH
	// CodeJobBusy: another run holds the journal.
	CodeJobBusy Code = C.IMGROUP_E_JOB_BUSY
	// CodeJobCorrupt: the journal is damaged.
	CodeJobCorrupt Code = C.IMGROUP_E_JOB_CORRUPT
	// CodeJobStopped: the job stopped before its end and can be resumed.
	CodeJobStopped Code = C.IMGROUP_E_JOB_STOPPED
)

// String gives the symbolic name: "IMGROUP_E_DEADLINE", or the vendor's own for a
// code of the service; "UNKNOWN" for one that nobody documented.
func (c Code) String() string { return C.GoString(C.imgroup_code_name(C.int32_t(c))) }

// Class gives the class that the code belongs to, 0 for CodeOK.
func (c Code) Class() Class { return Class(C.imgroup_code_class(C.int32_t(c))) }

// Class is what kind of failure an error is. Choose by it what to do.
//
// Since v0.1.0.
type Class int32

// The classes. Each has an error of its own for [errors.Is].
//
// Since v0.1.0.
const (
	// ClassArgument: an argument or an option breaks a rule, or the service refused a value.
	ClassArgument Class = C.IMGROUP_CLASS_ARGUMENT
	// ClassNetwork: the service could not be reached, or the reply was lost.
	ClassNetwork Class = C.IMGROUP_CLASS_NETWORK
	// ClassDeadline: the deadline passed.
	ClassDeadline Class = C.IMGROUP_CLASS_DEADLINE
	// ClassCancelled: the context was cancelled, or the client closed.
	ClassCancelled Class = C.IMGROUP_CLASS_CANCELLED
	// ClassThrottled: too many requests for the quota of the app.
	ClassThrottled Class = C.IMGROUP_CLASS_THROTTLED
	// ClassAuth: credentials, permissions or the state of the app.
	ClassAuth Class = C.IMGROUP_CLASS_AUTH
	// ClassNotFound: the account, friend or list does not exist.
	ClassNotFound Class = C.IMGROUP_CLASS_NOT_FOUND
	// ClassServer: the service failed, or its reply makes no sense.
	ClassServer Class = C.IMGROUP_CLASS_SERVER
	// ClassInternal: the library or the process ran out of something.
	ClassInternal Class = C.IMGROUP_CLASS_INTERNAL
)

// String gives the name: "network", "not_found", …
func (c Class) String() string { return C.GoString(C.imgroup_class_name(C.int32_t(c))) }

// Outcome is what became of a failed request: the worst over all its attempts.
//
// Since v0.1.0.
type Outcome int32

// The outcomes, from good to bad.
//
// Since v0.1.0.
const (
	// OutcomeNotSent: nothing was sent that could have been applied.
	OutcomeNotSent Outcome = C.IMGROUP_OUTCOME_NOT_SENT
	// OutcomeRejected: the service answered and refused; nothing was applied.
	OutcomeRejected Outcome = C.IMGROUP_OUTCOME_REJECTED
	// OutcomeUnknown: it may have been applied, or not. Read before you repeat
	// what must not happen twice.
	OutcomeUnknown Outcome = C.IMGROUP_OUTCOME_UNKNOWN
)

// String gives the name: "NOT_SENT", "REJECTED" or "UNKNOWN".
func (o Outcome) String() string { return C.GoString(C.imgroup_outcome_name(C.int32_t(o))) }

// classError stands for all errors of a class.
type classError Class

func (e classError) Error() string { return "imgroup: " + Class(e).String() }

// codeError stands for all errors of a code.
type codeError Code

func (e codeError) Error() string { return "imgroup: " + Code(e).String() }

// Errors for [errors.Is]: one for each class, one for a closed client or job (which
// is also of the class cancelled), and those of jobs.
//
// Since v0.1.0.
var (
	ErrArgument  error = classError(ClassArgument)
	ErrNetwork   error = classError(ClassNetwork)
	ErrDeadline  error = classError(ClassDeadline)
	ErrCancelled error = classError(ClassCancelled)
	ErrThrottled error = classError(ClassThrottled)
	ErrAuth      error = classError(ClassAuth)
	ErrNotFound  error = classError(ClassNotFound)
	ErrServer    error = classError(ClassServer)
	ErrInternal  error = classError(ClassInternal)
	ErrClosed          = errors.New("imgroup: closed")
	// ErrJobStopped is CodeJobStopped, also of the class cancelled.
	ErrJobStopped error = codeError(CodeJobStopped)
	// ErrJobBusy is CodeJobBusy, also of the class argument.
	ErrJobBusy error = codeError(CodeJobBusy)
	// ErrJobMismatch is CodeJobMismatch, also of the class argument.
	ErrJobMismatch error = codeError(CodeJobMismatch)
	// ErrJobCorrupt is CodeJobCorrupt, also of the class internal.
	ErrJobCorrupt error = codeError(CodeJobCorrupt)
)

// Error is why a call failed. No secret key and no UserSig ever stands in one.
//
// Since v0.1.0.
type Error struct {
	// Code is negative if the library raised it, else the service's ErrorCode.
	Code Code
	// Name is the symbolic name of the code.
	Name string
	// Class is what kind of failure it is. It may be another than Code.Class, as
	// an HTTP status 429 is throttled and a 403 a matter of permissions.
	Class Class
	// Outcome is what became of the request.
	Outcome Outcome
	// Message is for developers and logs: command, reason, the service's own text,
	// advice, attempts, host, random and outcome, in one line.
	Message string
	// Display is the service's text meant for end users (ErrorDisplay), mostly empty.
	Display string
	// HTTPStatus is the status of the last reply, 0 if there was none.
	HTTPStatus int
	// Attempts is how many requests were sent or tried to be sent.
	Attempts int
	// Host is the host of the last attempt, "" if there was none.
	Host string
	// Random is the number in the URL of the last attempt by which the vendor's
	// support finds a request; 0 if there was none.
	Random uint32
	// Retryable is whether the same call may succeed later, unchanged. Whether
	// repeating is harmless is told by Outcome.
	Retryable bool

	// What ended the context.
	cause error
}

// Error gives name, code and message in one line.
func (e *Error) Error() string {
	return fmt.Sprintf("imgroup: %s (%d): %s", e.Name, int32(e.Code), e.Message)
}

// Is makes [errors.Is] true for the error of the class, for that of the code, where
// there is one, and for the error of package context that means the same.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrClosed:
		return e.Code == CodeShutdown
	case context.DeadlineExceeded:
		return e.Class == ClassDeadline
	case context.Canceled:
		return e.Code == CodeCancelled
	}
	switch target := target.(type) {
	case classError:
		return Class(target) == e.Class
	case codeError:
		return Code(target) == e.Code
	}
	return false
}

// Unwrap gives the [context.Cause] of a call that its context ended, else nil.
func (e *Error) Unwrap() error { return e.cause }

// Timeout tells whether the time ran out, as [net.Error] and [os.IsTimeout] ask.
func (e *Error) Timeout() bool { return e.Class == ClassDeadline }

// newError makes an error that the C library has not seen.
func newError(code Code, format string, values ...any) *Error {
	return &Error{Code: code, Name: code.String(), Class: code.Class(), Message: fmt.Sprintf(format, values...)}
}

// takeError copies what C says, and frees it.
func takeError(code C.int32_t, failure *C.imgroup_error) *Error {
	defer C.imgroup_error_free(failure)
	return &Error{
		Code:       Code(code),
		Name:       C.GoString(C.imgroup_error_name(failure)),
		Class:      Class(C.imgroup_error_class(failure)),
		Outcome:    Outcome(C.imgroup_error_outcome(failure)),
		Message:    C.GoString(C.imgroup_error_message(failure)),
		Display:    C.GoString(C.imgroup_error_display(failure)),
		HTTPStatus: int(C.imgroup_error_http_status(failure)),
		Attempts:   int(C.imgroup_error_attempts(failure)),
		Host:       C.GoString(C.imgroup_error_host(failure)),
		Random:     uint32(C.imgroup_error_random(failure)),
		Retryable:  C.imgroup_error_is_retryable(failure) != 0,
	}
}
