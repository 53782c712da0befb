package server

import (
	"crypto/sha256"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"payments.internal/klarna-gateway/access"
	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// samplePath is the policy that is shown to operators.
const samplePath = "../docs/policy.example.yaml"

// sampleRole is a role of the sample policy and a caller that has it and no other.
type sampleRole struct {
	name, caller     string
	RPCs             []string `yaml:"rpcs"`
	MerchantAccounts []string `yaml:"merchant_accounts"`
	PartnerAccounts  []string `yaml:"partner_accounts"`
	Scopes           []string `yaml:"scopes"`
}

func sampleRoles(t *testing.T) (all []sampleRole) {
	t.Helper()
	content, err := os.ReadFile(samplePath)
	must(t, err)
	var text struct {
		Roles    map[string]sampleRole
		Bindings []struct{ Callers, Roles []string }
	}
	must(t, yaml.Unmarshal(content, &text))
	for name, role := range text.Roles {
		role.name = name
		for _, b := range text.Bindings {
			if len(b.Roles) == 1 && b.Roles[0] == name {
				role.caller = strings.ReplaceAll(b.Callers[0], "*", "any")
			}
		}
		if role.caller == "" {
			t.Fatalf("no caller has role %s alone", name)
		}
		all = append(all, role)
	}
	return all
}

// policed is a configuration with a policy whose callers have tokens named after them: "NAME-token".
func policed(t *testing.T, policy string, callers ...string) func(*Config) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "policy.yaml")
	must(t, os.WriteFile(path, []byte(policy), 0o600))
	file, err := access.OpenPolicy(path, RPCs(), slog.New(slog.DiscardHandler))
	must(t, err)
	return func(c *Config) {
		c.Policy = file
		for _, name := range callers {
			c.Callers.Tokens = append(c.Callers.Tokens, access.Token{Name: name, SHA256: sha256.Sum256([]byte(name + "-token"))})
		}
	}
}

func sample(t *testing.T, roles []sampleRole) func(*Config) {
	t.Helper()
	content, err := os.ReadFile(samplePath)
	must(t, err)
	var callers []string
	for _, role := range roles {
		callers = append(callers, role.caller)
	}
	return policed(t, string(content), callers...)
}

func TestPolicy_TheSampleNamesEveryRPC(t *testing.T) {
	t.Parallel()
	named := map[string]bool{}
	for _, role := range sampleRoles(t) {
		for _, rpc := range role.RPCs {
			named[rpc] = true
		}
	}
	for _, rpc := range RPCs() {
		if !named[rpc] {
			t.Errorf("no role of docs/policy.example.yaml has %s: add it under rpcs of the role whose work it is, or of a new one", rpc)
		}
	}
}

// request is an empty request of an RPC but for the accounts that it is about. Those of watches are whole.
func request(t *testing.T, m protoreflect.MethodDescriptor, account string, partners []string) proto.Message {
	t.Helper()
	kind, err := protoregistry.GlobalTypes.FindMessageByName(m.Input().FullName())
	must(t, err)
	req := kind.New()
	if field := m.Input().Fields().ByName("merchant_account"); field != nil {
		req.Set(field, protoreflect.ValueOfString(account))
	}
	if field := m.Input().Fields().ByName("partner_account_id"); field != nil && len(partners) > 0 {
		req.Set(field, protoreflect.ValueOfString(partners[0]))
	}
	if field := m.Input().Fields().ByName("start"); field != nil && field.Kind() == protoreflect.EnumKind {
		req.Set(field, protoreflect.ValueOfEnum(gatewayv1.WatchStart_WATCH_START_NOW.Number()))
	}
	return req.Interface()
}

// everyWay calls an RPC over gRPC and REST and hands the statuses on.
func (s *stack) everyWay(req proto.Message, token string, check func(way string, st *status.Status)) {
	s.t.Helper()
	_, st := s.overGRPC(req, "authorization", "Bearer "+token)
	check("gRPC", st)
	if method, _, _ := annotated(methodOf(s.t, req)); method != "" {
		_, _, st = s.overREST(req, bearer(token))
		check("REST", st)
	}
}

