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
	return len(s.hub.subscribers)
}

// Engine is the engine of the store.
func (s *Store) Engine() Engine { return s.engine }

// Tail tells how many events of a stream are in memory, and their size.
func (s *Store) Tail(stream Stream) (count, size int) {
	part := s.recent.tail.Load().streams[stream]
	return len(part.events), part.size
}

// OpensWith opens an event's body with a data key, sealed, of a subject.
func (k *Keyring) OpensWith(sealed []byte, subject string, ev Event) ([]byte, error) {
	key := dataKey{sealed: sealed}
	if err := k.openDataKey(&key, subject); err != nil {
		return nil, err
	}
	return openData(&key, ev.Body, "body", string(ev.Stream), ev.MerchantAccount, ev.Subject)
}

// BlocksHeld tells how many followers hold a block.
func (s *Store) BlocksHeld() int { return len(s.packer.readers) }

// SealBlock seals records into a block.
func (s *Store) SealBlock(b *Block, records []byte) error { return s.keys.sealBlock(b, records) }
