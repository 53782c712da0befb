package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	klarnaapi "payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/store/postgres/postgrestest"
)

// poster posts payment statuses as Klarna does. Each of its payments is told as unpaid and then as paid.
type poster struct {
	client *http.Client
	url    string
}

func newPoster(address string, connections int) *poster {
	return &poster{
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections}, Timeout: 20 * time.Second},
		url:    "http://" + address + "/klarna/payment-status/" + account,
	}
}

// notification is a body as Klarna sends it.
func notification(orderID, reference, status string) []byte {
	debtor := `{"account_holder_name":"Erika Beispiel","iban":"DE02120300000000202051","bank_name":"Beispielbank"}`
	received := ""
	if status == "PAID" {
		received = `{"payment_amount":12995,"payment_received_at":"2026-03-04T05:06:07.000Z","debtor":` + debtor + `}`
	}
	return fmt.Appendf(nil, `{"event_id":%q,"event_type":"non_guaranteed_payment.updated","occurred_at":%q,"payload":{"order_id":%q,"created_at":"2026-03-04T05:00:00.000Z",`+
		`"purchase_currency":"EUR","order_amount":12995,"merchant_id":"PK00000","merchant_reference1":%q,"merchant_reference2":"","payment_status":%q,`+
		`"expected_payments":[{"payment_amount":12995,"debtor":%s}],"payments":[%s]}}`,
		uuid.NewString(), time.Now().UTC().Format(time.RFC3339Nano), orderID, reference, status, debtor, received)
}

func (p *poster) post(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(klarnaapi.HeaderPayloadSignature, klarnaapi.SignPaymentStatus([]byte(statusKey), "1", time.Now(), body))
	res, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("a webhook was answered %d", res.StatusCode)
	}
	return nil
}

// posts is the load of the webhook rows on one door.
func (b *bench) posts(ctx context.Context, p *process, address string) func() (sample, error) {
	to := newPoster(address, callers)
	paying := make([]string, callers) // an order that was told as unpaid
	return func() (sample, error) {
		return b.load(callers, p, func(caller int) error {
			order, status := paying[caller], "PAID"
			if paying[caller] = ""; order == "" {
				order, status = uuid.NewString(), "UNPAID"
				paying[caller] = order
			}
			return to.post(ctx, notification(order, "SO-"+order[:8], status))
		})
	}
}

func webhookSQLite(ctx context.Context, b *bench) ([]result, error) {
	g, err := b.newGateway("webhook", "")
	if err != nil {
		return nil, err
	}
	ours, base, err := b.compareDoors(ctx, g, "file "+filepath.Join(b.dir, "events.log"), "sqlite "+filepath.Join(b.dir, "by-hand", "events.db"))
	if err != nil {
		return nil, err
	}
	us := calls(ours, "events")
	return []result{
		{work: "webhook acknowledged, SQLite", baseline: "by hand, group commit into an fsynced file", ours: us, base: calls(base[0], "events"), figure: ratio(ours, base[0], rate), unit: "×", goal: 0.6},
		{work: "the same", baseline: "by hand, one SQLite transaction an event", ours: us, base: calls(base[1], "events"), figure: ratio(ours, base[1], rate), unit: "×", goal: 3},
	}, nil
}

func webhookPostgres(ctx context.Context, b *bench) ([]result, error) {
	server, err := postgrestest.Durable()
	if err != nil {
		return nil, err
	}
	defer server.Stop()
	schemas, err := schemas(ctx, server.URL(), "gateway", "byhand")
	if err != nil {
		return nil, err
	}
	g, err := b.newGateway("webhook-postgres", schemas[0])
	if err != nil {
		return nil, err
	}
	if err := g.makeKeys(); err != nil {
		return nil, err
	}
	ours, base, err := b.compareDoors(ctx, g, "postgres "+schemas[1])
	if err != nil {
		return nil, err
	}
	return []result{{
		work: "webhook acknowledged, PostgreSQL", baseline: "by hand, one INSERT and commit an event by pgx", ours: calls(ours, "events"), base: calls(base[0], "events"),
		figure: ratio(ours, base[0], rate), unit: "×", goal: 3,
	}}, nil
}

// schemas makes schemas on a server and returns the URLs by which each is the only one.
func schemas(ctx context.Context, server string, names ...string) (urls []string, err error) {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }()
	for _, name := range names {
		if _, err := conn.Exec(ctx, `CREATE SCHEMA `+name); err != nil {
			return nil, err
		}
		u, err := url.Parse(server)
		if err != nil {
			return nil, err
		}
		query := u.Query()
		query.Set("search_path", name)
		u.RawQuery = query.Encode()
		urls = append(urls, u.String())
	}
	return urls, nil
}

// compareDoors lets the gateway and doors by hand take turns.
func (b *bench) compareDoors(ctx context.Context, g gateway, doors ...string) (ours []sample, base [][]sample, err error) {
	p, err := b.startGateway(ctx, g)
	if err != nil {
		return nil, nil, err
	}
	defer p.stop()
	contestants := []func() (sample, error){b.posts(ctx, p, p.hooks)}
	for _, door := range doors {
		other, err := b.baseline(ctx, "door", door)
		if err != nil {
			return nil, nil, err
		}
		defer other.stop()
		contestants = append(contestants, b.posts(ctx, other, other.address))
	}
	b.profile(p, filepath.Base(g.dir))
	all, err := b.alternate(contestants...)
	if err != nil {
		return nil, nil, err
	}
	return all[0], all[1:], nil
}
