//go:build cgo && !imgroup_debug

package imgroup

func shake() {}
