package klarnatest

import (
	"fmt"
	"slices"
	"time"
)

// Fault is something that goes wrong with the next calls of an operation. Delay comes first and combines with the
// rest; a Fault with nothing but a Delay is merely slow.
type Fault struct {
	// Operation is one of onboard, readAccount, updateAccount, createEntity, listEntities, readEntity, updateEntity,
	// createBrand, listBrands, readBrand, updateBrand, createStoreGroup, listStoreGroups, readStoreGroup,
	// updateStoreGroup, createStore, listStores, readStore, updateStore, listProducts, disableProduct, enableProduct,
	// createPaymentRequest, readPaymentRequest, updatePaymentRequest, cancelPaymentRequest, authorizePayment,
	// readTransaction, updateTransaction, captureTransaction, refundTransaction, voidTransaction, extendTransaction,
	// readTransactionCapture, refundTransactionCapture, readTransactionRefund, readChargeback, cancelPaymentToken,
	// createPaymentAccount, readPaymentAccount, updatePaymentAccount, listPaymentProfiles, listDecisions, readDecision,
	// createSigningKey, listSigningKeys, readSigningKey, deleteSigningKey, createWebhook, listWebhooks, readWebhook,
	// updateWebhook, deleteWebhook, simulateWebhook, createAPIKey, listAPIKeys, readAPIKey, updateAPIKey, disableAPIKey,
	// createCertificate, listCertificates, readCertificate, updateCertificate, revokeCertificate, readEnforcement,
	// enforceMTLS, removeEnforcement, readAllowedIPs,
	// createSession, updateSession, readSession, cancelAuthorization, placeOrder, readOrder, acknowledge,
	// cancelOrder, extendAuthorization, releaseRemaining, updateReferences, updateAuthorization, updateCustomer,
	// addOrderShipping, capture, listCaptures, readCapture, addCaptureShipping, sendOut, dueDateOptions,
	// extendDueDate, refund, readRefund, createCustomerToken, readCustomerToken, chargeCustomerToken,
	// cancelCustomerToken, createHostedPage, readHostedPage, disableHostedPage, distributeHostedPage,
	// createCheckoutOrder, readCheckoutOrder, updateCheckoutOrder, abortCheckoutOrder, listPayouts, readPayout, summarizePayouts, listTransactions,
	// reportPayoutTransactions, reportPayout, reportPayoutsTransactions, reportPayouts.
	Operation string
	// Times is how many calls are hit; 0 means one.
	Times int
	// Status is answered instead of doing anything, with Code or the code Klarna gives with that status.
	Status int
	Code   string
	// Delay passes in real time before anything else; the call has its effect even if the caller gives up meanwhile.
	Delay time.Duration
	// Cut closes the connection before any effect.
	Cut bool
	// LoseAnswer lets the call have its effect and then closes the connection. Status is ignored.
	LoseAnswer bool
}

// Fail arranges a fault. Several for one operation are used up in the order they were arranged.
func (s *Server) Fail(f Fault) error {
	if !slices.ContainsFunc(apiRoutes(), func(rt *route) bool { return rt.op == f.Operation }) {
		return fmt.Errorf("fail operation %q: %w", f.Operation, errUnknown)
	}
	if f.Status != 0 && (f.Status < 300 || f.Status > 599) {
		return fmt.Errorf("fail operation %s: status %d is no refusal", f.Operation, f.Status)
	}
	f.Times = max(f.Times, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
	return nil
}

// Heal takes back every fault that was arranged and not used up.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// takeFault is the fault the next call of op meets; the zero Fault does nothing. Callers hold mu.
func (s *Server) takeFault(op string) Fault {
	i := slices.IndexFunc(s.faults, func(f *Fault) bool { return f.Operation == op })
	if i < 0 {
		return Fault{}
	}
	f := s.faults[i]
	f.Times--
	if f.Times == 0 {
		s.faults = slices.Delete(s.faults, i, i+1)
	}
	return *f
}

// faultHeader marks an answer that was asked for, so that nobody takes it for what Klarna would say.
const faultHeader = "Klarnatest-Fault"

// faulty is the refusal a fault asks for.
func (c *call) faulty(f Fault) answer {
	code := f.Code
	if code == "" {
		code = codeFor(c.route.family, f.Status)
	}
	a := c.refuse(f.Status, code, "Refused on request")
	a.header = map[string]string{faultHeader: "true"}
	return a
}

// delay waits for d in real time; false means the server was closed meanwhile. That the caller went away changes
// nothing: Klarna would not notice either.
func (s *Server) delay(d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}
