package operation

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store"
)

// WebhookSetUp says which events are to come to the gateway. Zero fields have the defaults that are named.
type WebhookSetUp struct {
	URL          string         // our own door
	EventTypes   []string       // those that the webhook at the URL has, or DefaultEventTypes
	EventVersion string         // v2
	SampleType   string         // a type that the webhook takes and that moves nothing
	Wait         time.Duration  // for the sample; 20 s
	Overlap      *time.Duration // from now to the retirement of the key that is replaced; lateRetries
}

// DefaultEventTypes are what a new webhook subscribes to.
var DefaultEventTypes = []string{"partner.*", "payment.*"}

const (
	defaultVersion   = "v2"
	defaultProofWait = 20 * time.Second
	maxProofWait     = 45 * time.Second // leaves time for the calls within the call budget
)

// harmless are event types to be simulated, the least telling first.
var harmless = []string{
	klarna.EventAccountChangeCreated, klarna.EventComplianceDecisionCreated, "payment.request.updated", "settlement.report.created",
	"payment.transaction.state-change.closed", "payment.request.state-change.expired", "identity.customer-token.state-change.revoked",
}

// WebhookProof is what SetUpWebhooks has set up and proven.
type WebhookProof struct {
	SigningKeyID string
	Webhook      klarna.Webhook
	Created      bool     // the webhook was made; else it was there and was changed
	Retiring     []string // ids of the keys that it had before, whose retirement is planned
	RetireAt     time.Time
	EventType    string // of the sample
	EventID      string
	ReceivedAt   time.Time
}

// setUpProgress is what a set-up has come to. It stands on record in the place of the answer, so that a repeat goes on
// where the last attempt ended.
type setUpProgress struct {
	WebhookProof
	Samples int // asked for
}

// SetUpWebhooks makes a signing key and a webhook that uses it, or brings the webhook that is at the address to the new
// key, and has Klarna post a sample. It succeeds once that sample has come in by our own door, signed with the new key, and
// is on record. Each step is done once, however often the request is repeated; a repeat after a failure goes on behind the
// last step that worked. The old key is not deleted but planned to retire: Klarna may repeat posts under it for a day.
func (o *Operations) SetUpWebhooks(ctx context.Context, req Request, in WebhookSetUp) (WebhookProof, error) {
	account, err := o.account(req.MerchantAccount, NetworkAPI)
	if err != nil {
		return WebhookProof{}, err
	}
	in.URL = cmp.Or(in.URL, o.networkURL)
	if in.URL == "" {
		return WebhookProof{}, refuseField("url", "INVALID_FIELD", "no public_base_url is configured: name the address at which Klarna reaches the gateway")
	}
	return once(ctx, o, "setUpWebhooks", req, func(ctx context.Context, try attempt) (done effect[WebhookProof], err error) {
		s := setUp{o: o, account: account, in: in, req: req, try: try}
		if len(try.row.Answer) > 0 {
			if err := json.Unmarshal(try.row.Answer, &s.progress); err != nil {
				return done, fmt.Errorf("decode progress: %w", err)
			}
		}
		for _, step := range []func(context.Context) error{s.makeKey, s.bindWebhook, s.retireOld, s.askSample, s.awaitProof} {
			if err := step(ctx); err != nil {
				return done, err
			}
		}
		done.answer = s.progress.WebhookProof
		return done, nil
	})
}

// setUp is one attempt at SetUpWebhooks.
type setUp struct {
	o        *Operations
	account  Account
	in       WebhookSetUp
	req      Request
	try      attempt
	progress setUpProgress
}

// key is the idempotency key of a step.
func (s *setUp) key(step string) string {
	return IdempotencyKey(s.account.Name, "setUpWebhooks."+step, s.req.ID)
}

