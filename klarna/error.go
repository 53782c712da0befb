package klarna

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ErrOutcomeUnknown marks a write whose effect cannot be known: it may have reached Klarna, and then the connection
// failed, time ran out, Klarna answered 5xx, something on the way gave up (408, 499), or the 2xx could not be read. Repeat
// it under the same idempotency key, or read the resource; never repeat it without a key. With a status the error is an
// [Error] as well.
var ErrOutcomeUnknown = errors.New("outcome unknown")

// ErrUnavailable marks a call without effect that Klarna did not serve: a read that failed on the way or got 5xx, or
// a write that never left. It may be repeated. With a status the error is an [Error] as well.
var ErrUnavailable = errors.New("klarna unavailable")

// Error is an answer that is not 2xx. Branch on Family, Status and Code; the free text is for people at Klarna.
type Error struct {
	Family        Family
	Operation     string // such as "captureOrder"
	Read          bool   // it was only asked to show something: the answer is no word on any write
	Status        int
	Code          string // Klarna's error_code, or HTTP_<status> when the body names none
	ID            string // Network: error_id, to be quoted to Klarna; else empty
	CorrelationID string // Klarna's, from the body or the header; else the one we sent; may be empty
	Messages      []string
	Violations    []Violation
	StepUpID      string        // of a failed token charge: a new session with it asks the customer; else empty
	RetryAfter    time.Duration // on 429: when the quota is back; 0 when unknown
}

// CallError is an attempt that ended without an answer of Klarna's that makes sense: none came, it was cut off, or it
// cannot be read. It wraps ErrOutcomeUnknown, ErrUnavailable, or what makes the answer unreadable.
type CallError struct {
	Operation     string
	CorrelationID string // Klarna's, if an answer began; else the one we sent; may be empty
	Err           error
}

func (e *CallError) Error() string {
	if e.CorrelationID == "" {
		return e.Err.Error()
	}
	return e.Err.Error() + ", correlation id " + e.CorrelationID
}

func (e *CallError) Unwrap() error { return e.Err }

// traced gives an error that is no answer of Klarna's the id of its call.
func traced(err error, seen Call) error {
	var refused *Error
	if err == nil || errors.As(err, &refused) {
		return err
	}
	return &CallError{Operation: seen.Operation, CorrelationID: seen.CorrelationID, Err: err}
}

// Violation is one request field that Klarna did not accept.
type Violation struct {
	Parameter string // JSON path, such as "order_lines[0].tax_rate"
	Reason    string // Klarna's free text; for classic APIs, which give none, ours
}

// Error never holds Klarna's free text, which may quote what we sent.
func (e *Error) Error() string {
	text := fmt.Sprintf("klarna answered %s with status %d, code %s", e.Operation, e.Status, e.Code)
	if e.CorrelationID != "" {
		text += ", correlation id " + e.CorrelationID
	}
	return text
}

// errorBody unites the error objects of all families.
// Network: error_id, error_code, error_message, validation_errors (one page calls the list errors, and the reason
// error_message). Classic: error_code, error_messages (sometimes error_message), correlation_id; of customer tokens also
// step_up_id.
type errorBody struct {
	ErrorID          string          `json:"error_id"`
	ErrorCode        string          `json:"error_code"`
	ErrorMessage     string          `json:"error_message"`
	ErrorMessages    []string        `json:"error_messages"`
	CorrelationID    string          `json:"correlation_id"`
	ValidationErrors []violationBody `json:"validation_errors"`
	Errors           []violationBody `json:"errors"`
	StepUpID         string          `json:"step_up_id"`
}

type violationBody struct {
	Parameter    string `json:"parameter"`
	Reason       string `json:"reason"`
	ErrorMessage string `json:"error_message"`
}

