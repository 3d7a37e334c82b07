// Package native holds what `-tags imgroup_static` links: put
// libimgroup_linux_amd64.a (or _arm64.a) and imgroup.h into this directory.
//
// It is a package so that `go mod vendor` takes the directory along.
package native
