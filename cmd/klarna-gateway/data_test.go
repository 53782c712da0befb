package main

import (
	"os"
	"path/filepath"
	"testing"

	"payments.internal/klarna-gateway/store"
)

func TestHoldData_IsForOneAtATime(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	first, err := holdData(dir)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := holdData(dir); err == nil {
		_ = second.Close()
		t.Fatal("two hold one data directory")
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	third, err := holdData(dir)
	if err != nil {
		t.Fatalf("the directory was let go, but: %v", err)
	}
	_ = third.Close()
}

func TestOpenKeys_RefusesADatabaseWithoutItsKeys(t *testing.T) {
	t.Parallel()
	touch := func(dir, name string) {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name     string
		files    []string
		replicas bool
		refused  bool
	}{
		{name: "first start"},
		{name: "keys made, database not yet", files: []string{keyFile}},
		{name: "both", files: []string{keyFile, databaseFile}},
		{name: "keys lost", files: []string{databaseFile}, refused: true},
		{name: "replica with keys", files: []string{keyFile}, replicas: true},
		{name: "replica without keys", replicas: true, refused: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, name := range tc.files {
				if name == keyFile {
					must[*store.Keyring](t)(store.OpenKeyring(filepath.Join(dir, name)))
				} else {
					touch(dir, name)
				}
			}
			cfg := config{DataDir: dir}
			if tc.replicas {
				cfg.Database = secret{"postgres://localhost"}
			}
			if _, err := openKeys(cfg); (err != nil) != tc.refused {
				t.Errorf("refused: %v, want %t", err, tc.refused)
			}
			_, missing := os.Stat(filepath.Join(dir, keyFile))
			if tc.refused && missing == nil {
				t.Error("a key file was made")
			}
		})
	}
}
