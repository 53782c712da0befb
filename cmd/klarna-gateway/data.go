package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Files of the data directory.
const (
	databaseFile = "gateway.db"
	keyFile      = "keys.json"
	lockFile     = "lock"
	// restoringFile is what a restore works on; while it is there, the database may be half put aside.
	restoringFile = databaseFile + ".restoring"
)

// holdData makes the data directory if it is missing and takes it for this process, until the file is closed or the
// process is gone, however it ends. A request that was cut off is taken up at once by whoever has the directory; with
// two processes both would send it to Klarna.
func holdData(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	held, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := syscall.Flock(int(held.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("data directory %s: another process holds it: %w", dir, err), held.Close())
	}
	return held, nil
}
