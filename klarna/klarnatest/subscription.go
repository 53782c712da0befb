package klarnatest

import (
	"crypto/rand"
	"encoding/hex"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// signingKey signs what is sent to the webhooks that name it.
type signingKey struct {
	id, secret string
	created    time.Time
}

// webhook is a subscription.
type webhook struct {
	id      string
	input   doc // url, event_types, event_version, signing_key_id, status
	created time.Time
}

// subscriptions are those of our account. Klarna: notifications about all merchants come to it. Guarded by Server.mu.
type subscriptions struct {
	keys     []*signingKey
	webhooks []*webhook
}

// maxSigningKeys is Klarna's limit an account.
const maxSigningKeys = 50

// subscriptionRoutes are the operations of the Notifications API.
func subscriptionRoutes() []*route {
	const (
		keys = "/v2/notification/signing-keys"
		hook = "/v2/notification/webhooks"
	)
	return []*route{
		{"createSigningKey", network, "POST " + keys, false, (*Server).createSigningKey},
		{"listSigningKeys", network, "GET " + keys, false, (*Server).listSigningKeys},
		{"readSigningKey", network, "GET " + keys + "/{key_id}", false, (*Server).readSigningKey},
		{"deleteSigningKey", network, "DELETE " + keys + "/{key_id}", false, (*Server).deleteSigningKey},
		{"createWebhook", network, "POST " + hook, true, (*Server).createWebhook},
		{"listWebhooks", network, "GET " + hook, false, (*Server).listWebhooks},
		{"readWebhook", network, "GET " + hook + "/{webhook_id}", false, (*Server).readWebhook},
		{"updateWebhook", network, "PATCH " + hook + "/{webhook_id}", true, (*Server).updateWebhook},
		{"deleteWebhook", network, "DELETE " + hook + "/{webhook_id}", false, (*Server).deleteWebhook},
		{"simulateWebhook", network, "POST " + hook + "/{webhook_id}/simulate", true, (*Server).simulateWebhook},
	}
}

// configured is the subscription that a Config asks for.
func (c Config) configured(now time.Time) (s subscriptions) {
	if c.NetworkURL == "" {
		return s
	}
	s.keys = []*signingKey{{id: c.NetworkKeyID, secret: c.NetworkKey, created: now}}
	s.webhooks = []*webhook{{id: configuredWebhook, created: now, input: doc{
		"url": c.NetworkURL, "event_types": []any{"partner.*", "payment.*"}, "event_version": "v2", "signing_key_id": c.NetworkKeyID, "status": "ENABLED",
	}}}
	return s
}

// publish sends an event to every webhook that has subscribed to it, signed with the key that the webhook has now.
// Callers hold mu.
func (s *Server) publish(eventType, subject string, more, payload doc) {
	id := uuid.NewString()
	for _, w := range s.subs.webhooks {
		if w.input.str("status") == "ENABLED" && w.takes(eventType) {
			s.notify(w, id, eventType, subject, more, payload)
		}
	}
}

// notify sends an event to one webhook. more is added to its metadata. Callers hold mu.
func (s *Server) notify(w *webhook, id, eventType, subject string, more, payload doc) {
	key := s.subs.key(w.input.str("signing_key_id"))
	if key == nil {
		return
	}
	metadata := doc{
		"event_id": id, "event_type": eventType, "event_version": w.input.str("event_version"),
		"occurred_at": s.now().Format(time.RFC3339Nano), "subject_account_id": subject,
		"recipient_account_id": s.recipientID(), "webhook_id": w.id, "live": s.cfg.Live,
	}.with(more)
	s.send(&message{
		kind: KindNetwork, url: w.input.str("url"), eventID: id, eventType: eventType, subject: subject, webhookID: w.id, key: *key,
		body: encode(doc{"metadata": metadata, "payload": payload}), schedule: notificationSchedule, accepted: acceptsNotification,
		moot: func() bool { return !slices.Contains(s.subs.webhooks, w) },
	}, 0)
}

// takes tells whether the subscription covers an event type.
func (w *webhook) takes(eventType string) bool {
	types, _ := w.input["event_types"].([]any)
	return slices.ContainsFunc(types, func(t any) bool {
		pattern, _ := t.(string)
		prefix, wild := strings.CutSuffix(pattern, "*")
		return pattern == eventType || wild && strings.HasPrefix(eventType, prefix)
	})
}

func (s *subscriptions) key(id string) *signingKey {
	i := slices.IndexFunc(s.keys, func(k *signingKey) bool { return k.id == id })
	if i < 0 {
		return nil
	}
	return s.keys[i]
}

func keyDocument(k *signingKey) doc {
	return doc{"signing_key_id": k.id, "created_at": k.created.Format(time.RFC3339Nano)}
}

func webhookDocument(w *webhook) doc {
	return w.input.with(doc{"webhook_id": w.id, "created_at": w.created.Format(time.RFC3339Nano)})
}

// createSigningKey shows the secret, for the only time. How Klarna refuses one too many is not documented.
func (s *Server) createSigningKey(c *call) answer {
	if len(s.subs.keys) >= maxSigningKeys {
		return c.refuse(http.StatusConflict, "RESOURCE_CONFLICT", "The account has as many signing keys as it may have")
	}
	var random [24]byte
	_, _ = rand.Read(random[:]) // never fails
	k := &signingKey{
		id: "krn:partner:global:notification:signing-key:" + uuid.NewString(), secret: "sim-" + hex.EncodeToString(random[:]), created: s.now(),
	}
	s.subs.keys = append(s.subs.keys, k)
	return reply(http.StatusCreated, keyDocument(k).with(doc{"signing_key": k.secret}))
}

func (s *Server) listSigningKeys(*call) answer {
	list := []doc{}
	for _, k := range s.subs.keys {
		list = append(list, keyDocument(k))
	}
	return reply(http.StatusOK, doc{"signing_keys": list})
}

func (s *Server) withSigningKey(c *call, f func(*signingKey) answer) answer {
	k := s.subs.key(c.path("key_id"))
	if k == nil {
		return c.refuse(http.StatusNotFound, "RESOURCE_NOT_FOUND", "No such signing key")
	}
	return f(k)
}

func (s *Server) readSigningKey(c *call) answer {
	return s.withSigningKey(c, func(k *signingKey) answer { return reply(http.StatusOK, keyDocument(k)) })
}

// deleteSigningKey refuses while a webhook uses the key.
func (s *Server) deleteSigningKey(c *call) answer {
	return s.withSigningKey(c, func(k *signingKey) answer {
		if slices.ContainsFunc(s.subs.webhooks, func(w *webhook) bool { return w.input.str("signing_key_id") == k.id }) {
			return c.refuse(http.StatusConflict, "RESOURCE_CONFLICT", "A webhook uses the signing key")
		}
		s.subs.keys = slices.DeleteFunc(s.subs.keys, func(other *signingKey) bool { return other == k })
		return reply(http.StatusNoContent, nil)
	})
}

func (s *Server) createWebhook(c *call) answer {
	k, root := &checker{}, located{doc: c.doc}
	k.texts(root, "url", "event_version", "signing_key_id")
	if !root.has("event_types") {
		k.refuse("event_types", "must be a list of event types")
	}
	input := c.doc.pick(webhookFields...)
	if !input.has("status") {
		input["status"] = "ENABLED"
	}
	s.checkWebhook(k, input)
	switch {
	case k.errs != nil:
		return c.invalid(k.errs)
	case s.sameWebhook(input, nil):
		return c.refuse(http.StatusConflict, "RESOURCE_CONFLICT", "The same subscription exists")
	}
	w := &webhook{id: "krn:partner:global:notification:webhook:" + uuid.NewString(), input: input, created: s.now()}
	s.subs.webhooks = append(s.subs.webhooks, w)
	return reply(http.StatusCreated, webhookDocument(w))
}

var webhookFields = []string{"url", "event_types", "event_version", "signing_key_id", "status"}

// sameWebhook tells whether another webhook has the same configuration. Klarna: refused; that the state does not count is
// chosen here.
func (s *Server) sameWebhook(input doc, self *webhook) bool {
	return slices.ContainsFunc(s.subs.webhooks, func(w *webhook) bool {
		return w != self && same(w.input.without("status"), input.without("status"))
	})
}

var eventTypePattern = regexp.MustCompile(`^[a-z]+(?:[.-][a-z]+)*(?:\.\*)?$`)

// checkWebhook checks the fields that are there.
func (s *Server) checkWebhook(k *checker, input doc) {
	oneOf := func(field string, words ...string) {
		if input.has(field) && !slices.Contains(words, input.str(field)) {
			k.refuse(field, "must be one of "+strings.Join(words, ", "))
		}
	}
	oneOf("event_version", "v1", "v2")
	oneOf("status", "ENABLED", "DISABLED")
	if input.has("url") && !reachable(input.str("url")) {
		k.refuse("url", "must be https on port 443 or 8443")
	}
	if id := input.str("signing_key_id"); id != "" && s.subs.key(id) == nil {
		k.refuse("signing_key_id", "must be one of the account's signing keys")
	}
	if !input.has("event_types") {
		return
	}
	types, ok := input["event_types"].([]any)
	seen := map[string]bool{}
	for _, t := range types {
		text, _ := t.(string)
		ok = ok && eventTypePattern.MatchString(text) && !seen[text]
		seen[text] = true
	}
	if !ok || len(types) == 0 {
		k.refuse("event_types", "must be unique event types or prefixes ending in .*")
	}
}

// reachable tells whether Klarna would post to an address. Klarna: https with a valid certificate, port 443 or 8443. The
// loopback interface is taken too, with any scheme and port, as nothing else is to be had in a test.
func reachable(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return false
	}
	if ip := net.ParseIP(u.Hostname()); u.Hostname() == "localhost" || ip != nil && ip.IsLoopback() {
		return u.Scheme == "https" || u.Scheme == "http"
	}
	return u.Scheme == "https" && slices.Contains([]string{"", "443", "8443"}, u.Port())
}