func TestPolicy_EveryRPCByEveryRole(t *testing.T) {
	t.Parallel()
	roles := sampleRoles(t)
	s := start(t, sample(t, roles))
	for _, m := range methods() {
		rpc := string(m.Parent().Name()) + "/" + string(m.Name())
		for _, role := range roles {
			t.Run(rpc+" by "+role.name, func(t *testing.T) {
				t.Parallel()
				s := s.on(t)
				granted := slices.Contains(role.RPCs, rpc)
				account := role.MerchantAccounts[0]
				s.everyWay(request(t, m, account, role.PartnerAccounts), role.caller+"-token", func(way string, st *status.Status) {
					switch missing := reasonOf(st.Err()) == "PERMISSION_MISSING"; {
					case granted && (missing || st.Code() == codes.Unauthenticated):
						t.Errorf("over %s: %v", way, st)
					case granted && strings.Contains(rpc, "/Watch") && st.Code() != codes.OK:
						t.Errorf("over %s, the watch does not open: %v", way, st)
					case !granted && (!missing || st.Code() != codes.PermissionDenied || metadataOf(st.Err())["permission"] != rpc):
						t.Errorf("over %s, without the permission: %v", way, st)
					}
				})
				if !granted || aboutNothing[rpc] {
					return
				}
				s.everyWay(request(t, m, outlet, role.PartnerAccounts), role.caller+"-token", func(way string, st *status.Status) {
					if missing := metadataOf(st.Err()); missing["permission"] != rpc || missing["merchant_account"] != outlet {
						t.Errorf("over %s, of another merchant account: %v", way, st)
					}
				})
				if len(role.PartnerAccounts) == 0 || m.Input().Fields().ByName("partner_account_id") == nil {
					return
				}
				s.everyWay(request(t, m, account, []string{"krn:partner:global:account:test:OTHER"}), role.caller+"-token", func(way string, st *status.Status) {
					if missing := metadataOf(st.Err()); missing["permission"] != rpc || missing["partner_account"] == "" {
						t.Errorf("over %s, of another partner: %v", way, st)
					}
				})
			})
		}
	}
}

// The report route has a handler of its own.
func TestPolicy_ReportsOverREST(t *testing.T) {
	t.Parallel()
	roles := sampleRoles(t)
	s := start(t, sample(t, roles))
	for _, role := range roles {
		granted := slices.Contains(role.RPCs, "SettlementService/DownloadReport")
		res := s.do(http.MethodGet, "/v1/settlements/reports/payout-csv?merchantAccount="+role.MerchantAccounts[0], nil, bearer(role.caller+"-token"))
		if (res.StatusCode == http.StatusForbidden) == granted {
			t.Errorf("%s: HTTP status %d", role.name, res.StatusCode)
		}
	}
}

func TestPolicy_TheDefaultMerchantAccountNeedsItsGrantToo(t *testing.T) {
	t.Parallel()
	s := start(t, policed(t, `
roles: {elsewhere: {rpcs: ["*"], merchant_accounts: [outlet]}}
bindings: [{callers: [clerk], roles: [elsewhere]}]`, "clerk"))
	for _, m := range methods() {
		rpc := string(m.Parent().Name()) + "/" + string(m.Name())
		if aboutNothing[rpc] {
			continue
		}
		s.everyWay(request(t, m, "", nil), "clerk-token", func(way string, st *status.Status) {
			// What is not valid is told first; then the account is settled before anything is read.
			if st.Code() != codes.InvalidArgument && reasonOf(st.Err()) != "PERMISSION_MISSING" {
				t.Errorf("%s over %s: %v", rpc, way, st)
			}
		})
	}
}

// Were a handler to forget about the merchant account, its answer would not leave.
func TestPolicy_AnAnswerAboutNoSettledAccountIsRefused(t *testing.T) {
	t.Parallel()
	all, some := access.All(false), access.All(false).For(shop)
	for name, c := range map[string]struct {
		d    decision
		lets bool
	}{
		"settled":               {decision{rpc: "A/B", grant: some, settled: true}, true},
		"not settled":           {decision{rpc: "A/B", grant: some}, false},
		"all accounts":          {decision{rpc: "A/B", grant: all}, true},
		"health and reflection": {decision{}, true},
	} {
		if err := c.d.open(); (err == nil) != c.lets {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPolicy_DecisionsAreLogged(t *testing.T) {
	t.Parallel()
	roles := sampleRoles(t)
	set := sample(t, roles)
	s := start(t, func(c *Config) { set(c); c.Audit = AuditAll })
	call := func(role, rpc, account string) {
		i := slices.IndexFunc(roles, func(r sampleRole) bool { return r.name == role })
		for _, m := range methods() {
			if string(m.Parent().Name())+"/"+string(m.Name()) == rpc {
				s.overGRPC(request(t, m, account, nil), "authorization", "Bearer "+roles[i].caller+"-token")
			}
		}
	}
	call("finance", "PaymentService/ListPayments", shop)
	call("finance", "PaymentService/ListPayments", outlet)
	call("finance", "PaymentService/ListPaymentEvents", "")
	call("finance", "OrderService/CaptureOrder", shop)
	call("operators", "OperatorService/ListJobs", "")
	s.logged(`"access decided"`, `"permission":"OperatorService/ListJobs"`, `"allowed":false`, `"merchant_account":"*"`)
	s.logged(`"access decided"`, `"permission":"PaymentService/ListPaymentEvents"`, `"allowed":true`, `"merchant_account":"shop"`) // the default
	s.logged(`"access decided"`, `"permission":"PaymentService/ListPayments"`, `"caller":"corp:bookkeeping"`, `"allowed":true`, `"merchant_account":"shop"`)
	s.logged(`"access decided"`, `"permission":"PaymentService/ListPayments"`, `"allowed":false`, `"merchant_account":"outlet"`)
	s.logged(`"access decided"`, `"permission":"OrderService/CaptureOrder"`, `"allowed":false`, `"reason":"PERMISSION_MISSING"`)
}
