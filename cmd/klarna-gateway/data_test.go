package main

import (
	"os"
	"path/filepath"
	"testing"
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

func TestKeysBelong_RefusesADatabaseWithoutItsKeys(t *testing.T) {
	t.Parallel()
	touch := func(dir, name string) {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name    string
		files   []string
		refused bool
	}{
		{name: "first start"},
		{name: "keys made, database not yet", files: []string{keyFile}},
		{name: "both", files: []string{keyFile, databaseFile}},
		{name: "keys lost", files: []string{databaseFile}, refused: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, name := range tc.files {
				touch(dir, name)
			}
			if err := keysBelong(dir); (err != nil) != tc.refused {
				t.Errorf("refused: %v, want %t", err, tc.refused)
			}
		})
	}
}
