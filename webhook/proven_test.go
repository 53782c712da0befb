package webhook

import (
	"net/netip"
	"testing"
	"time"
)

// Where Klarna's posts came from is kept, and whether the list has it, in every mode; strangers are not.
func TestReceiver_KnowsWhereKlarnasPostsCameFrom(t *testing.T) {
	t.Parallel()
	const playground, elsewhere, stranger = "63.33.163.93", "203.0.113.9", "198.51.100.7"
	for _, mode := range []SourceMode{SourcesOff, SourcesReport, SourcesEnforce} {
		g := start(t, func(c *Config) {
			c.Sources = Sources{Mode: mode, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
		})
		from := func(address, body string, headers ...string) {
			g.post(statusPath, body, append(headers, "X-Forwarded-For", address)...)
		}
		for id, address := range map[string]string{"n1": playground, "n2": playground, "n3": elsewhere} {
			body := paymentStatus(id, "UNPAID", 0)
			from(address, body, signed(body)...)
		}
		from(stranger, paymentStatus("n4", "UNPAID", 0))
		got := map[string]ProvenSource{}
		for _, s := range g.receiver.ProvenSources() {
			got[s.Address.String()] = s
		}
		want := 2
		if mode == SourcesEnforce {
			want = 1 // refused unread, it proves nothing
		}
		if in := got[playground]; len(got) != want || in.Posts != 2 || !in.Listed || in.Unlisted || in.Door != DoorPaymentStatus || in.Last.IsZero() {
			t.Errorf("%s: %+v", mode, got)
		}
		if out, there := got[elsewhere]; there && (out.Listed || !out.Unlisted) {
			t.Errorf("%s: %+v", mode, out)
		}
	}
}

func TestProven_IsBounded(t *testing.T) {
	t.Parallel()
	var p proven
	at, began := netip.MustParseAddr("10.0.0.1"), time.Unix(0, 0)
	first := at
	for i := range mostProven + 10 {
		p.note(DoorNetwork, at, false, false, began.Add(time.Duration(i)*time.Second))
		at = at.Next()
	}
	if _, there := p.seen[provenKey{first, DoorNetwork}]; there || len(p.seen) != mostProven {
		t.Errorf("%d are kept, the oldest among them: %v", len(p.seen), there)
	}
	p.note(DoorNetwork, netip.Addr{}, false, false, began)
	if len(p.seen) != mostProven {
		t.Error("no address is kept as one")
	}
}
