// Package imgroup works with the friend lists of Tencent Cloud Chat (IM) from a
// server: it deletes, creates and reads the lists of an account, and sends any
// other command of the REST API. It is a thin layer over the C library
// libimgroup, which does the signing, the retries, the failover and the pace.
//
//	client, err := imgroup.NewClient(1400000000, "administrator", secretKey, imgroup.WithRegion("sgp"))
//	if err != nil {
//		return err
//	}
//	defer client.Close()
//	_, err = client.DeleteLists(ctx, "alice", []string{"Family", "Work"})
//
// # Words
//
// A friend list is what the wire calls a group. Its owner is the account. The app
// admin in whose name requests are signed is the identifier.
//
// # Goroutines
//
// A [Client] is for any number of goroutines at once; make one and keep it. It
// keeps connections, the ticket, and the order of writes on each account. Every
// call that is under way holds one thread of the operating system, and a client
// has at most 64 calls under way ([WithMaxConcurrentCalls]); further ones wait
// for their turn as long as their context allows.
//
// # Time
//
// The deadline of a context is the deadline of the whole call: waiting, retries
// and pauses included. It takes the place of the client's own timeout (15 s, see
// [WithTimeout]), and is cut to ten minutes. Cancelling a context ends its call
// within 50 ms.
//
// # Errors
//
// Every failure is an [*Error]. Its class says what to do, and is what to ask
// for, because it stays right when the service adds codes:
//
//	errors.Is(err, imgroup.ErrThrottled)
//
// Its [Outcome] says what became of the request. A call whose context ended also
// satisfies errors.Is with [context.DeadlineExceeded] or [context.Canceled].
//
// # Many accounts
//
// A [Job] deletes the lists of millions of accounts, or reads them, and goes on where
// it ended after a stop or a crash.
//
// # Tests
//
// Package imgrouptest starts a local stand-in for the service.
package imgroup
