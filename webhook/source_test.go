package webhook

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"payments.internal/klarna-gateway/klarna"
)

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

func TestSources_AreReadFromTheRightAndNoFurtherThanTrusted(t *testing.T) {
	t.Parallel()
	proxies := prefixes("10.0.0.0/8", "2001:db8::/32")
	for name, c := range map[string]struct {
		peer    string
		passed  []string
		proxies []netip.Prefix
		hops    int
		want    string
	}{
		"no proxy":                         {"52.17.117.56:4711", nil, proxies, 0, "52.17.117.56"},
		"nobody is trusted":                {"10.0.0.1:1", []string{"52.17.117.56"}, nil, 0, "10.0.0.1"},
		"a stranger's claim":               {"203.0.113.9:1", []string{"52.17.117.56"}, proxies, 0, "203.0.113.9"},
		"one proxy":                        {"10.0.0.1:1", []string{"52.17.117.56"}, proxies, 0, "52.17.117.56"},
		"one proxy, a claim to its left":   {"10.0.0.1:1", []string{"52.17.117.56, 203.0.113.9"}, proxies, 0, "203.0.113.9"},
		"two proxies":                      {"10.0.0.1:1", []string{"52.17.117.56, 10.0.0.2"}, proxies, 0, "52.17.117.56"},
		"two headers":                      {"10.0.0.1:1", []string{"52.17.117.56", "10.0.0.2"}, proxies, 0, "52.17.117.56"},
		"one hop, though more are trusted": {"10.0.0.1:1", []string{"52.17.117.56, 10.0.0.2"}, proxies, 1, "10.0.0.2"},
		"all of them trusted":              {"10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, proxies, 0, "10.0.0.3"},
		"a proxy that says nothing":        {"10.0.0.1:1", nil, proxies, 0, "10.0.0.1"},
		"nonsense from a proxy":            {"10.0.0.1:1", []string{"52.17.117.56, unknown"}, proxies, 0, "invalid IP"},
		"IPv4 in IPv6":                     {"[::ffff:10.0.0.1]:1", []string{"::ffff:52.17.117.56"}, proxies, 0, "52.17.117.56"},
		"IPv6":                             {"[2001:db8::1]:1", []string{"2001:db9::7"}, proxies, 0, "2001:db9::7"},
	} {
		g := gatekeeper{proxies: c.proxies, hops: c.hops}
		req := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.passed}}
		if got := g.address(req); got.String() != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestReceiver_ChecksWhereDeliveriesComeFrom(t *testing.T) {
	t.Parallel()
	const playground, live, stranger = "63.33.163.93", "52.18.109.75", "203.0.113.9"
	for name, c := range map[string]struct {
		mode SourceMode
		door map[Door][]netip.Prefix
		from string
		want int
		told bool
	}{
		"off":                   {SourcesOff, nil, stranger, http.StatusOK, false},
		"reported":              {SourcesReport, nil, stranger, http.StatusOK, true},
		"enforced":              {SourcesEnforce, nil, stranger, http.StatusForbidden, true},
		"on the list":           {SourcesEnforce, nil, playground, http.StatusOK, false},
		"of the other list":     {SourcesEnforce, nil, live, http.StatusForbidden, true},
		"on a list of our own":  {SourcesEnforce, map[Door][]netip.Prefix{DoorPaymentStatus: prefixes("203.0.113.0/24")}, stranger, http.StatusOK, false},
		"our own list replaces": {SourcesEnforce, map[Door][]netip.Prefix{DoorPaymentStatus: prefixes("203.0.113.0/24")}, playground, http.StatusForbidden, true},
	} {
		g := start(t, func(cfg *Config) {
			cfg.Sources = Sources{Mode: c.mode, Doors: c.door, Proxies: prefixes("127.0.0.0/8")}
		})
		body := paymentStatus("n1", "PAID", 0)
		g.want(c.want, statusPath, body, append(signed(body), "X-Forwarded-For", c.from)...)
		if told := strings.Contains(g.logged(), "not on the list"); told != c.told {
			t.Errorf("%s: told %v\n%s", name, told, g.logged())
		}
		if c.want == http.StatusForbidden {
			g.untouched()
		}
	}
	// Nobody publishes where webhooks of the Network come from.
	g := start(t, func(cfg *Config) { cfg.Sources = Sources{Mode: SourcesEnforce, Proxies: prefixes("127.0.0.0/8")} })
	g.want(http.StatusBadRequest, networkPath, "{}", "X-Forwarded-For", stranger)
}

func TestSources_EveryEnvironmentHasItsOwn(t *testing.T) {
	t.Parallel()
	both := Sources{}.published(map[string]Account{"a": {Live: true}, "b": {}})
	for _, list := range [][]netip.Prefix{
		klarna.CallbackSources(true), klarna.CallbackSources(false), klarna.PaymentStatusSources(true), klarna.PaymentStatusSources(false),
	} {
		for _, p := range list {
			if !p.IsSingleIP() || p.Addr().IsPrivate() {
				t.Errorf("%s is no address of Klarna's", p)
			}
		}
	}
	if n := len(both[DoorPaymentStatus]); n != 6 {
		t.Errorf("payment status: %d addresses", n)
	}
	if n := len(both[DoorAuthorization]); n != 14 || len(both[DoorNetwork]) != 0 {
		t.Errorf("callbacks: %d addresses", n)
	}
}

// A flood costs neither a write, nor a line of the log each, nor Klarna's own deliveries.
func TestReceiver_AFloodOfBadSignaturesCostsNothing(t *testing.T) {
	t.Parallel()
	const attacker, other = "203.0.113.9", "198.51.100.7"
	g := start(t, func(cfg *Config) { cfg.Sources = Sources{Proxies: prefixes("127.0.0.0/8"), RejectsPerSecond: 2} })
	before := g.engine.commits.Load()
	answers := map[int]int{}
	for i := range 300 {
		status, _ := g.post(statusPath, `{"n":`+strconv.Itoa(i)+`}`, "Payload-Signature", "t=1,v1=00", "X-Forwarded-For", attacker)
		answers[status]++
	}
	if answers[http.StatusBadRequest] != 20 || answers[http.StatusTooManyRequests] != 280 {
		t.Errorf("the flood was answered %v", answers)
	}
	if n := g.engine.commits.Load() - before; n != 0 {
		t.Errorf("the flood cost %d commits", n)
	}
	if n := strings.Count(g.logged(), "\n"); n > 21 {
		t.Errorf("the flood cost %d lines of the log", n)
	}
	if n := g.counted(DoorPaymentStatus, Rejected); n != 300 {
		t.Errorf("%d of 300 were counted", n)
	}
	g.untouched()
	body := paymentStatus("n1", "PAID", 0)
	g.want(http.StatusTooManyRequests, statusPath, body, append(signed(body), "X-Forwarded-For", attacker)...)
	for range 100 { // good ones cost nothing, however many
		g.want(http.StatusOK, statusPath, body, append(signed(body), "X-Forwarded-For", other)...)
	}
}

func TestFlood_ForgivesWithTime(t *testing.T) {
	t.Parallel()
	at := now
	f := newFlood(1, false, func() time.Time { return at })
	a, same, neighbour := netip.MustParseAddr("2001:db9::1"), netip.MustParseAddr("2001:db9::2"), netip.MustParseAddr("2001:db9:0:1::1")
	for range 10 {
		f.take(a)
	}
	if ok, first := f.take(same); ok || !first {
		t.Errorf("one of the same /64: %v, %v", ok, first)
	}
	if ok, _ := f.take(neighbour); !ok {
		t.Error("a neighbour is turned away as well")
	}
	at = at.Add(time.Second)
	if ok, _ := f.take(a); !ok {
		t.Error("nothing is forgiven")
	}
	for i := range 3 * floodAddresses { // more than there is room for
		f.take(netip.AddrFrom4([4]byte{1, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	if len(f.from) > floodAddresses {
		t.Errorf("%d addresses are kept", len(f.from))
	}
	unknown := newFlood(1, true, func() time.Time { return at })
	for range 100 {
		if ok, _ := unknown.take(netip.MustParseAddr("10.0.0.1")); !ok {
			t.Fatal("what may be a proxy that nobody configured is turned away")
		}
	}
}

// The door is open to the internet: nothing in it could hold a credential at Klarna, or call anybody.
func TestPackage_HoldsNoCredentialsAndCallsNobody(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	ours := []string{"journal", "klarna", "store"}
	callers := []string{"Client", "New", "Config", "Get", "Post", "Do", "DefaultClient", "NewRequest", "NewRequestWithContext", "Dial", "DefaultTransport", "Transport"}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(gotoken.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, imported := range file.Imports {
			path, _ := strconv.Unquote(imported.Path.Value)
			if mine, own := strings.CutPrefix(path, "payments.internal/klarna-gateway/"); own && !slices.Contains(ours, mine) || path == "net" || path == "os" {
				t.Errorf("%s imports %s", name, path)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if use, ok := n.(*ast.SelectorExpr); ok {
				if pkg, ok := use.X.(*ast.Ident); ok && (pkg.Name == "klarna" || pkg.Name == "http") && slices.Contains(callers, use.Sel.Name) {
					t.Errorf("%s uses %s.%s", name, pkg.Name, use.Sel.Name)
				}
			}
			return true
		})
	}
}
