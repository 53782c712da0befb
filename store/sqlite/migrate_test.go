package sqlite

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"payments.internal/klarna-gateway/store"
)

// TestMigrate_KeepsRequestsAndSecrets opens a file of before their rows were put in order.
func TestMigrate_KeepsRequestsAndSecrets(t *testing.T) {
	t.Parallel()
	const before = 12
	path := filepath.Join(t.TempDir(), "gateway.db")
	db, err := sql.Open("sqlite", source(path, "journal_mode(WAL)"))
	if err != nil {
		t.Fatal(err)
	}
	scripts := []string{`CREATE TABLE schema_version (version INTEGER NOT NULL) STRICT; INSERT INTO schema_version VALUES (12)`}
	for _, name := range migrationNames()[:before] {
		script, err := migrations.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		scripts = append(scripts, string(script))
	}
	scripts = append(scripts, `INSERT INTO requests VALUES
			('shop', 'capture', 'r-1', 'billing', x'01', '', 'key-1', 'done', x'02', 1000000, 0, 2000000, x'03', 'no', 'corr', 'p-1'),
			('shop', 'refund', 'r-2', 'billing', NULL, 'read_order 7', 'key-2', 'open', NULL, 1000000, 3000000, 1000000, NULL, '', '', '');
		INSERT INTO secrets VALUES (x'aa', 'authorization', 'shop', 's-1', 9000000)`)
	for _, script := range scripts {
		if _, err := db.Exec(script); err != nil {
			t.Fatalf("%v\n%s", err, script)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	e, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	done, err := e.Request(t.Context(), store.RequestID{MerchantAccount: "shop", Operation: "capture", ID: "r-1"})
	if err != nil || done.State != store.RequestDone || string(done.Answer) != "\x02" || string(done.Fields) != "\x03" || done.KlarnaKey != "key-1" ||
		done.Refused != "no" || done.CorrelationID != "corr" || !done.FirstSent.Equal(time.Unix(1, 0)) || !done.UpdatedAt.Equal(time.Unix(2, 0)) {
		t.Errorf("the answered request is %+v, %v", done, err)
	}
	left, err := e.Abandoned(t.Context(), time.Unix(4, 0), 10)
	if err != nil || len(left) != 1 || left[0].ID != "r-2" || left[0].Subject != "read_order 7" {
		t.Errorf("left behind are %+v, %v", left, err)
	}
	secret, err := e.Secret(t.Context(), []byte{0xaa})
	if err != nil || secret.Purpose != "authorization" || secret.Key != "s-1" || !secret.ExpiresAt.Equal(time.Unix(9, 0)) {
		t.Errorf("the secret is %+v, %v", secret, err)
	}
}
