package imgroup

import (
	"unsafe"
)

// LiveCallbacks tells how many functions C still holds.
func LiveCallbacks() int64 { return liveCallbacks.Load() }

// Fits is the rule by which a loaded library is taken.
var Fits = fits

// Slots tells how many calls of a client are under way.
func Slots(client *Client) int { return len(client.slots) }

// ArenaTexts puts texts into an arena and reads them back as C would.
func ArenaTexts(single string, list []string) ([]string, error) {
	arena, err := newArena(text("single", single), texts("list", list))
	if err != nil {
		return nil, err
	}
	defer arena.free()
	var back []string
	for index := range 1 + len(list) {
		start := *(*unsafe.Pointer)(unsafe.Pointer(arena.texts(index)))
		length := 0
		for *(*byte)(unsafe.Add(start, length)) != 0 {
			length++
		}
		back = append(back, string(unsafe.Slice((*byte)(start), length)))
	}
	return back, nil
}

// FillArena does what a call does with its texts.
func FillArena(single string, list []string) {
	arena, err := newArena(text("single", single), texts("list", list))
	if err != nil {
		panic(err)
	}
	arena.free()
}
