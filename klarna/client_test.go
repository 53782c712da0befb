package klarna

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"
)

func TestNew_ReportsEveryFlaw(t *testing.T) {
	t.Parallel()
	_, err := New(Config{
		BaseURL: "ftp://me:hush@api.klarna.com?x=1", Username: "a:b", Password: "pass word", APIKey: "key\n",
		AuthStyle: "digest", Integrator: "acme shop", Version: strings.Repeat("9", 51), Timeout: -1, MaxResponse: -1,
		Originators: append(make([]Originator, 10), Originator{Name: "SHOP", ModuleName: "a module"}),
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"neither https nor http", "holds a user", "holds a query", "both an api key and a password",
		"unknown auth style", "colon in the username", "not visible ascii", "integrator:", "originators: more than 10", "originators[0]: name", "originators[10]: module", "version:", "timeout:", "max response:",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q", want)
		}
	}
	for _, secret := range []string{"hush", "pass word", "key\n"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("error tells a secret: %v", err)
		}
	}
}

func TestNew_JudgesBaseURLAndCredential(t *testing.T) {
	t.Parallel()
	key := func(base string) Config { return Config{BaseURL: base, APIKey: "k"} }
	const base = "https://api.klarna.com"
	for name, test := range map[string]struct {
		cfg  Config
		want string // part of the error; empty: accepted
	}{
		"https":                  {key(base), ""},
		"http to localhost":      {key("http://localhost:8080"), ""},
		"http to ::1":            {key("http://[::1]:8080/"), ""},
		"http elsewhere":         {key("http://api.klarna.com"), "in clear"},
		"http allowed":           {Config{BaseURL: "http://sim:8080", APIKey: "k", Insecure: true}, ""},
		"no url":                 {key(""), "base url: missing"},
		"relative url":           {key("/v2"), "not an absolute url"},
		"broken url":             {key("https://%zz"), "not an absolute url"},
		"user and password":      {Config{BaseURL: base, Username: "PK1", Password: "p"}, ""},
		"user and key":           {Config{BaseURL: base, Username: "PK1", APIKey: "k"}, ""},
		"no credential":          {Config{BaseURL: base}, "neither an api key nor a password"},
		"password without user":  {Config{BaseURL: base, Password: "p"}, "password without a username"},
		"password sent verbatim": {Config{BaseURL: base, Username: "u", Password: "p", AuthStyle: AuthRaw}, "raw style takes an api key alone"},
		"user sent verbatim":     {Config{BaseURL: base, Username: "u", APIKey: "k", AuthStyle: AuthRaw}, "raw style takes an api key alone"},
	} {
		_, err := New(test.cfg)
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s: error %v, want %q", name, err, test.want)
		}
	}
}

func TestNew_FillsZeroFields(t *testing.T) {
	t.Parallel()
	c, err := New(Config{BaseURL: "https://api.klarna.com/", APIKey: "k"})
	if err != nil {
		t.Fatal(err)
	}
	if c.timeout != 60*time.Second || c.maxResponse != 4<<20 || c.integrator != "KLARNA_GATEWAY" || c.base != "https://api.klarna.com" {
		t.Errorf("got %v, %d, %s, %s", c.timeout, c.maxResponse, c.integrator, c.base)
	}
}

func TestClient_SendsTheCredentialInItsStyle(t *testing.T) {
	t.Parallel()
	encoded := func(pair string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(pair)) }
	for name, test := range map[string]struct {
		cfg  Config
		want string
	}{
		"key":               {Config{APIKey: "klarna_test_api_x"}, "Basic klarna_test_api_x"},
		"key, raw":          {Config{APIKey: "klarna_test_api_x", AuthStyle: AuthRaw}, "Basic klarna_test_api_x"},
		"key, basic":        {Config{APIKey: "klarna_test_api_x", AuthStyle: AuthBasic}, encoded(":klarna_test_api_x")},
		"uuid and key":      {Config{Username: "u", APIKey: "k"}, encoded("u:k")},
		"user and password": {Config{Username: "PK1", Password: "p"}, encoded("PK1:p")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			klarna := answering(t, 200, `{"order_id":"o"}`)
			c := klarna.client(t, func(cfg *Config) {
				cfg.APIKey, cfg.Username, cfg.Password, cfg.AuthStyle = test.cfg.APIKey, test.cfg.Username, test.cfg.Password, test.cfg.AuthStyle
			})
			if _, err := c.Order(t.Context(), "o"); err != nil {
				t.Fatal(err)
			}
			if got := klarna.only(t).header.Get("Authorization"); got != test.want {
				t.Errorf("sent %q, want %q", got, test.want)
			}
		})
	}
}
