package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
)

// config is everything that can be set. The zero value of each field is its documented default. It comes from a YAML
// file, with the environment on top (see environment). Secrets may be written as env:NAME or file:PATH, so that the
// file itself holds none.
type config struct {
	GRPCAddress    string `yaml:"grpc_address"`    // default 127.0.0.1:9090
	RESTAddress    string `yaml:"rest_address"`    // default 127.0.0.1:8080
	WebhookAddress string `yaml:"webhook_address"` // default 127.0.0.1:8081; its own listener: it faces the internet
	// WebhookTLS lets the webhook listener serve https itself; without it, it stands behind a proxy that does.
	WebhookTLS tlsFiles `yaml:"webhook_tls"`
	// PublicBaseURL is how Klarna reaches the webhook listener. Klarna calls back over https only, ports 443 and 8443.
	PublicBaseURL string `yaml:"public_base_url"`
	// DataDir holds the embedded database and the key file; default ./data.
	DataDir string `yaml:"data_dir"`
	// Database is the URL of a PostgreSQL database that replicas share; empty for the embedded one.
	Database secret `yaml:"database"`
	// DatabaseConnections is how many reads of it run at the same time; default 8.
	DatabaseConnections int `yaml:"database_connections"`
	// KeyFile is the key file, where it is not in the data directory.
	KeyFile string `yaml:"key_file"`
	// ErasureList is a file that erasures are put down in; default erasures.jsonl in the data directory, beside an embedded
	// database.
	ErasureList string `yaml:"erasure_list"`
	// Who gets in where.
	accessConfig `yaml:",inline"`
	// Where traces, metrics and logs go.
	telemetryConfig `yaml:",inline"`
	// What silence and failure lead to.
	attentionConfig `yaml:",inline"`
	// Tokens are the callers' bearer tokens. Of this file they alone are read again when it changes, if there are any at start.
	Tokens []tokenConfig `yaml:"tokens"`
	// TokenFile has further ones, in YAML under tokens, in the same form. Read again when it changes.
	TokenFile string `yaml:"token_file"`
	// DebtorData shows debtors' data to callers that ask for it where nobody has to authenticate.
	DebtorData bool `yaml:"debtor_data"`
	// Reflection offers gRPC reflection, for grpcurl.
	Reflection bool `yaml:"reflection"`
	// ShutdownGrace is how long calls in hand may take at shutdown; default 20s.
	ShutdownGrace time.Duration `yaml:"shutdown_grace"`
	// SessionReadDelay is how long an authorisation callback may take before its session is read; default 2m.
	SessionReadDelay time.Duration `yaml:"session_read_delay"`
	// AccountReadDelay is how long an account may take to become operational before it is read; default 5m.
	AccountReadDelay time.Duration `yaml:"account_read_delay"`
	// KeepAnswers is how long the answer to a request is kept for its repeats; default 720h, at least 48h: Klarna knows
	// a request for 24 h, and a repeat that neither knows is a new request.
	KeepAnswers time.Duration `yaml:"keep_answers"`
	// Retention says how long events and what belongs to them are kept; without it, for ever.
	Retention retentionConfig `yaml:"retention"`
	// WatchUnreadLimit is how long a watch waits for a client that does not read before it is cut off; default 30s.
	WatchUnreadLimit time.Duration   `yaml:"watch_unread_limit"`
	LogLevel         string          `yaml:"log_level"`         // debug, info (default), warn, error
	MerchantAccounts []accountConfig `yaml:"merchant_accounts"` // at least one: a Klarna credential and host each

	path string              // of the file that it was read from; empty without one
	env  func(string) string // that was put on top
}

type tokenConfig struct {
	Name       string `yaml:"name"`        // names the caller, without a colon
	SHA256     string `yaml:"sha256"`      // of the token, hex
	DebtorData bool   `yaml:"debtor_data"` // may ask for debtors' names and account numbers
}

