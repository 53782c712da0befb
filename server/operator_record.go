package server

import (
	"context"
	"errors"
	"strconv"

	"google.golang.org/grpc/codes"

	"payments.internal/klarna-gateway/access"
	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/store"
)

func (s *operatorService) GetEvent(ctx context.Context, req *gatewayv1.GetEventRequest) (*gatewayv1.GetEventResponse, error) {
	account, err := s.anyAccount(ctx, req.GetMerchantAccount())
	if err != nil {
		return nil, err
	}
	if err := mayShowRaw(ctx, req.GetIncludeRaw()); err != nil {
		return nil, err
	}
	ev, err := s.event(ctx, account, req)
	if err != nil {
		return nil, err
	}
	event, err := s.logEvent(ev, req.GetIncludeRaw())
	return &gatewayv1.GetEventResponse{Event: event}, err
}

// mayShowRaw refuses a wish to see bytes as received, which hold all that Klarna told of people.
func mayShowRaw(ctx context.Context, wanted bool) error {
	if d := decisionOf(ctx); wanted && d != nil && !d.scoped(access.PersonalData) {
		return withInfo(codes.PermissionDenied, gatewayv1.ErrorReason_ERROR_REASON_DEBTOR_DATA_NOT_PERMITTED,
			"the caller may not see what Klarna told of people; leave include_raw out", map[string]string{"scope": access.PersonalData})
	}
	return nil
}

// event finds an event by its id or position.
func (s *operatorService) event(ctx context.Context, account string, req *gatewayv1.GetEventRequest) (ev store.Event, err error) {
	position := store.Position(req.GetPosition())
	if id := req.GetEventId(); id != "" {
		err = s.store.Do(ctx, func(tx store.Tx) error {
			known, err := tx.EventByID(ctx, id)
			position = known.Position
			return err
		})
	}
	for _, stream := range store.Streams() {
		if err != nil {
			break
		}
		var found []store.Event
		found, err = s.store.Events(ctx, store.Query{Stream: stream, MerchantAccount: account, After: position - 1, UpTo: position, Limit: 1})
		if len(found) == 1 {
			return found[0], nil
		}
	}
	if err == nil || errors.Is(err, store.ErrNotFound) {
		err = reasonStatus(gatewayv1.ErrorReason_ERROR_REASON_EVENT_NOT_FOUND, nil)
	}
	return ev, err
}

// logEvent shows an event of any stream.
func (s *operatorService) logEvent(ev store.Event, withRaw bool) (*gatewayv1.LogEvent, error) {
	out := &gatewayv1.LogEvent{
		Summary: eventSummary(ev), Stream: string(ev.Stream), MerchantAccount: ev.MerchantAccount, Subject: ev.Subject,
		PreviousState: ev.PreviousState, TraceParent: ev.TraceParent, HasRaw: len(ev.Raw) > 0,
		Keys: convertAll(ev.Keys, func(k store.Key) *gatewayv1.EventKey { return &gatewayv1.EventKey{Kind: k.Kind, Value: k.Value} }),
	}
	if withRaw {
		out.Raw = ev.Raw
	}
	switch ev.Stream {
	case store.Payments:
		event, err := paymentEventFromStore(ev)
		out.Event = &gatewayv1.LogEvent_Payment{Payment: event}
		return out, err
	case store.Accounts:
		event, err := accountEventFromStore(ev)
		out.Event = &gatewayv1.LogEvent_Account{Account: event}
		return out, err
	}
	m, err := journal.DecodeMatter(ev.Body)
	out.Event = &gatewayv1.LogEvent_Attention{Attention: attentionItem(m, ev.Position, s.store.Now())}
	return out, err
}

func (s *operatorService) ListQuarantined(ctx context.Context, req *gatewayv1.ListQuarantinedRequest) (*gatewayv1.ListQuarantinedResponse, error) {
	account, err := s.anyAccount(ctx, req.GetMerchantAccount())
	if err != nil {
		return nil, err
	}
	p, err := s.page(ctx, "ListQuarantined", account, req)
	if err != nil {
		return nil, err
	}
	found, err := s.store.Quarantined(ctx, p.offset, p.size+1)
	if err != nil {
		return nil, err
	}
	res := &gatewayv1.ListQuarantinedResponse{}
	if len(found) > p.size {
		found = found[:p.size]
		res.NextPageToken = p.cursors.token(place{Offset: found[p.size-1].ID})
	}
	for _, q := range found {
		if account == "" || q.MerchantAccount == account {
			res.Quarantined = append(res.Quarantined, s.quarantined(q, false))
		}
	}
	return res, nil
}

func (s *operatorService) GetQuarantined(ctx context.Context, req *gatewayv1.GetQuarantinedRequest) (*gatewayv1.GetQuarantinedResponse, error) {
	account, err := s.anyAccount(ctx, req.GetMerchantAccount())
	if err != nil {
		return nil, err
	}
	if err := mayShowRaw(ctx, req.GetIncludeRaw()); err != nil {
		return nil, err
	}
	row, err := strconv.ParseInt(req.GetQuarantineId(), 10, 64)
	if err != nil {
		return nil, reasonStatus(gatewayv1.ErrorReason_ERROR_REASON_QUARANTINED_NOT_FOUND, nil)
	}
	found, err := s.store.Quarantined(ctx, row-1, 1)
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0, found[0].ID != row, account != "" && found[0].MerchantAccount != account:
		return nil, reasonStatus(gatewayv1.ErrorReason_ERROR_REASON_QUARANTINED_NOT_FOUND, nil)
	}
	return &gatewayv1.GetQuarantinedResponse{Quarantined: s.quarantined(found[0], req.GetIncludeRaw())}, nil
}

// quarantined shows a row of the quarantine. Its reason may hold words of the body, which stand with its bytes alone.
func (s *operatorService) quarantined(q store.Quarantined, withRaw bool) *gatewayv1.QuarantinedNotification {
	out := &gatewayv1.QuarantinedNotification{
		QuarantineId: rowID(q.ID), MerchantAccount: q.MerchantAccount, EventId: q.EventID, Reason: q.Why(), ReceiveTime: timestampOf(q.ReceivedAt),
		Size: int32(len(q.Raw)),
	}
	if !q.Erased { // else its bytes, by which the matter is found, are not there
		out.AttentionId = s.journal.QuarantinedMatter(q)
	}
	if withRaw {
		out.Raw, out.Reason = q.Raw, q.Reason
	}
	return out
}
