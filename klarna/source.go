package klarna

import "net/netip"

// The addresses that Klarna says its posts come from. Lists change, so they are what is taken where nothing else is
// configured. Klarna publishes none for webhooks of the Klarna Network, Kustom none for checkout pushes.
// Klarna: https://docs.klarna.com, callbacks; "the client must check that the peer is on the list" is said of
// payment-status notifications.
var (
	callbacksLive = addresses(
		"52.17.117.56", "52.17.176.198", // EU
		"52.0.45.33", "52.0.46.187", "13.211.30.100", "3.104.49.49", "13.54.229.130", // other regions
	)
	callbacksPlayground = addresses(
		"34.242.203.160", "34.242.19.4",
		"52.45.47.152", "34.235.91.238", "3.24.91.202", "52.62.115.68", "52.63.129.92",
	)
	statusesLive       = addresses("52.18.109.75", "63.32.138.153", "63.32.201.200")
	statusesPlayground = addresses("63.33.163.93", "63.34.140.6", "63.34.72.238")
)

// CallbackSources are where callbacks, updates of hosted pages and notifications of pending orders come from.
func CallbackSources(live bool) []netip.Prefix {
	if live {
		return callbacksLive
	}
	return callbacksPlayground
}

// PaymentStatusSources are where payment-status notifications come from.
func PaymentStatusSources(live bool) []netip.Prefix {
	if live {
		return statusesLive
	}
	return statusesPlayground
}

func addresses(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		a := netip.MustParseAddr(text)
		all = append(all, netip.PrefixFrom(a, a.BitLen()))
	}
	return all
}
