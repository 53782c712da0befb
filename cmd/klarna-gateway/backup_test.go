package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/store"
)

// load has callers open sessions, one after the other each, until it is ended, and knows what was acknowledged.
type load struct {
	mu           sync.Mutex
	acknowledged []string // references
	end          func()
}

func burden(t *testing.T, p *process) *load {
	t.Helper()
	l := &load{}
	payments := gatewayv1.NewPaymentServiceClient(p.dial(t))
	ctx, cancel := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	for caller := range 4 {
		callers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				reference := fmt.Sprintf("SO-%d-%d", caller, n)
				if _, err := payments.CreatePaymentSession(ctx, sessionRequest(reference, gatewayv1.OrderPolicy_ORDER_POLICY_BY_CALLER)); err == nil {
					l.mu.Lock()
					l.acknowledged = append(l.acknowledged, reference)
					l.mu.Unlock()
				} else if ctx.Err() == nil {
					t.Errorf("under load: %v", err)
					return
				}
			}
		})
	}
	l.end = func() { cancel(); callers.Wait() }
	t.Cleanup(l.end)
	return l
}

func (l *load) soFar() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.acknowledged...)
}

// onRecord are the references of all payments.
func onRecord(t *testing.T, p *process) map[string]bool {
	t.Helper()
	payments, all := gatewayv1.NewPaymentServiceClient(p.dial(t)), map[string]bool{}
	for token := ""; ; {
		res := must[*gatewayv1.ListPaymentEventsResponse](t)(payments.ListPaymentEvents(t.Context(), &gatewayv1.ListPaymentEventsRequest{PageSize: 500, PageToken: token}))
		for _, e := range res.GetEvents() {
			all[e.GetPayment().GetMerchantReference1()] = true
		}
		if token = res.GetNextPageToken(); token == "" {
			return all
		}
	}
}

// A backup is made while callers write. After the restore nothing that was acknowledged before it is missing, and no
// watcher goes on with a token from before, also after the same backup was restored a second time.
func TestBackup_UnderLoadHoldsWhatWasAcknowledgedBefore(t *testing.T) {
	t.Parallel()
	s := newStage(t, 10*time.Second)
	s.quota = ", rates: {create_sessions: -1}" // Klarna's playground takes 5 sessions a second
	s.shop(func(next http.Handler) http.Handler { return next })
	data, out, keys := filepath.Join(s.dir, "data"), filepath.Join(t.TempDir(), "made", "backup"), filepath.Join(t.TempDir(), "keys")
	p := s.start()
	l := burden(t, p)
	until(t, "some load", func() bool { return len(l.soFar()) > 40 })
	before := l.soFar()
	said, _, err := operates(t, "", "backup", "-data", data, "-out", out, "-keys", keys)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	until(t, "more load", func() bool { return len(l.soFar()) > len(before)+20 })
	token := must[string](t)(watchFrom(t, p, ""))
	if _, _, err := operates(t, "", "restore", "-data", data, "-from", out, "-replace"); err == nil || !strings.Contains(err.Error(), "another process holds it") {
		t.Errorf("restored under a gateway that runs: %v", err)
	}
	l.end()
	p.terminate(t)

	for range 2 {
		if _, _, err := operates(t, "", "restore", "-data", data, "-from", out); err == nil || !strings.Contains(err.Error(), "-replace") {
			t.Errorf("over a database that is there: %v", err)
		}
		if said, _, err := operates(t, "", "restore", "-data", data, "-from", out, "-replace"); err != nil || !strings.Contains(said, "in epoch 1") {
			t.Fatalf("%v\n%s", err, said)
		}
		aside := must[[]string](t)(filepath.Glob(filepath.Join(data, databaseFile+".before-*")))
		if len(aside) == 0 {
			t.Error("what was there is gone")
		}
		for _, old := range aside { // of this second, the next one has it too
			if err := os.Rename(old, filepath.Join(t.TempDir(), "old")); err != nil {
				t.Fatal(err)
			}
		}
		p = s.start()
		kept := onRecord(t, p)
		for _, reference := range before {
			if !kept[reference] {
				t.Errorf("%s was acknowledged before the backup, and is missing", reference)
			}
		}
		if _, err := watchFrom(t, p, token); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "belongs to another log") {
			t.Errorf("a token from before the restore: %v", err)
		}
		token = must[string](t)(watchFrom(t, p, "")) // of the first restore, refused after the second
		p.terminate(t)
	}
}

