//go:build cgo

package imgroup

// #cgo noescape imgroup_response_sequence
// #cgo nocallback imgroup_response_sequence
// #cgo noescape imgroup_response_has_sequence
// #cgo nocallback imgroup_response_has_sequence
// #cgo noescape imgroup_response_attempts
// #cgo nocallback imgroup_response_attempts
// #cgo noescape imgroup_response_was_ambiguous
// #cgo nocallback imgroup_response_was_ambiguous
// #cgo noescape imgroup_response_body
// #cgo nocallback imgroup_response_body
// #cgo noescape imgroup_response_list_count
// #cgo nocallback imgroup_response_list_count
// #cgo noescape imgroup_response_list_name
// #cgo nocallback imgroup_response_list_name
// #cgo noescape imgroup_response_list_friend_count
// #cgo nocallback imgroup_response_list_friend_count
// #cgo noescape imgroup_response_member_count
// #cgo nocallback imgroup_response_member_count
// #cgo noescape imgroup_response_member
// #cgo nocallback imgroup_response_member
// #cgo noescape imgroup_response_result_count
// #cgo nocallback imgroup_response_result_count
// #cgo noescape imgroup_response_result_account
// #cgo nocallback imgroup_response_result_account
// #cgo noescape imgroup_response_result_code
// #cgo nocallback imgroup_response_result_code
// #cgo noescape imgroup_response_result_info
// #cgo nocallback imgroup_response_result_info
// #cgo noescape imgroup_response_free
// #cgo nocallback imgroup_response_free
// #include "binding.h"
import "C"

import (
	"encoding/json"
	"unsafe"
)

// Response is what a call gave. It is plain data, for any goroutine.
//
// Since v0.1.0.
type Response struct {
	// Sequence is the sequence of the account's lists after the call
	// (CurrentSequence). It changes when the lists change; nothing else is
	// promised of it. It is 0 if the reply held none, see HasSequence.
	Sequence uint64
	// HasSequence is whether the reply held a sequence.
	HasSequence bool
	// Attempts is how many requests the call took.
	Attempts int
	// WasAmbiguous is whether an attempt before the last one may have been applied
	// already.
	WasAmbiguous bool
	// Body is the body of the last reply: a JSON object, unchanged.
	Body json.RawMessage
	// Lists are the lists that GetLists read.
	Lists []List
	// Results are what became of each friend, after AddLists with friends.
	Results []FriendResult
}

// List is one friend list.
//
// Since v0.1.0.
type List struct {
	// Name is its name.
	Name string
	// FriendCount is how many friends are in it, whether they were asked for or not.
	FriendCount uint64
	// Members are their accounts, if [WithMembers] was given.
	Members []string
}

// FriendResult is what became of one friend who was to be put into lists.
//
// Since v0.1.0.
type FriendResult struct {
	// Account is the friend.
	Account string
	// Code is CodeOK, or the service's code for this friend alone. The lists were
	// created all the same.
	Code Code
	// Info is the service's text; it may say "OK" or nothing on success.
	Info string
}

// takeResponse copies what C gave, and frees it.
func takeResponse(response *C.imgroup_response) *Response {
	defer C.imgroup_response_free(response)
	result := &Response{
		Sequence:     uint64(C.imgroup_response_sequence(response)),
		HasSequence:  C.imgroup_response_has_sequence(response) != 0,
		Attempts:     int(C.imgroup_response_attempts(response)),
		WasAmbiguous: C.imgroup_response_was_ambiguous(response) != 0,
	}
	var length C.size_t
	body := C.imgroup_response_body(response, &length)
	result.Body = C.GoBytes(unsafe.Pointer(body), C.int(length))
	if count := C.imgroup_response_list_count(response); count > 0 {
		result.Lists = make([]List, count)
	}
	for i := range result.Lists {
		list, index := &result.Lists[i], C.size_t(i)
		list.Name = C.GoString(C.imgroup_response_list_name(response, index))
		list.FriendCount = uint64(C.imgroup_response_list_friend_count(response, index))
		if count := C.imgroup_response_member_count(response, index); count > 0 {
			list.Members = make([]string, count)
		}
		for j := range list.Members {
			list.Members[j] = C.GoString(C.imgroup_response_member(response, index, C.size_t(j)))
		}
	}
	if count := C.imgroup_response_result_count(response); count > 0 {
		result.Results = make([]FriendResult, count)
	}
	for i := range result.Results {
		index := C.size_t(i)
		result.Results[i] = FriendResult{
			Account: C.GoString(C.imgroup_response_result_account(response, index)),
			Code:    Code(C.imgroup_response_result_code(response, index)),
			Info:    C.GoString(C.imgroup_response_result_info(response, index)),
		}
	}
	return result
}
