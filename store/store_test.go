package store_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/postgres"
	"payments.internal/klarna-gateway/store/postgres/postgrestest"
	"payments.internal/klarna-gateway/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(postgrestest.Tests{M: m}) }

const account = "A-NORDLICHT"

var noon = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

// fixture is a place for one log.
type fixture struct {
	dir    string
	change func(*store.Config)
	url    string // of a PostgreSQL; empty for a file in dir
}

// onBoth runs a test over each engine.
func onBoth(t *testing.T, test func(t *testing.T, f fixture)) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, fixture{dir: t.TempDir()})
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, fixture{dir: t.TempDir(), url: postgrestest.URL(t)})
	})
}

func (f fixture) engine(t *testing.T) store.Engine {
	t.Helper()
	if f.url != "" {
		e, err := postgres.Open(t.Context(), f.url, postgres.WithLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	e, err := sqlite.Open(t.Context(), filepath.Join(f.dir, "gateway.db"))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (f fixture) keys(t *testing.T) *store.Keyring {
	t.Helper()
	keys, err := store.OpenKeyring(filepath.Join(f.dir, "keyring.json"))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// open opens a store; close is called by the test or at its end.
func (f fixture) open(t *testing.T) (s *store.Store, close func()) {
	t.Helper()
	cfg := store.Config{
		Engine: f.engine(t), Keys: f.keys(t), Now: func() time.Time { return noon }, PageSize: 3,
		Heartbeat: time.Hour, // no test is to pass because a follower looked by itself
		Logger:    slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	if f.change != nil {
		f.change(&cfg)
	}
	s, err := store.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s, func() {
		s.Close()
		if err := cfg.Engine.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
}

func open(t *testing.T, change func(*store.Config)) *store.Store {
	t.Helper()
	s, done := fixture{dir: t.TempDir(), change: change}.open(t)
	t.Cleanup(done)
	return s
}

func event(id, subject string, keys ...store.Key) store.Event {
	return store.Event{
		ID: id, Stream: store.Payments, MerchantAccount: account, Subject: subject, State: "AUTHORIZED",
		Keys: keys, Body: []byte("body of " + id), Raw: []byte("raw of " + id),
	}
}

func appendEvent(t *testing.T, s *store.Store, ev store.Event) {
	t.Helper()
	if err := s.Do(t.Context(), appending(ev)); err != nil {
		t.Fatalf("append: %v", err)
	}
}

func appending(ev store.Event) func(store.Tx) error {
	return func(tx store.Tx) error {
		_, err := tx.Append(context.Background(), ev)
		return err
	}
}

// iban is a documentation IBAN; nothing but sealed contents may hold it.
const iban = "DE02120300000000202051"

func quarantine(ctx context.Context, tx store.Tx, q store.Quarantined) error {
	_, err := tx.Quarantine(ctx, q)
	return err
}

// plant writes the IBAN into everything that is sealed.
func plant(ctx context.Context, s *store.Store) error {
	return s.Do(ctx, func(tx store.Tx) error {
		ev := event("evt-1", "pay-1")
		ev.Body, ev.Raw = []byte("body "+iban), []byte("raw "+iban)
		_, err := tx.Append(ctx, ev)
		return errors.Join(err,
			tx.AddJob(ctx, store.Job{Kind: "refresh", MerchantAccount: account, Key: "k1", Payload: []byte("payload " + iban)}),
			tx.PutRequest(ctx, store.Request{RequestID: store.RequestID{ID: "r1"}, Answer: []byte("answer " + iban)}),
			tx.PutSigningKey(ctx, store.SigningKey{SigningKeyID: store.SigningKeyID{ID: "k1"}, Key: []byte("key " + iban)}),
			tx.PutProbe(ctx, store.Probe{Webhook: "w1", Raw: []byte("probe " + iban)}),
			quarantine(ctx, tx, store.Quarantined{EventID: "evt-2", Raw: []byte("quarantined " + iban)}))
	})
}

func TestStore_SealsWhatItKeeps(t *testing.T) {
	t.Parallel()
	onBoth(t, sealsWhatItKeeps)
}

func sealsWhatItKeeps(t *testing.T, f fixture) {
	s, done := f.open(t)
	if err := plant(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	f.search(t) // with the write-ahead log
	done()
	f.search(t)

	s, done = f.open(t)
	defer done()
	ctx := t.Context()
	events, err := s.Events(ctx, store.Query{Stream: store.Payments, Limit: 10})
	if err != nil || len(events) != 1 || string(events[0].Body) != "body "+iban || string(events[0].Raw) != "raw "+iban {
		t.Errorf("events %v, error %v", events, err)
	}
	subject, err := s.Subject(ctx, "pay-1")
	if err != nil || string(subject.Body) != "body "+iban {
		t.Errorf("subject %q, error %v", subject.Body, err)
	}
	subjects, err := s.Subjects(ctx, store.Query{Stream: store.Payments, Limit: 10})
	if err != nil || len(subjects) != 1 || string(subjects[0].Body) != "body "+iban {
		t.Errorf("subjects %v, error %v", subjects, err)
	}
	request, err := s.Request(ctx, store.RequestID{ID: "r1"})
	if err != nil || string(request.Answer) != "answer "+iban {
		t.Errorf("request %q, error %v", request.Answer, err)
	}
	jobs, err := s.Jobs(ctx, "", "", 10)
	if err != nil || len(jobs) != 1 || string(jobs[0].Payload) != "payload "+iban {
		t.Errorf("jobs %v, error %v", jobs, err)
	}
	leased, err := s.Lease(ctx, noon, noon.Add(time.Minute), 10)
	if err != nil || len(leased) != 1 || string(leased[0].Payload) != "payload "+iban {
		t.Errorf("leased %v, error %v", leased, err)
	}
	kept, err := s.Quarantined(ctx, 0, 10)
	if err != nil || len(kept) != 1 || string(kept[0].Raw) != "quarantined "+iban {
		t.Errorf("quarantined %v, error %v", kept, err)
	}
	keys, err := s.SigningKeys(ctx)
	if err != nil || len(keys) != 1 || string(keys[0].Key) != "key "+iban {
		t.Errorf("signing keys %v, error %v", keys, err)
	}
	probe, err := s.Probe(ctx, "", "w1", "")
	if err != nil || string(probe.Raw) != "probe "+iban {
		t.Errorf("probe %v, error %v", probe, err)
	}
}

// search looks for the IBAN in all of the database.
func (f fixture) search(t *testing.T) {
	t.Helper()
	if f.url == "" {
		search(t, f.dir)
		return
	}
	conn, err := pgx.Connect(t.Context(), f.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var content string // of every table; bytes are written in base64
	err = conn.QueryRow(t.Context(), `SELECT string_agg(query_to_xml(format('SELECT * FROM %I', tablename), true, true, '')::text, '')
		FROM pg_tables WHERE schemaname = current_schema()`).Scan(&content)
	if err != nil || !strings.Contains(content, "pay-1") {
		t.Fatalf("read all tables: %v", err)
	}
	if strings.Contains(content, iban) {
		t.Error("a table holds the IBAN in clear")
	}
	for offset := range 3 { // wherever it begins in the bytes
		encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat(" ", offset) + iban))
		if strings.Contains(content, encoded[4:24]) {
			t.Error("a table holds the IBAN in clear bytes")
		}
	}
}

// search looks for the IBAN in the bytes of every file of the database.
func search(t *testing.T, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "gateway.db*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files, error %v", err)
	}
	planted := false
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, []byte(iban)) {
			t.Errorf("%s holds the IBAN in clear", filepath.Base(name))
		}
		planted = planted || bytes.Contains(content, []byte("pay-1"))
	}
	if !planted {
		t.Error("the event itself is in none of the files: they were not searched")
	}
}

func TestStore_UnitReadsInClear(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	if err := plant(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if err := s.Do(ctx, func(tx store.Tx) error {
		if _, err := tx.Append(ctx, event("evt-3", "pay-3", store.Key{Kind: "order_id", Value: "o3"})); err != nil {
			return err
		}
		subject, err := tx.Subject(ctx, "pay-1")
		if string(subject.Body) != "body "+iban {
			t.Errorf("subject %q", subject.Body)
		}
		found, keysErr := tx.SubjectsByKeys(ctx, store.Payments, account, []store.Key{{Kind: "order_id", Value: "o3"}})
		if len(found) != 1 || string(found[0].Body) != "body of evt-3" {
			t.Errorf("subjects by key %v", found)
		}
		request, requestErr := tx.Request(ctx, store.RequestID{ID: "r1"})
		if string(request.Answer) != "answer "+iban {
			t.Errorf("request %q", request.Answer)
		}
		return errors.Join(err, keysErr, requestErr)
	}); err != nil {
		t.Fatal(err)
	}
}

func TestStore_PassesOnWhatIsNotSealed(t *testing.T) {
	t.Parallel()
	f := fixture{dir: t.TempDir()}
	s, done := f.open(t)
	defer done()
	ctx := t.Context()
	secret := store.Secret{Hash: []byte{1, 2}, Purpose: "push", Key: "s1", ExpiresAt: noon.UTC().Truncate(time.Microsecond)}
	if err := s.Do(ctx, func(tx store.Tx) error { return tx.PutSecret(ctx, secret) }); err != nil {
		t.Fatal(err)
	}
	got, err := s.Secret(ctx, secret.Hash)
	if diff := cmp.Diff(secret, got); diff != "" || err != nil {
		t.Errorf("secret %s, error %v", diff, err)
	}
	engine := f.engine(t)
	defer engine.Close()
	id, epoch, err := s.Log(ctx)
	wantID, wantEpoch, wantErr := engine.Log(ctx)
	if id != wantID || epoch != wantEpoch || errors.Join(err, wantErr) != nil {
		t.Errorf("log %s/%d, want %s/%d", id, epoch, wantID, wantEpoch)
	}
	if s.Derive("push", "s1") != f.keys(t).Derive("push", "s1") {
		t.Error("derived by other keys")
	}
}

func TestStore_SetsTimeAndFingerprint(t *testing.T) {
	t.Parallel()
	s := open(t, nil)
	ctx := t.Context()
	ev := event("evt-1", "pay-1")
	ev.RecordedAt, ev.Fingerprint = noon.Add(time.Hour), []byte("made up")
	appendEvent(t, s, ev)
	micros := noon.Truncate(time.Microsecond)
	if !s.Now().Equal(micros) {
		t.Errorf("now is %v", s.Now())
	}
	events, err := s.Events(ctx, store.Query{Stream: store.Payments, Limit: 1})
	if err != nil || len(events) != 1 {
		t.Fatalf("events %v, error %v", events, err)
	}
	if !events[0].RecordedAt.Equal(micros) || !bytes.Equal(events[0].Fingerprint, s.Fingerprint(ev.Raw)) {
		t.Errorf("recorded at %v with fingerprint %x", events[0].RecordedAt, events[0].Fingerprint)
	}
	if err := s.Do(ctx, func(tx store.Tx) error {
		return errors.Join(tx.AddJob(ctx, store.Job{Kind: "refresh"}), tx.PutRequest(ctx, store.Request{}), quarantine(ctx, tx, store.Quarantined{}))
	}); err != nil {
		t.Fatal(err)
	}
	jobs, err1 := s.Jobs(ctx, "", "", 1)
	request, err2 := s.Request(ctx, store.RequestID{})
	kept, err3 := s.Quarantined(ctx, 0, 1)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	got := []time.Time{jobs[0].CreatedAt, request.UpdatedAt, kept[0].ReceivedAt}
	if diff := cmp.Diff([]time.Time{micros, micros, micros}, got); diff != "" {
		t.Error(diff)
	}
}

func TestNew_RefusesAnotherKeyring(t *testing.T) {
	t.Parallel()
	onBoth(t, refusesAnotherKeyring)
}

func refusesAnotherKeyring(t *testing.T, f fixture) {
	s, done := f.open(t)
	engine := f.engine(t)
	defer engine.Close()
	other := store.Config{Engine: engine, Keys: fixture{dir: t.TempDir()}.keys(t)}
	if _, err := store.New(t.Context(), other); !errors.Is(err, store.ErrKeyring) { // though there is nothing it fails to open
		t.Errorf("an empty log opened with the wrong keys: %v", err)
	}
	appendEvent(t, s, event("evt-1", "pay-1"))
	done()
	if _, err := store.New(t.Context(), other); err == nil {
		t.Error("a store opened with the wrong keys")
	}
	if _, err := store.New(t.Context(), store.Config{Engine: engine}); err == nil {
		t.Error("a store opened without keys")
	}
}

func TestStore_LeavesOutJobsItCannotOpen(t *testing.T) {
	t.Parallel()
	f := fixture{dir: t.TempDir()}
	s, done := f.open(t)
	defer done()
	other := f.engine(t)
	defer other.Close()
	ctx := t.Context()
	forged := func(tx store.Tx) error {
		return tx.AddJob(ctx, store.Job{Kind: "refresh", Key: "forged", Payload: []byte("not sealed")})
	}
	good := func(tx store.Tx) error { return tx.AddJob(ctx, store.Job{Kind: "refresh", Key: "good"}) }
	if err := errors.Join(other.Commit(ctx, []func(store.Tx) error{forged, good})...); err != nil {
		t.Fatal(err)
	}
	jobs, err := s.Lease(ctx, noon, noon.Add(time.Minute), 10)
	if err != nil || len(jobs) != 1 || jobs[0].Key != "good" {
		t.Errorf("leased %v, error %v", jobs, err)
	}
}
