package klarnatest

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"
)

// adminRequest is what any admin body may say.
type adminRequest struct {
	Duration       string `json:"duration"`
	Amount         *int64 `json:"amount"`
	BrandReference string `json:"brand_reference"`
	Reversed       bool   `json:"reversed"`
	Count          int    `json:"count"`
	EventID        string `json:"event_id"`
	Status         string `json:"status"`
	Accepted       bool   `json:"accepted"`
	Details        doc    `json:"details"`
	DisputeID      string `json:"dispute_id"`

	Mode   string   `json:"mode"`
	Ranges []string `json:"ranges"`
}

// errBody means that an admin request cannot be read.
var errBody = errors.New("cannot be read")

// adminRoutes puts a door to each control under /admin.
func (s *Server) adminRoutes(mux *http.ServeMux) {
	handle := func(pattern string, do func(r *http.Request, req adminRequest) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			var req adminRequest
			result, err := any(nil), decodeAdmin(r, &req)
			if err == nil {
				result, err = do(r, req)
			}
			writeAdmin(w, result, err)
		})
	}
	simple := func(path string, do func(req adminRequest)) {
		handle("POST /admin/"+path, func(_ *http.Request, req adminRequest) (any, error) { do(req); return nil, nil })
	}
	onAccount := func(path string, do func(accountID string) error) {
		handle("POST /admin/accounts/{id}/"+path, func(r *http.Request, _ adminRequest) (any, error) {
			return nil, do(r.PathValue("id"))
		})
	}

	handle("POST /admin/advance", s.adminAdvance)
	handle("POST /admin/idle", func(r *http.Request, _ adminRequest) (any, error) { return nil, s.Idle(r.Context()) })
	handle("POST /admin/sessions/{id}/authorize", func(r *http.Request, _ adminRequest) (any, error) {
		token, err := s.Authorize(r.PathValue("id"))
		return doc{"authorization_token": token}, err
	})
	handle("POST /admin/orders/{id}/pay", func(r *http.Request, req adminRequest) (any, error) {
		if req.Amount != nil {
			return nil, s.PayAmount(r.PathValue("id"), *req.Amount)
		}
		return nil, s.Pay(r.PathValue("id"))
	})
	handle("POST /admin/orders/{id}/lapse", func(r *http.Request, _ adminRequest) (any, error) {
		return nil, s.Lapse(r.PathValue("id"))
	})
	handle("POST /admin/orders/{id}/decide", func(r *http.Request, req adminRequest) (any, error) {
		return nil, s.DecideFraud(r.PathValue("id"), req.Accepted)
	})
	simple("orders/pend-next", func(req adminRequest) { s.PendNext(req.Count) })
	s.adminPages(handle)
	s.adminPayments(handle)
	onAccount("operational", s.Operational)
	onAccount("disable", s.DisableAccount)
	onAccount("enable", s.EnableAccount)
	onAccount("product/disable", s.DisableProduct)
	onAccount("product/enable", s.EnableProduct)
	handle("POST /admin/accounts/{id}/brand-incomplete", func(r *http.Request, req adminRequest) (any, error) {
		return nil, s.BrandIncomplete(r.PathValue("id"), req.BrandReference)
	})
	handle("POST /admin/accounts/{id}/decide", func(r *http.Request, req adminRequest) (any, error) {
		id, err := s.Decide(r.PathValue("id"), req.Details)
		return doc{"decision_id": id}, err
	})
	simple("hooks/hold", func(adminRequest) { s.Hold() })
	simple("hooks/release", func(req adminRequest) { s.release(req.Reversed) })
	simple("hooks/duplicate-next", func(req adminRequest) { s.DuplicateNext(req.Count) })
	simple("hooks/drop-next", func(req adminRequest) { s.DropNext(req.Count) })
	simple("hooks/drop-callbacks", func(req adminRequest) { s.DropCallbacks(req.Count) })
	handle("POST /admin/hooks/resend", func(_ *http.Request, req adminRequest) (any, error) {
		return nil, s.Resend(req.EventID)
	})
	simple("allowed-ips", func(req adminRequest) { s.AllowIPs(req.Mode, req.Ranges...) })
	simple("assume-certificate", func(adminRequest) { s.AssumeCertificate() })
	handle("POST /admin/payouts", func(*http.Request, adminRequest) (any, error) { return s.Payout(), nil })
	simple("faults/heal", func(adminRequest) { s.Heal() })
	handle("GET /admin/operations", func(*http.Request, adminRequest) (any, error) { return Operations(), nil })
	handle("GET /admin/calls", func(*http.Request, adminRequest) (any, error) { return s.Calls(), nil })
	handle("GET /admin/deliveries", func(*http.Request, adminRequest) (any, error) { return s.Deliveries(), nil })
	handle("GET /admin/orders/{id}", func(r *http.Request, _ adminRequest) (any, error) {
		return found(s.Order(r.PathValue("id")))
	})
	handle("GET /admin/accounts/{id}", func(r *http.Request, _ adminRequest) (any, error) {
		return found(s.Account(r.PathValue("id")))
	})
	s.adminBodies(mux)
}

