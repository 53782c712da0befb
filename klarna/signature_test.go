package klarna

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"
)

// The worked example of the payment status scheme. The digest starts with a digit, which RFC 8941 would not take.
const (
	statusKey = "9f2c4e6a8b0d1f3355779bbddff1234567890abcdef0fedcba98765432100123"
	statusSig = "9375f3a05369633e57dba8547baf3629d4dfebf20f27cdc73dc1d0211ece9a75d6b2de75e52ff4993b549ba634675224fce37e58639e753fea42a8686fcfb9f6"
	statusHdr = "ts=1741944413600,sig=" + statusSig + ",v=1"
)

// The worked example of the Network scheme.
const (
	networkKey   = "kn-demo-signing-key-7f2c9a4e1b"
	networkKeyID = "krn:partner:global:notification:signing-key:0f1e2d3c-4b5a-4968-8776-554433221100"
	networkSig   = "fb0938f742edeea5c58e8a161b71f4e055b8d8c2c4d82b7878cc0690255e44eb"
)

func TestSignPaymentStatus_GivesTheWorkedExample(t *testing.T) {
	t.Parallel()
	body := fixture(t, "payment_status_closed.json")
	if got := SignPaymentStatus([]byte(statusKey), "1", time.UnixMilli(1741944413600), body); got != statusHdr {
		t.Errorf("got %s", got)
	}
	decoded, err := hex.DecodeString(statusKey)
	if err != nil {
		t.Fatal(err)
	}
	for want, got := range map[string]string{
		"19e3aecc9b476691": SignPaymentStatus(decoded, "1", time.UnixMilli(1), body),
		"9ff528a5a940ab94": SignPaymentStatus([]byte(statusKey), "1", time.UnixMilli(1), append(bytes.Clone(body), '\n')),
	} {
		if !strings.HasPrefix(got, "ts=1,sig="+want) {
			t.Errorf("near miss: got %s, want %s…", got, want)
		}
	}
}

func TestVerifyPaymentStatus_AcceptsKlarnasHeaderInAnyShape(t *testing.T) {
	t.Parallel()
	keys := map[string][]byte{"1": []byte(statusKey), "2": []byte("newer")}
	body := fixture(t, "payment_status_closed.json")
	for _, header := range []string{
		statusHdr,
		"v=1, sig=" + statusSig + " ,\tts = 1741944413600",
		"sig=" + strings.ToUpper(statusSig) + ",v=1,ts=1",
		"ts=,alg=hmac=sha512,flag,sig=" + statusSig + ",v=1",
		"sig=" + statusSig + ",v=1",
	} {
		if version, err := VerifyPaymentStatus(keys, header, body); err != nil || version != "1" {
			t.Errorf("%s: %q, %v", header, version, err)
		}
	}
}

func TestVerifyPaymentStatus_RejectsEveryFlawAlike(t *testing.T) {
	t.Parallel()
	keys := map[string][]byte{"1": []byte(statusKey), "2": []byte("newer"), "empty": {}}
	body := fixture(t, "payment_status_closed.json")
	decoded, err := hex.DecodeString(statusKey)
	if err != nil {
		t.Fatal(err)
	}
	at := time.UnixMilli(1741944413600)
	type attempt struct {
		header string
		body   []byte
	}
	for name, a := range map[string]attempt{
		"no header":         {"", body},
		"bare signature":    {statusSig, body},
		"key hex-decoded":   {SignPaymentStatus(decoded, "1", at, body), body},
		"newline added":     {statusHdr, append(bytes.Clone(body), '\n')},
		"one byte changed":  {statusHdr, bytes.Replace(body, []byte("12995"), []byte("12996"), 1)},
		"other version":     {strings.Replace(statusHdr, "v=1", "v=2", 1), body},
		"unknown version":   {strings.Replace(statusHdr, "v=1", "v=3", 1), body},
		"no version":        {strings.TrimSuffix(statusHdr, ",v=1"), body},
		"empty version":     {strings.Replace(statusHdr, "v=1", "v=", 1), body},
		"no signature":      {"ts=1,v=1", body},
		"signature twice":   {statusHdr + ",sig=" + statusSig, body},
		"version twice":     {statusHdr + ",v=1", body},
		"stranger twice":    {statusHdr + ",x=1,x=1", body},
		"trailing comma":    {statusHdr + ",", body},
		"digest cut":        {"ts=1,sig=" + statusSig[:126] + ",v=1", body},
		"digest too long":   {"ts=1,sig=" + statusSig + "00,v=1", body},
		"digest not hex":    {"ts=1,sig=" + statusSig[:127] + "g,v=1", body},
		"sha256 of network": {"ts=1,sig=" + SignNetwork([]byte(statusKey), body) + ",v=1", body},
		"empty key":         {SignPaymentStatus(nil, "empty", at, body), body},
		"huge header":       {statusHdr + "," + strings.Repeat("x", 5000), body},
	} {
		if version, err := VerifyPaymentStatus(keys, a.header, a.body); !errors.Is(err, ErrSignature) || version != "" {
			t.Errorf("%s: %q, %v", name, version, err)
		}
	}
}

