// Package modeltest plays gateway and Klarna against each other: callers, customers, Klarna's posts, the worker, the
// clock, faults and crashes come in random order, and after each step it looks whether what the gateway promises holds.
//
// One seed makes one interleaving. Everything runs in a bubble of testing/synctest on one clock, and where several act at
// the same time the test says whose call goes on next, so a seed plays the same again. The store is a real SQLite database, the
// journal, operations, worker and webhook door are the real ones, signatures too; Klarna is klarnatest, called without a
// socket between, so that every call may be refused, lost, late or the last one of its process.
//
//	go test ./operation/modeltest -interleavings 10000    # more of them
//	go test ./operation/modeltest -seed 4711 -v           # one, with its history
//
// A file says one thing: world_test.go what there is, wire_test.go and fault_test.go what can go wrong, actor_test.go and
// the files of actions who does what, truth_test.go what has to hold.
package modeltest
