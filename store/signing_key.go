package store

import "time"

// SigningScheme is a way in which Klarna signs its posts, in its owner's words.
type SigningScheme string

// SigningKeyID names a signing key.
type SigningKeyID struct {
	Scheme          SigningScheme
	MerchantAccount string
	ID              string // Klarna's key id, or the key's version
}

// SigningKey is a key that Klarna's posts are verified with, and what is known of its life. There are few: about two a
// merchant account at a time. A key that is gone keeps its row, without the secret.
type SigningKey struct {
	SigningKeyID
	Key       []byte // sealed at rest; nil where the secret is kept elsewhere or was destroyed
	Origin    string // where the key comes from, in its owner's words
	CreatedAt time.Time
	LastUsed  time.Time // about when it last verified a post; zero if never
	RetireAt  time.Time // when it is to be out of use; zero if that is not planned
	RevokedAt time.Time // since when it verifies nothing any more; zero while it does
}

// Probe is a sample event that Klarna was asked to post to a webhook. Who receives it puts that down here, so that who
// asked for it learns of it, on whatever replica either is.
type Probe struct {
	MerchantAccount string
	Webhook         string // Klarna's webhook id
	EventType       string
	AskedAt         time.Time
	Until           time.Time // what comes later is no answer to it
	ReceivedAt      time.Time // zero until it came
	EventID         string    // of what came
	SigningKey      string    // id of the key that verified it
	Flaw            string    // why what came is not as it should be; empty if it is
	Raw             []byte    // what came; sealed at rest
}
