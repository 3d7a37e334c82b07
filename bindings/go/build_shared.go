//go:build cgo && !imgroup_static

package imgroup

// #cgo pkg-config: imgroup
import "C"

// LinkMode tells how this program was linked with libimgroup: "shared" unless it
// was built with -tags imgroup_static, then "static".
//
// Since v0.1.0.
const LinkMode = "shared"
