package server

import (
	"cmp"
	"context"
	"slices"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/operation"
	"payments.internal/klarna-gateway/store"
)

func (s *operatorService) ListEvents(ctx context.Context, req *gatewayv1.ListEventsRequest) (*gatewayv1.ListEventsResponse, error) {
	account, err := s.anyAccount(ctx, req.GetMerchantAccount())
	if err != nil {
		return nil, err
	}
	if err := mayShowRaw(ctx, req.GetIncludeRaw()); err != nil {
		return nil, err
	}
	p, err := s.page(ctx, "ListEvents", account, req)
	if err != nil {
		return nil, err
	}
	q := store.Query{MerchantAccount: account, Limit: p.size + 1, Descending: req.GetNewestFirst()}
	head := cmp.Or(p.upTo, p.cursors.head)
	if q.After, q.UpTo, err = s.span(ctx, req, head); err != nil {
		return nil, err
	}
	res := &gatewayv1.ListEventsResponse{FromPosition: int64(q.After) + 1, HeadPosition: int64(head)}
	if p.after > 0 && q.Descending {
		q.UpTo = p.after - 1
	} else if p.after > 0 {
		q.After = p.after
	}
	found, err := s.logged(ctx, req, q)
	if err != nil {
		return nil, err
	}
	_, trimmed, err := s.store.Head(ctx) // asked behind the events: what was trimmed as they were read is told
	if err != nil {
		return nil, err
	}
	res.TrimmedPosition = int64(trimmed)
	if len(found) > p.size {
		found = found[:p.size]
		res.NextPageToken = p.cursors.token(place{After: found[p.size-1].Position, UpTo: head})
	}
	for _, ev := range found {
		if kinds := req.GetKinds(); len(kinds) > 0 && !slices.Contains(kinds, ev.Kind) {
			continue
		}
		if sees := narrow(ctx, &store.Query{Stream: ev.Stream}); sees != nil && !sees(ev.Body) {
			continue
		}
		event, err := s.logEvent(ev, req.GetIncludeRaw())
		if err != nil {
			return nil, err
		}
		res.Events = append(res.Events, event)
	}
	return res, nil
}

// span is the part of the log that a request selects: after the one position, up to the other.
func (s *operatorService) span(ctx context.Context, req *gatewayv1.ListEventsRequest, head store.Position) (after, upTo store.Position, err error) {
	after, upTo = max(0, store.Position(req.GetFromPosition())-1), head
	if at := req.GetFromTime(); at != nil {
		if after, err = s.store.RecordedBefore(ctx, at.AsTime()); err != nil {
			return 0, 0, err
		}
	}
	if last := store.Position(req.GetUntilPosition()); last > 0 {
		upTo = min(upTo, last)
	}
	if at := req.GetUntilTime(); at != nil {
		var before store.Position
		if before, err = s.store.RecordedBefore(ctx, at.AsTime()); err != nil {
			return 0, 0, err
		}
		upTo = min(upTo, before)
	}
	return after, upTo, nil
}

