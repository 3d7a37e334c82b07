//go:build cgo

package imgroup

// #include "binding.h"
import "C"

import (
	"fmt"
	"math"
	"runtime/cgo"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// callback is a function that C calls through a handle.
type callback struct {
	log      func(LogLevel, string)
	quota    func(string) time.Duration
	progress func(Progress)
	panicked *atomic.Pointer[string]
}

// liveCallbacks counts those that C has not dropped yet, for the tests.
var liveCallbacks atomic.Int64

func newCallback(callback *callback) cgo.Handle {
	liveCallbacks.Add(1)
	return cgo.NewHandle(callback)
}

func callbackOf(handle C.uintptr_t) *callback {
	return cgo.Handle(handle).Value().(*callback)
}

// catch keeps a panic from running through the frames of C and Rust, which would
// not be unwound. The call raises it again when it is back in Go.
func (c *callback) catch(what string) {
	if value := recover(); value != nil {
		text := fmt.Sprintf("imgroup: the %s function panicked: %v\n\n%s", what, value, debug.Stack())
		c.panicked.Store(&text)
	}
}

//export imgroupGoLog
func imgroupGoLog(handle C.uintptr_t, level C.int32_t, message *C.char) {
	callback := callbackOf(handle)
	defer callback.catch("log")
	callback.log(LogLevel(level), C.GoString(message))
}

//export imgroupGoQuota
func imgroupGoQuota(handle C.uintptr_t, command *C.char) (wait C.int64_t) {
	callback := callbackOf(handle)
	wait = -1
	defer callback.catch("quota")
	duration := callback.quota(C.GoString(command))
	if duration < 0 {
		return -1
	}
	if duration > math.MaxInt64-time.Millisecond {
		duration -= time.Millisecond
	}
	return C.int64_t((duration + time.Millisecond - 1) / time.Millisecond)
}

//export imgroupGoProgress
func imgroupGoProgress(handle C.uintptr_t, job *C.imgroup_job) {
	callback := callbackOf(handle)
	returned := false
	defer func() {
		// Not for hours, but now.
		if !returned {
			C.imgroup_job_cancel(job)
		}
	}()
	defer callback.catch("progress")
	callback.progress(progressOf(job))
	returned = true
}

//export imgroupGoDrop
func imgroupGoDrop(handle C.uintptr_t) {
	cgo.Handle(handle).Delete()
	liveCallbacks.Add(-1)
}
