package store

// Queued tells how many units wait to be taken into a commit.
func (s *Store) Queued() int {
	s.batch.mu.Lock()
	defer s.batch.mu.Unlock()
	return len(s.batch.queue)
}

// Followers tells how many addresses are followed.
func (s *Store) Followers() int {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	return len(s.hub.followers)
}