// logged reads events of all streams that a request selects, in order. They are bounded by a head that was read before, so
// that no stream shows more than the others. What the caller may not see is among them.
func (s *operatorService) logged(ctx context.Context, req *gatewayv1.ListEventsRequest, q store.Query) (found []store.Event, err error) {
	if q.UpTo <= q.After { // for engines, 0 would be no bound
		return nil, nil
	}
	for stream, wanted := range subjectKeys(req) {
		if req.GetStream() != "" && req.GetStream() != string(stream) {
			continue
		}
		of := q
		of.Stream, of.Keys = stream, wanted
		some, err := s.store.Events(ctx, of)
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	slices.SortFunc(found, func(a, b store.Event) int {
		if q.Descending {
			a, b = b, a
		}
		return cmp.Compare(a.Position, b.Position)
	})
	return found[:min(len(found), q.Limit)], nil
}

// subjectKeys are the streams that have what a request is about, with the keys that address it there.
func subjectKeys(req *gatewayv1.ListEventsRequest) map[store.Stream][]store.Key {
	payments := slices.Concat(keys(journal.KeyPayment, req.GetPaymentId()), keys(journal.KeySession, req.GetSessionId()),
		keys(journal.KeyOrder, req.GetOrderId()), keys(journal.KeyReference, req.GetMerchantReference()),
		keys(journal.KeyRequest, req.GetPaymentRequestId()), keys(journal.KeyTransaction, req.GetPaymentTransactionId()),
		keys(journal.KeyPartner, req.GetPartnerAccountId()))
	accounts := slices.Concat(keys(journal.KeyAccount, req.GetPartnerAccountId()), keys(journal.KeyAccountReference, req.GetPartnerAccountReference()))
	all := map[store.Stream][]store.Key{}
	if len(payments) > 0 {
		all[store.Payments] = payments
	}
	if len(accounts) > 0 {
		all[store.Accounts] = accounts
	}
	if len(all) == 0 {
		for _, stream := range store.Streams() {
			all[stream] = nil
		}
	}
	return all
}

// retaken is how many events of a part of the log one call looks at.
const retaken = 500

func (s *operatorService) RetakeEvents(ctx context.Context, req *gatewayv1.RetakeEventsRequest) (*gatewayv1.RetakeEventsResponse, error) {
	account, err := s.anyAccount(ctx, req.GetMerchantAccount())
	if err != nil {
		return nil, err
	}
	if s.door == nil {
		return nil, reasonStatus(gatewayv1.ErrorReason_ERROR_REASON_INTERNAL, nil)
	}
	found, next, err := s.toRetake(ctx, account, req)
	if err != nil {
		return nil, err
	}
	res := &gatewayv1.RetakeEventsResponse{NextPosition: int64(next)}
	for _, ev := range found {
		if !posted(ev) && len(req.GetEventIds()) == 0 {
			continue
		}
		one, err := s.retake(ctx, ev)
		if err != nil {
			return nil, err
		}
		res.Events = append(res.Events, one)
	}
	s.log.InfoContext(ctx, "operator had events taken in again", "caller", callerOf(ctx).Name, "request_id", req.GetRequestId(), "note", req.GetNote(),
		"merchant_account", account, "from_position", req.GetFromPosition(), "events", len(res.Events))
	return res, nil
}

// toRetake reads the events that a request names, and where to go on.
func (s *operatorService) toRetake(ctx context.Context, account string, req *gatewayv1.RetakeEventsRequest) (found []store.Event, next store.Position, err error) {
	for _, id := range req.GetEventIds() {
		ev, err := s.event(ctx, account, &gatewayv1.GetEventRequest{EventId: id})
		if err != nil {
			return nil, 0, err
		}
		found = append(found, ev)
	}
	if len(found) > 0 {
		return found, 0, nil
	}
	head, _, err := s.store.Head(ctx)
	if err != nil {
		return nil, 0, err
	}
	part := &gatewayv1.ListEventsRequest{FromPosition: req.GetFromPosition(), UntilPosition: req.GetUntilPosition()}
	q := store.Query{MerchantAccount: account, Limit: retaken + 1}
	if q.After, q.UpTo, err = s.span(ctx, part, head); err != nil {
		return nil, 0, err
	}
	if found, err = s.logged(ctx, part, q); err != nil || len(found) <= retaken {
		return found, 0, err
	}
	return found[:retaken], found[retaken].Position, nil
}

// posted tells whether an event is a post of Klarna's whose bytes are there.
func posted(ev store.Event) bool { return ev.Cause == string(journal.Notification) && len(ev.Raw) > 0 }

func (s *operatorService) retake(ctx context.Context, ev store.Event) (*gatewayv1.RetakenEvent, error) {
	one := &gatewayv1.RetakenEvent{EventId: ev.ID, Position: int64(ev.Position)}
	if !posted(ev) {
		one.Outcome, one.Message = gatewayv1.RetakenEvent_OUTCOME_NO_POST, "no post of Klarna's, or its bytes are gone"
		return one, nil
	}
	taken, known, why, err := s.door.Retake(ctx, ev, s.accounts[ev.MerchantAccount] == operation.NetworkAPI)
	switch {
	case err != nil:
		s.log.ErrorContext(ctx, "taking in again failed", "event_id", ev.ID, "error", err)
		return nil, reasonStatus(gatewayv1.ErrorReason_ERROR_REASON_REDRIVE_FAILED, nil)
	case known:
		one.Outcome = gatewayv1.RetakenEvent_OUTCOME_ON_RECORD
	case taken:
		one.Outcome = gatewayv1.RetakenEvent_OUTCOME_RECORDED
	default:
		one.Outcome = gatewayv1.RetakenEvent_OUTCOME_NOT_TAKEN
	}
	one.Message = why
	return one, nil
}
