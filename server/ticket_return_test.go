package server

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"payments.internal/klarna-gateway/access"
)

// spend opens the watch of a ticket, and returns the cookie that it set.
func (s *stack) spend(path string, header http.Header) *http.Cookie {
	s.t.Helper()
	res := s.do(http.MethodGet, path, nil, header)
	lines(s.t, res, "snapshotEnd")
	set := res.Cookies()
	if len(set) != 1 {
		s.t.Fatalf("it set the cookies %v, want one", set)
	}
	return set[0]
}

// comingBack is what a browser sends that has these cookies.
func comingBack(cookies ...*http.Cookie) http.Header {
	header := http.Header{"Accept": {eventStreamType}}
	for _, c := range cookies {
		header.Add("Cookie", c.Name+"="+c.Value)
	}
	return header
}

func TestTicket_ItsBrowserComesBackWithTheCookieOfItsFirstUse(t *testing.T) {
	t.Parallel()
	var file *access.PolicyFile
	set := policed(t, ticketMakers, "seller")
	s := start(t, func(c *Config) { set(c); file = c.Policy })
	s.record(opened("SO-1"), opened("SO-2"))
	made := s.ticket("SO-1")
	one, two := made.GetWatchPath(), s.ticket("SO-2").GetWatchPath()
	mine, other := s.spend(one, nil), s.spend(two, http.Header{"X-Forwarded-Proto": {"https"}})
	if !mine.HttpOnly || mine.SameSite != http.SameSiteStrictMode || mine.Path != watchPath || mine.MaxAge != 1800 || mine.Secure || !other.Secure {
		t.Errorf("the cookies are %v and %v", mine, other)
	}
	if strings.Contains(mine.String(), made.GetTicket()) {
		t.Error("the cookie tells the ticket")
	}
	for range 2 {
		res := s.do(http.MethodGet, one, nil, comingBack(mine))
		if lines(t, res, "snapshotEnd"); len(res.Cookies()) != 0 {
			t.Errorf("coming back, it was given %v", res.Cookies())
		}
	}
	refused := func(name, path string, want int, header http.Header) {
		t.Helper()
		if res := s.do(http.MethodGet, path, nil, header); res.StatusCode != want || len(res.Cookies()) != 0 {
			t.Errorf("%s: HTTP status %d, cookies %v", name, res.StatusCode, res.Cookies())
		}
	}
	refused("the spent ticket alone", one, http.StatusUnauthorized, nil)
	refused("the cookie alone", watchPath, http.StatusUnauthorized, comingBack(mine))
	refused("another ticket's cookie", one, http.StatusUnauthorized, comingBack(other))
	stolen := *other
	stolen.Name = mine.Name
	refused("another ticket's secret", one, http.StatusUnauthorized, comingBack(&stolen))
	refused("the cookie as a ticket", watchPath+"?ticket="+mine.Value, http.StatusUnauthorized, comingBack())
	refused("another filter", one+"&order_ids="+id("order SO-2"), http.StatusBadRequest, comingBack(mine))
	refused("another path", strings.Replace(one, ":watch", "", 1), http.StatusBadRequest, comingBack(mine))
	if strings.Contains(s.logs.String(), mine.Value) {
		t.Error("the log holds the cookie")
	}

	s.klarna.Advance(returnLife - time.Second)
	lines(t, s.do(http.MethodGet, one, nil, comingBack(mine)), "snapshotEnd")
	s.klarna.Advance(time.Second)
	refused("after its time, however often it was used", one, http.StatusUnauthorized, comingBack(mine))

	later := s.ticket("SO-1").GetWatchPath()
	mine = s.spend(later, nil)
	must(t, os.WriteFile(file.Path(), []byte("roles: {}"), 0o600))
	_, err := file.Reload()
	must(t, err)
	refused("when its maker's grant is gone", later, http.StatusForbidden, comingBack(mine))
}

// A ticket that opens nothing sets no cookie.
func TestTicket_ARefusedOneSetsNoCookie(t *testing.T) {
	t.Parallel()
	s := start(t, policed(t, ticketMakers, "seller"))
	s.record(opened("SO-1"))
	for _, path := range []string{watchPath + "?ticket=made-up", s.ticket("SO-1").GetWatchPath() + "&includeDebtorData=true"} {
		if res := s.get(path); res.StatusCode == http.StatusOK || len(res.Cookies()) != 0 {
			t.Errorf("HTTP status %d, cookies %v", res.StatusCode, res.Cookies())
		}
	}
}
