//go:build !cgo

package imgroup

// The compile error is the message: without it there would be a package with
// nothing in it.
var _ = imgroup_needs_cgo__set_CGO_ENABLED_1_and_install_a_C_compiler_and_libimgroup__see_README_md
