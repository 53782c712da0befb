package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
	"payments.internal/klarna-gateway/journal"
	"payments.internal/klarna-gateway/operation"
	"payments.internal/klarna-gateway/store"
)

// Door is what operators ask of the webhooks' door.
type Door interface {
	// Redrive takes a quarantined notification in again. taken is false if it cannot be applied still, why says so.
	Redrive(ctx context.Context, q store.Quarantined, ofNetwork bool) (taken bool, why string, err error)
	// Retake takes in a notification again that is in the log. known says that it was on record, and that nothing was done.
	Retake(ctx context.Context, ev store.Event, ofNetwork bool) (taken, known bool, why string, err error)
	// CheckSignature tells whether a post would be taken for Klarna's.
	CheckSignature(ctx context.Context, merchantAccount string, header http.Header, body []byte) (journal.SignatureCheck, error)
}

// operatorService implements OperatorService.
type operatorService struct {
	gatewayv1.UnimplementedOperatorServiceServer
	*Server
}

// anyAccount settles which merchant account an operator asks about. Without a name it is all of them, which only a caller
// that is for all may see.
func (s *Server) anyAccount(ctx context.Context, name string) (string, error) {
	d := decisionOf(ctx)
	if name == "" {
		told := d == nil || d.settled
		err := d.permitAll()
		if !told { // what names its account was logged as it came
			s.audited(ctx, d, err)
		}
		return "", err
	}
	if _, known := s.accounts[name]; !known {
		return "", unknownAccount(fmt.Sprintf("no merchant account %q is configured", name))
	}
	return name, d.permit(name)
}

func (s *operatorService) ListAttention(ctx context.Context, req *gatewayv1.ListAttentionRequest) (*gatewayv1.ListAttentionResponse, error) {
	account, err := s.anyAccount(ctx, req.GetMerchantAccount())
	if err != nil {
		return nil, err
	}
	p, err := s.page(ctx, "ListAttention", account, req)
	if err != nil {
		return nil, err
	}
	found, next, err := s.matters(ctx, p, account, req)
	if err != nil {
		return nil, err
	}
	res, now := &gatewayv1.ListAttentionResponse{NextPageToken: next}, s.store.Now()
	for _, subject := range found {
		m, err := journal.DecodeMatter(subject.Body)
		if err != nil {
			return nil, err
		}
		if req.GetMinAge() != nil && now.Sub(m.Since) < req.GetMinAge().AsDuration() {
			continue
		}
		item := attentionItem(m, subject.Latest, now)
		if req.GetIncludeHistory() {
			if item.History, err = s.history(ctx, m); err != nil {
				return nil, err
			}
		}
		res.Items = append(res.Items, item)
	}
	return res, nil
}

// matters reads a page of matters: open ones from the keys that only they have, oldest first, ended ones newest first.
func (s *operatorService) matters(ctx context.Context, p page, account string, req *gatewayv1.ListAttentionRequest) (found []store.Subject, next string, err error) {
	q := store.Query{Stream: store.Attentions, MerchantAccount: account, Limit: p.size + 1}
	switch {
	case req.GetEnded():
		q.States = []string{string(journal.MatterResolved), string(journal.MatterDismissed)}
		q.Descending = true
		if p.after > 0 {
			q.UpTo = p.after - 1
		}
	default:
		q.Keys, q.After = openMatters(req), p.after
	}
	if found, err = s.store.Subjects(ctx, q); err != nil || len(found) <= p.size {
		return found, "", err
	}
	found = found[:p.size]
	return found, p.cursors.token(place{After: found[p.size-1].Latest}), nil
}

// openMatters are the keys of the open matters that a request selects.
func openMatters(req *gatewayv1.ListAttentionRequest) (all []store.Key) {
	partner := req.GetPartnerAccountId()
	for _, word := range wordsOf(req.GetReasons(), attentionPrefix) {
		if partner != "" {
			all = append(all, store.Key{Kind: journal.KeyOpenPartnerReason, Value: journal.PartnerReason(partner, journal.AttentionReason(word))})
		} else {
			all = append(all, store.Key{Kind: journal.KeyOpenReason, Value: word})
		}
	}
	switch {
	case len(all) > 0:
		return all
	case partner != "":
		return keys(journal.KeyOpenPartner, partner)
	}
	return keys(journal.KeyOpen, journal.OpenMatter)
}

func (s *operatorService) GetAttention(ctx context.Context, req *gatewayv1.GetAttentionRequest) (*gatewayv1.GetAttentionResponse, error) {
	account, err := s.anyAccount(ctx, req.GetMerchantAccount())
	if err != nil {
		return nil, err
	}
	item, err := s.matter(ctx, account, req.GetAttentionId())
	return &gatewayv1.GetAttentionResponse{Item: item}, err
}

// matter is a matter with its history.
func (s *operatorService) matter(ctx context.Context, account, id string) (*gatewayv1.AttentionItem, error) {
	subject, err := s.store.Subject(ctx, strings.ToLower(id))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if err != nil || subject.Stream != store.Attentions || account != "" && subject.MerchantAccount != account {
		return nil, reasonStatus(gatewayv1.ErrorReason_ERROR_REASON_ATTENTION_NOT_FOUND, nil)
	}
	m, err := journal.DecodeMatter(subject.Body)
	if err != nil {
		return nil, err
	}
	item := attentionItem(m, subject.Latest, s.store.Now())
	item.History, err = s.history(ctx, m)
	return item, err
}

