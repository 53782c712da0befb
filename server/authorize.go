package server

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"payments.internal/klarna-gateway/access"
	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// Audit says which decisions about calls are logged.
type Audit string

// What is logged.
const (
	AuditOff    Audit = "off"
	AuditDenied Audit = "denied"
	AuditAll    Audit = "all"
)

// decision is what a call may do, as it becomes known on its way: by its RPC at first, then by the merchant and partner
// accounts that it is about.
type decision struct {
	caller   access.Caller
	rpc      string       // "Service/Method"; empty for what is not of this API
	grant    access.Grant // narrowed to the merchant account once settled
	account  string       // that the request names or the default; empty until it is known
	partners []string     // that the request names
	bounded  bool         // the answer is about those alone
	settled  bool         // the merchant account is known and permitted
	wish     wish         // which personal data it asks for
	ticket   *ticket      // that the call was let in with; nil for callers of their own
}

type decisionKey struct{}

func decisionOf(ctx context.Context) *decision {
	d, _ := ctx.Value(decisionKey{}).(*decision)
	return d
}

// admit returns the call's context with what it may do, or an error.
func (s *Server) admit(ctx context.Context, method string) (context.Context, error) {
	d, err := s.decide(ctx, method)
	if err != nil {
		s.audited(ctx, &decision{rpc: rpcOf(method)}, err)
		return ctx, err
	}
	ctx = context.WithValue(ctx, decisionKey{}, d)
	switch {
	case d.rpc == "": // health, and reflection for whoever is known
	case s.policy != nil && s.policy.Current().Revoked(d.caller):
		err = reasonStatus(gatewayv1.ErrorReason_ERROR_REASON_CREDENTIALS_REVOKED, nil)
	case d.grant.Empty():
		err = d.denied("", "")
	}
	if err != nil {
		s.audited(ctx, d, err)
	}
	return ctx, err
}

// decide finds out who calls, and what that caller may do with the RPC.
func (s *Server) decide(ctx context.Context, method string) (*decision, error) {
	if what := ticketOf(ctx); what.ticket != "" {
		return s.admitTicket(ctx, method, what)
	}
	who, err := s.identify(ctx, method)
	if err != nil {
		return nil, err
	}
	d := &decision{caller: who, rpc: rpcOf(method)}
	d.grant = s.grant(who, d.rpc)
	return d, nil
}

// rpcOf is the name of an RPC in policies, empty for one that is not of this API.
func rpcOf(method string) string {
	rpc, ours := strings.CutPrefix(method, "/gateway.v1.")
	if !ours {
		return ""
	}
	return rpc
}

// grant is what a caller may do with an RPC at this moment.
func (s *Server) grant(who access.Caller, rpc string) access.Grant {
	if s.policy == nil {
		return access.All(who.DebtorData)
	}
	return s.policy.Current().Grant(who, rpc)
}

// RPCs lists the RPCs of the API as policies name them.
func RPCs() (all []string) {
	for _, m := range rpcs() {
		all = append(all, string(m.Parent().Name())+"/"+string(m.Name()))
	}
	return all
}

// readsBelow are RPCs that need no partner account in the request: what they show is narrowed to those of the caller.
var readsBelow = map[string]bool{
	"PaymentService/GetPaymentStatus": true, "PaymentService/ListPayments": true, "PaymentService/ListPaymentEvents": true,
	"PaymentService/WatchPaymentStatus": true, ticketRPC: true, "PartnerService/ListPartners": true, "PartnerService/WatchAccountState": true,
}

// aboutNothing are RPCs that neither read nor change anything of a merchant account.
var aboutNothing = map[string]bool{
	"OrderService/AllocateAmount": true,
	// What is sealed is walked whole; the handler demands a grant for all merchant accounts.
	"OperatorService/Reseal": true,
	// What a caller keeps for itself: names, and tokens that it has.
	"WatchService/AckWatch": true, "WatchService/ListCheckpoints": true, "WatchService/DeleteCheckpoint": true,
}

// about checks a request against what the call may do, before anything else of it is looked at.
func (d *decision) about(msg proto.Message) error {
	m := msg.ProtoReflect()
	grant, account := d.grant, ""
	if aboutNothing[d.rpc] {
		d.settled = true
		return nil
	}
	if field := m.Descriptor().Fields().ByName("merchant_account"); field == nil {
		d.settled, grant = true, d.grant.Everywhere()
		if grant.Empty() {
			return d.denied(access.Everything, "")
		}
	} else if account = m.Get(field).String(); account != "" {
		if grant = grant.For(account); grant.Empty() {
			return d.denied(account, "")
		}
		d.account, d.settled = account, true
	}
	d.partners = partnersOf(m)
	d.bounded = len(d.partners) > 0 && (!readsBelow[d.rpc] || selectsPartnersAlone(m))
	return d.mayPartners(grant, account)
}

