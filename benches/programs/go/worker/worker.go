// Package worker is the loop of the workers in Go, as worker.h.
package worker

import (
	"bufio"
	"fmt"
	"log"
	"os"
	"syscall"
	"time"
)

const warmUp = 100

func cpu() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

// Run makes as many calls as each number on standard input says.
func Run(call func() error) {
	var calls int
	out := bufio.NewWriter(os.Stdout)
	for {
		if _, err := fmt.Scan(&calls); err != nil {
			return
		}
		took := make([]time.Duration, calls)
		for range warmUp {
			if err := call(); err != nil {
				log.Fatal(err)
			}
		}
		before, begin := cpu(), time.Now()
		last := begin
		for i := range took {
			if err := call(); err != nil {
				log.Fatal(err)
			}
			now := time.Now()
			took[i], last = now.Sub(last), now
		}
		fmt.Fprint(out, cpu()-before, " ", last.Sub(begin).Nanoseconds())
		for _, each := range took {
			fmt.Fprint(out, " ", each.Nanoseconds())
		}
		fmt.Fprintln(out)
		out.Flush()
	}
}
