package klarnatest

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestReadPlan_SaysWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"faults: [{operation: capture, lose_anwser: true}]": "lose_anwser",
		"faults: [{operation: captures, cut: true}]":        `"captures"`,
		"faults: [{operation: capture}]":                    "nothing goes wrong",
		"faults: [{operation: capture, code: CONFLICT}]":    "a refusal has a status",
		"faults: [{operation: capture, status: 200}]":       "status 200 is no refusal",
		"faults: [{operation: capture, delay: soon}]":       `"soon"`,
		"faults: [{operation: capture, delay: -1s}]":        "below 0",
		"hooks: [{kind: post, drop: true}]":                 `"post"`,
		"hooks: [{kind: push}]":                             "nothing goes wrong",
		"hooks: [{kind: push, late: -1s}]":                  "below 0",
		"hooks: [{operation: none, drop: true}]":            `"none"`,
		"webhooks: []":                                      "webhooks",
	} {
		if _, err := ReadPlan(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want it to tell %s", text, err, want)
		}
	}
	if plan, err := ReadPlan(strings.NewReader("")); err != nil || plan.Faults != nil || plan.Hooks != nil {
		t.Errorf("an empty plan: %+v, %v", plan, err)
	}
}

const outage = `
faults:
  - {operation: capture, after: 1, times: 2, status: 503, code: TEMPORARILY_UNAVAILABLE}
  - {operation: refund, times: -1, cut: true}
hooks:
  - {kind: payment_status, type: non_guaranteed, late: 1h}
`

func TestArrange_PlaysAPlanFromAFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan, err := ReadPlan(strings.NewReader(outage))
	w.must(err)
	w.must(w.klarna.Arrange(plan))
	id := w.placed(doc{}) // UNPAID is told an hour late
	captures := om(id) + "/captures"
	w.want(201, "POST", captures, doc{"captured_amount": 100})
	w.want(503, "POST", captures, doc{"captured_amount": 100})
	w.want(503, "POST", captures, doc{"captured_amount": 100})
	w.want(201, "POST", captures, doc{"captured_amount": 100})
	for range 3 {
		if _, err := w.try("POST", om(id)+"/refunds", doc{"refunded_amount": 1}); err == nil {
			t.Fatal("a refund was answered")
		}
	}
	w.klarna.Heal()
	w.want(201, "POST", om(id)+"/refunds", doc{"refunded_amount": 1})
	w.settle()
	if n := len(w.inbox.received()); n != 1 { // the callback of the authorization
		t.Errorf("%d posts before the hour", n)
	}
	w.klarna.Advance(time.Hour)
	if n := len(w.inbox.received()); n != 2 {
		t.Errorf("%d posts after the hour", n)
	}
	if err := w.klarna.Arrange(Plan{Faults: []Fault{{Operation: "capture", Cut: true}, {Operation: "none", Cut: true}}}); err == nil {
		t.Error("half a plan was arranged")
	}
	w.want(201, "POST", captures, doc{"captured_amount": 100})
}

func TestFail_AnswersWhatAProxyWould(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	path := "/payments/v1/sessions/" + w.session(doc{})
	fail := func(f Fault) {
		f.Operation = "readSession"
		w.must(w.klarna.Fail(f))
	}
	fail(Fault{Status: 502, Body: "<html><title>502 Bad Gateway</title></html>"})
	if res := w.want(502, "GET", path, nil); res.header.Get("Content-Type") != "text/html" || !strings.HasPrefix(string(res.body), "<html>") {
		t.Errorf("%v %s", res.header, res.body)
	}
	fail(Fault{Status: 403, NoBody: true})
	if res := w.want(403, "GET", path, nil); len(res.body) != 0 {
		t.Errorf("%s", res.body)
	}
	fail(Fault{Status: 409, Messages: []string{"Not matching fields: [locale]"}, Code: "BAD_VALUE"})
	if res := w.refused(409, "BAD_VALUE", "GET", path, nil); res.message() != "Not matching fields: [locale]" {
		t.Errorf("%s", res.body)
	}
	for _, f := range []Fault{{Status: 500, Truncate: true}, {Truncate: true}} {
		fail(f)
		if res, err := w.try("GET", path, nil); err == nil || len(res.body) == 0 || parse(res.body) != nil {
			t.Errorf("%+v was answered whole: %v %s", f, err, res.body)
		}
	}
	w.must(w.klarna.Fail(Fault{Operation: "onboard", Status: 400, Parameters: []string{"brands[0].display_name"}}))
	errs, _ := w.refused(400, "VALIDATION_ERROR", "POST", onboardPath, merchant(t)).json.objects("validation_errors")
	if len(errs) != 1 || errs[0].str("parameter") != "brands[0].display_name" {
		t.Errorf("%v", errs)
	}
}

