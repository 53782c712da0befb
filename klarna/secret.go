package klarna

import (
	"fmt"
	"io"
	"log/slog"
)

// masked is what every way of printing a Secret shows.
const masked = "***"

// Secret is a credential. It prints as *** through fmt, slog and encoding/json, so it does not reach a log by accident,
// unless it is the key of a map; it decodes like any string. The value itself is had by Reveal alone.
//
// Tokens on the wire (client_token, authorization_token) are plain strings, because they have to be encoded. The types
// that hold them hide them from slog instead.
type Secret string

// Reveal returns the value in clear, for the one place that sends or hashes it.
func (s Secret) Reveal() string { return string(s) }

// String returns ***, whatever the value.
func (s Secret) String() string { return masked }

// GoString returns ***, for %#v.
func (s Secret) GoString() string { return masked }

// Format writes *** for every verb, %x and %q among them.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, masked) }

// LogValue returns *** to slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(masked) }

// MarshalText returns ***, so that a dumped configuration holds no secret. It never fails.
func (s Secret) MarshalText() ([]byte, error) { return []byte(masked), nil }

// MarshalJSON returns "***". It never fails.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + masked + `"`), nil }
