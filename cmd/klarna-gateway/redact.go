package main

import (
	"encoding/base64"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/server"
)

// redaction takes out of what is told of the gateway what must not be told: the configured secrets wherever they stand, what
// looks like a secret or tells who somebody is, and whatever stands under a name that fields with personal data or secrets
// have in the API. Names of people in running text cannot be told from other words: keeping them out is up to those who
// write the text. Its methods may be called from many goroutines.
type redaction struct {
	known *strings.Replacer // nil without configured secrets
}

// masked stands for what was taken out.
const masked = "***"

// shortSecret is how long a configured secret has to be to be looked for; shorter ones are words of other texts, too.
const shortSecret = 8

// newRedaction also takes out secrets, where they are long enough to be recognised.
func newRedaction(secrets ...klarna.Secret) *redaction {
	var forms []string
	for _, s := range secrets {
		text := s.Reveal()
		forms = append(forms, text, url.PathEscape(text), url.QueryEscape(text), base64.StdEncoding.EncodeToString([]byte(text)))
		if at, err := url.Parse(text); err == nil && at.User != nil {
			password, _ := at.User.Password()
			forms = append(forms, password)
		}
	}
	forms = slices.DeleteFunc(forms, func(s string) bool { return len(s) < shortSecret })
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) }) // the longer one first
	r := &redaction{}
	if len(forms) > 0 {
		var pairs []string
		for _, form := range forms {
			pairs = append(pairs, form, masked)
		}
		r.known = strings.NewReplacer(pairs...)
	}
	return r
}

// secrets are all that the configuration holds.
func (c *config) secrets() []klarna.Secret { return secretsIn(reflect.ValueOf(*c)) }

func secretsIn(v reflect.Value) (all []klarna.Secret) {
	if v.Type() == reflect.TypeFor[klarna.Secret]() {
		return []klarna.Secret{klarna.Secret(v.String())}
	}
	switch v.Kind() {
	case reflect.Struct:
		for _, field := range v.Fields() {
			all = append(all, secretsIn(field)...)
		}
		if user, password := v.FieldByName("Username"), v.FieldByName("Password"); user.IsValid() && password.IsValid() && user.String() != "" {
			for _, one := range secretsIn(password) { // as basic authentication writes them
				all = append(all, klarna.Secret(user.String()+":"+one.Reveal()))
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			all = append(all, secretsIn(v.Index(i))...)
		}
	case reflect.Map:
		for entry := v.MapRange(); entry.Next(); {
			all = append(all, secretsIn(entry.Value())...)
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			all = secretsIn(v.Elem())
		}
	}
	return all
}

// heldNames are those that the API's fields with personal data or secrets have, and those that credentials go by elsewhere.
var heldNames = func() map[string]bool {
	all := map[string]bool{}
	for _, name := range append(server.HeldNames(), "authorization", "password", "passphrase", "api_key", "apikey", "access_token",
		"id_token", "refresh_token", "cookie", "set_cookie", "private_key", "signing_key", "phone_number", "national_id") {
		all[bareName(name)] = true
	}
	return all
}()

// bareName is a name in the way that all are compared: small letters and digits alone.
func bareName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		case r == '_' || r == '-' || r == ' ':
			return -1
		}
		return r
	}, name)
}

// holds tells whether what stands under a name must not be told.
func holds(name string) bool { return heldNames[bareName(name)] }

// What secrets and addresses look like. Each pattern keeps its first group.
var (
	userInfo    = regexp.MustCompile(`(://)[^/\s@"']+@`)
	mailAddress = regexp.MustCompile(`()[A-Za-z0-9._%+'-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+`)
	credential  = regexp.MustCompile(`(?i)(\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{6,}`)
	webToken    = regexp.MustCompile(`()\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*){0,4}`)
	apiKey      = regexp.MustCompile(`()\bklarna_(?:test|live)_[A-Za-z0-9_+/=-]+`)
	pemKey      = regexp.MustCompile(`()(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)`)
	doorSecret  = regexp.MustCompile(`(/klarna/(?:push|authorization|hosted-page|notification)/)[^/\s"'{?]+`)
	// A name up to where what it stands for begins: JSON, also where it is quoted itself, and the text forms of messages.
	namedText = regexp.MustCompile(`([A-Za-z][A-Za-z0-9_-]*)\\*"?\s*[:=]\s*(\\*)"`)
)

// text is a text without what must not be told.
func (r *redaction) text(s string) string {
	if len(s) < 6 {
		return s
	}
	if r.known != nil {
		s = r.known.Replace(s)
	}
	if strings.Contains(s, "://") && strings.Contains(s, "@") {
		s = userInfo.ReplaceAllString(s, "${1}"+masked+"@")
	}
	if strings.Contains(s, "@") {
		s = mailAddress.ReplaceAllString(s, masked)
	}
	for _, looks := range []struct {
		hint string
		like *regexp.Regexp
	}{
		{"earer", credential}, {"EARER", credential}, {"asic", credential}, {"ASIC", credential}, {"eyJ", webToken}, {"klarna_", apiKey},
		{"PRIVATE KEY", pemKey}, {"/klarna/", doorSecret},
	} {
		if strings.Contains(s, looks.hint) {
			s = looks.like.ReplaceAllString(s, "${1}"+masked)
		}
	}
	if strings.Contains(s, `"`) && strings.ContainsAny(s, ":=") {
		s = maskNamed(s)
	}
	return maskNumbers(s)
}

// maskNamed takes out what stands under names that are held back, up to the quote that is escaped as often as the first.
func maskNamed(s string) string {
	var out strings.Builder
	kept := 0
	for at := 0; at < len(s); {
		found := namedText.FindStringSubmatchIndex(s[at:])
		if found == nil {
			break
		}
		name, escaped, from := s[at+found[2]:at+found[3]], found[5]-found[4], at+found[1]
		at = from
		if !holds(name) {
			continue
		}
		at = quoted(s, from, escaped)
		if at > from {
			out.WriteString(s[kept:from])
			out.WriteString(masked)
			kept = at
		}
	}
	return out.String() + s[kept:]
}

// quoted is where the text ends that begins behind a quote with so many backslashes before it.
func quoted(s string, from, escaped int) int {
	backslashes := 0
	for i := from; i < len(s); i++ {
		switch {
		case s[i] == '\\':
			backslashes++
			continue
		case s[i] == '"' && (backslashes < escaped || backslashes%(2*(escaped+1)) == escaped): // the rest are escaped ones
			return i - min(backslashes, escaped)
		}
		backslashes = 0
	}
	return len(s)
}