// accountConfig is one merchant account: a Klarna credential and host.
type accountConfig struct {
	Name        string `yaml:"name"`        // 1 to 64 letters, digits, - and _
	API         string `yaml:"api"`         // network (partners), regional (payments, orders) or kustom (checkout and its orders)
	Default     bool   `yaml:"default"`     // for requests of its API that name none
	Environment string `yaml:"environment"` // playground (default) or live
	Region      string `yaml:"region"`      // regional: eu (default, unless there is a base_url), na, oc
	BaseURL     string `yaml:"base_url"`    // overrides the address that environment and region give
	Username    string `yaml:"username"`    // of Klarna, beside password
	Password    secret `yaml:"password"`    // of the username
	APIKey      secret `yaml:"api_key"`     // instead of username and password
	AuthStyle   string `yaml:"auth_style"`  // raw (default for an api_key alone) or basic
	// ClientCertificate is shown to Klarna in TLS: one that Klarna has issued, and our key.
	ClientCertificate certificateConfig `yaml:"client_certificate"`
	// Changes are profiles that come into force later, in the order of their times, while the process runs.
	Changes []changeConfig `yaml:"changes"`
	// Offers are the operations that the host serves, such as "POST /path/{id}"; default what is known of it.
	Offers []string `yaml:"offers"`
	// Withdrawn are operations that the host does not serve, on top of those that are known of it.
	Withdrawn []string `yaml:"withdrawn"`
	// Integrator is our name in the Network's integration metadata; default KLARNA_GATEWAY.
	Integrator string `yaml:"integrator"`
	// Originators stand behind it there.
	Originators []originatorConfig `yaml:"originators"`
	// Rates are quotas in calls a second by klarna.Category, where Klarna has agreed to others than it publishes.
	Rates map[klarna.Category]klarna.Rate `yaml:"rates"`
	// AutoCapture says that the contract allows capturing an order when it is placed.
	AutoCapture bool `yaml:"auto_capture"`
	// PlaceOrders: automatic lets the gateway place orders of authorised sessions; by_caller (default) leaves it to callers.
	PlaceOrders string `yaml:"place_orders"`
	// Acknowledge: automatic acknowledges checkout orders once they are recorded; by_caller (default) waits for AcknowledgeOrder.
	Acknowledge string `yaml:"acknowledge"`
	// ExtendAuthorizations lets the gateway extend an order's authorisation on its last day while something is left to capture.
	ExtendAuthorizations bool `yaml:"extend_authorizations"`
	// PaymentStatusKeys are the signing keys of payment-status notifications, by version.
	PaymentStatusKeys map[string]secret `yaml:"payment_status_keys"`
	// SigningKeys are the signing keys of Klarna Network webhooks, by Klarna's key id.
	SigningKeys map[string]secret `yaml:"signing_keys"`
	// PushSecrets stand in the URL of checkout pushes; several while they are changed.
	PushSecrets []secret `yaml:"push_secrets"`
}

// secret is read from where its text points to: env:NAME, file:PATH, or the text itself. It prints as ***.
type secret struct{ klarna.Secret }

// UnmarshalYAML resolves the secret. Its error is a yaml.TypeError: any other would end the decoding, and hide what
// else is wrong with the file.
func (s *secret) UnmarshalYAML(node *yaml.Node) error {
	flaw := func(what any) error {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %v", node.Line, what)}}
	}
	var text string
	if err := node.Decode(&text); err != nil {
		return flaw("a secret is a text")
	}
	value, err := resolve(text)
	if err != nil {
		return flaw(err)
	}
	s.Secret = klarna.Secret(value)
	return nil
}

func resolve(text string) (string, error) {
	if name, ok := strings.CutPrefix(text, "env:"); ok {
		value, set := os.LookupEnv(name)
		if !set || value == "" {
			return "", fmt.Errorf("environment variable %s is not set", name)
		}
		return value, nil
	}
	if path, ok := strings.CutPrefix(text, "file:"); ok {
		content, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("secret file: %w", err)
		}
		return strings.TrimRight(string(content), "\r\n"), nil
	}
	return text, nil
}

// valuesOfYAML are the values that yaml's errors quote: they may be secrets in the wrong place.
var valuesOfYAML = regexp.MustCompile("`[^`]*`")

// loadConfig reads the file (none if path is empty), puts the environment on top, fills in defaults and checks
// everything. The error names every mistake at once.
func loadConfig(path string, env func(string) string) (config, error) {
	if path == "" {
		return parseConfig(path, nil, env, nil)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return config{}, fmt.Errorf("config: %w", err)
	}
	return parseConfig(path, content, env, nil)
}

