//go:build cgo

package imgroup

// #include "binding.h"
import "C"

import (
	"fmt"
	"strings"
	"unsafe"
)

// argument is a text or a list of texts on its way to C.
type argument struct {
	name   string
	values []string
	list   bool
}

func text(name, value string) argument            { return argument{name: name, values: []string{value}} }
func texts(name string, values []string) argument { return argument{name, values, true} }

// arena holds the texts of one call in one block of C memory: first all pointers,
// then all bytes. One allocation, however many texts, and nothing to pin.
type arena struct {
	block unsafe.Pointer
	size  uintptr
}

const pointerSize = unsafe.Sizeof(uintptr(0))

// newArena copies the arguments. It refuses a NUL, behind which C would not see.
func newArena(arguments ...argument) (arena, error) {
	var count, size uintptr
	for _, argument := range arguments {
		for index, value := range argument.values {
			if at := strings.IndexByte(value, 0); at >= 0 {
				name := argument.name
				if argument.list {
					name = fmt.Sprintf("%s[%d]", name, index)
				}
				return arena{}, newError(CodeInvalidArgument, "%s: must not contain a NUL, as byte %d is", name, at)
			}
			size += uintptr(len(value)) + 1
		}
		count += uintptr(len(argument.values))
	}
	total := count*pointerSize + size
	block := C.malloc(C.size_t(total + 1))
	// Numbers, not pointers: a pointer stored into fresh C memory would make the
	// write barrier look at what stood there before.
	table := unsafe.Slice((*uintptr)(block), count)
	bytes := unsafe.Slice((*byte)(unsafe.Add(block, count*pointerSize)), size)
	entry := 0
	used := 0
	for _, argument := range arguments {
		for _, value := range argument.values {
			table[entry] = uintptr(block) + count*pointerSize + uintptr(used)
			entry++
			used += copy(bytes[used:], value)
			bytes[used] = 0
			used++
		}
	}
	return arena{block, total}, nil
}

// text gives one text, counted over all arguments.
func (a arena) text(index int) *C.char { return *a.texts(index) }

// texts gives the array that begins with a text.
func (a arena) texts(index int) **C.char {
	return (**C.char)(unsafe.Add(a.block, uintptr(index)*pointerSize))
}

func (a arena) free() { C.free(a.block) }

// wipe frees texts of which one is secret.
func (a arena) wipe() {
	clear(unsafe.Slice((*byte)(a.block), a.size))
	a.free()
}
