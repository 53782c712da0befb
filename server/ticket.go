package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"payments.internal/klarna-gateway/access"
	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/store"
)

// ticket lets somebody without credentials watch the status of one payment, once, and the same browser come back to it (see
// returnLife). What is kept of it is a digest, and whose grant it leans on.
type ticket struct {
	MerchantAccount string `json:"-"`
	PaymentID       string `json:"payment_id"`
	Caller          string `json:"caller,omitempty"` // who made it
	Certificate     string `json:"certificate_sha256,omitempty"`
	TokenID         string `json:"token_id,omitempty"`
	Proof           string `json:"proof,omitempty"` // the digest of the static token by which that was known
	Of              string `json:"of,omitempty"`    // the digest of the ticket that this is for coming back with
}

const (
	purposeTicket = "watch-ticket"
	ticketLife    = time.Minute
	ticketRPC     = "PaymentService/CreateWatchTicket" // whose grant a watch with a ticket needs
	ticketWatch   = "/gateway.v1.PaymentService/WatchPaymentStatus"
	ticketKey     = "gateway-watch-ticket" // metadata on the in-memory connection
)

func (s *paymentService) CreateWatchTicket(ctx context.Context, req *gatewayv1.CreateWatchTicketRequest) (*gatewayv1.CreateWatchTicketResponse, error) {
	account, err := s.paymentsAccount(ctx, req.GetMerchantAccount(), req.GetPaymentRequestId()+req.GetPaymentTransactionId() != "")
	if err != nil {
		return nil, err
	}
	q := store.Query{
		Stream: store.Payments, MerchantAccount: account, Limit: 1,
		Keys: slices.Concat(keys(journal.KeyPayment, req.GetPaymentId()), keys(journal.KeySession, req.GetSessionId()), keys(journal.KeyOrder, req.GetOrderId()),
			keys(journal.KeyRequest, req.GetPaymentRequestId()), keys(journal.KeyTransaction, req.GetPaymentTransactionId())),
	}
	sees := narrow(ctx, &q)
	found, err := s.store.Subjects(ctx, q)
	if err != nil {
		return nil, err
	}
	if found = seenOf(found, sees); len(found) == 0 {
		return nil, fmt.Errorf("payment: %w", store.ErrNotFound)
	}
	who := callerOf(ctx)
	text, expires, err := s.issue(ctx, account, ticket{
		PaymentID: found[0].ID, Caller: who.Name, Certificate: who.CertificateSHA256, TokenID: who.TokenID, Proof: who.Proof(),
	})
	if err != nil {
		return nil, err
	}
	return &gatewayv1.CreateWatchTicketResponse{
		Ticket: text, ExpireTime: timestamppb.New(expires), WatchPath: "/v1/payments:watch?" + url.Values{"ticket": {text}}.Encode(),
	}, nil
}

// issue makes a ticket and keeps its digest.
func (s *Server) issue(ctx context.Context, account string, t ticket) (text string, expires time.Time, err error) {
	text = newSecret()
	about, err := json.Marshal(t)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("encode ticket: %w", err)
	}
	hash := sha256.Sum256([]byte(text))
	expires = s.store.Now().Add(ticketLife)
	row := store.Secret{Hash: hash[:], Purpose: purposeTicket, MerchantAccount: account, Key: string(about), ExpiresAt: expires}
	return text, expires, s.store.Do(ctx, func(tx store.Tx) error { return tx.PutSecret(ctx, row) })
}

// errTicket says that a ticket is unknown, spent or has run out.
var errTicket = errors.New("no such ticket")

// redeem spends a ticket: of two that come at once, one gets it.
func (s *Server) redeem(ctx context.Context, what presented) (*ticket, error) {
	hash := sha256.Sum256([]byte(what.ticket))
	if _, err := s.store.Secret(ctx, hash[:]); errors.Is(err, store.ErrNotFound) {
		return nil, errTicket // a guess costs no write
	}
	var t ticket
	err := s.store.Do(ctx, func(tx store.Tx) error {
		row, err := tx.Secret(ctx, hash[:])
		now := s.store.Now()
		switch {
		case errors.Is(err, store.ErrNotFound), err == nil && (row.Purpose != purposeTicket || !now.Before(row.ExpiresAt)):
			return errTicket
		case err != nil:
			return err
		}
		if err := json.Unmarshal([]byte(row.Key), &t); err != nil {
			return fmt.Errorf("decode ticket: %w", err)
		}
		t.MerchantAccount, row.ExpiresAt = row.MerchantAccount, now
		if err := allowReturn(ctx, tx, t, what, now); err != nil {
			return err
		}
		return tx.PutSecret(ctx, row)
	})
	if err != nil {
		return nil, err
	}
	return &t, nil
}

