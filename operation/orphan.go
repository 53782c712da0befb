package operation

import (
	"errors"

	"payments.internal/klarna-gateway/klarna"
)

// doubted stands in the place of a request's answer once the outcome of an attempt was unknown.
var doubted = []byte(`"doubted"`)

// open does what makes something at Klarna that has no idempotency key and cannot be found again: a session, a hosted
// page, a checkout order. The caller gets the one whose answer arrived. Orphan says that an earlier attempt of the same
// request may have made another, which nobody has; Klarna lets it expire. Of what deletes something it says that an
// earlier attempt may have done it already.
func (a attempt) open(make func() error) (orphan bool, err error) {
	orphan = a.cut || len(a.row.Answer) > 0
	err = make()
	if orphan || errors.Is(err, klarna.ErrOutcomeUnknown) {
		a.row.Answer = doubted
	}
	return orphan, err
}