// adminPages are the controls of hosted pages and customer tokens.
func (s *Server) adminPages(handle func(string, func(*http.Request, adminRequest) (any, error))) {
	handle("GET /admin/hosted-pages/{id}", func(r *http.Request, _ adminRequest) (any, error) {
		return found(s.HostedPage(r.PathValue("id")))
	})
	handle("POST /admin/hosted-pages/{id}/open", func(r *http.Request, _ adminRequest) (any, error) {
		return nil, s.OpenPage(r.PathValue("id"))
	})
	handle("POST /admin/hosted-pages/{id}/complete", func(r *http.Request, _ adminRequest) (any, error) {
		token, err := s.CompletePage(r.PathValue("id"))
		return doc{"authorization_token": token}, err
	})
	handle("POST /admin/hosted-pages/{id}/leave", func(r *http.Request, req adminRequest) (any, error) {
		return nil, s.LeavePage(r.PathValue("id"), req.Status)
	})
	handle("POST /admin/customer-tokens/{id}/suspend", func(r *http.Request, _ adminRequest) (any, error) {
		return nil, s.SuspendToken(r.PathValue("id"))
	})
	handle("POST /admin/customer-tokens/{id}/decline-next", func(r *http.Request, _ adminRequest) (any, error) {
		return nil, s.DeclineNextCharge(r.PathValue("id"))
	})
}

// adminBodies are the controls that take a body of their own.
func (s *Server) adminBodies(mux *http.ServeMux) {
	mux.HandleFunc("POST /admin/checkout-orders", func(w http.ResponseWriter, r *http.Request) {
		var purchase CheckoutOrder
		var id string
		err := decodeAdmin(r, &purchase)
		if err == nil {
			id, err = s.CompleteCheckout(purchase)
		}
		writeAdmin(w, doc{"order_id": id}, err)
	})
	mux.HandleFunc("POST /admin/faults", func(w http.ResponseWriter, r *http.Request) {
		var text faultText
		err := decodeAdmin(r, &text)
		if err == nil {
			err = s.arrangeText(planText{Faults: []faultText{text}})
		}
		writeAdmin(w, nil, err)
	})
	mux.HandleFunc("POST /admin/hooks/faults", func(w http.ResponseWriter, r *http.Request) {
		var text hookText
		err := decodeAdmin(r, &text)
		if err == nil {
			err = s.arrangeText(planText{Hooks: []hookText{text}})
		}
		writeAdmin(w, nil, err)
	})
	mux.HandleFunc("POST /admin/faults/plan", func(w http.ResponseWriter, r *http.Request) {
		var text planText
		err := decodeAdmin(r, &text)
		if err == nil {
			err = s.arrangeText(text)
		}
		writeAdmin(w, nil, err)
	})
	mux.HandleFunc("/admin/", func(w http.ResponseWriter, r *http.Request) {
		err := loopback(r)
		if err == nil {
			err = errUnknown
		}
		writeAdmin(w, nil, err)
	})
}

func (s *Server) arrangeText(text planText) error {
	plan, err := text.plan()
	if err != nil {
		return err
	}
	return s.Arrange(plan)
}

func (s *Server) adminAdvance(_ *http.Request, req adminRequest) (any, error) {
	d, err := time.ParseDuration(req.Duration)
	if err != nil {
		return nil, errBody
	}
	s.Advance(d)
	return nil, nil
}

func found[T any](state T, ok bool) (any, error) {
	if !ok {
		return nil, errUnknown
	}
	return state, nil
}

// errRemote means that an admin request came from another machine.
var errRemote = errors.New("only the loopback interface is answered")

func loopback(r *http.Request) error {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return errRemote
	}
	return nil
}

// decodeAdmin reads an admin request from this machine into v. An empty body leaves v as it is.
func decodeAdmin(r *http.Request, v any) error {
	if err := loopback(r); err != nil {
		return err
	}
	body, fits := readBody(r)
	if !fits || len(body) > 0 && json.Unmarshal(body, v) != nil {
		return errBody
	}
	return nil
}

// writeAdmin answers 200 with result, or the error.
func writeAdmin(w http.ResponseWriter, result any, err error) {
	status := http.StatusOK
	switch {
	case errors.Is(err, errUnknown):
		status = http.StatusNotFound
	case errors.Is(err, errBody):
		status = http.StatusBadRequest
	case errors.Is(err, errRemote):
		status = http.StatusForbidden
	case err != nil:
		status = http.StatusConflict
	}
	if err != nil {
		result = doc{"error": err.Error()}
	}
	if result == nil {
		result = doc{}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(encode(result))
}
