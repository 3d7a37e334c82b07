//go:build cgo && imgroup_static

package imgroup

// #cgo CFLAGS: -I${SRCDIR}/native
// #cgo linux,amd64 LDFLAGS: ${SRCDIR}/native/libimgroup_linux_amd64.a
// #cgo linux,arm64 LDFLAGS: ${SRCDIR}/native/libimgroup_linux_arm64.a
// #cgo linux LDFLAGS: -lutil -lrt -lpthread -lm -ldl -lc
import "C"

// Keeps the directory in a vendored copy.
import _ "github.com/libimgroup/libimgroup/bindings/go/native"

// LinkMode tells how this program was linked with libimgroup: "shared" unless it
// was built with -tags imgroup_static, then "static".
//
// Since v0.1.0.
const LinkMode = "static"