func (s *Server) listWebhooks(*call) answer {
	list := []doc{}
	for _, w := range s.subs.webhooks {
		list = append(list, webhookDocument(w))
	}
	return reply(http.StatusOK, doc{"webhooks": list})
}

func (s *Server) withWebhook(c *call, f func(*webhook) answer) answer {
	i := slices.IndexFunc(s.subs.webhooks, func(w *webhook) bool { return w.id == c.path("webhook_id") })
	if i < 0 {
		return c.refuse(http.StatusNotFound, "RESOURCE_NOT_FOUND", "No such webhook")
	}
	return f(s.subs.webhooks[i])
}

func (s *Server) readWebhook(c *call) answer {
	return s.withWebhook(c, func(w *webhook) answer { return reply(http.StatusOK, webhookDocument(w)) })
}

func (s *Server) updateWebhook(c *call) answer {
	return s.withWebhook(c, func(w *webhook) answer {
		k, change := &checker{}, c.doc.pick(webhookFields...)
		if len(change) == 0 {
			k.refuse("", "must change something")
		}
		s.checkWebhook(k, change)
		changed := w.input.with(change)
		switch {
		case k.errs != nil:
			return c.invalid(k.errs)
		case s.sameWebhook(changed, w):
			return c.refuse(http.StatusConflict, "RESOURCE_CONFLICT", "The same subscription exists")
		}
		w.input = changed
		return reply(http.StatusOK, webhookDocument(w))
	})
}

