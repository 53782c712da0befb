package journal

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"payments.internal/klarna-gateway/store"
)

const (
	account = "krn:partner:global:account:test:PQ7XK2MD"
	product = "krn:partner:global:account:product:payment:0d3a7c58-1c7f-4f8d-93d1-8a1f2b3c4d5e"
)

func onboarded(minute int) AccountFact {
	return AccountFact{
		EventID: "call:onboard", Kind: KindOnboarded, Cause: Call, At: after(minute), AccountID: account, Reference: "mrc-000482",
		State: AccountPartial, Products: []Product{{ID: product, State: ProductEnabled}},
	}
}

// turned is a notification about the account's state.
func turned(id string, kind AccountKind, state string, minute int) AccountFact {
	return AccountFact{EventID: id, Kind: kind, Cause: Notification, At: after(minute), Type: "t", Raw: []byte(id), AccountID: account, State: state}
}

// switched is a notification about the product's state.
func switched(id string, kind AccountKind, state string, minute int) AccountFact {
	return AccountFact{
		EventID: id, Kind: kind, Cause: Notification, At: after(minute), Type: "t", Raw: []byte(id), AccountID: account,
		Products: []Product{{ID: product, State: state}},
	}
}

func asked(id, state string, minute int) AccountFact {
	return AccountFact{EventID: id, Kind: KindChanged, Cause: Reconciled, At: after(minute), AccountID: account, State: state}
}