// parseConfig is loadConfig of a file's content. amend, if there is one, changes what the file says before it is checked.
func parseConfig(path string, content []byte, env func(string) string, amend func(*config)) (config, error) {
	var cfg config
	var flaws []error
	cfg.path, cfg.env = path, env
	if path != "" {
		decoder := yaml.NewDecoder(bytes.NewReader(content))
		decoder.KnownFields(true)
		if err := decoder.Decode(&cfg); err != nil && !errors.Is(err, io.EOF) {
			flaws = append(flaws, fmt.Errorf("%s: %s", filepath.Base(path), valuesOfYAML.ReplaceAllString(err.Error(), "a value")))
		}
	}
	if amend != nil {
		amend(&cfg)
	}
	cfg.environment(env)
	flaws = append(flaws, cfg.telemetryConfig.environment(env)...)
	cfg.defaults()
	flaws = append(flaws, cfg.check()...)
	if err := errors.Join(flaws...); err != nil {
		return cfg, fmt.Errorf("config: %w", err)
	}
	return cfg, nil
}

// environment puts KLARNA_GATEWAY_… on top of the file. KLARNA_USERNAME, KLARNA_PASSWORD or KLARNA_API_KEY,
// KLARNA_API, KLARNA_ENVIRONMENT and KLARNA_REGION make one merchant account named "default", for small set-ups.
func (c *config) environment(env func(string) string) {
	for name, field := range map[string]*string{
		"GRPC_ADDRESS": &c.GRPCAddress, "REST_ADDRESS": &c.RESTAddress, "WEBHOOK_ADDRESS": &c.WebhookAddress,
		"PUBLIC_BASE_URL": &c.PublicBaseURL, "DATA_DIR": &c.DataDir, "KEY_FILE": &c.KeyFile, "LOG_LEVEL": &c.LogLevel,
		"WEBHOOK_TLS_CERT_FILE": &c.WebhookTLS.CertFile, "WEBHOOK_TLS_KEY_FILE": &c.WebhookTLS.KeyFile,
		"ADMIN_ADDRESS": &c.AdminAddress, "POLICY_FILE": &c.PolicyFile, "TOKEN_FILE": &c.TokenFile,
	} {
		if value := env("KLARNA_GATEWAY_" + name); value != "" {
			*field = value
		}
	}
	if url := env("KLARNA_GATEWAY_DATABASE"); url != "" {
		c.Database.Secret = klarna.Secret(url)
	}
	if env("KLARNA_USERNAME") == "" && env("KLARNA_API_KEY") == "" {
		return
	}
	c.MerchantAccounts = append(c.MerchantAccounts, accountConfig{
		Name: "default", Default: true, API: orDefault(env("KLARNA_API"), string(operation.RegionalAPI)),
		Environment: env("KLARNA_ENVIRONMENT"), Region: env("KLARNA_REGION"), BaseURL: env("KLARNA_BASE_URL"),
		Username: env("KLARNA_USERNAME"), Password: secret{klarna.Secret(env("KLARNA_PASSWORD"))},
		APIKey: secret{klarna.Secret(env("KLARNA_API_KEY"))},
	})
}

func (c *config) defaults() {
	c.GRPCAddress = orDefault(c.GRPCAddress, "127.0.0.1:9090")
	c.RESTAddress = orDefault(c.RESTAddress, "127.0.0.1:8080")
	c.WebhookAddress = orDefault(c.WebhookAddress, "127.0.0.1:8081")
	c.DataDir = orDefault(c.DataDir, "data")
	c.accessDefaults()
	c.LogLevel = orDefault(c.LogLevel, "info")
	if c.ShutdownGrace == 0 {
		c.ShutdownGrace = 20 * time.Second
	}
	for i := range c.MerchantAccounts {
		a := &c.MerchantAccounts[i]
		a.Environment = orDefault(a.Environment, "playground")
		a.PlaceOrders = orDefault(a.PlaceOrders, "by_caller")
		a.Acknowledge = orDefault(a.Acknowledge, "by_caller")
		a.place()
	}
}

