package klarna

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// What the Klarna Network posts to us, and under which key, is set up here. Klarna: one webhook of an acquiring partner
// serves all its merchants.

const (
	signingKeysPath = "/v2/notification/signing-keys"
	webhooksPath    = "/v2/notification/webhooks"
)

// MaxSigningKeys is how many signing keys an account may have at Klarna.
const MaxSigningKeys = 50

// SigningKey is a key that Klarna signs its posts with. Klarna shows the secret once, in the answer to its creation.
type SigningKey struct {
	SigningKeyID string    `json:"signing_key_id"`
	Key          Secret    `json:"signing_key,omitempty"` // the bytes of the text are the key
	CreatedAt    time.Time `json:"created_at,omitzero"`   // zero if it cannot be read
}

// UnmarshalJSON forgives a timestamp that cannot be read.
func (k *SigningKey) UnmarshalJSON(data []byte) error {
	type plain SigningKey
	aux := struct {
		*plain
		CreatedAt timestamp `json:"created_at"`
	}{plain: (*plain)(k)}
	err := json.Unmarshal(data, &aux)
	k.CreatedAt = time.Time(aux.CreatedAt)
	return err
}

// WebhookStatus says whether Klarna posts to a webhook, in Klarna's word.
type WebhookStatus string

// The two states of a webhook.
const (
	WebhookEnabled  WebhookStatus = "ENABLED"
	WebhookDisabled WebhookStatus = "DISABLED"
)

// Webhook is a subscription: which events go where, signed with which key. As a change it holds what is to change alone.
type Webhook struct {
	WebhookID    string        `json:"webhook_id,omitempty"` // set by Klarna
	URL          string        `json:"url,omitempty"`        // https, port 443 or 8443
	EventTypes   []string      `json:"event_types,omitempty"`
	EventVersion string        `json:"event_version,omitempty"` // v1 or v2
	SigningKeyID string        `json:"signing_key_id,omitempty"`
	Status       WebhookStatus `json:"status,omitempty"`
	CreatedAt    time.Time     `json:"created_at,omitzero"` // zero if it cannot be read

	Raw json.RawMessage `json:"-"` // the bytes as received
}

// UnmarshalJSON forgives a timestamp that cannot be read.
func (w *Webhook) UnmarshalJSON(data []byte) error {
	type plain Webhook
	aux := struct {
		*plain
		CreatedAt timestamp `json:"created_at"`
	}{plain: (*plain)(w)}
	err := json.Unmarshal(data, &aux)
	w.CreatedAt = time.Time(aux.CreatedAt)
	return err
}

// Takes reports whether a webhook's subscription covers an event type: by its name, or by a prefix that ends in ".*".
func (w Webhook) Takes(eventType string) bool {
	for _, pattern := range w.EventTypes {
		prefix, wild := strings.CutSuffix(pattern, "*")
		if pattern == eventType || wild && strings.HasPrefix(eventType, prefix) {
			return true
		}
	}
	return false
}

// SimulatedEvent is a sample that Klarna is asked to send.
type SimulatedEvent struct {
	EventType    string `json:"event_type"`
	EventVersion string `json:"event_version"`
}

// CreateSigningKey makes a key. Klarna: a repeat under the same idempotency key gets the first answer, secret and all,
// for 24 h; an account has MaxSigningKeys at most.
func (c *Client) CreateSigningKey(ctx context.Context, key string) (SigningKey, error) {
	var made SigningKey
	err := c.do(ctx, call{
		operation: "createSigningKey", family: Network, method: http.MethodPost, path: signingKeysPath, key: key,
		read: func(a answer) error {
			if err := a.decode(&made); err != nil {
				return errors.New("decode signing key") // the decoder's error may quote the secret
			}
			return demand("signing_key_id", made.SigningKeyID, "signing_key", made.Key.Reveal())
		},
	})
	if err != nil {
		return SigningKey{}, err
	}
	return made, nil
}

