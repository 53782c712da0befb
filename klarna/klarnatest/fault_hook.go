package klarnatest

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// HookFault is something that goes wrong with the next posts of one kind: those of a kind, of an event type, or that an
// operation causes. What is empty matches all.
type HookFault struct {
	Kind      string // one of the Kind constants
	Type      string // beginning of the event type, such as "payment.request."
	Operation string // one of Operations: only posts that the call itself causes, not what follows in time
	Times     int    // how many posts are hit; 0 means one, below 0 all until Heal

	Drop      bool          // it is lost for good; Resend can bring it back
	Duplicate bool          // it goes out twice
	Overtaken bool          // it goes out after the next one that is not hit
	Late      time.Duration // it goes out that much later, by the simulated clock
}

var hookKinds = []string{KindNetwork, KindPaymentStatus, KindAuthorization, KindPush, KindHostedPage, KindPendingOrder}

// FailHook arranges a fault of posts. Of several that match, the one arranged first counts.
func (s *Server) FailHook(f HookFault) error {
	if err := f.check(); err != nil {
		return err
	}
	if f.Times == 0 {
		f.Times = 1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks.faults = append(s.hooks.faults, &f)
	return nil
}

func (f HookFault) check() error {
	switch {
	case f.Kind != "" && !slices.Contains(hookKinds, f.Kind):
		return fmt.Errorf("fail posts of kind %q: %w", f.Kind, errUnknown)
	case f.Operation != "" && !slices.Contains(Operations(), f.Operation):
		return fmt.Errorf("fail posts of operation %q: %w", f.Operation, errUnknown)
	case f.Late < 0:
		return fmt.Errorf("fail posts: late is below 0")
	case !f.Drop && !f.Duplicate && !f.Overtaken && f.Late == 0:
		return fmt.Errorf("fail posts: nothing goes wrong")
	}
	return nil
}

// takeHookFault is the fault that m meets; the zero HookFault does nothing. Callers hold mu.
func (s *Server) takeHookFault(m *message) HookFault {
	i := slices.IndexFunc(s.hooks.faults, func(f *HookFault) bool {
		return (f.Kind == "" || f.Kind == m.kind) && strings.HasPrefix(m.eventType, f.Type) && (f.Operation == "" || f.Operation == s.serving)
	})
	if i < 0 {
		return HookFault{}
	}
	f := s.hooks.faults[i]
	if f.Times > 0 {
		f.Times--
	}
	if f.Times == 0 {
		s.hooks.faults = slices.Delete(s.hooks.faults, i, i+1)
	}
	return *f
}

// releaseOvertaken sends what was held back, now that another message has gone ahead. Callers hold mu.
func (s *Server) releaseOvertaken(at time.Time) {
	for _, m := range s.hooks.overtaken {
		s.schedule(entry{at: at, msg: m})
	}
	s.hooks.overtaken = nil
}
