package main

import (
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestGrowth_IsGosOwnOnceMuchIsKept(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kept, roots uint64
		percent     int
	}{
		{0, 0, 3200}, {1 << 20, 0, 3200}, {8 << 20, 0, 700}, {16 << 20, 0, 300}, {31 << 20, 0, 106}, {32 << 20, 0, 100}, {64 << 20, 0, 100}, {4 << 30, 0, 100},
		{8 << 20, 6 << 20, 400}, {8 << 20, 64 << 20, 100}, {0, 16 << 20, 400},
	} {
		if got := growth(c.kept, c.roots); got != c.percent {
			t.Errorf("a heap that keeps %d MiB may grow by %d %%, want %d", c.kept>>20, got, c.percent)
		}
	}
}

// It changes the whole process, so it does not run beside others.
func TestCollectSeldom_FollowsWhatIsKept(t *testing.T) {
	t.Setenv("GOGC", "")
	before := debug.SetGCPercent(usualPercent)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	c := &collecting{percent: usualPercent}
	percent := func() int {
		now := debug.SetGCPercent(usualPercent)
		debug.SetGCPercent(now)
		return now
	}
	c.adjust(4<<20, 0)
	if got := percent(); got != 1500 {
		t.Errorf("a heap that keeps 4 MiB may grow by %d %%", got)
	}
	c.adjust(4<<20+4096, 0)
	if got := percent(); got != 1500 {
		t.Errorf("a little more made it %d %%", got)
	}
	large := make([]byte, 2*heapFloor)
	c.follow()
	for end := time.Now().Add(10 * time.Second); percent() != usualPercent && time.Now().Before(end); {
		runtime.GC() // the finalizer runs some time after it
	}
	if got := percent(); got != usualPercent {
		t.Errorf("a heap that keeps %d MiB may grow by %d %%", len(large)>>20, got)
	}
	runtime.KeepAlive(large)
}
