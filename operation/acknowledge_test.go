package operation_test

import (
	"errors"
	"testing"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest"
	. "payments.internal/klarna-gateway/operation/operationtest"
)

func TestRequestAcknowledgement_TellsKlarnaAtOnce(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	order := w.Checkout()
	for range 2 {
		confirmed, err := w.Operations.RequestAcknowledgement(t.Context(), Request("a-1", "x"), order)
		if err != nil || !confirmed {
			t.Errorf("confirmed %t, %v", confirmed, err)
		}
	}
	w.CalledTimes("acknowledge", 1)
	if !w.Order(order).Acknowledged || !w.Payment(journal.KeyOrder, order).Acknowledged {
		t.Error("not acknowledged")
	}
}

func TestRequestAcknowledgement_LeavesAJobIfKlarnaCannotBeReached(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]klarnatest.Fault{
		"outage":      {Status: 503},
		"cut off":     {Cut: true},
		"lost answer": {LoseAnswer: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := New(t, Options{})
			order := w.Checkout()
			fault.Operation = "acknowledge"
			w.Fail(fault)
			confirmed, err := w.Operations.RequestAcknowledgement(t.Context(), Request("a-1", "x"), order)
			if err != nil || confirmed {
				t.Errorf("confirmed %t, %v", confirmed, err)
			}
			if jobs := w.Jobs(journal.JobAcknowledge); len(jobs) != 1 || jobs[0].Key != order {
				t.Errorf("jobs %+v", jobs)
			}
			if !w.Payment(journal.KeyOrder, order).AcknowledgeWanted {
				t.Error("that it is wanted is not on record")
			}
			w.Must(w.Operations.Acknowledge(t.Context(), Shop, order)) // what the job does
			w.SameKey("acknowledge")
		})
	}
}

func TestRequestAcknowledgement_OfAnOrderThatKlarnaDoesNotKnowIsRefused(t *testing.T) {
	t.Parallel()
	w := New(t, Options{})
	_, err := w.Operations.RequestAcknowledgement(t.Context(), Request("a-1", "x"), "7d3c1b52-0e4f-4a8e-9c61-2f5b8a90d417")
	var refused *klarna.Error
	if !errors.As(err, &refused) || refused.Code != "NO_SUCH_ORDER" {
		t.Errorf("got %v", err)
	}
	if jobs := w.Jobs(""); len(jobs) != 0 {
		t.Errorf("jobs %+v", jobs)
	}
}