// SigningKeys lists the keys, without their secrets.
func (c *Client) SigningKeys(ctx context.Context) ([]SigningKey, error) {
	return readWhole(ctx, c, call{operation: "listSigningKeys", path: signingKeysPath}, "signing_keys", rawless[SigningKey])
}

// SigningKey reads a key, without its secret.
func (c *Client) SigningKey(ctx context.Context, id string) (SigningKey, error) {
	k := call{operation: "getSigningKey", path: signingKeysPath + "/{signing_key_id}", ids: []string{id}}
	return readPart(ctx, c, k, rawless[SigningKey])
}

// DeleteSigningKey deletes a key. Klarna: refused with 409 while a webhook uses it.
func (c *Client) DeleteSigningKey(ctx context.Context, id string) error {
	return c.do(ctx, call{
		operation: "deleteSigningKey", family: Network, method: http.MethodDelete,
		path: signingKeysPath + "/{signing_key_id}", ids: []string{id},
	})
}

// CreateWebhook subscribes. Klarna: refused with 409 if the same subscription exists.
func (c *Client) CreateWebhook(ctx context.Context, key string, in Webhook) (Webhook, error) {
	return createPart(ctx, c, call{operation: "createWebhook", path: webhooksPath, key: key}, in, rawOfWebhook)
}

// Webhooks lists the subscriptions.
func (c *Client) Webhooks(ctx context.Context) ([]Webhook, error) {
	return readWhole(ctx, c, call{operation: "listWebhooks", path: webhooksPath}, "webhooks", rawOfWebhook)
}

// Webhook reads a subscription.
func (c *Client) Webhook(ctx context.Context, id string) (Webhook, error) {
	k := call{operation: "getWebhook", path: webhooksPath + "/{webhook_id}", ids: []string{id}}
	return readPart(ctx, c, k, rawOfWebhook)
}

// UpdateWebhook changes what is set in a subscription and keeps the rest. Should Klarna answer without a body, what is
// returned holds the id alone.
func (c *Client) UpdateWebhook(ctx context.Context, key, id string, change Webhook) (Webhook, error) {
	change.WebhookID, change.CreatedAt = "", time.Time{}
	k := call{
		operation: "updateWebhook", method: http.MethodPatch, path: webhooksPath + "/{webhook_id}", ids: []string{id},
		key: key, body: change,
	}
	return changePart(ctx, c, k, Webhook{WebhookID: id}, rawOfWebhook)
}

// DeleteWebhook ends a subscription.
func (c *Client) DeleteWebhook(ctx context.Context, id string) error {
	return c.do(ctx, call{
		operation: "deleteWebhook", family: Network, method: http.MethodDelete,
		path: webhooksPath + "/{webhook_id}", ids: []string{id},
	})
}

// SimulateWebhook has Klarna post a signed sample event to a webhook's address.
func (c *Client) SimulateWebhook(ctx context.Context, key, id string, event SimulatedEvent) error {
	return c.do(ctx, call{
		operation: "simulateWebhook", family: Network, method: http.MethodPost,
		path: webhooksPath + "/{webhook_id}/simulate", ids: []string{id}, key: key, body: event,
	})
}

func rawOfWebhook(w *Webhook) *json.RawMessage { return &w.Raw }

// rawless keeps no bytes: they may hold a secret, or hold nothing that the type does not.
func rawless[T any](*T) *json.RawMessage { return new(json.RawMessage) }

// readWhole reads a list of the Klarna Network to its end. Klarna: the lists of an account's own set-up are not said to
// come in parts; should one, all parts are read.
func readWhole[T any](ctx context.Context, c *Client, k call, name string, raw func(*T) *json.RawMessage) (all []T, err error) {
	for part := (Cursor{}); ; {
		k.query = part.query()
		list, next, err := readParts(ctx, c, k, name, part, raw)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
		if next == "" {
			return all, nil
		}
		part.After = next
	}
}

// LogValue keeps the secret out of logs.
func (k SigningKey) LogValue() slog.Value {
	return slog.GroupValue(slog.String("signing_key_id", k.SigningKeyID))
}
