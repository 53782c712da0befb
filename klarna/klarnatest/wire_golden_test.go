package klarnatest

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"payments.internal/klarna-gateway/klarna"
)

var update = flag.Bool("update", false, "write the golden files of testdata anew")

// TestWire_HasGoldenJSON pins what every method of the client puts on the wire, with every field of its arguments set, and
// what it makes of an answer with every field of its result set. A method that is added has no golden file until it is
// made with -update.
func TestWire_HasGoldenJSON(t *testing.T) {
	t.Parallel()
	recorder := &recorder{}
	client, err := klarna.New(klarna.Config{BaseURL: "https://klarna.example", APIKey: apiKey, HTTPClient: &http.Client{Transport: recorder}, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	kept := []string{}
	for i := range reflect.TypeOf(client).NumMethod() {
		method := reflect.TypeOf(client).Method(i)
		if !takesContext(method.Type) {
			continue
		}
		recorder.answer(method)
		results := invoke(reflect.ValueOf(client), method)
		record := recorder.record
		record.Result = resultOf(t, method, results)
		kept = append(kept, method.Name+".json")
		golden(t, method.Name+".json", record)
	}
	files, err := filepath.Glob("testdata/wire/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !slices.Contains(kept, filepath.Base(file)) {
			t.Errorf("%s is of no method of the client", file)
		}
	}
}

// wireRecord is one exchange of a client method.
type wireRecord struct {
	Request string          `json:"request"` // method, path and query
	Sent    json.RawMessage `json:"sent,omitempty"`
	Answer  json.RawMessage `json:"answer,omitempty"`
	Result  any             `json:"result,omitempty"` // what the method returned
}

// recorder answers every request with a success that has every field of the method's result.
type recorder struct{ record wireRecord }

func (rec *recorder) answer(method reflect.Method) {
	rec.record = wireRecord{Answer: answerOf(method)}
}

func (rec *recorder) RoundTrip(r *http.Request) (*http.Response, error) {
	rec.record.Request = r.Method + " " + r.URL.RequestURI()
	if r.Body != nil {
		rec.record.Sent, _ = io.ReadAll(r.Body)
		_ = r.Body.Close()
	}
	header := http.Header{"Content-Type": {"application/json"}, "Capture-Id": {"capture-id"}, "Refund-Id": {"refund-id"}, "Location": {"/x"}}
	return &http.Response{StatusCode: http.StatusOK, Header: header, Body: io.NopCloser(bytes.NewReader(rec.record.Answer)), Request: r}, nil
}

// answerOf is the JSON of a method's first result with every field set; a list is a member of an object, as Klarna's are.
func answerOf(method reflect.Method) json.RawMessage {
	if method.Type.NumOut() < 2 {
		return nil
	}
	out := method.Type.Out(0)
	const key = `{"credential_id":"x","description":"x","created_at":"2026-02-03T09:15:40Z","secret":{"secret":"x"}}`
	switch method.Name { // whose JSON is not that of the type
	case "CreateAPIKey", "APIKey", "UpdateAPIKey":
		return json.RawMessage(key)
	case "APIKeys":
		return json.RawMessage(`{"credentials":[` + key + `]}`)
	}
	encoded, err := json.Marshal(filled(out, method.Name).Interface())
	if err != nil || out.Kind() != reflect.Slice && out.Kind() != reflect.Struct {
		return nil
	}
	if out.Kind() == reflect.Slice && method.Name != "PayoutSummaries" && method.Name != "Captures" {
		name := map[string]string{"Payouts": "payouts", "SettlementTransactions": "transactions"}[method.Name]
		if name == "" {
			name = "list"
		}
		return json.RawMessage(`{"` + name + `":` + string(encoded) + `,"pagination":{"count":1}}`)
	}
	return encoded
}

func invoke(client reflect.Value, method reflect.Method) []reflect.Value {
	args := []reflect.Value{client}
	for n := 1; n < method.Type.NumIn(); n++ {
		args = append(args, filled(method.Type.In(n), method.Name))
	}
	if method.Type.IsVariadic() {
		return method.Func.CallSlice(args)
	}
	return method.Func.Call(args)
}

// resultOf is what a method returned beside its error, which must not be one where the answer has everything.
func resultOf(t *testing.T, method reflect.Method, results []reflect.Value) any {
	t.Helper()
	if err, _ := results[len(results)-1].Interface().(error); err != nil {
		t.Errorf("%s does not take the answer: %v", method.Name, err)
		return nil
	}
	if len(results) < 2 {
		return nil
	}
	if _, streams := results[len(results)-2].Interface().(io.Closer); streams {
		_ = results[len(results)-2].Interface().(io.Closer).Close()
		return nil
	}
	return results[0].Interface()
}

func golden(t *testing.T, name string, record wireRecord) {
	t.Helper()
	for _, raw := range []*json.RawMessage{&record.Sent, &record.Answer} {
		if len(*raw) > 0 && !json.Valid(*raw) {
			t.Errorf("%s: no JSON: %s", name, *raw)
			*raw = nil
		}
	}
	encoded, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	encoded = append(encoded, '\n')
	path := filepath.Join("testdata", "wire", name)
	if *update {
		if err := os.WriteFile(path, encoded, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Errorf("no golden file, make it with -update: %v", err)
		return
	}
	if diff := cmp.Diff(strings.Split(string(kept), "\n"), strings.Split(string(encoded), "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
