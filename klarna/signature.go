package klarna

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Klarna signs its posts in two ways that must not stand in for one another:
//   - payment status (Pay Now Standalone): header Payload-Signature, HMAC-SHA512, key chosen by version;
//   - Klarna Network: headers Klarna-Signing-Key-Id and Klarna-Signature, HMAC-SHA256, key chosen by id.
//
// Both sign the raw body and nothing else, so neither protects against replay: the event id does. Keys are bytes as
// they stand; whoever configures them decides how their text is read.

// Headers of the two schemes.
const (
	HeaderPayloadSignature = "Payload-Signature"     // payment status
	HeaderSigningKeyID     = "Klarna-Signing-Key-Id" // Network
	HeaderSignature        = "Klarna-Signature"      // Network; a deprecated duplicate elsewhere, to be ignored
)

// ErrSignature is the one answer to every flaw of a signature: missing, malformed, by an unknown key, or wrong.
var ErrSignature = errors.New("signature not valid")

// maxSignatureHeader is far above what Klarna sends, about 160 bytes.
const maxSignatureHeader = 4096

// PayloadSignature is a Payload-Signature header taken apart.
type PayloadSignature struct {
	Timestamp string // Klarna: milliseconds since 1970; not signed, so it proves nothing. May be empty
	Version   string // of the signing key
	MAC       []byte // 64 bytes
}

// SignPaymentStatus returns the Payload-Signature header that Klarna would send with body.
func SignPaymentStatus(key []byte, version string, ts time.Time, body []byte) (header string) {
	return fmt.Sprintf("ts=%d,sig=%x,v=%s", ts.UnixMilli(), sumSHA512(key, body), version)
}

// ParsePayloadSignature takes a header ts=<ms>,sig=<hex>,v=<version> apart. Members come in any order, with spaces
// around them; others are ignored; none may come twice. It is no RFC 8941 dictionary: a digest may start with a digit.
// Every flaw is ErrSignature.
func ParsePayloadSignature(header string) (PayloadSignature, error) {
	if len(header) > maxSignatureHeader {
		return PayloadSignature{}, ErrSignature
	}
	members := make(map[string]string)
	for member := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(member, "=")
		name = strings.Trim(name, " \t")
		if _, twice := members[name]; twice || name == "" {
			return PayloadSignature{}, ErrSignature
		}
		members[name] = strings.Trim(value, " \t")
	}
	mac, err := hex.DecodeString(members["sig"])
	if err != nil || len(mac) != sha512.Size || members["v"] == "" {
		return PayloadSignature{}, ErrSignature
	}
	return PayloadSignature{Timestamp: members["ts"], Version: members["v"], MAC: mac}, nil
}

// VerifyPaymentStatus checks body, the bytes as received, under the key whose version header names, and returns that
// version. Every flaw is ErrSignature.
func VerifyPaymentStatus(keys map[string][]byte, header string, body []byte) (version string, err error) {
	signature, err := ParsePayloadSignature(header)
	if err != nil {
		return "", err
	}
	key := keys[signature.Version]
	if len(key) == 0 || !hmac.Equal(signature.MAC, sumSHA512(key, body)) {
		return "", ErrSignature
	}
	return signature.Version, nil
}

// SignNetwork returns the Klarna-Signature header that Klarna would send with body.
func SignNetwork(key []byte, body []byte) string {
	return hex.EncodeToString(sumSHA256(key, body))
}

// VerifyNetwork checks body, the bytes as received, under the key with keyID. Every flaw is ErrSignature.
func VerifyNetwork(keys map[string][]byte, keyID, signature string, body []byte) error {
	if len(signature) > maxSignatureHeader {
		return ErrSignature
	}
	mac, err := hex.DecodeString(strings.Trim(signature, " \t"))
	key := keys[strings.Trim(keyID, " \t")]
	if err != nil || len(key) == 0 || !hmac.Equal(mac, sumSHA256(key, body)) {
		return ErrSignature
	}
	return nil
}

func sumSHA512(key, body []byte) []byte {
	h := hmac.New(sha512.New, key)
	h.Write(body)
	return h.Sum(nil)
}

func sumSHA256(key, body []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(body)
	return h.Sum(nil)
}
