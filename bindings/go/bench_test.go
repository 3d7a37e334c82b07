package imgroup_test

import (
	"context"
	"testing"
	"time"

	imgroup "github.com/libimgroup/libimgroup/bindings/go"
)

// What a call costs with the network in it; compare with the same from C.
func BenchmarkGetLists(b *testing.B) {
	_, client := fast(b)
	plain := context.Background()
	cancellable, stop := context.WithTimeout(plain, time.Hour)
	defer stop()
	for name, ctx := range map[string]context.Context{"background": plain, "deadline": cancellable} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := client.GetLists(ctx, "alice", nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// What the wrapper itself costs: the library refuses the arguments at once.
func BenchmarkRefusedCall(b *testing.B) {
	client, err := imgroup.NewClient(1, "a", "k", imgroup.WithRegion("cn"))
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	plain := context.Background()
	cancellable, stop := context.WithTimeout(plain, time.Hour)
	defer stop()
	for name, ctx := range map[string]context.Context{"background": plain, "deadline": cancellable} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := client.DeleteLists(ctx, "", []string{"Family"}); err == nil {
					b.Fatal("accepted")
				}
			}
		})
	}
}

// How texts get into C memory: 32 names, and 1000 friends.
func BenchmarkTexts(b *testing.B) {
	names := make([]string, 1032)
	for i := range names {
		names[i] = "a name of 18 bytes"
	}
	b.ReportAllocs()
	for b.Loop() {
		imgroup.FillArena("alice", names)
	}
}

func BenchmarkUserSig(b *testing.B) {
	for b.Loop() {
		if _, err := imgroup.UserSig(1400000000, "alice", "key", time.Hour); err != nil {
			b.Fatal(err)
		}
	}
}