func TestFailHook_HitsWhatItNames(t *testing.T) {
	t.Parallel()
	subjects := func(w *world) (all []string) {
		w.settle()
		for _, p := range w.inbox.received() {
			if status := p.json.object("payload").str("payment_status"); status != "" { // else the callback of the authorization
				all = append(all, status)
			}
		}
		return all
	}
	for name, c := range map[string]struct {
		fault HookFault
		want  []string
	}{
		"dropped":              {HookFault{Kind: KindPaymentStatus, Drop: true}, []string{"PAID"}},
		"duplicated":           {HookFault{Type: EventPaymentStatus, Duplicate: true}, []string{"UNPAID", "UNPAID", "PAID"}},
		"overtaken":            {HookFault{Kind: KindPaymentStatus, Overtaken: true}, []string{"PAID", "UNPAID"}},
		"caused by placing":    {HookFault{Operation: "placeOrder", Drop: true, Times: -1}, []string{"PAID"}},
		"caused by another":    {HookFault{Operation: "onboard", Drop: true, Times: -1}, []string{"UNPAID", "PAID"}},
		"of another kind":      {HookFault{Kind: KindPush, Drop: true, Times: -1}, []string{"UNPAID", "PAID"}},
		"dropped all the time": {HookFault{Times: -1, Drop: true}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.must(w.klarna.FailHook(c.fault))
			w.must(w.klarna.Pay(w.placed(doc{})))
			if got := subjects(w); !slices.Equal(got, c.want) {
				t.Errorf("told %v, want %v", got, c.want)
			}
		})
	}
	w := newWorld(t)
	w.must(w.klarna.FailHook(HookFault{Kind: KindPaymentStatus, Overtaken: true}))
	w.placed(doc{})
	if got := subjects(w); got != nil {
		t.Errorf("told %v", got)
	}
	w.klarna.Heal()
	if got := subjects(w); !slices.Equal(got, []string{"UNPAID"}) {
		t.Errorf("after healing: %v", got)
	}
}

func TestEnforceRates_CountsBySecondAndCategory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.EnforceRates = true })
	open := func() response { return w.do("POST", "/payments/v1/sessions", cart(t)) }
	for left := 4; left >= 0; left-- {
		res := open()
		if got := res.header.Get("X-Ratelimit-Remaining"); res.status != 200 || got != []string{"0", "1", "2", "3", "4"}[left] {
			t.Errorf("status %d, remaining %s, want %d", res.status, got, left)
		}
	}
	res := open()
	if res.status != 429 || res.code() != "TOO_MANY_REQUESTS" || res.header.Get("X-Ratelimit-Remaining") != "0" || res.header.Get("X-Ratelimit-Limit") != "5, 5;w=1" {
		t.Errorf("above the quota: %d %s %v", res.status, res.body, res.header)
	}
	w.want(404, "GET", "/payments/v1/sessions/none", nil) // another category
	w.want(404, "GET", "/v2/accounts/none", nil)
	w.klarna.Advance(time.Second)
	if res := open(); res.status != 200 {
		t.Errorf("in the next second: %d", res.status)
	}
	live := newWorld(t, func(c *Config) { c.EnforceRates, c.Live = true, true })
	for n := range 40 {
		if res := live.do("POST", "/payments/v1/sessions", cart(t)); res.status != 200 {
			t.Fatalf("call %d in production: %d", n, res.status)
		}
	}
	if res := live.do("POST", "/payments/v1/sessions", cart(t)); res.status != 429 {
		t.Errorf("above the quota of production: %d", res.status)
	}
}

func TestReadPlan_TakesTheOneInTheDocs(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/simulator.md")
	if err != nil {
		t.Fatal(err)
	}
	_, plan, _ := strings.Cut(string(page), "```yaml\n")
	plan, _, found := strings.Cut(plan, "```")
	if read, err := ReadPlan(strings.NewReader(plan)); !found || err != nil || len(read.Faults) != 7 || len(read.Hooks) != 4 {
		t.Errorf("%+v, %v", read, err)
	}
}
