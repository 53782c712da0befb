package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna/klarnatest/planted"
	"payments.internal/klarna-gateway/store"
)

// book opens a data directory for a while.
func book(t *testing.T, cfg config, do func(*store.Store, *journal.Journal)) {
	t.Helper()
	d := must[database](t)(openDatabase(t.Context(), cfg, planted.Logger()))
	s := must[*store.Store](t)(store.New(t.Context(), store.Config{Engine: d.engine, Keys: d.keys}))
	do(s, journal.New(journal.Config{Store: s, Logger: planted.Logger()}))
	s.Close()
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
}

func paidBy(session string) journal.PaymentFact {
	return journal.PaymentFact{
		EventID: "paid:" + session, MerchantAccount: "shop", Cause: journal.Notification, Type: "x", SessionID: session,
		Status: &journal.StatusFacts{Status: journal.StatusPaid, Currency: "EUR", OrderAmount: 100, Received: []journal.Transfer{
			{Amount: 100, Debtor: journal.Debtor{AccountHolderName: "Erika Beispiel", IBAN: "DE02120300000000202051"}},
		}},
	}
}

// A backup from before an erasure brings the person back; the list of erasures, kept apart, takes them away again, also
// where the payment was heard of anew under another id.
func TestErasures_AreReplayedAfterARestore(t *testing.T) {
	t.Parallel()
	cfg := config{DataDir: t.TempDir()}
	list := erasureList(cfg.erasurePath())
	planted.Files(t, filepath.Join(cfg.DataDir, "*"))
	database := filepath.Join(cfg.DataDir, databaseFile)
	holders := func() (names []string) {
		book(t, cfg, func(_ *store.Store, j *journal.Journal) {
			for _, session := range []string{"s1", "s2", "s3"} {
				p, err := j.PaymentBy(t.Context(), "shop", journal.KeySession, session)
				if err == nil {
					names = append(names, session+":"+p.Received[0].Debtor.AccountHolderName)
				}
			}
		})
		return names
	}
	book(t, cfg, func(s *store.Store, j *journal.Journal) {
		must[journal.PaymentRecord](t)(j.RecordPayment(t.Context(), paidBy("s1")))
		must[journal.PaymentRecord](t)(j.RecordPayment(t.Context(), paidBy("s2")))
		err := s.Do(t.Context(), func(tx store.Tx) error { // an answer and a post that name the first
			id := store.RequestID{MerchantAccount: "shop", Operation: "createSession", ID: "r1"}
			if err := tx.PutRequest(context.Background(), store.Request{RequestID: id, State: store.RequestDone, Answer: []byte(`{"session_id":"s1","name":"Erika Beispiel"}`)}); err != nil {
				return err
			}
			return j.Quarantine(context.Background(), tx, "shop", "q1", "not to be read", []byte(`{"session_id":"s1","name":"Erika Beispiel"}`))
		})
		if err != nil {
			t.Fatal(err)
		}
	})
	backup := must[[]byte](t)(os.ReadFile(database))
	book(t, cfg, func(s *store.Store, j *journal.Journal) {
		must[journal.PaymentRecord](t)(j.RecordPayment(t.Context(), paidBy("s3")))
		for _, session := range []string{"s1", "s3"} {
			p := must[journal.Payment](t)(j.PaymentBy(t.Context(), "shop", journal.KeySession, session))
			err := s.Do(t.Context(), func(tx store.Tx) error {
				e, err := j.EraseIn(t.Context(), tx, p.ID, s.Now())
				if err != nil {
					return err
				}
				return list.add(store.Erasure{Subject: e.Subject, Stream: e.Stream, MerchantAccount: e.Account, Keys: e.Keys, ErasedAt: e.At})
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
	if got := strings.Join(holders(), " "); got != "s1: s2:Erika Beispiel s3:" {
		t.Fatalf("erased: %s", got)
	}
	if err := os.WriteFile(database, backup, 0o600); err != nil {
		t.Fatal(err)
	}
	book(t, cfg, func(_ *store.Store, j *journal.Journal) { // Klarna tells it again
		must[journal.PaymentRecord](t)(j.RecordPayment(t.Context(), paidBy("s3")))
	})
	if got := strings.Join(holders(), " "); got != "s1:Erika Beispiel s2:Erika Beispiel s3:Erika Beispiel" {
		t.Fatalf("restored: %s", got)
	}
	for _, says := range []string{"2 erased, 0 were erased already, 0 are not on record.", "0 erased, 2 were erased already, 0 are not on record."} {
		var out output
		if err := replayErasures(t.Context(), cfg, list, &out, planted.Logger()); err != nil || !strings.Contains(out.String(), says) {
			t.Errorf("%v: %s", err, out.String())
		}
		if got := strings.Join(holders(), " "); got != "s1: s2:Erika Beispiel s3:" {
			t.Errorf("after: %s", got)
		}
	}
	book(t, cfg, func(s *store.Store, _ *journal.Journal) {
		r := must[store.Request](t)(s.Request(t.Context(), store.RequestID{MerchantAccount: "shop", Operation: "createSession", ID: "r1"}))
		kept := must[[]store.Quarantined](t)(s.Quarantined(t.Context(), 0, 10))
		if !r.Erased || r.Answer != nil || len(kept) != 1 || !kept[0].Erased {
			t.Errorf("the answer, and what was quarantined: %+v, %+v", r, kept)
		}
	})
	if err := os.WriteFile(string(list), []byte("{\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := replayErasures(t.Context(), cfg, list, &output{}, planted.Logger()); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a list that is none: %v", err)
	}
}