// ticketOf is the ticket that a REST client presented; an empty one without. Only REST hands tickets on.
func ticketOf(ctx context.Context) presented {
	from, ok := peer.FromContext(ctx)
	if !ok || !inner(from.Addr) {
		return presented{}
	}
	only := func(key string) string {
		if values := metadata.ValueFromIncomingContext(ctx, key); len(values) == 1 {
			return values[0]
		}
		return ""
	}
	return presented{ticket: only(ticketKey), back: only(returnKey), fresh: only(newReturnKey)}
}

// admitTicket lets in whoever has a ticket, or comes back with one, to what its maker may make tickets for.
func (s *Server) admitTicket(ctx context.Context, method string, what presented) (*decision, error) {
	t, err := s.redeem(ctx, what)
	if errors.Is(err, errTicket) && what.back != "" {
		t, err = s.comeBack(ctx, what)
	}
	if errors.Is(err, errTicket) || err == nil && method != ticketWatch {
		return nil, reasonStatus(gatewayv1.ErrorReason_ERROR_REASON_TICKET_INVALID, nil)
	}
	if err != nil {
		return nil, err
	}
	who := access.Caller{Name: t.Caller, CertificateSHA256: t.Certificate, TokenID: t.TokenID}.ProvenBy(t.Proof)
	if !s.callers.Holds(who) {
		return nil, reasonStatus(gatewayv1.ErrorReason_ERROR_REASON_CREDENTIALS_REVOKED, nil)
	}
	d := &decision{caller: who, rpc: ticketRPC, ticket: t}
	d.grant = s.grant(who, ticketRPC).For(t.MerchantAccount)
	return d, nil
}

// watch is the one watch that the ticket is for, begun where the request says. A request that names anything else is
// refused: what its maker meant to see, it would not.
func (t *ticket) watch(req *gatewayv1.WatchPaymentStatusRequest) (*gatewayv1.WatchPaymentStatusRequest, error) {
	free := map[protoreflect.Name]bool{
		"resume_token": true, "start": true, "until_states": true, "until_payment_statuses": true, "until_final": true, "heartbeat_seconds": true,
	}
	var err error
	req.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		if !free[field.Name()] {
			const rule = "is not for a watch with a ticket, which shows its one payment"
			err = reason(codes.InvalidArgument, gatewayv1.ErrorReason_ERROR_REASON_INVALID_FIELD, string(field.Name())+" "+rule, violated(string(field.Name()), rule, "ticket"))
		}
		return err == nil
	})
	one := proto.CloneOf(req)
	one.MerchantAccount, one.PaymentIds = t.MerchantAccount, []string{t.PaymentID}
	return one, err
}

// statusAlone is what an event shows to somebody with a ticket: states and times, no amounts, references or people. Ids of
// events are told as digests: many hold the ids of what they are about.
func statusAlone(ev *gatewayv1.PaymentEvent) *gatewayv1.PaymentEvent {
	p, id := ev.GetPayment(), sha256.Sum256([]byte(ev.GetEventId()))
	return &gatewayv1.PaymentEvent{
		EventId: hex.EncodeToString(id[:16]), Kind: ev.GetKind(), PreviousState: ev.GetPreviousState(), PreviousPaymentStatus: ev.GetPreviousPaymentStatus(),
		Superseded: ev.GetSuperseded(), OccurTime: ev.GetOccurTime(), RecordTime: ev.GetRecordTime(), Position: ev.GetPosition(),
		Payment: &gatewayv1.Payment{
			PaymentId: p.GetPaymentId(), State: p.GetState(), PaymentStatus: p.GetPaymentStatus(), PaymentStatusInferred: p.GetPaymentStatusInferred(),
			UpdateTime: p.GetUpdateTime(), Position: p.GetPosition(), Final: p.GetFinal(),
		},
	}
}
