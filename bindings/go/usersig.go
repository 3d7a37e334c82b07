//go:build cgo

package imgroup

// #cgo noescape imgroup_usersig
// #cgo nocallback imgroup_usersig
// #cgo noescape imgroup_version
// #cgo nocallback imgroup_version
// #cgo noescape imgroup_version_number
// #cgo nocallback imgroup_version_number
// #include "binding.h"
import "C"

import (
	"sync"
	"time"
	"unsafe"
)

// UserSigOption sets something of a ticket.
//
// Since v0.1.0.
type UserSigOption func(*userSigOptions)

type userSigOptions struct {
	issuedAt C.int64_t
	userBuf  []byte
}

// IssuedAt sets from when on a ticket is valid, in whole seconds since 1970; now,
// unless it is given. The zero time is now, too.
//
// Since v0.1.0.
func IssuedAt(time time.Time) UserSigOption {
	return func(o *userSigOptions) {
		o.issuedAt = 0
		if !time.IsZero() {
			o.issuedAt = C.int64_t(time.Unix())
		}
	}
}

// UserBuf sets the bytes for the room permissions of TRTC. Chat (IM) needs none.
//
// Since v0.1.0.
func UserBuf(bytes []byte) UserSigOption {
	return func(o *userSigOptions) { o.userBuf = bytes }
}

// UserSig makes the ticket with which a user of the app logs in. Servers hand
// these to their own clients. A [Client] needs none: it signs for itself.
//
// sdkappid is the SDKAppID of the app, not 0. identifier is the user, 1 to 32
// bytes of printable ASCII. secretKey is the key of the app as printed in the
// console. ttl is how long the ticket is valid: 1 s to 50 years (1576800000 s), in
// whole seconds, rounded up; the vendor advises a day or more.
//
// Errors are of [ErrArgument]. It may be called from any goroutine.
//
// Since v0.1.0. Protocol: "Generating UserSig", HMAC-SHA256 (TLSSigAPIv2).
func UserSig(sdkappid uint32, identifier, secretKey string, ttl time.Duration, options ...UserSigOption) (string, error) {
	if err := checkVersion(); err != nil {
		return "", err
	}
	var set userSigOptions
	for _, option := range options {
		option(&set)
	}
	arena, err := newArena(text("identifier", identifier), text("secret_key", secretKey))
	if err != nil {
		return "", err
	}
	defer arena.wipe()
	var ticket *C.char
	var failure *C.imgroup_error
	code := C.imgroup_usersig(C.uint32_t(sdkappid), arena.text(0), arena.text(1), units(ttl, time.Second), set.issuedAt,
		(*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(set.userBuf))), C.size_t(len(set.userBuf)), &ticket, &failure)
	if code != C.IMGROUP_OK {
		return "", takeError(code, failure)
	}
	defer C.imgroup_string_free(ticket)
	return C.GoString(ticket), nil
}

// Version gives the version of the library that is loaded, "0.1.0".
//
// Since v0.1.0.
func Version() string { return C.GoString(C.imgroup_version()) }

// checkVersion refuses a library that does not fit the header this package was
// built with: another 0.MINOR, or an older patch.
var checkVersion = sync.OnceValue(func() error {
	if loaded := uint32(C.imgroup_version_number()); !fits(loaded, C.IMGROUP_VERSION_NUMBER) {
		return newError(CodeConfig, "libimgroup %s is loaded, but this program was built with the header of %d.%d.%d",
			Version(), C.IMGROUP_VERSION_MAJOR, C.IMGROUP_VERSION_MINOR, C.IMGROUP_VERSION_PATCH)
	}
	return nil
})

func fits(loaded, built uint32) bool { return loaded/1000 == built/1000 && loaded >= built }