// newError reads what it can: the body may be empty, cut off, or a proxy's HTML.
func newError(k call, res *http.Response, body []byte, correlationID string) *Error {
	var parsed errorBody
	_ = json.Unmarshal(body, &parsed) // a member of the wrong type leaves the others filled
	e := &Error{
		Family:        k.family,
		Operation:     k.operation,
		Read:          k.method == http.MethodGet,
		Status:        res.StatusCode,
		Code:          parsed.ErrorCode,
		ID:            printable(parsed.ErrorID),
		CorrelationID: printable(parsed.CorrelationID),
		Messages:      parsed.ErrorMessages,
		StepUpID:      printable(parsed.StepUpID),
	}
	if !errorCode.MatchString(e.Code) {
		e.Code = "HTTP_" + strconv.Itoa(res.StatusCode)
	}
	if e.CorrelationID == "" {
		e.CorrelationID = correlationID
	}
	if parsed.ErrorMessage != "" {
		e.Messages = append(e.Messages, parsed.ErrorMessage)
	}
	for _, v := range append(parsed.ValidationErrors, parsed.Errors...) {
		if v.Reason == "" {
			v.Reason = v.ErrorMessage
		}
		e.Violations = append(e.Violations, Violation{Parameter: v.Parameter, Reason: v.Reason})
	}
	if k.family != Network && e.Code == "BAD_VALUE" {
		e.Violations = append(e.Violations, badValues(e.Messages)...)
	}
	if res.StatusCode == http.StatusTooManyRequests {
		e.RetryAfter = retryAfter(res.Header, time.Now())
	}
	return e
}

// errorCode is what a code looks like; anything else could carry text into logs.
var errorCode = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// printable returns an id fit for a log, or nothing.
func printable(id string) string {
	if len(id) > 255 || !visible(id) {
		return ""
	}
	return id
}

var (
	badValue    = regexp.MustCompile(`^Bad value: *([^ ]+)$`)
	notMatching = regexp.MustCompile(`^Not matching fields: *\[(.*)\]$`)
	parameter   = regexp.MustCompile(`^[a-z][a-z0-9_]*(\[[0-9]+\]|\.[a-z][a-z0-9_]*)*$`)
)

// badValues finds the fields that the classic APIs name in their messages only: "Bad value: order_lines[0].tax_rate",
// "Not matching fields: [billing_address.postal_code]". Messages of another form give nothing.
func badValues(messages []string) []Violation {
	var found []Violation
	add := func(name, reason string) {
		if parameter.MatchString(name) {
			found = append(found, Violation{Parameter: name, Reason: reason})
		}
	}
	for _, message := range messages {
		if m := badValue.FindStringSubmatch(message); m != nil {
			add(m[1], "bad value")
		} else if m := notMatching.FindStringSubmatch(message); m != nil {
			for name := range strings.SplitSeq(m[1], ",") {
				add(strings.TrimSpace(name), "differs from what was authorized")
			}
		}
	}
	return found
}

// retryAfter reads how long to wait. Klarna: X-Ratelimit-Reset in seconds. Retry-After, in seconds or as a date, is
// understood too. A day and more is no wait but a mistake.
func retryAfter(h http.Header, now time.Time) time.Duration {
	for _, name := range []string{"X-Ratelimit-Reset", "Retry-After"} {
		value := strings.TrimSpace(h.Get(name))
		wait := time.Duration(0)
		if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
			wait = time.Duration(seconds) * time.Second
		} else if at, err := http.ParseTime(value); err == nil {
			wait = at.Sub(now)
		}
		if wait > 0 && wait < 24*time.Hour {
			return wait
		}
	}
	return 0
}

// served tells whether an answer that is not 2xx is a decision: nothing was done. 5xx is none, nor is that something on the
// way to Klarna gave up, perhaps after it had passed the request on: 408, or a status that no standard knows, such as 499 of
// nginx and 460 of a load balancer. With a code it is Klarna's own. Other answers of a proxy's come before it passes on;
// too early (425) says that it did not.
func (e *Error) served() bool {
	if strings.HasPrefix(e.Code, "HTTP_") && (e.Status == http.StatusRequestTimeout || http.StatusText(e.Status) == "") {
		return false
	}
	return e.Status < 500
}

// refused wraps an answer that is not 2xx.
func (k call) refused(e *Error) error {
	switch {
	case e.served():
		return e
	case k.method == http.MethodGet:
		return fmt.Errorf("%w: %w", ErrUnavailable, e)
	}
	return fmt.Errorf("%w: %w", ErrOutcomeUnknown, e)
}

// unanswered wraps a failure to get an answer. The url in net/http's error is dropped: its path may hold a token.
func (k call) unanswered(err error, maySent bool) error {
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err
	}
	verdict := ErrOutcomeUnknown
	if k.method == http.MethodGet || !maySent {
		verdict = ErrUnavailable
	}
	return fmt.Errorf("%s: %w: %w", k.operation, verdict, err)
}

// unreadable wraps a 2xx answer that makes no sense to us.
func (k call) unreadable(err error) error {
	if k.method == http.MethodGet {
		return fmt.Errorf("%s: answer: %w", k.operation, err)
	}
	return fmt.Errorf("%s: %w: answer: %w", k.operation, ErrOutcomeUnknown, err)
}