func (s *Server) deleteWebhook(c *call) answer {
	return s.withWebhook(c, func(w *webhook) answer {
		s.subs.webhooks = slices.DeleteFunc(s.subs.webhooks, func(other *webhook) bool { return other == w })
		return reply(http.StatusNoContent, nil)
	})
}

// simulateWebhook sends a sample. Klarna: it is signed like any event; what it is about is not documented. Here it is
// about our own account and says nothing else. That one in no subscription is sent as well is chosen here, and that a
// webhook that is off is sent none.
func (s *Server) simulateWebhook(c *call) answer {
	return s.withWebhook(c, func(w *webhook) answer {
		k, root := &checker{}, located{doc: c.doc}
		k.texts(root, "event_type", "event_version")
		if t := root.str("event_type"); t != "" && (!eventTypePattern.MatchString(t) || strings.HasSuffix(t, "*")) {
			k.refuse("event_type", "must be one event type")
		}
		if v := root.str("event_version"); v != "" && v != "v1" && v != "v2" {
			k.refuse("event_version", "must be one of v1, v2")
		}
		switch {
		case k.errs != nil:
			return c.invalid(k.errs)
		case w.input.str("status") != "ENABLED":
			return c.refuse(http.StatusConflict, "RESOURCE_CONFLICT", "The webhook is disabled")
		}
		s.notify(w, uuid.NewString(), root.str("event_type"), s.recipientID(), doc{"event_version": root.str("event_version")}, doc{})
		return reply(http.StatusOK, nil)
	})
}
