package main

import (
	"fmt"
	"time"

	"payments.internal/klarna-gateway/worker"
)

// attentionConfig says what is asked of Klarna in a silence, and when silence and failure need a person.
type attentionConfig struct {
	// SilentPaymentAfter is how long an order may stay UNPAID without another word of Klarna's; default 168h.
	SilentPaymentAfter time.Duration `yaml:"silent_payment_after"`
	// FailingWorkAfter is how long work may fail before a person is told; it is tried on. Default 6h.
	FailingWorkAfter time.Duration `yaml:"failing_work_after"`
	// Reconcile reads payments and accounts of which nothing was heard.
	Reconcile reconcileConfig `yaml:"reconcile"`
}

type reconcileConfig struct {
	// Off leaves silence alone.
	Off bool `yaml:"off"`
	// After is the silence after which a payment or account is read; it doubles from one reading to the next. Default 24h.
	After time.Duration `yaml:"after"`
	// Until is the silence after which a payment is not read any more; default 2160h, 90 days.
	Until time.Duration `yaml:"until"`
}

func (c *attentionConfig) check() (flaws []error) {
	for _, limit := range []struct {
		name string
		time time.Duration
	}{
		{"silent_payment_after", c.SilentPaymentAfter}, {"failing_work_after", c.FailingWorkAfter},
		{"reconcile.after", c.Reconcile.After}, {"reconcile.until", c.Reconcile.Until},
	} {
		if limit.time < 0 {
			flaws = append(flaws, fmt.Errorf("%s: %s is negative", limit.name, limit.time))
		}
	}
	if after := c.Reconcile.After; after > 0 && after < time.Hour {
		flaws = append(flaws, fmt.Errorf("reconcile.after: %s is less than 1h; Klarna's quota is for those who wait", after))
	}
	return flaws
}

// reconcile is the worker's part of it.
func (c *attentionConfig) reconcile() worker.Reconcile {
	if c.Reconcile.Off {
		return worker.Reconcile{After: -1}
	}
	return worker.Reconcile{After: c.Reconcile.After, Until: c.Reconcile.Until}
}
