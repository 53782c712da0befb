package main

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
	"payments.internal/klarna-gateway/store/postgres/postgrestest"
)

// keyStatus is what keyring status prints of a data directory: how much is under which key.
func keyStatus(t *testing.T, data string) (uses []keyUse) {
	t.Helper()
	out, _, err := operates(t, "", "keyring", "status", "-data", data, "-json")
	if err != nil {
		t.Fatal(err)
	}
	var said struct{ Keys []keyUse }
	if err := json.Unmarshal([]byte(out), &said); err != nil {
		t.Fatal(err)
	}
	return said.Keys
}

// The sealing key is rotated to the end: added, promoted, everything resealed while callers write and though the process is
// killed in the middle, the old key removed. Then what is old reads as before.
func TestKeyring_IsRotatedWhileTheGatewayServes(t *testing.T) {
	t.Parallel()
	s := newStage(t, 10*time.Second)
	s.quota = ", rates: {create_sessions: -1}" // Klarna's playground takes 5 sessions a second
	s.shop(func(next http.Handler) http.Handler { return next })
	data := filepath.Join(s.dir, "data")
	keys := filepath.Join(data, keyFile)
	p := s.start()
	l := burden(t, p)
	until(t, "some load", func() bool { return len(l.soFar()) > 120 })
	before := l.soFar()
	l.end()
	for _, step := range []string{"-add", "-promote"} {
		p.terminate(t)
		if _, _, err := operates(t, "", "keyring", step, keys); err != nil {
			t.Fatal(err)
		}
		p = s.start()
	}
	old := keyStatus(t, data)
	if len(old) != 2 || old[0].Seals || !old[1].Seals || old[0].Values < 120 {
		t.Fatalf("%+v", old)
	}
	if _, _, err := operates(t, "", "keyring", "remove", "-data", data); err == nil || !strings.Contains(err.Error(), "reseal them first") {
		t.Fatalf("removed while it seals: %v", err)
	}
	doctor := func() (found []finding) {
		patient := &patient{cfg: config{DataDir: data}, now: time.Now()}
		patient.database(t.Context())
		for _, f := range patient.findings {
			if f.Check == "sealing_keys" {
				found = append(found, f)
			}
		}
		return found
	}
	if found := doctor(); len(found) != 1 || found[0].Severity != warning || found[0].Subject != old[0].Key || !strings.Contains(found[0].Remedy, "reseal") {
		t.Errorf("the doctor finds %+v", found)
	}

	l = burden(t, p)
	killed := make(chan error, 1)
	go func() { _, _, err := operates(t, "", "keyring", "reseal", "-address", p.grpc); killed <- err }()
	until(t, "a part of it", func() bool { return keyStatus(t, data)[0].Values < old[0].Values })
	l.end()
	p.kill()
	<-killed // ended or not
	p = s.start()
	l = burden(t, p)
	out, said, err := operates(t, "", "keyring", "reseal", "-address", p.grpc)
	if err != nil || !strings.Contains(said, "rows looked at") || !strings.Contains(out, old[1].Key) {
		t.Fatalf("%v\n%s\n%s", err, out, said)
	}
	l.end()
	if now := keyStatus(t, data); now[0].Values != 0 || now[1].Values < old[0].Values {
		t.Fatalf("%+v, before %+v", now, old)
	}
	if found := doctor(); len(found) != 1 || !strings.Contains(found[0].Remedy, "remove") {
		t.Errorf("the doctor finds %+v", found)
	}
	if out, _, err := operates(t, "", "keyring", "remove", "-data", data); err != nil || !strings.Contains(out, old[0].Key) {
		t.Fatalf("%v\n%s", err, out)
	}
	p.terminate(t)
	p = s.start()
	if now := keyStatus(t, data); len(now) != 1 || len(doctor()) != 0 {
		t.Errorf("%+v, %+v", now, doctor())
	}
	kept := onRecord(t, p)
	for _, reference := range before {
		if !kept[reference] {
			t.Errorf("%s is not read any more", reference)
		}
	}
}

func TestKeyring_ResealSaysThatThereIsNothingToDo(t *testing.T) {
	t.Parallel()
	l := runLocal(t, -1)
	at := l.gateway.grpcListener.Addr().String()
	if out, _, err := operates(t, "", "keyring", "reseal", "-address", at); err != nil || !strings.Contains(out, "0 rows were sealed anew") {
		t.Errorf("%v\n%s", err, out)
	}
	res := printed[struct {
		Keys []struct {
			KeyID string
			Seals bool
		}
	}](t, "keyring", "reseal", "-address", at)
	if len(res.Keys) != 1 || !res.Keys[0].Seals || len(res.Keys[0].KeyID) != 8 {
		t.Errorf("%+v", res)
	}
}

// Beside replicas the count is taken from their database, without changing its schema.
func TestKeyring_StatusOfReplicas(t *testing.T) {
	t.Parallel()
	url := postgrestest.URL(t)
	f := newFleet(t, 1, url, nil)
	f.shop(func(next http.Handler) http.Handler { return next })
	p := f.man(0)
	l := burden(t, p)
	until(t, "some load", func() bool { return len(l.soFar()) > 4 })
	l.end()
	cfg := config{KeyFile: filepath.Join(f.dir, "shared-keys.json")}
	cfg.Database = secret{klarna.Secret(url)}
	found, uses, err := sealed(t.Context(), cfg)
	if err != nil || len(uses) != 1 || uses[0].Values < 10 || found.Under(0) != uses[0].Values {
		t.Errorf("%+v, %+v, %v", found, uses, err)
	}
	if _, err := store.RemoveSealingKeys(cfg.keyPath(), found); err == nil {
		t.Error("there is no old key, and no error")
	}
}