func TestVerifyNetwork_AcceptsTheWorkedExample(t *testing.T) {
	t.Parallel()
	body := fixture(t, "network_notification.json")
	if got := SignNetwork([]byte(networkKey), body); got != networkSig {
		t.Errorf("signed %s", got)
	}
	const nearMiss = "e21ebdc14a42fa049ae3796869539a299fecf9660431d6e319296209f38ac7f5"
	if got := SignNetwork([]byte(networkKey), append(bytes.Clone(body), '\n')); got != nearMiss {
		t.Errorf("with newline signed %s", got)
	}
	keys := map[string][]byte{"krn:other": []byte("other"), networkKeyID: []byte(networkKey)}
	for _, signature := range []string{networkSig, strings.ToUpper(networkSig), " " + networkSig + " "} {
		if err := VerifyNetwork(keys, networkKeyID, signature, body); err != nil {
			t.Errorf("%q: %v", signature, err)
		}
	}
}

func TestVerifyNetwork_RejectsEveryFlawAlike(t *testing.T) {
	t.Parallel()
	body := fixture(t, "network_notification.json")
	keys := map[string][]byte{networkKeyID: []byte(networkKey), "krn:other": []byte("other"), "krn:empty": {}}
	type attempt struct {
		keyID, signature string
		body             []byte
	}
	for name, a := range map[string]attempt{
		"no signature":  {networkKeyID, "", body},
		"no key id":     {"", networkSig, body},
		"unknown key":   {"krn:unknown", networkSig, body},
		"other key":     {"krn:other", networkSig, body},
		"empty key":     {"krn:empty", SignNetwork(nil, body), body},
		"newline added": {networkKeyID, networkSig, append(bytes.Clone(body), '\n')},
		"empty body":    {networkKeyID, networkSig, nil},
		"cut":           {networkKeyID, networkSig[:62], body},
		"too long":      {networkKeyID, networkSig + "00", body},
		"not hex":       {networkKeyID, "z" + networkSig[1:], body},
		"other scheme":  {networkKeyID, SignPaymentStatus([]byte(networkKey), "1", time.UnixMilli(1), body), body},
		"huge":          {networkKeyID, strings.Repeat("0", 5000), body},
	} {
		if err := VerifyNetwork(keys, a.keyID, a.signature, a.body); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParsePayloadSignature_TakesItApart(t *testing.T) {
	t.Parallel()
	got, err := ParsePayloadSignature(statusHdr)
	if err != nil {
		t.Fatal(err)
	}
	if got.Timestamp != "1741944413600" || got.Version != "1" || hex.EncodeToString(got.MAC) != statusSig {
		t.Errorf("got %+v", got)
	}
}

func FuzzParsePayloadSignature(f *testing.F) {
	f.Add(statusHdr)
	f.Add("v=1, sig=" + strings.ToUpper(statusSig) + " ,ts=1")
	f.Add(statusHdr + ",sig=00")
	f.Add(",,=,=")
	f.Fuzz(func(t *testing.T, header string) {
		s, err := ParsePayloadSignature(header)
		if err != nil {
			if !errors.Is(err, ErrSignature) {
				t.Fatalf("%q: %v", header, err)
			}
			return
		}
		if len(s.MAC) != 64 || s.Version == "" || strings.ContainsRune(s.Version, ',') {
			t.Fatalf("%q gave %+v", header, s)
		}
		if !strings.Contains(strings.ToLower(header), hex.EncodeToString(s.MAC)) {
			t.Fatalf("%q does not hold %x", header, s.MAC)
		}
		again, err := ParsePayloadSignature("v=" + s.Version + ",ts=" + s.Timestamp + ",sig=" + hex.EncodeToString(s.MAC))
		if err != nil || again.Version != s.Version || again.Timestamp != s.Timestamp || !bytes.Equal(again.MAC, s.MAC) {
			t.Fatalf("%q reads differently when written again: %+v, %v", header, again, err)
		}
	})
}
