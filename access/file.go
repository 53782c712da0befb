package access

import (
	"log/slog"
	"sync/atomic"
)

// PolicyFile is a policy file that is read again when it changes.
type PolicyFile struct {
	followed
	current atomic.Pointer[Policy]
}

// OpenPolicy reads a policy file, which has to be sound. rpcs are those that there are.
func OpenPolicy(path string, rpcs []string, log *slog.Logger) (*PolicyFile, error) {
	f := &PolicyFile{followed: followed{what: "policy", path: path, log: log}}
	f.take = func(content []byte) error {
		policy, err := ParsePolicy(content, rpcs)
		if err != nil {
			return err
		}
		if before := f.current.Swap(policy); before != nil {
			before.replace()
		}
		return nil
	}
	if _, err := f.Reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// Current is the policy that holds now.
func (f *PolicyFile) Current() *Policy { return f.current.Load() }
