package planted

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// Each text is found in each form, whatever stands around it.
func TestLook_FindsEveryForm(t *testing.T) {
	t.Parallel()
	for _, text := range Texts {
		for before := range 4 {
			whole := strings.Repeat("ä", before) + strings.Repeat("x", before) + text + "y"
			for name, written := range map[string]string{
				"plain": whole, "JSON": string(must(json.Marshal(map[string]string{"in": whole}))), "hex": hex.EncodeToString([]byte(whole)),
				"HEX": fmt.Sprintf("%X", whole), "base64": base64.StdEncoding.EncodeToString([]byte(whole)),
				"base64 of URLs": base64.RawURLEncoding.EncodeToString([]byte(whole)), "URL": url.QueryEscape(whole), "path": url.PathEscape(whole),
			} {
				var f finder
				f.look("here", []byte("… "+written+" …"))
				var said bytes.Buffer
				if n := f.report(&said); n == 0 || !strings.Contains(said.String(), "planted data was found in here") {
					t.Errorf("%s as %s behind %d letters was not found", text, name, before)
				}
			}
		}
	}
}

// What nobody planted is not found.
func TestLook_FindsNothingElse(t *testing.T) {
	t.Parallel()
	var f finder
	for _, text := range []string{"", "an event of 7d3c1b52-0e4f-4a8e-9c61-2f5b8a90d417", "erika", "klarna_network", "000020205"} {
		f.look("here", []byte(text))
	}
	if f.report(&bytes.Buffer{}) != 0 {
		t.Errorf("found %v", f.all)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