// mayPartners checks the partner accounts that the request names: the grant must have each of them, and any if there is
// none and the RPC could be about any.
func (d *decision) mayPartners(grant access.Grant, account string) error {
	for _, partner := range d.partners {
		if grant.ForPartner(partner).Empty() {
			return d.denied(account, partner)
		}
	}
	if _, all := grant.Partners(); !all && len(d.partners) == 0 && !readsBelow[d.rpc] {
		return d.denied(account, access.Everything)
	}
	return nil
}

// partnersOf are the partner accounts that a request names.
func partnersOf(m protoreflect.Message) (all []string) {
	if field := m.Descriptor().Fields().ByName("partner_account_id"); field != nil && m.Get(field).String() != "" {
		all = append(all, m.Get(field).String())
	}
	if field := m.Descriptor().Fields().ByName("partner_account_ids"); field != nil && field.IsList() {
		for list, i := m.Get(field).List(), 0; i < list.Len(); i++ {
			all = append(all, list.Get(i).String())
		}
	}
	return all
}

// besidePartners are the fields of requests that read below which select nothing that the partner accounts do not. All
// others are alternatives to those: what they select may be any partner's.
var besidePartners = map[protoreflect.Name]bool{
	"partner_account_id": true, "partner_account_ids": true, "merchant_account": true, "include_debtor_data": true,
	"states": true, "payment_statuses": true, "until_states": true, "until_payment_statuses": true, "until_final": true,
	"resume_token": true, "start": true, "checkpoint": true, "heartbeat_seconds": true, "page_size": true, "page_token": true,
}

// selectsPartnersAlone tells whether a request selects by nothing but partner accounts.
func selectsPartnersAlone(m protoreflect.Message) bool {
	alone := true
	m.Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		alone = besidePartners[field.Name()]
		return alone
	})
	return alone
}

// permit settles that the call is about a merchant account, or refuses it.
func (d *decision) permit(account string) error {
	if d == nil { // no call comes here past the interceptors
		return (&decision{}).denied(account, "")
	}
	grant := d.grant.For(account)
	if grant.Empty() {
		return d.denied(account, "")
	}
	if err := d.mayPartners(grant, account); err != nil {
		return err
	}
	d.grant, d.account, d.settled = grant, account, true
	return nil
}

// permitAll settles that the call is about all merchant accounts, or refuses it: from here on what the caller may do with
// some of them alone does not count.
func (d *decision) permitAll() error {
	if d == nil { // no call comes here past the interceptors
		return (&decision{}).denied(access.Everything, "")
	}
	grant := d.grant.Everywhere()
	if grant.Empty() {
		return d.denied(access.Everything, "")
	}
	if err := d.mayPartners(grant, access.Everything); err != nil {
		return err
	}
	d.grant, d.settled = grant, true
	return nil
}

// scoped tells whether all that the call may show is for the caller with a scope: of the merchant account, and of the
// partner accounts that the request names or, without, of all that the caller sees.
func (d *decision) scoped(scope string) bool {
	grant := d.grant
	if d.account != "" {
		grant = grant.For(d.account)
	}
	if !d.bounded {
		return grant.Scope(scope)
	}
	return !slices.ContainsFunc(d.partners, func(partner string) bool { return !grant.ForPartner(partner).Scope(scope) })
}

// open refuses an answer about which merchant account was never settled: a caller that may not see all of them must not
// get what nobody has checked.
func (d *decision) open() error {
	if d.settled || d.rpc == "" || !d.grant.Everywhere().Empty() {
		return nil
	}
	return d.denied(access.Everything, "")
}

// denied says which permission is missing.
func (d *decision) denied(account, partner string) error {
	missing, text := map[string]string{"permission": d.rpc}, "the caller has no role with "+d.rpc
	if account != "" {
		missing["merchant_account"] = account
		text += " for merchant account " + account
	}
	if partner != "" {
		missing["partner_account"] = partner
		text += " for partner account " + partner
	}
	text = strings.NewReplacer("account *", "accounts of all names").Replace(text)
	return withInfo(codes.PermissionDenied, gatewayv1.ErrorReason_ERROR_REASON_PERMISSION_MISSING, text, missing)
}

// audited logs a decision if that is wanted. Strangers who prove nothing are logged with all decisions alone: there may be
// any number of them.
func (s *Server) audited(ctx context.Context, d *decision, err error) {
	stranger := d.caller.Name == "" && s.callers.Required()
	if d.rpc == "" || s.audit == AuditOff || (err == nil || stranger) && s.audit != AuditAll {
		return
	}
	attrs := []slog.Attr{
		slog.String("permission", d.rpc), slog.String("caller", d.caller.Name), slog.Bool("allowed", err == nil),
	}
	if d.ticket != nil {
		attrs = append(attrs, slog.Bool("ticket", true))
	}
	if err == nil {
		attrs = append(attrs, slog.String("merchant_account", d.account), slog.Any("partner_accounts", d.partners))
	} else {
		attrs = append(attrs, slog.String("reason", reasonOf(err)))
		for name, value := range metadataOf(err) {
			if name != "permission" {
				attrs = append(attrs, slog.String(name, value))
			}
		}
	}
	s.log.LogAttrs(ctx, slog.LevelInfo, "access decided", attrs...)
}
