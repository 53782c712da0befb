package klarna

import (
	"net/url"
	"slices"
	"strings"
)

// Environment is which of Klarna's two worlds a host and a credential belong to. The zero value is not known.
type Environment string

// The environments.
const (
	Live       Environment = "live"
	Playground Environment = "playground"
)

// Region is the part of the world that a host of the regional APIs serves, and a credential is good for. The zero value
// is not known, or all of it: the Network and Kustom have one host for the world.
type Region string

// The regions.
const (
	Europe       Region = "eu"
	NorthAmerica Region = "na"
	Oceania      Region = "oc"
)

// API is a set of Klarna's APIs that are served by the same hosts.
type API string

// The sets.
const (
	NetworkAPI  API = "network"  // Klarna Network, one host for the world
	RegionalAPI API = "regional" // Klarna Payments, Order Management and what belongs to them
	KustomAPI   API = "kustom"   // Klarna Checkout since Kustom runs it, with its order management, pages and settlements
)

// Host is one of Klarna's hosts, or of Kustom's.
type Host struct {
	API         API
	Environment Environment
	Region      Region // of RegionalAPI
	BaseURL     string
}

// Hosts are all hosts that Klarna and Kustom publish.
var Hosts = []Host{
	{RegionalAPI, Live, Europe, "https://api.klarna.com"},
	{RegionalAPI, Live, NorthAmerica, "https://api-na.klarna.com"},
	{RegionalAPI, Live, Oceania, "https://api-oc.klarna.com"},
	{RegionalAPI, Playground, Europe, "https://api.playground.klarna.com"},
	{RegionalAPI, Playground, NorthAmerica, "https://api-na.playground.klarna.com"},
	{RegionalAPI, Playground, Oceania, "https://api-oc.playground.klarna.com"},
	{NetworkAPI, Live, "", "https://api-global.klarna.com"},
	{NetworkAPI, Playground, "", "https://api-global.test.klarna.com"},
	{KustomAPI, Live, "", "https://api.kustom.co"},
	{KustomAPI, Playground, "", "https://api.playground.kustom.co"},
}

// HostAt finds the published host that a base URL is of. Another host, such as a simulator or a proxy, is not known.
func HostAt(base string) (Host, bool) {
	u, err := url.Parse(base)
	if err != nil {
		return Host{}, false
	}
	i := slices.IndexFunc(Hosts, func(h Host) bool { return strings.EqualFold(strings.TrimPrefix(h.BaseURL, "https://"), u.Hostname()) })
	if i < 0 {
		return Host{}, false
	}
	return Hosts[i], true
}

// Klarna: the countries that buy, by the region whose host serves them. A country that is not listed may be of any.
var regions = map[Region][]string{
	Europe: {
		"AT", "BE", "CH", "CZ", "DE", "DK", "ES", "FI", "FR", "GB", "GR", "HU", "IE", "IT", "NL", "NO", "PL", "PT", "RO", "SE", "SK",
	},
	NorthAmerica: {"CA", "MX", "US"},
	Oceania:      {"AU", "NZ"},
}

// regionOf is the region of a purchase country, empty if it is not known.
func regionOf(country string) Region {
	for region, countries := range regions {
		if slices.Contains(countries, strings.ToUpper(country)) {
			return region
		}
	}
	return ""
}

// environmentOf is the environment of a key that tells it, empty for others. Klarna: klarna_<live|test>_api_<random>.
func environmentOf(key Secret) Environment {
	switch {
	case strings.HasPrefix(key.Reveal(), "klarna_live_"):
		return Live
	case strings.HasPrefix(key.Reveal(), "klarna_test_"):
		return Playground
	}
	return ""
}