func TestJournal_FoldsFactsIntoAccounts(t *testing.T) {
	t.Parallel()
	type step struct {
		Kind    AccountKind
		State   string
		Product string
		Late    bool
	}
	operational := turned("n1", KindOperational, AccountOperational, 1)
	disabled := turned("n2", KindDisabled, AccountDisabled, 2)
	enabled := turned("n3", KindEnabled, AccountOperational, 3)
	productOff := switched("p1", KindProductDisabled, ProductDisabled, 1)
	productOn := switched("p2", KindProductEnabled, ProductEnabled, 2)
	cases := map[string]struct {
		facts []AccountFact
		want  []step
	}{
		"a life in order": {
			[]AccountFact{onboarded(0), operational, disabled, enabled},
			[]step{
				{KindOnboarded, AccountPartial, ProductEnabled, false}, {KindOperational, AccountOperational, ProductEnabled, false},
				{KindDisabled, AccountDisabled, ProductEnabled, false}, {KindEnabled, AccountOperational, ProductEnabled, false},
			},
		},
		"operational after disabled is too late": {
			[]AccountFact{onboarded(0), disabled, operational},
			[]step{
				{KindOnboarded, AccountPartial, ProductEnabled, false}, {KindDisabled, AccountDisabled, ProductEnabled, false},
				{KindOperational, AccountDisabled, ProductEnabled, true},
			},
		},
		"disabled after the enabled that came later is too late": {
			[]AccountFact{operational, enabled, disabled},
			[]step{
				{KindOperational, AccountOperational, "", false}, {KindEnabled, AccountOperational, "", true},
				{KindDisabled, AccountOperational, "", true},
			},
		},
		"Klarna's clock need not agree with ours": {
			[]AccountFact{onboarded(9), operational},
			[]step{{KindOnboarded, AccountPartial, ProductEnabled, false}, {KindOperational, AccountOperational, ProductEnabled, false}},
		},
		"the answer does not undo what was told before it": {
			[]AccountFact{operational, onboarded(2)},
			[]step{{KindOperational, AccountOperational, "", false}, {KindOnboarded, AccountOperational, ProductEnabled, false}},
		},
		"a product turns off and on": {
			[]AccountFact{onboarded(0), productOff, productOn},
			[]step{
				{KindOnboarded, AccountPartial, ProductEnabled, false}, {KindProductDisabled, AccountPartial, ProductDisabled, false},
				{KindProductEnabled, AccountPartial, ProductEnabled, false},
			},
		},
		"a product that turned off before it turned on again is on": {
			[]AccountFact{onboarded(0), productOn, productOff},
			[]step{
				{KindOnboarded, AccountPartial, ProductEnabled, false}, {KindProductEnabled, AccountPartial, ProductEnabled, true},
				{KindProductDisabled, AccountPartial, ProductEnabled, true},
			},
		},
		"a type we do not know is kept as it is": {
			[]AccountFact{operational, {EventID: "x", Cause: Notification, Type: "settlement.payout.processed", At: after(5), AccountID: account}},
			[]step{{KindOperational, AccountOperational, "", false}, {"", AccountOperational, "", false}},
		},
		"a reading finds what was not told": {
			[]AccountFact{onboarded(0), asked("r1", AccountOperational, 5), asked("r2", AccountOperational, 6)},
			[]step{{KindOnboarded, AccountPartial, ProductEnabled, false}, {KindChanged, AccountOperational, ProductEnabled, false}},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := open(t, Policy{})
			for _, fact := range c.facts {
				recordAccount(t, j, fact)
			}
			var got []step
			for _, ev := range events(t, j, store.Accounts) {
				entry, err := DecodeAccountEntry(ev.Body)
				if err != nil {
					t.Fatal(err)
				}
				s := step{AccountKind(ev.Kind), entry.Account.State, "", ev.Superseded}
				if len(entry.Account.Products) > 0 {
					s.Product = entry.Account.Products[0].State
				}
				got = append(got, s)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestJournal_LinksAccountsByReference(t *testing.T) {
	t.Parallel()
	j := open(t, Policy{})
	mine := recordAccount(t, j, AccountFact{EventID: "call:begun", Kind: KindOnboarded, Cause: Call, At: noon, Reference: "mrc-000482"}).Account
	recordAccount(t, j, turned("n1", KindOperational, AccountOperational, 1))
	rec := recordAccount(t, j, onboarded(0))
	if rec.Account.ID != mine.ID || rec.Account.State != AccountOperational || rec.Account.AccountID != account || rec.Account.StateRead {
		t.Errorf("linked to %+v", rec.Account)
	}
	again := recordAccount(t, j, turned("n1", KindOperational, AccountOperational, 1))
	if again.Outcome != Duplicate || again.Account.ID != mine.ID {
		t.Errorf("the notification again: %s of %s", again.Outcome, again.Account.ID)
	}
	if subjects, err := j.Store().Subjects(t.Context(), store.Query{Stream: store.Accounts, Limit: 10}); err != nil || len(subjects) != 1 {
		t.Errorf("%d subjects, %v; want one", len(subjects), err)
	}
}

func TestJournal_QuarantinesAnAccountEventWithOtherContent(t *testing.T) {
	t.Parallel()
	j := open(t, Policy{})
	recordAccount(t, j, turned("n1", KindOperational, AccountOperational, 1))
	forged := turned("n1", KindDisabled, AccountDisabled, 2)
	forged.Raw = []byte("other")
	if rec := recordAccount(t, j, forged); rec.Outcome != Mismatch || rec.Account.State != AccountOperational {
		t.Errorf("%s, state %s", rec.Outcome, rec.Account.State)
	}
}

func TestJournal_KeepsOneWarningPerBrandUntilMended(t *testing.T) {
	t.Parallel()
	j := open(t, Policy{})
	recordAccount(t, j, onboarded(0))
	for i, fields := range [][]string{{"element.logo_url"}, {"element.icon_url"}} {
		fact := turned([]string{"w1", "w2"}[i], KindBrandDataIncomplete, "", i)
		fact.Warning = &Warning{Type: "brand.data-incomplete", BrandID: "b1", Fields: fields, At: fact.At}
		recordAccount(t, j, fact)
	}
	mended := AccountFact{EventID: "call:brand", Kind: KindUpdated, Cause: Call, At: after(3), AccountID: account, Mended: "b1"}
	found, err := j.AccountBy(t.Context(), merchant, KeyAccount, account)
	if err != nil || len(found.Warnings) != 1 || found.Warnings[0].Fields[0] != "element.icon_url" {
		t.Errorf("warnings %+v, %v", found.Warnings, err)
	}
	if rec := recordAccount(t, j, mended); len(rec.Account.Warnings) != 0 {
		t.Errorf("mended, yet %+v", rec.Account.Warnings)
	}
}

func TestJournal_ReadsAccountsThatStayPartial(t *testing.T) {
	t.Parallel()
	j := open(t, Policy{})
	recordAccount(t, j, onboarded(0))
	waiting := jobs(t, j, JobReadAccount)
	if len(waiting) != 1 || waiting[0].Key != account || !waiting[0].RunAt.Equal(noon.Add(5*time.Minute)) {
		t.Errorf("jobs %+v, want one in five minutes", waiting)
	}
}

func TestJournal_ReadsAgainWhenToldOtherwise(t *testing.T) {
	t.Parallel()
	j := open(t, Policy{})
	recordAccount(t, j, asked("r1", AccountDisabled, 5))
	recordAccount(t, j, turned("n1", KindOperational, AccountOperational, 1))
	if waiting := jobs(t, j, JobReadAccount); len(waiting) != 1 || !waiting[0].RunAt.Equal(noon) {
		t.Errorf("jobs %+v, want one now", waiting)
	}
}

func TestAccount_SaysWhatItMayDo(t *testing.T) {
	t.Parallel()
	on, off := []Product{{ID: product, State: ProductEnabled}}, []Product{{ID: product, State: ProductDisabled}}
	cases := map[string]struct {
		account          Account
		transact, manage bool
	}{
		"partial":           {Account{State: AccountPartial, Products: on}, true, false},
		"operational":       {Account{State: AccountOperational, Products: on}, true, true},
		"without a product": {Account{State: AccountOperational, Products: off}, false, true},
		"disabled":          {Account{State: AccountDisabled, Products: on}, false, false},
		"unknown":           {Account{}, false, false},
	}
	for name, c := range cases {
		if got := c.account.CanTransact(); got != c.transact {
			t.Errorf("%s: CanTransact %t", name, got)
		}
		if got := c.account.CanManage(); got != c.manage {
			t.Errorf("%s: CanManage %t", name, got)
		}
	}
}
