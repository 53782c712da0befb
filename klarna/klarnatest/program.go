package klarnatest

import (
	"net/http"
	"slices"

	"github.com/google/uuid"
)

// programRoutes are price plans, payment programs and what is enabled of them. Klarna documents where they are, and of an
// enablement its request; what else they say is a choice.
func programRoutes() []*route {
	const (
		distribution = "/v2/distribution/products/payment"
		enablement   = "/v2/accounts/{account_id}/products/payment/payment-programs/payment-program-enablements"
	)
	return []*route{
		{"listPricePlans", network, "GET " + distribution + "/price-plans", false, (*Server).listPricePlans},
		{"readPricePlan", network, "GET " + distribution + "/price-plans/{plan_id}", false, (*Server).readPricePlan},
		{"listProgramPlans", network, "GET " + distribution + "/payment-program-plans", false, (*Server).listProgramPlans},
		{"readProgramPlan", network, "GET " + distribution + "/payment-program-plans/{plan_id}", false, (*Server).readProgramPlan},
		{"readProgram", network, "GET " + distribution + "/payment-programs/{program_id}", false, (*Server).readProgram},
		{"createEnablement", network, "POST " + enablement, true, (*Server).createEnablement},
		{"listEnablements", network, "GET " + enablement, false, (*Server).listEnablements},
		{"readEnablement", network, "GET " + enablement + "/{enablement_id}", false, (*Server).readEnablement},
		{"deleteEnablement", network, "DELETE " + enablement + "/{enablement_id}", false, (*Server).deleteEnablement},
	}
}

// Programs that every simulated Klarna has, in one plan with one price.
const (
	PricePlanID   = "krn:network:global:price-plan:standard"
	ProgramPlanID = "krn:network:global:payment-program-plan:standard"
	ProgramID     = "krn:network:global:payment-program:pay-now"
)

func (s *Server) listPricePlans(*call) answer { return reply(http.StatusOK, []doc{pricePlan()}) }

func pricePlan() doc { return doc{"price_plan_id": PricePlanID, "name": "Standard"} }

func (s *Server) readPricePlan(c *call) answer {
	return c.onlyOne(c.path("plan_id") == PricePlanID, pricePlan())
}

func programPlan() doc {
	return doc{"payment_program_plan_id": ProgramPlanID, "payment_program_ids": []string{ProgramID}, "country": "DE", "currency": "EUR"}
}

// listProgramPlans has one plan, of Germany.
func (s *Server) listProgramPlans(c *call) answer {
	plans := []doc{}
	if country := c.r.URL.Query().Get("country"); country == "" || country == "DE" {
		plans = append(plans, programPlan())
	}
	return reply(http.StatusOK, plans)
}

func (s *Server) readProgramPlan(c *call) answer {
	return c.onlyOne(c.path("plan_id") == ProgramPlanID, programPlan())
}

func (s *Server) readProgram(c *call) answer {
	return c.onlyOne(c.path("program_id") == ProgramID, doc{"payment_program_id": ProgramID, "name": "Pay now"})
}

func (c *call) onlyOne(known bool, d doc) answer {
	if !known {
		return c.refuse(http.StatusNotFound, "RESOURCE_NOT_FOUND", "Resource not found")
	}
	return reply(http.StatusOK, d)
}

func (s *Server) createEnablement(c *call) answer {
	return s.managing(c, func(a *account) answer {
		if c.doc.str("payment_program_id") != ProgramID {
			return c.invalid([]doc{{"parameter": "payment_program_id", "reason": "is not known"}})
		}
		made := c.doc.pick("payment_program_id", "enablement_criteria").
			with(doc{"payment_program_enablement_id": "krn:partner:global:account:payment-program-enablement:" + uuid.NewString()})
		a.enablements = append(a.enablements, made)
		return reply(http.StatusCreated, made)
	})
}

func (s *Server) listEnablements(c *call) answer {
	return s.withAccount(c, func(a *account) answer {
		return c.cursorPage("payment_program_enablements", "payment_program_enablement_id", a.enablements)
	})
}

func (s *Server) readEnablement(c *call) answer {
	return s.withEnablement(c, func(a *account, i int) answer { return reply(http.StatusOK, a.enablements[i]) })
}

func (s *Server) deleteEnablement(c *call) answer {
	return s.withEnablement(c, func(a *account, i int) answer {
		a.enablements = slices.Delete(slices.Clone(a.enablements), i, i+1)
		return reply(http.StatusNoContent, nil)
	})
}

func (s *Server) withEnablement(c *call, f func(*account, int) answer) answer {
	return s.withAccount(c, func(a *account) answer {
		i := slices.IndexFunc(a.enablements, func(d doc) bool { return d.str("payment_program_enablement_id") == c.path("enablement_id") })
		if i < 0 {
			return c.refuse(http.StatusNotFound, "RESOURCE_NOT_FOUND", "Enablement not found")
		}
		return f(a, i)
	})
}
