package access

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// followed is a file that is read again when it changes. What is not sound is not taken: what held before stays.
type followed struct {
	what string // such as "policy"
	path string
	take func(content []byte) error
	log  *slog.Logger

	mu      sync.Mutex // of reading
	content []byte     // as it was read last, good or not
	flaw    error      // why it was not taken; nil if it holds
}

// poll is how often the file is read. It is small, and its content tells changes that times and watches of the file system
// do not: a mounted secret or config map is swapped by a symbolic link two folders up.
const poll = 2 * time.Second

// Path is where the file is.
func (f *followed) Path() string { return f.path }

// What is in the file: "policy" or "token".
func (f *followed) What() string { return f.what }

// Flaw is why the file as it is now was not taken; nil if what it says holds.
func (f *followed) Flaw() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.flaw
}

// Watch reads the file again every 2 s, and at once when somebody says so, until ctx ends. A flaw is told once.
func (f *followed) Watch(ctx context.Context, now <-chan struct{}) error {
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-now:
		}
		switch changed, err := f.Reload(); {
		case err != nil && changed:
			f.log.ErrorContext(ctx, f.what+" file not taken, what it said before holds", "error", err)
		case err == nil && changed:
			f.log.InfoContext(ctx, f.what+" file taken anew")
		}
	}
}

// Reload reads the file now. It tells whether its content is another one than the last time, also if that is not sound.
func (f *followed) Reload() (changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer func() { f.flaw = err }()
	content, err := os.ReadFile(f.path)
	if err != nil {
		changed, f.content = f.content != nil, nil
		return changed, fmt.Errorf("%s file: %w", f.what, err)
	}
	if f.content != nil && bytes.Equal(content, f.content) {
		return false, f.flaw
	}
	f.content = content
	if err := f.take(content); err != nil {
		return true, fmt.Errorf("%s file: %w", f.what, err)
	}
	return true, nil
}