// What is not a whole backup of this gateway's is not restored, and nothing is touched.
func TestRestore_RefusesWhatIsNotWholeOrAnothers(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	cfg := config{DataDir: data}
	cfg.defaults()
	d := must[database](t)(openDatabase(t.Context(), cfg, newLogger(&output{}, "error")))
	opened := must[*store.Store](t)(store.New(t.Context(), store.Config{Engine: d.engine, Keys: d.keys, Logger: newLogger(&output{}, "error")}))
	good := filepath.Join(t.TempDir(), "good")
	if _, _, err := operates(t, "", "backup", "-data", data, "-out", good); err != nil {
		t.Fatal(err)
	}
	opened.Close()
	if err := d.close(); err != nil {
		t.Fatal(err)
	}
	otherKeys := filepath.Join(t.TempDir(), "other.json")
	if err := makeKeyring(otherKeys, &output{}); err != nil {
		t.Fatal(err)
	}
	changed := func(name string, change func([]byte) []byte) string {
		dir := t.TempDir()
		for _, file := range []string{databaseFile, manifestFile} {
			content := must[[]byte](t)(os.ReadFile(filepath.Join(good, file)))
			if file == name {
				content = change(content)
			}
			if err := os.WriteFile(filepath.Join(dir, file), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	for _, tc := range []struct {
		name, from string
		keys       []string
		want       string
	}{
		{"no backup", t.TempDir(), nil, "is no backup"},
		{"a byte differs", changed(databaseFile, func(b []byte) []byte { b[len(b)/2] ^= 1; return b }), nil, "is damaged"},
		{"cut short", changed(databaseFile, func(b []byte) []byte { return b[:len(b)-4096] }), nil, "is damaged"},
		{"no manifest to read", changed(manifestFile, func(b []byte) []byte { return b[:10] }), nil, "is no backup"},
		{"no keys", good, nil, "-keys names the copy"},
		{"another's keys", good, []string{"-keys", otherKeys}, "sealed with another keyring"},
		{"keys that are not there", good, []string{"-keys", otherKeys + "x"}, "no such file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			to := filepath.Join(t.TempDir(), "data")
			_, _, err := operates(t, "", append([]string{"restore", "-data", to, "-from", tc.from}, tc.keys...)...)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			for _, left := range must[[]string](t)(filepath.Glob(filepath.Join(to, "*"))) {
				if filepath.Base(left) != lockFile {
					t.Errorf("%s was left", left)
				}
			}
		})
	}
	t.Run("cut off", func(t *testing.T) {
		t.Parallel()
		to := t.TempDir()
		if _, _, err := operates(t, "", "restore", "-data", to, "-from", good, "-keys", filepath.Join(data, keyFile)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, restoringFile), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openDatabase(t.Context(), config{DataDir: to}, newLogger(&output{}, "error")); err == nil || !strings.Contains(err.Error(), "a restore was cut off") {
			t.Errorf("started after it: %v", err)
		}
	})
}

// The database's copy and the key file do not end up in one place by accident, and a copy is never over another one.
func TestBackup_KeepsTheKeyFileApart(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	d := must[database](t)(openDatabase(t.Context(), config{DataDir: data}, newLogger(&output{}, "error")))
	defer d.close()
	dir := t.TempDir()
	for _, tc := range []struct {
		out, keys string
		refused   bool
	}{
		{"one/backup", "", false}, {"two/backup", "elsewhere", false}, {"three/backup", "three/backup", true},
		{"four/backup", "four/backup/keys", true}, {"five/backup", "five/keys", true}, {"one/backup", "", true},
	} {
		args := []string{"backup", "-data", data, "-out", filepath.Join(dir, tc.out)}
		if tc.keys != "" {
			args = append(args, "-keys", filepath.Join(dir, tc.keys))
		}
		if _, _, err := operates(t, "", args...); (err != nil) != tc.refused {
			t.Errorf("%s and %s: %v", tc.out, tc.keys, err)
		}
	}
	if _, _, err := operates(t, "", "backup", "-data", data, "-out", filepath.Join(dir, "six/backup"), "-keys", filepath.Join(dir, "six/keys"), "-keys-together"); err != nil {
		t.Errorf("told that it is meant: %v", err)
	}
	for _, file := range []string{"six/backup/" + databaseFile, "six/backup/" + manifestFile, "six/keys/" + keyFile, "elsewhere/" + keyFile} {
		if info := must[os.FileInfo](t)(os.Stat(filepath.Join(dir, file))); info.Mode().Perm() != 0o600 {
			t.Errorf("%s may be read by others: %v", file, info.Mode())
		}
	}
	if info := must[os.FileInfo](t)(os.Stat(filepath.Join(data, lastBackupFile))); info.Mode().Perm() != 0o644 {
		t.Errorf("the doctor of another user cannot read of a backup: %v", info.Mode())
	}
	if left := must[[]string](t)(filepath.Glob(filepath.Join(dir, "*", "*.unfinished"))); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}