// came puts down how far the set-up has come, together with what else a step has to record.
func (s *setUp) came(ctx context.Context, also func(context.Context, store.Tx) error) (err error) {
	if s.try.row.Answer, err = json.Marshal(s.progress); err != nil {
		return fmt.Errorf("encode progress: %w", err)
	}
	err = s.o.store.Do(ctx, func(tx store.Tx) error {
		if err := tx.PutRequest(ctx, *s.try.row); err != nil {
			return err
		}
		if also == nil {
			return nil
		}
		return also(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("record progress: %w", err)
	}
	return nil
}

// makeKey makes the signing key, whose secret goes into the key ring.
func (s *setUp) makeKey(ctx context.Context) error {
	if s.progress.SigningKeyID != "" {
		return nil
	}
	made, err := s.account.Klarna.CreateSigningKey(ctx, s.key("createSigningKey"))
	if err != nil {
		return fmt.Errorf("set up webhooks: create signing key: %w", err)
	}
	s.progress.SigningKeyID = made.SigningKeyID
	return s.came(ctx, func(ctx context.Context, tx store.Tx) error {
		return tx.PutSigningKey(ctx, s.o.ringKey(s.account.Name, made))
	})
}

// bindWebhook brings the webhook at the address to the new key and the wanted events, or makes one. The door knows the key
// by now, so nothing that comes meanwhile is refused.
func (s *setUp) bindWebhook(ctx context.Context) error {
	all, err := s.account.Klarna.Webhooks(ctx)
	if err != nil {
		return fmt.Errorf("set up webhooks: list webhooks: %w", err)
	}
	version := cmp.Or(s.in.EventVersion, defaultVersion)
	there := first(all, func(w klarna.Webhook) bool { return w.URL == s.in.URL && w.EventVersion == version })
	if there == nil {
		return s.makeWebhook(ctx, version)
	}
	wanted := *there
	wanted.SigningKeyID, wanted.Status = s.progress.SigningKeyID, klarna.WebhookEnabled
	if len(s.in.EventTypes) > 0 {
		wanted.EventTypes = s.in.EventTypes
	}
	if there.SigningKeyID == wanted.SigningKeyID && there.Status == wanted.Status && sameTypes(there.EventTypes, wanted.EventTypes) {
		s.progress.Webhook = *there
		s.progress.Created = len(s.progress.Retiring) == 0 // who else would know of the key
		return nil
	}
	if old := there.SigningKeyID; old != "" && old != wanted.SigningKeyID && !slices.Contains(s.progress.Retiring, old) {
		s.progress.Retiring = append(s.progress.Retiring, old)
		if err := s.came(ctx, nil); err != nil { // before it is nowhere to be found
			return err
		}
	}
	change := klarna.Webhook{SigningKeyID: wanted.SigningKeyID, Status: wanted.Status, EventTypes: wanted.EventTypes}
	if _, err := s.account.Klarna.UpdateWebhook(ctx, s.key("updateWebhook."+there.WebhookID), there.WebhookID, change); err != nil {
		return fmt.Errorf("set up webhooks: update webhook: %w", err)
	}
	s.progress.Webhook = wanted
	return nil
}

func (s *setUp) makeWebhook(ctx context.Context, version string) error {
	in := klarna.Webhook{
		URL: s.in.URL, EventTypes: s.in.EventTypes, EventVersion: version, SigningKeyID: s.progress.SigningKeyID, Status: klarna.WebhookEnabled,
	}
	if len(in.EventTypes) == 0 {
		in.EventTypes = DefaultEventTypes
	}
	made, err := s.account.Klarna.CreateWebhook(ctx, s.key("createWebhook"), in)
	if err != nil {
		return fmt.Errorf("set up webhooks: create webhook: %w", err)
	}
	in.WebhookID, in.CreatedAt = made.WebhookID, made.CreatedAt
	s.progress.Webhook, s.progress.Created = in, true
	return s.came(ctx, nil)
}

// retireOld plans the retirement of the keys that were replaced, unless that was planned before.
func (s *setUp) retireOld(ctx context.Context) error {
	if len(s.progress.Retiring) == 0 || !s.progress.RetireAt.IsZero() {
		return nil
	}
	overlap := lateRetries
	if s.in.Overlap != nil {
		overlap = *s.in.Overlap
	}
	s.progress.RetireAt = s.o.store.Now().Add(overlap)
	return s.came(ctx, func(ctx context.Context, tx store.Tx) error {
		for _, id := range s.progress.Retiring {
			key := store.SigningKeyID{Scheme: journal.NetworkScheme, MerchantAccount: s.account.Name, ID: id}
			_, err := tx.SigningKey(ctx, key)
			if errors.Is(err, store.ErrNotFound) && !s.o.isConfigured(key) { // its secret was never here
				continue
			}
			err = s.o.journal.ChangeKeyIn(ctx, tx, key, func(k *store.SigningKey) {
				if k.RetireAt.IsZero() {
					k.RetireAt = s.progress.RetireAt
				}
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// askSample has Klarna post a sample, unless one has proven everything already.
func (s *setUp) askSample(ctx context.Context) error {
	webhook := s.progress.Webhook
	kind := s.in.SampleType
	if kind == "" {
		i := slices.IndexFunc(harmless, webhook.Takes)
		if i < 0 {
			return refuseField("sample_event_type", "INVALID_FIELD", "no event type is known that this webhook takes and that is harmless: name one to be simulated")
		}
		kind = harmless[i]
	}
	s.progress.EventType = kind
	probe, err := s.o.store.Probe(ctx, s.account.Name, webhook.WebhookID, kind)
	if err == nil && s.proves(probe) || err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	s.progress.Samples++
	err = s.came(ctx, func(ctx context.Context, tx store.Tx) error {
		return s.o.awaitSample(ctx, tx, s.account.Name, webhook.WebhookID, kind)
	})
	if err != nil {
		return err
	}
	event := klarna.SimulatedEvent{EventType: kind, EventVersion: webhook.EventVersion}
	if err := s.account.Klarna.SimulateWebhook(ctx, s.key("simulate."+strconv.Itoa(s.progress.Samples)), webhook.WebhookID, event); err != nil {
		return fmt.Errorf("set up webhooks: simulate: %w", err)
	}
	return nil
}

func (s *setUp) proves(probe store.Probe) bool {
	return !probe.ReceivedAt.IsZero() && probe.SigningKey == s.progress.SigningKeyID && probe.Flaw == ""
}

// awaitProof waits until the sample is on record.
func (s *setUp) awaitProof(ctx context.Context) error {
	wait := min(cmp.Or(s.in.Wait, defaultProofWait), maxProofWait)
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		probe, err := s.o.store.Probe(context.WithoutCancel(ctx), s.account.Name, s.progress.Webhook.WebhookID, s.progress.EventType)
		switch {
		case err != nil:
			return fmt.Errorf("set up webhooks: look for the sample: %w", err)
		case s.proves(probe):
			s.progress.EventID, s.progress.ReceivedAt = probe.EventID, probe.ReceivedAt
			return nil
		case !probe.ReceivedAt.IsZero():
			return s.unproven("it came signed with key %s%s", probe.SigningKey, prefixed(", and is ", probe.Flaw))
		}
		select {
		case <-after(pause):
		case <-ctx.Done():
			return s.unproven("it did not come to %s within %s; see that Klarna reaches that address by https with a valid certificate, "+
				"that it leads to this gateway's webhook listener, and what that has logged", s.in.URL, wait)
		}
	}
}

// unproven says what is set up, and what is missing.
func (s *setUp) unproven(format string, args ...any) error {
	return refuse("WEBHOOK_NOT_PROVEN", "signing key %s and webhook %s are set up, but the simulated event %s proves nothing: %s. Repeat with the same request_id to try again",
		s.progress.SigningKeyID, s.progress.Webhook.WebhookID, s.progress.EventType, fmt.Sprintf(format, args...))
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}
