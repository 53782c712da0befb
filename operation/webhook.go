package operation

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// Webhooks lists the subscriptions of a merchant account at Klarna.
func (o *Operations) Webhooks(ctx context.Context, merchantAccount string) ([]klarna.Webhook, error) {
	account, err := o.account(merchantAccount, NetworkAPI)
	if err != nil {
		return nil, err
	}
	return account.Klarna.Webhooks(ctx)
}

// Webhook reads a subscription at Klarna.
func (o *Operations) Webhook(ctx context.Context, merchantAccount, id string) (klarna.Webhook, error) {
	account, err := o.account(merchantAccount, NetworkAPI)
	if err != nil {
		return klarna.Webhook{}, err
	}
	return account.Klarna.Webhook(ctx, id)
}

// CreateWebhook subscribes. What Klarna may have made of an attempt whose answer was lost is looked for before it is made
// again.
func (o *Operations) CreateWebhook(ctx context.Context, req Request, in klarna.Webhook) (klarna.Webhook, error) {
	account, err := o.account(req.MerchantAccount, NetworkAPI)
	if err != nil {
		return klarna.Webhook{}, err
	}
	return once(ctx, o, "createWebhook", req, func(ctx context.Context, try attempt) (done effect[klarna.Webhook], err error) {
		if try.stale {
			there, err := sameWebhook(ctx, account.Klarna, in)
			if err != nil || there != nil {
				if there != nil {
					done.answer = *there
				}
				return done, err
			}
		}
		before, err := try.open(func() (err error) {
			done.answer, err = account.Klarna.CreateWebhook(ctx, try.key, in)
			return err
		})
		var refused *klarna.Error
		if errors.As(err, &refused) && refused.Status == http.StatusConflict && before { // perhaps our own
			if there, lookErr := sameWebhook(ctx, account.Klarna, in); lookErr == nil && there != nil {
				done.answer, err = *there, nil
			}
		}
		if err != nil {
			return done, fmt.Errorf("create webhook: %w", err)
		}
		return done, nil
	})
}

// sameWebhook finds the subscription that Klarna would take for the same, nil if there is none.
func sameWebhook(ctx context.Context, c *klarna.Client, in klarna.Webhook) (*klarna.Webhook, error) {
	all, err := c.Webhooks(ctx)
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	return first(all, func(w klarna.Webhook) bool {
		return w.URL == in.URL && w.EventVersion == in.EventVersion && w.SigningKeyID == in.SigningKeyID && sameTypes(w.EventTypes, in.EventTypes)
	}), nil
}

func sameTypes(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// UpdateWebhook changes what is set in a subscription. Klarna: the rest stays.
func (o *Operations) UpdateWebhook(ctx context.Context, req Request, id string, change klarna.Webhook) (klarna.Webhook, error) {
	account, err := o.account(req.MerchantAccount, NetworkAPI)
	if err != nil {
		return klarna.Webhook{}, err
	}
	return once(ctx, o, "updateWebhook", req, func(ctx context.Context, try attempt) (done effect[klarna.Webhook], err error) {
		if done.answer, err = account.Klarna.UpdateWebhook(ctx, try.key, id, change); err != nil {
			return done, fmt.Errorf("update webhook: %w", err)
		}
		return done, nil
	})
}

// DeleteWebhook ends a subscription.
func (o *Operations) DeleteWebhook(ctx context.Context, req Request, id string) error {
	account, err := o.account(req.MerchantAccount, NetworkAPI)
	if err != nil {
		return err
	}
	_, err = once(ctx, o, "deleteWebhook", req, func(ctx context.Context, try attempt) (done effect[struct{}], err error) {
		before, err := try.open(func() error { return account.Klarna.DeleteWebhook(ctx, id) })
		if err != nil && !(gone(err) && before) { // gone: the attempt whose answer was lost did it
			return done, fmt.Errorf("delete webhook: %w", err)
		}
		return done, nil
	})
	return err
}

// SimulateWebhook has Klarna post a sample event to a webhook. The door takes it for what it is.
func (o *Operations) SimulateWebhook(ctx context.Context, req Request, id string, event klarna.SimulatedEvent) error {
	account, err := o.account(req.MerchantAccount, NetworkAPI)
	if err != nil {
		return err
	}
	_, err = once(ctx, o, "simulateWebhook", req, func(ctx context.Context, try attempt) (done effect[struct{}], err error) {
		if err := o.store.Do(ctx, func(tx store.Tx) error { return o.awaitSample(ctx, tx, account.Name, id, event.EventType) }); err != nil {
			return done, err
		}
		if err := account.Klarna.SimulateWebhook(ctx, try.key, id, event); err != nil {
			return done, fmt.Errorf("simulate webhook: %w", err)
		}
		return done, nil
	})
	return err
}

// sampleLife is for how long a sample may come. Klarna: after a failure it is repeated after 10 s, 2 min and 15 min.
const sampleLife = 30 * time.Minute

// awaitSample puts down that a sample will come, before Klarna is asked for it.
func (o *Operations) awaitSample(ctx context.Context, tx store.Tx, merchantAccount, webhook, eventType string) error {
	now := o.store.Now()
	err := tx.PutProbe(ctx, store.Probe{
		MerchantAccount: merchantAccount, Webhook: webhook, EventType: eventType, AskedAt: now, Until: now.Add(sampleLife),
	})
	if err != nil {
		return fmt.Errorf("record probe: %w", err)
	}
	return nil
}
