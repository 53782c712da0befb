package postgres

import (
	"slices"

	"payments.internal/klarna-gateway/store"
)

// expected is a question for subjects that is sent along with the one before it.
type expected struct {
	eventID string
	stream  store.Stream
	account string
	keys    []store.Key

	*reading
	sent  bool
	found []store.Subject
}

// Expect implements store.Tx.
func (t *tx) Expect(eventID string, stream store.Stream, merchantAccount string, keys []store.Key) {
	if len(keys) == 0 {
		return
	}
	t.expects = &expected{eventID: eventID, stream: stream, account: merchantAccount, keys: keys}
	t.expects.reading = readSubjects(stream, merchantAccount, keys, &t.expects.found)
}

// along is what is to be sent along with the question for an event.
func (t *tx) along(eventID string) []*reading {
	x := t.expects
	if x == nil || x.sent || x.eventID != eventID {
		return nil
	}
	x.sent = true
	t.read.add(keyMarks(x.stream, x.account, x.keys)...)
	return []*reading{x.reading}
}

// answered is the answer that came along, if it is to the question and the unit has written nothing since.
func (t *tx) answered(stream store.Stream, merchantAccount string, keys []store.Key) (found []store.Subject, ok bool) {
	x := t.expects
	t.expects = nil
	if x == nil || !x.sent || x.err != nil || len(t.wrote) > 0 || x.stream != stream || x.account != merchantAccount || !slices.Equal(x.keys, keys) {
		return nil, false
	}
	return x.found, true
}
