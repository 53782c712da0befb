package webhook

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"payments.internal/klarna-gateway/klarna"
)

// SourceMode says what becomes of a delivery from an address that is not Klarna's.
type SourceMode string

// The modes.
const (
	SourcesOff     SourceMode = "off"     // addresses are not looked at
	SourcesReport  SourceMode = "report"  // it is logged, and taken if it proves itself
	SourcesEnforce SourceMode = "enforce" // it is refused with 403
)

// Sources says where deliveries come from and where they may come from. Zero fields are defaults.
type Sources struct {
	Mode SourceMode // default SourcesOff
	// Doors has the addresses that may post to a door, instead of those that Klarna publishes for the environments of
	// the accounts. A door that has neither is not checked.
	Doors map[Door][]netip.Prefix
	// Proxies are the addresses of proxies whose X-Forwarded-For is believed, Hops how many of them a delivery passes; 0
	// means as many as are trusted.
	Proxies []netip.Prefix
	Hops    int
	// RejectsPerSecond is how many rejected deliveries an address may make before it is answered 429 unread; default 5,
	// ten times as many at once. Negative: any number.
	RejectsPerSecond float64
}

// Check names every flaw at once.
func (s Sources) Check() error {
	var flaws []error
	if !slices.Contains([]SourceMode{"", SourcesOff, SourcesReport, SourcesEnforce}, s.Mode) {
		flaws = append(flaws, fmt.Errorf("mode: %q is none of off, report, enforce", s.Mode))
	}
	known := Doors()
	for _, door := range slices.Sorted(maps.Keys(s.Doors)) {
		if !slices.Contains(known, door) {
			flaws = append(flaws, fmt.Errorf("doors: %q is none of %q", door, known))
		}
	}
	return errors.Join(flaws...)
}

// published puts Klarna's lists where the configuration has none.
func (s Sources) published(accounts map[string]Account) map[Door][]netip.Prefix {
	doors := map[Door][]netip.Prefix{}
	for _, live := range []bool{true, false} {
		if !slices.ContainsFunc(slices.Collect(maps.Values(accounts)), func(a Account) bool { return a.Live == live }) {
			continue
		}
		doors[DoorPaymentStatus] = append(doors[DoorPaymentStatus], klarna.PaymentStatusSources(live)...)
		for _, door := range []Door{DoorAuthorization, DoorHostedPage, DoorPendingOrder} {
			doors[door] = append(doors[door], klarna.CallbackSources(live)...)
		}
	}
	maps.Copy(doors, s.Doors)
	return doors
}

// gatekeeper knows where a delivery comes from, before anything of it is read.
type gatekeeper struct {
	mode    SourceMode
	doors   map[Door][]netip.Prefix
	proxies []netip.Prefix
	hops    int
	flood   *flood
}

// address is where a request comes from: the peer, or behind proxies that are trusted what the outermost of them saw.
// The list is read from its right end, since what stands at its left was sent by whoever likes to. Not valid if a trusted
// proxy passed on something that is no address.
func (g *gatekeeper) address(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	at := peer.Addr().Unmap().WithZone("")
	passed := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for hop := 0; contains(g.proxies, at) && (g.hops == 0 || hop < g.hops) && len(passed) > 0; hop++ {
		text := strings.TrimSpace(passed[len(passed)-1])
		passed = passed[:len(passed)-1]
		if text == "" {
			break
		}
		if at, err = netip.ParseAddr(text); err != nil {
			return netip.Addr{}
		}
		at = at.Unmap().WithZone("")
	}
	return at
}

// listed tells whether a delivery to a door may come from an address; sure says that there is a list to tell by.
func (g *gatekeeper) listed(door Door, from netip.Addr) (listed, sure bool) {
	list := g.doors[door]
	return contains(list, from), g.mode != SourcesOff && len(list) > 0
}

func contains(list []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Lists tells which doors of these accounts a post from an address may come to, and which not; doors without a list are
// in neither.
func (s Sources) Lists(accounts map[string]Account, from netip.Addr) (in, out []Door) {
	lists := s.published(accounts)
	for _, door := range slices.Sorted(maps.Keys(lists)) {
		switch {
		case len(lists[door]) == 0:
		case contains(lists[door], from.Unmap().WithZone("")):
			in = append(in, door)
		default:
			out = append(out, door)
		}
	}
	return in, out
}
