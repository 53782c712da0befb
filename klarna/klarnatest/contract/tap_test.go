package contract

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// document is a description as Klarna might have written it.
const document = `
openapi: 3.0.0
info: {title: Boats, version: "1"}
servers: [{url: "https://api.boats.example/v1"}]
paths:
  /boats:
    post:
      operationId: build
      requestBody:
        content:
          application/json:
            schema:
              allOf:
                - {type: object, required: [name], properties: {name: {type: string}, home: {type: string, pattern: "^https://.*"}}}
                - {type: object, properties: {masts: {type: array, items: {type: object, properties: {height: {type: integer}}}}}}
      responses:
        "201": {description: built, content: {application/json: {schema: {$ref: "#/components/schemas/boat"}}}}
        "400": {description: refused}
  /boats/{boat_id}:
    get:
      operationId: look
      parameters: [{name: boat_id, in: path, required: true, schema: {type: string}}]
      responses: {"200": {description: seen, content: {application/json: {schema: {$ref: "#/components/schemas/boat"}}}}}
  /boats/lost:
    get:
      operationId: lost
      responses: {"200": {description: none}}
components:
  schemas:
    boat:
      type: object
      required: [id]
      properties: {id: {type: string}, tags: {type: object}, crew: {type: object, additionalProperties: {type: object, properties: {rank: {type: string}}}}}
`

// complaints collects what a Tap would fail the test with.
type complaints struct {
	testing.TB
	all []string
}

func (c *complaints) Errorf(format string, args ...any) {
	c.all = append(c.all, fmt.Sprintf(format, args...))
}

func boats(t *testing.T) *Documents {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "boats.yaml"), []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	docs, err := readFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	return docs
}

func TestTap_SeesWhatBreaksTheDocument(t *testing.T) {
	t.Parallel()
	docs := boats(t)
	const boat = `{"id":"1"}`
	for _, c := range []struct {
		name, method, path, sent string
		status                   int
		answer, want             string
	}{
		{"as documented", "POST", "/v1/boats", `{"name":"Ida","masts":[{"height":9}]}`, 201, boat, ""},
		{"a misspelt optional property", "POST", "/v1/boats", `{"name":"Ida","mast":[]}`, 201, boat, "does not name: mast"},
		{"one further in", "POST", "/v1/boats", `{"name":"Ida","masts":[{"hight":9}]}`, 201, boat, "does not name: masts[0].hight"},
		{"a required property is missing", "POST", "/v1/boats", `{}`, 201, boat, `property "name" is missing`},
		{"a wrong type", "POST", "/v1/boats", `{"name":"Ida","masts":[{"height":"9"}]}`, 201, boat, "took a request"},
		{"refused, as it should be", "POST", "/v1/boats", `{}`, 400, ``, ""},
		{"not https", "POST", "/v1/boats", `{"name":"Ida","home":"http://harbour.example"}`, 201, boat, "took a request"},
		{"loopback", "POST", "/v1/boats", `{"name":"Ida","home":"http://127.0.0.1:80/x"}`, 201, boat, ""},
		{"an answer with an unknown property", "GET", "/v1/boats/1", ``, 200, `{"id":"1","colour":"red"}`, "answer has properties that its document does not name: colour"},
		{"an object that may be anything", "GET", "/v1/boats/1", ``, 200, `{"id":"1","tags":{"colour":"red"}}`, ""},
		{"an object with any names", "GET", "/v1/boats/1", ``, 200, `{"id":"1","crew":{"Ida":{"rank":"mate"}}}`, ""},
		{"an unknown property below any name", "GET", "/v1/boats/1", ``, 200, `{"id":"1","crew":{"Ida":{"grade":"mate"}}}`, "crew.Ida.grade"},
		{"an answer without what is required", "GET", "/v1/boats/1", ``, 200, `{}`, `property "id" is missing`},
		{"a status that is not documented", "GET", "/v1/boats/1", ``, 204, ``, "status is not supported"},
		{"one that the prose has everywhere", "GET", "/v1/boats/1", ``, 429, `{}`, ""},
		{"a query that is not documented", "GET", "/v1/boats/1?size=1", ``, 200, boat, "does not name: ?size"},
		{"the more exact path", "GET", "/v1/boats/lost", ``, 200, ``, ""},
		{"no operation", "GET", "/v1/ships", ``, 200, ``, "no document has GET /v1/ships"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.answer)
			}))
			defer api.Close()
			heard := &complaints{TB: t}
			req, err := http.NewRequestWithContext(t.Context(), c.method, api.URL+c.path, strings.NewReader(c.sent))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			res, err := docs.Tap(heard, api.Client().Transport).RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			if res.Body.Close(); err != nil || string(body) != c.answer {
				t.Errorf("the caller read %q, %v", body, err)
			}
			switch all := strings.Join(heard.all, "\n"); {
			case c.want == "" && all != "":
				t.Errorf("complained: %s", all)
			case !strings.Contains(all, c.want):
				t.Errorf("complained %q, want %q", all, c.want)
			}
		})
	}
}

func TestTap_CountsWhatIsRight(t *testing.T) {
	t.Parallel()
	docs, status := boats(t), 201
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"id":"1"}`)
	}))
	defer api.Close()
	tap := docs.Tap(&complaints{TB: t}, api.Client().Transport)
	for _, sent := range []string{`{"name":"Ida"}`, `{"nam":"Ida"}`} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", api.URL+"/v1/boats", strings.NewReader(sent))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := tap.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	if !tap.Saw("build", 201) || tap.Saw("build", 400) || tap.Saw("look", 201) {
		t.Error("what was seen is not what came by")
	}
	for o, s := range tap.Seen() {
		if o.ID != "build" || s.Requests != 1 || s.Answers != 2 {
			t.Errorf("%s: %+v", o.ID, s)
		}
	}
}

func TestFolder_IsDemandedInCI(t *testing.T) {
	t.Setenv("KLARNA_OPENAPI", filepath.Join(t.TempDir(), "none"))
	t.Setenv("CI", "false")
	if folder := Folder(t); folder != "" {
		t.Errorf("found %s", folder)
	}
	t.Setenv("CI", "true")
	heard := &fatal{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = recover() }()
		Folder(heard)
	}()
	<-done
	if !heard.called {
		t.Error("in CI the documents may be missing")
	}
}

// fatal notes that a test would have ended.
type fatal struct {
	testing.TB
	called bool
}

func (f *fatal) Fatalf(string, ...any) {
	f.called = true
	panic(http.ErrAbortHandler)
}
