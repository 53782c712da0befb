package klarna

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// Why a call was not sent: this client is not for it.
var (
	ErrNotOffered  = errors.New("not offered")  // Config.Offers and Config.Withdrawn
	ErrOtherRegion = errors.New("other region") // Config.Region
)

// MisdirectedError is a call that was refused here because the client's profile is not for it; Klarna would answer
// with 401, 403 or 404, and nothing was sent. It wraps ErrNotOffered or ErrOtherRegion.
type MisdirectedError struct {
	Operation string
	Path      string // Klarna's, as a template
	Country   string // of the purchase, with ErrOtherRegion
	Region    Region // the client's, with ErrOtherRegion
	Err       error
}

func (e *MisdirectedError) Error() string {
	if e.Country != "" {
		return fmt.Sprintf("%s: %v: a purchase in %s, by a credential of region %s", e.Operation, e.Err, e.Country, e.Region)
	}
	return fmt.Sprintf("%s: %v: %s", e.Operation, e.Err, e.Path)
}

func (e *MisdirectedError) Unwrap() error { return e.Err }

// fits refuses what the client's profile is not for.
func (c *Client) fits(k call) error {
	within := func(entry string) bool { return entryOf(entry, k) }
	switch region := regionOf(k.country); {
	case len(c.offers) > 0 && !slices.ContainsFunc(c.offers, within), slices.ContainsFunc(c.withdrawn, within):
		return &MisdirectedError{Operation: k.operation, Path: k.path, Err: ErrNotOffered}
	case c.region != "" && region != "" && region != c.region:
		return &MisdirectedError{Operation: k.operation, Path: k.path, Country: k.country, Region: c.region, Err: ErrOtherRegion}
	}
	return nil
}

// operationEntry is an entry of Config.Offers or Config.Withdrawn.
var operationEntry = regexp.MustCompile(`^((GET|POST|PATCH|PUT|DELETE) )?(/[A-Za-z0-9_{}.-]+)+$`)

// entryOf reports whether an entry means a call: by method and path, or by a path that it is at or beneath.
func entryOf(entry string, k call) bool {
	entry, path := anyParameter(entry), anyParameter(k.path)
	if method, exact, named := strings.Cut(entry, " "); named {
		return method == k.method && exact == path
	}
	return path == entry || strings.HasPrefix(path, entry+"/")
}

var pathParameter = regexp.MustCompile(`\{[^}]*\}`)

// anyParameter makes templates equal that differ in the names of their parameters alone.
func anyParameter(path string) string { return pathParameter.ReplaceAllString(path, "{}") }

// KustomOffers is what Kustom serves: Config.Offers of its hosts.
var KustomOffers = []string{"/checkout", "/hpp", "/ordermanagement", "/settlements"}

// Or returns a client that looks elsewhere for what c says it does not know, in order: an order lives where it was
// made, whatever a merchant account's profile has become since. It shares everything else with c.
func (c *Client) Or(elsewhere ...*Client) *Client {
	joined := *c
	joined.elsewhere = elsewhere
	return &joined
}

// do makes a call, at c and then elsewhere. Nothing was done where the resource is not known, so a write may be made
// at the next; the error is then that of the first, unless another one says more than that it does not know either.
func (c *Client) do(ctx context.Context, k call) error {
	err := c.doHere(ctx, k)
	if len(k.ids) == 0 || !absent(err) {
		return err
	}
	for _, other := range c.elsewhere {
		found := other.doHere(ctx, k)
		if !absent(found) && !errors.Is(found, ErrNotOffered) && !unauthorized(found) {
			return found
		}
	}
	return err
}

// absent reports whether Klarna says that it does not know what a call was about.
func absent(err error) bool {
	var refused *Error
	return errors.As(err, &refused) && refused.Status == http.StatusNotFound && !errors.Is(err, ErrOutcomeUnknown)
}

// unauthorized reports whether Klarna did not take the credential, as of a profile that has ended.
func unauthorized(err error) bool {
	var refused *Error
	return errors.As(err, &refused) && refused.Status == http.StatusUnauthorized
}
