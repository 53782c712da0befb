package store

import "time"

// Fund is an amount of money that several requests draw on, such as what is left to capture of an order. How much there
// is, is not kept here: whoever reserves knows it from the log, under the fund's lock.
type Fund struct {
	MerchantAccount string
	Kind            string // what may be done with it, in its owner's words
	Key             string // Klarna's id of what it is a part of
}

// Reservation is the part of a fund that a request may be spending: it is made before Klarna is called and goes with
// the answer, so that others cannot draw on the same money while an outcome is not known.
type Reservation struct {
	Request   RequestID
	Fund      Fund      // of the request's merchant account
	Reference string    // by which Klarna's own figures show that the money has moved
	Amount    int64     // minor units
	CreatedAt time.Time // set by the Store if zero
}
