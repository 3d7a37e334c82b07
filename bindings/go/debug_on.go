//go:build cgo && imgroup_debug

package imgroup

import "runtime"

// shake collects garbage around every call into C, so that whatever is kept
// alive by luck alone is freed too early and found.
func shake() { runtime.GC() }
