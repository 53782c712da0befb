package klarnatest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"payments.internal/klarna-gateway/klarna"
	"payments.internal/klarna-gateway/klarna/klarnatest/contract"
)

// TestContract_ClientSendsOnlyWhatKlarnaNames calls every method of the client with every field of its arguments set, and
// looks for the operation and for each property in Klarna's documents. A method or a field that is added is found by
// itself; a misspelt one does not pass.
func TestContract_ClientSendsOnlyWhatKlarnaNames(t *testing.T) {
	t.Parallel()
	sink := &sink{t: t, docs: contract.Open(t), reached: map[*contract.Operation]bool{}}
	client, err := klarna.New(klarna.Config{BaseURL: "https://klarna.example", APIKey: apiKey, HTTPClient: &http.Client{Transport: sink}, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	methods := reflect.TypeOf(client)
	for i := range methods.NumMethod() {
		method := methods.Method(i)
		before := sink.calls
		args := []reflect.Value{reflect.ValueOf(client)}
		for n := 1; n < method.Type.NumIn(); n++ {
			args = append(args, filled(method.Type.In(n), method.Name))
		}
		sink.method = method.Name
		call := method.Func.Call
		if method.Type.IsVariadic() {
			call = method.Func.CallSlice
		}
		call(args)
		for _, name := range []klarna.ReportName{klarna.ReportPayoutWithTransactions, klarna.ReportPayoutsSummary, klarna.ReportPayoutsSummaryWithTransactions} {
			if method.Name == "Report" { // one method for four operations
				_, _, _ = client.Report(t.Context(), klarna.ReportRequest{Report: name})
			}
		}
		if sink.calls == before && takesContext(method.Type) {
			t.Errorf("%s sent nothing", method.Name)
		}
	}
	for _, o := range sink.docs.Operations {
		if !sink.reached[o] {
			t.Errorf("%s: no method reaches %s %s", o.Document, o.Method, o.Path)
		}
	}
}

func takesContext(method reflect.Type) bool {
	return method.NumIn() > 1 && method.In(1) == reflect.TypeFor[context.Context]()
}

// sink is a Klarna that refuses everything, once it has compared it with the documents.
type sink struct {
	t      *testing.T
	docs   *contract.Documents
	method string
	calls  int

	reached map[*contract.Operation]bool
}

func (s *sink) RoundTrip(r *http.Request) (*http.Response, error) {
	s.calls++
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		_ = r.Body.Close()
	}
	switch operation, _ := s.docs.Find(r); {
	case operation == nil:
		s.t.Errorf("%s: no document has %s %s", s.method, r.Method, r.URL.Path)
	default:
		s.reached[operation] = true
		for _, name := range operation.StrangeIn(r, body) {
			if operation.Answers(name) || sharedType[s.method+" "+name] != "" {
				continue
			}
			s.t.Errorf("%s sends %s, which %s %s does not name", s.method, name, operation.Document, operation.ID)
		}
	}
	return &http.Response{StatusCode: http.StatusNotFound, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(nil)), Request: r}, nil
}

// sharedType are fields that a method's type has for the sake of another method, and nobody sets for this one.
var sharedType = map[string]string{
	"ChargeCustomerToken merchant_urls.app_return_url": "of a session's URLs; a charge has two of them",
	"ChargeCustomerToken merchant_urls.authorization":  "of a session's URLs; a charge has two of them",
	"ChargeCustomerToken merchant_urls.notification":   "of a session's URLs; a charge has two of them",
	"UpdateSession step_up_id":                         "Klarna: create only",
	"Report ?start_date":                               "one request type for four reports, each with its own fields set",
	"Report ?end_date":                                 "one request type for four reports, each with its own fields set",
	"CreateStoreGroup stores[0].store_group_id":        "of a store that is created by itself",
	"Onboard store_groups[0].stores[0].store_group_id": "of a store that is created by itself",
}

// filled is a value of a type with everything set that can be.
func filled(t reflect.Type, name string) reflect.Value {
	v := reflect.New(t).Elem()
	switch t {
	case reflect.TypeFor[context.Context]():
		v.Set(reflect.ValueOf(context.Background()))
		return v
	case reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(start))
		return v
	case reflect.TypeFor[json.RawMessage]():
		v.SetBytes([]byte(`{}`))
		return v
	case reflect.TypeFor[klarna.ReportName]():
		v.Set(reflect.ValueOf(klarna.ReportPayout))
		return v
	}
	switch t.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		v.Elem().Set(filled(t.Elem(), name))
	case reflect.Struct:
		for i := range t.NumField() {
			if t.Field(i).IsExported() {
				v.Field(i).Set(filled(t.Field(i).Type, name))
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(t, 1, 1))
		v.Index(0).Set(filled(t.Elem(), name))
	case reflect.Map:
		v.Set(reflect.MakeMap(t))
		v.SetMapIndex(filled(t.Key(), name), filled(t.Elem(), name))
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Float64:
		v.SetFloat(1)
	case reflect.Interface:
		if strings.HasPrefix(t.String(), "interface") && t.NumMethod() == 0 {
			v.Set(reflect.ValueOf("x"))
		}
	}
	return v
}
