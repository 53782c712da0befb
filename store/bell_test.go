package store_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"payments.internal/klarna-gateway/store"
)

// A follower that has just read everything, and waits for its bell, misses no commit that comes at that very moment. Many
// followers begin anew after each event, while the next one is being committed; positions are dense, so what one of them
// missed shows at once. More threads than cores, and not beside other tests, so that followers are held up in between.
func TestFollow_NoCommitFallsBetweenTheReadAndTheBell(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8 * runtime.NumCPU()))
	const events, followers = 300, 64
	f := fixture{dir: t.TempDir(), change: func(cfg *store.Config) { cfg.Heartbeat = time.Millisecond }}
	s, done := f.open(t)
	t.Cleanup(done)
	var working sync.WaitGroup
	for range followers {
		working.Go(func() {
			for q := payments; q.After < events && !t.Failed(); {
				for ev, err := range s.Follow(t.Context(), q) {
					switch {
					case err != nil:
						t.Errorf("follow: %v", err)
						return
					case ev.ID == "" && ev.Position == q.After:
						continue
					case ev.ID == "" || ev.Position != q.After+1:
						t.Errorf("behind %d came %q at %d", q.After, ev.ID, ev.Position)
						return
					}
					q.After = ev.Position
					break
				}
			}
		})
	}
	for n := range events {
		appendEvent(t, s, event(fmt.Sprint("evt-", n), "pay-1"))
	}
	working.Wait()
}
