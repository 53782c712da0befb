package klarnatest

import (
	"net/http"
	"slices"
	"strings"
)

// withCapture calls f with the capture in the path. tail is what the message of a refusal ends with.
func (s *Server) withCapture(c *call, tail string, f func(*order, *capture) answer) answer {
	return s.withOrder(c, tail, func(o *order) answer {
		i := slices.IndexFunc(o.captures, func(made *capture) bool { return made.id == c.path("capture_id") })
		if i < 0 {
			return c.refuse(http.StatusNotFound, "NO_SUCH_CAPTURE", strings.TrimSpace("Capture could not be found. "+tail))
		}
		return f(o, o.captures[i])
	})
}

// addCaptureShipping adds parcels to a capture.
func (s *Server) addCaptureShipping(c *call) answer {
	return s.withCapture(c, "Shipping info cannot be added to capture "+c.path("capture_id")+".", func(_ *order, made *capture) answer {
		parcels, bad := c.parcels()
		if bad != nil {
			return *bad
		}
		before, _ := made.doc["shipping_info"].([]any)
		made.doc = made.doc.with(doc{"shipping_info": slices.Concat(before, parcels)})
		return answer{status: http.StatusNoContent}
	})
}

// sendOut sends a capture's invoice again.
func (s *Server) sendOut(c *call) answer {
	return s.withCapture(c, "Send out not possible.", func(_ *order, made *capture) answer {
		made.sentOut++
		return answer{status: http.StatusNoContent}
	})
}

// dueDateFees are the days by which a due date can be extended here, and what that costs in minor units.
var dueDateFees = []doc{
	{"number_of_days": 10, "amount": 100}, {"number_of_days": 30, "amount": 250},
}

// dueDateOptions lists the extensions. Klarna: pay-later methods only; here others have none.
func (s *Server) dueDateOptions(c *call) answer {
	return s.withCapture(c, "", func(o *order, _ *capture) answer {
		options := dueDateFees
		if o.payment != nil {
			options = []doc{}
		}
		// Klarna's example has the currency in lower case.
		return reply(http.StatusOK, doc{"currency": strings.ToLower(o.doc.str("purchase_currency")), "options": options})
	})
}

// extendDueDate extends the due date by one of the options; what is none is NOT_ALLOWED here, as no document says.
func (s *Server) extendDueDate(c *call) answer {
	return s.withCapture(c, "Due date cannot be extended.", func(o *order, made *capture) answer {
		days, ok := c.doc.number("number_of_days")
		offered := func(option doc) bool { return int64(option["number_of_days"].(int)) == days }
		switch {
		case !ok:
			return c.unprocessable("The number_of_days value is not valid")
		case o.payment != nil || !slices.ContainsFunc(dueDateFees, offered):
			return c.refuse(http.StatusForbidden, "NOT_ALLOWED", "Due date cannot be extended.")
		}
		made.extended += days
		return answer{status: http.StatusNoContent}
	})
}
