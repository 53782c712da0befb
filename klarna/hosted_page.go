package klarna

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"
)

// HostedPages is the family of payment pages that Klarna hosts (HPP).
const HostedPages Family = "hosted_page"

// HostedPageStatus is the status of a hosted page, in Klarna's word.
type HostedPageStatus string

// Klarna: completed, cancelled and disabled are final; after the others the customer may try again. TIMEOUT is known
// from the prose alone.
const (
	PageWaiting    HostedPageStatus = "WAITING"
	PageInProgress HostedPageStatus = "IN_PROGRESS"
	PageBack       HostedPageStatus = "BACK"
	PageFailed     HostedPageStatus = "FAILED"
	PageError      HostedPageStatus = "ERROR"
	PageCompleted  HostedPageStatus = "COMPLETED"
	PageCancelled  HostedPageStatus = "CANCELLED"
	PageDisabled   HostedPageStatus = "DISABLED"
	PageTimeout    HostedPageStatus = "TIMEOUT"
)

// HostedPageRequest is a page to be opened for a payment session.
type HostedPageRequest struct {
	PaymentSessionURL string             `json:"payment_session_url"` // set by CreateHostedPage
	MerchantURLs      *HostedPageURLs    `json:"merchant_urls,omitempty"`
	Options           *HostedPageOptions `json:"options,omitempty"`
	ProfileID         string             `json:"profile_id,omitempty"` // defaults for Options, kept at Klarna
}

// HostedPageURLs are where the customer goes from the page, and where Klarna tells of it, all https. Klarna fills
// {{session_id}}, {{authorization_token}} and {{order_id}} in them; the session is the page's own.
type HostedPageURLs struct {
	Success      string `json:"success,omitempty"`
	Cancel       string `json:"cancel,omitempty"`
	Back         string `json:"back,omitempty"`
	Failure      string `json:"failure,omitempty"`
	Error        string `json:"error,omitempty"`
	StatusUpdate string `json:"status_update,omitempty"`
}

// HostedPageOptions are what the page shows.
type HostedPageOptions struct {
	PaymentMethodCategory string `json:"payment_method_category,omitempty"` // KLARNA, PAY_NOW and others, upper case
	PageTitle             string `json:"page_title,omitempty"`
	LogoURL               string `json:"logo_url,omitempty"`
}

// HostedPage is a page. Klarna tells the addresses when it is made and what became of it when it is read.
type HostedPage struct {
	SessionID   string    `json:"session_id"` // the page's id, not the payment session's
	ExpiresAt   time.Time `json:"expires_at,omitzero"`
	RedirectURL string    `json:"redirect_url,omitempty"`
	QRCodeURL   string    `json:"qr_code_url,omitempty"`

	Status             HostedPageStatus `json:"status,omitempty"`
	UpdatedAt          time.Time        `json:"updated_at,omitzero"`
	AuthorizationToken string           `json:"authorization_token,omitempty"`
	OrderID            string           `json:"order_id,omitempty"` // if Klarna placed the order
	KlarnaReference    string           `json:"klarna_reference,omitempty"`

	Raw json.RawMessage `json:"-"` // the bytes as received
}

// Distribution says how and where Klarna sends a page's link. It holds personal data.
type Distribution struct {
	Method  string              `json:"method"` // one of the Distribute constants
	Contact DistributionContact `json:"contact_information"`
}

// The ways to send a link.
const (
	DistributeByEmail = "email"
	DistributeBySMS   = "sms"
)

// DistributionContact is where a link goes: an e-mail address, or a phone number with its country.
type DistributionContact struct {
	Email        string `json:"email,omitempty"`
	Phone        string `json:"phone,omitempty"`
	PhoneCountry string `json:"phone_country,omitempty"`
}

const hostedPagePath = "/hpp/v1/sessions/{hosted_page_id}"

// CreateHostedPage opens a page for a payment session of the same merchant account. Klarna takes no idempotency key
// here: every call makes a page, and one that is not used just expires.
func (c *Client) CreateHostedPage(ctx context.Context, paymentSessionID string, page HostedPageRequest) (HostedPage, error) {
	page.PaymentSessionURL = c.base + "/payments/v1/sessions/" + url.PathEscape(paymentSessionID)
	var made HostedPage
	err := c.do(ctx, call{
		operation: "createHppSession", family: HostedPages, method: http.MethodPost,
		path: "/hpp/v1/sessions", body: page,
		read: func(a answer) error {
			if err := into(&made, &made.Raw)(a); err != nil {
				return err
			}
			if made.SessionID == "" {
				return errors.New("no session_id")
			}
			return nil
		},
	})
	if err != nil {
		return HostedPage{}, err
	}
	return made, nil
}

// HostedPage reads what became of a page.
func (c *Client) HostedPage(ctx context.Context, id string) (HostedPage, error) {
	page := HostedPage{SessionID: id}
	err := c.do(ctx, call{
		operation: "getSessionById", family: HostedPages, method: http.MethodGet,
		path: hostedPagePath, ids: []string{id},
		read: into(&page, &page.Raw),
	})
	if err != nil {
		return HostedPage{}, err
	}
	return page, nil
}

// DisableHostedPage takes a page away. Klarna: one on which the purchase is complete is refused with 400.
func (c *Client) DisableHostedPage(ctx context.Context, id string) error {
	return c.do(ctx, call{
		operation: "disableHppSession", family: HostedPages, method: http.MethodDelete,
		path: hostedPagePath, ids: []string{id},
	})
}

// DistributeHostedPage has Klarna send the page's link. There is no idempotency key: a repeat sends it again.
func (c *Client) DistributeHostedPage(ctx context.Context, id string, to Distribution) error {
	return c.do(ctx, call{
		operation: "distributeHppSession", family: HostedPages, method: http.MethodPost,
		path: hostedPagePath + "/distribution", ids: []string{id}, body: to,
	})
}

// LogValue keeps the token and the addresses out of logs.
func (p HostedPage) LogValue() slog.Value {
	return slog.GroupValue(slog.String("hosted_page_id", p.SessionID), slog.String("status", string(p.Status)))
}

// LogValue keeps personal data out of logs.
func (d Distribution) LogValue() slog.Value { return slog.GroupValue(slog.String("method", d.Method)) }

// LogValue keeps the secret in StatusUpdate out of logs.
func (HostedPageURLs) LogValue() slog.Value { return slog.StringValue(masked) }