// check tells everything that is wrong.
func (c *config) check() (flaws []error) {
	flaw := func(format string, args ...any) { flaws = append(flaws, fmt.Errorf(format, args...)) }
	for _, listener := range [][2]string{
		{"grpc_address", c.GRPCAddress}, {"rest_address", c.RESTAddress}, {"webhook_address", c.WebhookAddress}, {"admin_address", c.AdminAddress},
	} {
		if _, _, err := net.SplitHostPort(listener[1]); err != nil && !(listener[0] == "admin_address" && !c.admin()) {
			flaw("%s: %q is not host:port", listener[0], listener[1])
		}
	}
	for _, limit := range []struct {
		name string
		time time.Duration
	}{{"shutdown_grace", c.ShutdownGrace}, {"session_read_delay", c.SessionReadDelay}, {"account_read_delay", c.AccountReadDelay}, {"keep_answers", c.KeepAnswers}, {"watch_unread_limit", c.WatchUnreadLimit}} {
		if limit.time < 0 {
			flaw("%s: %s is negative", limit.name, limit.time)
		}
	}
	flaws = append(flaws, c.Retention.check(cmp.Or(c.KeepAnswers, operation.AnswersKept))...)
	flaws = append(flaws, c.attentionConfig.check()...)
	if c.KeepAnswers > 0 && c.KeepAnswers < 48*time.Hour {
		flaw("keep_answers: %s is less than 48h; a repeat of a request that is forgotten is a new request", c.KeepAnswers)
	}
	if base, err := url.Parse(c.PublicBaseURL); c.PublicBaseURL != "" && (err != nil || base.Scheme != "https" || base.Host == "") {
		flaw("public_base_url: %q is not an https address; Klarna calls back over https only", c.PublicBaseURL)
	}
	var level logLevel
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		flaw("log_level: %q is none of debug, info, warn, error", c.LogLevel)
	}
	if _, err := c.tokens(); err != nil {
		flaws = append(flaws, err)
	}
	return slices.Concat(flaws, c.checkAccess(), c.checkTelemetry(), c.checkDatabase(), c.checkAccounts())
}

func (c *config) checkAccounts() (flaws []error) {
	if len(c.MerchantAccounts) == 0 {
		return []error{errors.New("merchant_accounts: at least one is required (or KLARNA_USERNAME and KLARNA_PASSWORD)")}
	}
	names, defaults, keyIDs := map[string]bool{}, map[operation.API]string{}, map[string]string{}
	for i, a := range c.MerchantAccounts {
		flaw := func(format string, args ...any) {
			flaws = append(flaws, fmt.Errorf("merchant_accounts[%d] %q: %w", i, a.Name, fmt.Errorf(format, args...)))
		}
		if !plainName(a.Name) {
			flaw("name: 1 to 64 letters, digits, - and _ are required")
		}
		if names[a.Name] {
			flaw("name: used twice")
		}
		names[a.Name] = true
		for _, err := range a.checkProfiles() {
			flaw("%w", err)
		}
		if a.Default {
			if other := defaults[a.api()]; other != "" {
				flaw("default: %q is the default of api %s already", other, a.api())
			}
			defaults[a.api()] = a.Name
		}
		for _, policy := range [][2]string{{"place_orders", a.PlaceOrders}, {"acknowledge", a.Acknowledge}} {
			if policy[1] != "automatic" && policy[1] != "by_caller" {
				flaw("%s: %q is neither automatic nor by_caller", policy[0], policy[1])
			}
		}
		for _, id := range slices.Sorted(maps.Keys(a.SigningKeys)) {
			if other, taken := keyIDs[id]; taken {
				flaw("signing_keys: %q is of merchant account %q already", id, other)
			}
			keyIDs[id] = a.Name
		}
		for _, p := range a.PushSecrets {
			if len(p.Reveal()) < 20 {
				flaw("push_secrets: at least 20 characters each are required")
			}
		}
		if a.API == string(operation.RegionalAPI) && a.PlaceOrders == "automatic" && c.PublicBaseURL == "" {
			flaw("place_orders: automatic needs public_base_url, or Klarna cannot tell of authorisations")
		}
	}
	return flaws
}

func plainName(name string) bool {
	ok := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
	}
	return name != "" && len(name) <= 64 && strings.IndexFunc(name, func(r rune) bool { return !ok(r) }) < 0
}

func loopback(address string) bool {
	name, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(name)
	return name == "localhost" || ip != nil && ip.IsLoopback()
}

func orDefault(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
