package access

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// PolicyFile is a policy file that is read again when it changes.
type PolicyFile struct {
	path string
	rpcs []string
	log  *slog.Logger

	current atomic.Pointer[Policy]

	mu      sync.Mutex // of reading
	content []byte     // as it was read last, good or not
}

// policyPoll is how often the file is read. It is small, and its content tells changes that times and watches of the
// file system do not: a mounted secret or config map is swapped by a symbolic link two folders up.
const policyPoll = 2 * time.Second

// OpenPolicy reads a policy file, which has to be sound. rpcs are those that there are.
func OpenPolicy(path string, rpcs []string, log *slog.Logger) (*PolicyFile, error) {
	f := &PolicyFile{path: path, rpcs: rpcs, log: log}
	if _, err := f.Reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// Path is where the file is.
func (f *PolicyFile) Path() string { return f.path }

// Current is the policy that holds now.
func (f *PolicyFile) Current() *Policy { return f.current.Load() }

// Watch reads the file again every 2 s until ctx ends. A policy that is not sound is told once and not taken: the one
// that holds stays.
func (f *PolicyFile) Watch(ctx context.Context) error {
	ticker := time.NewTicker(policyPoll)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		switch changed, err := f.Reload(); {
		case err != nil && changed:
			f.log.ErrorContext(ctx, "policy file not taken, the policy before it stays", "error", err)
		case err == nil && changed:
			f.log.InfoContext(ctx, "policy changed")
		}
	}
}

// Reload reads the file now. It tells whether its content is another one than the last time, also if that is not sound.
func (f *PolicyFile) Reload() (changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	content, err := os.ReadFile(f.path)
	if err != nil {
		changed, f.content = f.content != nil, nil
		return changed, fmt.Errorf("policy file: %w", err)
	}
	if f.content != nil && bytes.Equal(content, f.content) {
		return false, nil
	}
	f.content = content
	policy, err := ParsePolicy(content, f.rpcs)
	if err != nil {
		return true, fmt.Errorf("policy file: %w", err)
	}
	if before := f.current.Swap(policy); before != nil {
		before.replace()
	}
	return true, nil
}
