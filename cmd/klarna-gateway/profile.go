package main

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/operation"
)

// changeConfig is what the profile of a merchant account becomes from a time on: its way to Klarna, not its name, its
// policies or how Klarna's posts are proven. What is left out stays as it was. But a credential is replaced as a whole,
// and what was agreed on for one host (rates, offers, withdrawn) is not taken to another.
type changeConfig struct {
	From      time.Time `yaml:"from"`       // RFC 3339
	API       string    `yaml:"api"`        // regional or kustom
	Region    string    `yaml:"region"`     // as of a merchant account
	BaseURL   string    `yaml:"base_url"`   // as of a merchant account
	Username  string    `yaml:"username"`   // with it the whole credential is another one
	Password  secret    `yaml:"password"`   // of the username
	APIKey    secret    `yaml:"api_key"`    // instead of username and password
	AuthStyle string    `yaml:"auth_style"` // as of a merchant account
	// ClientCertificate stays as it was, if there was one, unless another is named.
	ClientCertificate certificateConfig               `yaml:"client_certificate"`
	Rates             map[klarna.Category]klarna.Rate `yaml:"rates"`     // stay, unless the host is another one
	Offers            []string                        `yaml:"offers"`    // stay, unless the host is another one
	Withdrawn         []string                        `yaml:"withdrawn"` // stay, unless the host is another one
	// TakesOver says that what was made before lives here too from now on.
	TakesOver bool `yaml:"takes_over"`
}

// originatorConfig is a party behind the integrator.
type originatorConfig struct {
	Name          string `yaml:"name"`           // of the party
	ModuleName    string `yaml:"module_name"`    // of its software
	ModuleVersion string `yaml:"module_version"` // of that software
}

// changed is the account with the profile that a change makes of it.
func (a accountConfig) changed(c changeConfig) accountConfig {
	if c.API != "" || c.Region != "" || c.BaseURL != "" {
		a.API, a.BaseURL = orDefault(c.API, a.API), c.BaseURL
		if c.Region != "" || c.BaseURL != "" {
			a.Region = c.Region
		}
		a.Rates, a.Offers, a.Withdrawn = nil, nil, nil
	}
	if c.Username != "" || c.Password.Secret != "" || c.APIKey.Secret != "" {
		a.Username, a.Password, a.APIKey, a.AuthStyle = c.Username, c.Password, c.APIKey, c.AuthStyle
	}
	if c.ClientCertificate != (certificateConfig{}) {
		a.ClientCertificate = c.ClientCertificate
	}
	if c.Rates != nil {
		a.Rates = c.Rates
	}
	if c.Offers != nil {
		a.Offers = c.Offers
	}
	if c.Withdrawn != nil {
		a.Withdrawn = c.Withdrawn
	}
	a.place()
	return a
}

// profiles are those that the account has in the course of time: its own, and one for each change.
func (a accountConfig) profiles() []accountConfig {
	profiles := []accountConfig{a}
	for _, c := range a.Changes {
		a = a.changed(c)
		profiles = append(profiles, a)
	}
	return profiles
}

// place fills in the host that Klarna publishes for the account. A region is known where it is said, and of Klarna's
// hosts; a simulator has none unless it is said.
func (a *accountConfig) place() {
	if a.API != string(klarna.RegionalAPI) {
		a.Region = "" // one host for the world
	} else if a.BaseURL == "" {
		a.Region = orDefault(a.Region, string(klarna.Europe))
	}
	i := slices.IndexFunc(klarna.Hosts, func(h klarna.Host) bool {
		return string(h.API) == a.API && string(h.Environment) == a.Environment && string(h.Region) == a.Region
	})
	if a.BaseURL == "" && i >= 0 {
		a.BaseURL = klarna.Hosts[i].BaseURL
	}
}

// klarna is what a client of the account needs; the caller adds what all clients share.
func (a *accountConfig) klarna() klarna.Config {
	cfg := klarna.Config{
		BaseURL: a.BaseURL, Username: a.Username, Password: a.Password.Secret, APIKey: a.APIKey.Secret,
		AuthStyle: klarna.AuthStyle(a.AuthStyle), Environment: klarna.Environment(a.Environment), Region: klarna.Region(a.Region),
		Rates: a.Rates, Offers: a.Offers, Withdrawn: a.Withdrawn, Integrator: a.Integrator,
	}
	if a.API == string(klarna.KustomAPI) && len(a.Offers) == 0 {
		cfg.Offers = klarna.KustomOffers
	}
	for _, o := range a.Originators {
		cfg.Originators = append(cfg.Originators, klarna.Originator(o))
	}
	return cfg
}

// api is which services the account is for. Kustom serves a part of what the regional hosts do.
func (a *accountConfig) api() operation.API {
	if a.API == string(klarna.NetworkAPI) {
		return operation.NetworkAPI
	}
	return operation.RegionalAPI
}

// checkProfiles tells what is wrong with the account's ways to Klarna.
func (a accountConfig) checkProfiles() (flaws []error) {
	for i, profile := range a.profiles() {
		before := ""
		if i > 0 {
			before = fmt.Sprintf("changes[%d]: ", i-1)
		}
		flaw := func(format string, args ...any) { flaws = append(flaws, fmt.Errorf(before+format, args...)) }
		if !slices.Contains([]string{string(klarna.NetworkAPI), string(klarna.RegionalAPI), string(klarna.KustomAPI)}, profile.API) {
			flaw("api: %q is none of network, regional, kustom", profile.API)
		}
		client := profile.klarna()
		if profile.BaseURL == "" {
			flaw("base_url: none is known for api %q, environment %q, region %q", profile.API, profile.Environment, profile.Region)
			client.BaseURL = "https://unknown.invalid" // what is left is checked all the same
		}
		if _, err := klarna.New(client); err != nil {
			flaw("%w", err)
		}
		if err := profile.ClientCertificate.check(); err != nil {
			flaw("%w", err)
		}
	}
	for i, c := range a.Changes {
		if c.From.IsZero() || i > 0 && !c.From.After(a.Changes[i-1].From) {
			flaws = append(flaws, fmt.Errorf("changes[%d]: from: a time is required, later than that of the change before", i))
		}
		if next := a.changed(c); next.api() != a.api() {
			flaws = append(flaws, fmt.Errorf("changes[%d]: api: %s has nothing to do with %s; that is another merchant account", i, c.API, a.API))
		}
	}
	return flaws
}

// account makes the clients of a merchant account, one for each profile.
func (a accountConfig) account(client func(profile accountConfig) (*klarna.Client, error)) (operation.Account, error) {
	made := operation.Account{Name: a.Name, API: a.api(), AutoCapture: a.AutoCapture}
	var flaws []error
	for i, profile := range a.profiles() {
		c, err := client(profile)
		if err != nil {
			flaws = append(flaws, err)
		}
		if i == 0 {
			made.Klarna = c
			continue
		}
		change := a.Changes[i-1]
		made.Changes = append(made.Changes, operation.Change{From: change.From, Klarna: c, TakesOver: change.TakesOver})
	}
	return made, errors.Join(flaws...)
}
