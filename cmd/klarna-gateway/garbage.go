package main

import (
	"os"
	"runtime"
	"runtime/debug"
	runtimemetrics "runtime/metrics"
)

// heapFloor is the size to which the heap may grow before it is collected, in bytes. What a gateway keeps is small, so that Go
// alone would collect it tens of times a second under load; a heap that keeps more than half of this is left to Go.
const heapFloor = 64 << 20

// usualPercent is Go's own: the heap may grow to twice of what is kept.
const usualPercent = 100

// collectSeldom keeps the collector from running before there is something to collect, for as long as the process lives.
// Whoever sets GOGC has decided; GOMEMLIMIT holds either way.
func collectSeldom() {
	if os.Getenv("GOGC") == "" {
		(&collecting{percent: usualPercent}).follow()
	}
}

// collecting is set anew after each collection, to what is kept then.
type collecting struct{ percent int }

// follow has an object collected next time that says so by its finalizer: Go has no other word of a collection.
func (c *collecting) follow() {
	c.adjust(scanned())
	runtime.SetFinalizer(&struct{ *collecting }{c}, func(*struct{ *collecting }) { c.follow() })
}

// adjust sets the percentage if it would be another one by a tenth: setting it stops the world for a moment.
func (c *collecting) adjust(kept, roots uint64) {
	if percent := growth(kept, roots); percent*10 > c.percent*11 || percent*11 < c.percent*10 {
		c.percent = percent
		debug.SetGCPercent(percent)
	}
}

// growth is by how many percent a heap may grow that keeps so many bytes, beside so many of stacks and globals: Go lets it
// grow by these percents of both.
func growth(kept, roots uint64) int {
	const mostPercent = 3200 // of 2 MiB
	if kept*2 >= heapFloor {
		return usualPercent
	}
	return int(min(max((heapFloor-kept)*100/max(kept+roots, 1), usualPercent), mostPercent))
}

// scanned is what the newest collection has left on the heap, and what stacks and globals held then, in bytes.
func scanned() (kept, roots uint64) {
	found := []runtimemetrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/stack:bytes"}, {Name: "/gc/scan/globals:bytes"}}
	runtimemetrics.Read(found)
	for _, s := range found {
		if s.Value.Kind() != runtimemetrics.KindUint64 {
			return heapFloor, 0
		}
	}
	return found[0].Value.Uint64(), found[1].Value.Uint64() + found[2].Value.Uint64()
}