// history is what happened to what a matter is about, oldest first.
func (s *operatorService) history(ctx context.Context, m journal.Matter) (all []*gatewayv1.EventSummary, err error) {
	const most = 50
	q := store.Query{Stream: store.Payments, MerchantAccount: m.MerchantAccount, Descending: true, Limit: most, Keys: slices.Concat(
		keys(journal.KeyPayment, m.About.PaymentID), keys(journal.KeySession, m.About.SessionID),
		keys(journal.KeyOrder, m.About.OrderID), keys(journal.KeyTransaction, m.About.OrderID))}
	if m.About.PaymentID == "" {
		q.Stream, q.Keys = store.Accounts, keys(journal.KeyAccount, m.About.PartnerAccountID)
	}
	if len(q.Keys) == 0 {
		return nil, nil
	}
	found, err := s.store.Events(ctx, q)
	slices.Reverse(found)
	return convertAll(found, eventSummary), err
}

func (s *operatorService) ActOnAttention(ctx context.Context, req *gatewayv1.ActOnAttentionRequest) (*gatewayv1.ActOnAttentionResponse, error) {
	account, err := s.anyAccount(ctx, req.GetMerchantAccount())
	if err != nil {
		return nil, err
	}
	id := strings.ToLower(req.GetAttentionId())
	act := journal.MatterAction{
		Action: journal.Action(wordOf(req.GetAction(), actionPrefix)), Caller: callerOf(ctx).Name, Note: req.GetNote(),
		RequestID: strings.ToLower(req.GetRequestId()),
	}
	taken, err := s.redrive(ctx, id, account, &act)
	if err == nil {
		err = s.store.Do(ctx, func(tx store.Tx) error {
			_, err := s.journal.ActIn(ctx, tx, id, account, act, taken)
			return err
		})
	}
	if err != nil {
		return nil, actionRefused(err)
	}
	s.log.InfoContext(ctx, "operator acted", "attention_id", id, "action", string(act.Action), "caller", act.Caller)
	item, err := s.matter(ctx, account, id)
	return &gatewayv1.ActOnAttentionResponse{Item: item}, err
}

// redrive has the door take in a quarantined notification again, if that is the action and it is not done yet, and puts
// down what came of it.
func (s *operatorService) redrive(ctx context.Context, id, account string, act *journal.MatterAction) (taken bool, err error) {
	if act.Action != journal.ActionRedrive {
		return false, nil
	}
	var m journal.Matter
	var done bool
	err = s.store.Do(ctx, func(tx store.Tx) (err error) {
		m, done, err = s.journal.CheckAction(ctx, tx, id, account, *act)
		return err
	})
	if err != nil || done {
		return false, err
	}
	kept, err := s.store.Quarantined(ctx, m.About.QuarantineID-1, 1)
	if err != nil {
		return false, err
	}
	if len(kept) == 0 || kept[0].ID != m.About.QuarantineID {
		return false, &journal.NotAllowedError{Why: "its bytes are not kept any more"}
	}
	if kept[0].Erased {
		return false, &journal.NotAllowedError{Why: "its bytes are not kept: it names somebody whose personal data was erased, or too much to tell"}
	}
	if s.door == nil {
		return false, &journal.NotAllowedError{Why: "this gateway takes no webhooks"}
	}
	taken, act.Result, err = s.door.Redrive(ctx, kept[0], s.accounts[m.MerchantAccount] == operation.NetworkAPI)
	if err != nil {
		s.log.ErrorContext(ctx, "redrive failed", "attention_id", id, "error", err)
		return false, reasonStatus(gatewayv1.ErrorReason_ERROR_REASON_REDRIVE_FAILED, nil)
	}
	return taken, nil
}

// actionRefused is the status of an action that was not done.
func actionRefused(err error) error {
	var not *journal.NotAllowedError
	switch {
	case errors.As(err, &not):
		return reason(codes.FailedPrecondition, gatewayv1.ErrorReason_ERROR_REASON_ATTENTION_ACTION_NOT_ALLOWED, not.Why)
	case errors.Is(err, journal.ErrNoMatter):
		return reasonStatus(gatewayv1.ErrorReason_ERROR_REASON_ATTENTION_NOT_FOUND, nil)
	case errors.Is(err, journal.ErrActionReused):
		return reasonStatus(gatewayv1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED, nil)
	case errors.Is(err, journal.ErrActionForeign):
		return reasonStatus(gatewayv1.ErrorReason_ERROR_REASON_REQUEST_ID_OF_ANOTHER_CALLER, nil)
	}
	return err
}

func (s *operatorService) ListJobs(ctx context.Context, req *gatewayv1.ListJobsRequest) (*gatewayv1.ListJobsResponse, error) {
	account, err := s.anyAccount(ctx, req.GetMerchantAccount())
	if err != nil {
		return nil, err
	}
	limit := int(req.GetLimit())
	if limit == 0 {
		limit = 100
	}
	found, err := s.store.Jobs(ctx, req.GetKind(), account, limit+1)
	if err != nil {
		return nil, err
	}
	more := len(found) > limit
	return &gatewayv1.ListJobsResponse{Jobs: convertAll(found[:min(limit, len(found))], jobFromStore), More: more}, nil
}

func (s *operatorService) VerifySignature(ctx context.Context, req *gatewayv1.VerifySignatureRequest) (*gatewayv1.VerifySignatureResponse, error) {
	account, err := s.anyAccount(ctx, req.GetMerchantAccount())
	if err != nil {
		return nil, err
	}
	if s.door == nil {
		return nil, reasonStatus(gatewayv1.ErrorReason_ERROR_REASON_INTERNAL, nil)
	}
	header := http.Header{}
	for name, value := range req.GetHeaders() {
		header.Add(name, value)
	}
	check, err := s.door.CheckSignature(ctx, account, header, req.GetBody())
	if err != nil {
		return nil, err
	}
	return signatureCheckFromJournal(check), nil
}
