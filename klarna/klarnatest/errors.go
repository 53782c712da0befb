package klarnatest

import (
	"maps"
	"net/http"
	"strings"

	"github.com/google/uuid"
)

// family is what an API has in common with its siblings: credentials, error body, how keys are honoured.
type family int

const (
	payments        family = iota // classic; no idempotency keys
	orderManagement               // classic; only the key counts
	customerTokens                // classic; only the key counts
	settlement                    // classic; reads alone
	network                       // the key stands for one request, and no refusal binds it
)

// answer is what goes back on the wire. The body is encoded while the state is locked, as documents are shared.
type answer struct {
	status int
	header map[string]string
	body   []byte
}

// withHeader is the answer with more headers.
func (a answer) withHeader(more map[string]string) answer {
	if len(more) == 0 {
		return a
	}
	header := maps.Clone(more)
	maps.Copy(header, a.header)
	a.header = header
	return a
}

func reply(status int, body any) answer {
	if body == nil {
		return answer{status: status}
	}
	return answer{status: status, body: encode(body)}
}

// refuse is an error of the family the call belongs to.
func (c *call) refuse(status int, code string, messages ...string) answer {
	if c.route.family == network {
		return reply(status, doc{
			"error_id": uuid.NewString(), "error_type": errorType(code), "error_code": code,
			"error_message": strings.Join(messages, "; "),
		})
	}
	// Klarna: one body for all classic APIs; messages are for logs.
	if messages == nil {
		messages = []string{}
	}
	return reply(status, doc{"error_code": code, "error_messages": messages, "correlation_id": c.correlationID})
}

// invalid is a Network validation error that names each wrong parameter.
func (c *call) invalid(errs []doc) answer {
	return reply(http.StatusBadRequest, doc{
		"error_id": uuid.NewString(), "error_type": errorType("VALIDATION_ERROR"), "error_code": "VALIDATION_ERROR",
		"error_message": "Input did not pass validation", "validation_errors": errs,
	})
}

// badValue is a classic 400 that names each wrong field. Klarna: `Bad value: order_lines`.
func (c *call) badValue(fields []string) answer {
	messages := make([]string, len(fields))
	for i, field := range fields {
		messages[i] = "Bad value: " + field
	}
	return c.refuse(http.StatusBadRequest, "BAD_VALUE", messages...)
}

// errorType is the class of a Network error code.
func errorType(code string) string {
	switch code {
	case "VALIDATION_ERROR", "INVALID_CONTENT_TYPE":
		return "INPUT_ERROR"
	case "UNAUTHORIZED", "RATE_LIMITED":
		return "ACCESS_ERROR"
	case "OPERATION_FORBIDDEN", "RESOURCE_NOT_FOUND", "NOT_FOUND", "RESOURCE_CONFLICT":
		return "RESOURCE_ERROR"
	}
	return "TECHNICAL_ERROR"
}

// unauthorized, unknownRoute, tooLarge, wrongType and malformed are what every family refuses alike.
func (c *call) unauthorized() answer {
	return c.refuse(http.StatusUnauthorized, "UNAUTHORIZED")
}

func (c *call) unknownRoute() answer {
	return c.refuse(http.StatusNotFound, "NOT_FOUND", "No such route")
}

func (c *call) tooLarge() answer {
	return c.refuse(http.StatusRequestEntityTooLarge, "REQUEST_TOO_LARGE", "Request is too large")
}

func (c *call) wrongType() answer {
	if c.route.family == network {
		return c.refuse(http.StatusBadRequest, "INVALID_CONTENT_TYPE", "Content type must be application/json")
	}
	return c.refuse(http.StatusUnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE")
}

func (c *call) malformed() answer {
	if c.route.family == network {
		return c.refuse(http.StatusBadRequest, "INVALID_CONTENT_TYPE", "Body is not valid JSON")
	}
	return c.refuse(http.StatusBadRequest, "BAD_REQUEST")
}

// codeFor is the error code Klarna gives with a status when a Fault names none.
func codeFor(f family, status int) string {
	if f == network {
		switch status {
		case http.StatusTooManyRequests:
			return "RATE_LIMITED"
		case http.StatusUnauthorized:
			return "UNAUTHORIZED"
		case http.StatusForbidden:
			return "OPERATION_FORBIDDEN"
		case http.StatusNotFound:
			return "RESOURCE_NOT_FOUND"
		case http.StatusConflict:
			return "RESOURCE_CONFLICT"
		case http.StatusBadRequest:
			return "VALIDATION_ERROR"
		}
		return "INTERNAL_ERROR"
	}
	switch status {
	case http.StatusTooManyRequests:
		return "TOO_MANY_REQUESTS"
	case http.StatusUnauthorized:
		return "UNAUTHORIZED"
	case http.StatusForbidden:
		return "NOT_ALLOWED"
	case http.StatusNotFound:
		return "NOT_FOUND"
	case http.StatusConflict:
		return "CONFLICT"
	case http.StatusBadRequest:
		return "BAD_REQUEST"
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return "TEMPORARILY_UNAVAILABLE"
	}
	return "INTERNAL_SERVER_ERROR"
}
