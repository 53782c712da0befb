// Package contract holds what passes between a client and Klarna against Klarna's OpenAPI documents. A Tap is a transport
// that reads along: every request that was taken and every answer must be what the document of its operation says, and
// neither may have a property that the document does not name. The documents are not part of this project; without them
// nothing is checked, and in CI that is a failure.
package contract

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// reconstructed are the documents that were written from Klarna's pages and samples. The others are Klarna's own.
var reconstructed = map[string]bool{"kn-distribution-v2.yaml": true, "kn-notifications.yaml": true}

// Operation is one operation of one document.
type Operation struct {
	Document string // file name
	ID       string // operationId
	Method   string
	Path     string // template, from the root of the host
	Own      bool   // the description is Klarna's own, not reconstructed

	segments []string
	spec     *openapi3.T
	item     *openapi3.PathItem
	op       *openapi3.Operation
}

// Documents are all documents of a folder.
type Documents struct {
	Operations []*Operation // by document, path and method
	specs      map[string]*openapi3.T
}

// Folder is KLARNA_OPENAPI, or the folder that lies beside the repository. It is empty if it is not there, which fails
// the test in CI.
func Folder(t testing.TB) string {
	t.Helper()
	folder, err := locate()
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("Klarna's OpenAPI documents are demanded in CI: %v", err)
	}
	return folder
}

// locate finds the folder, from the one that holds the tests.
func locate() (string, error) {
	folder := os.Getenv("KLARNA_OPENAPI")
	if folder == "" {
		root, err := os.Getwd()
		if err != nil {
			return "", err
		}
		for _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil; _, err = os.Stat(filepath.Join(root, "go.mod")) {
			if root == filepath.Dir(root) {
				return "", errors.New("no go.mod above the test")
			}
			root = filepath.Dir(root)
		}
		folder = filepath.Join(root, "..", "shared", "klarna", "openapi")
	}
	if _, err := os.Stat(folder); err != nil {
		return "", err
	}
	return folder, nil
}

// Read returns the documents where there is no test.
func Read() (*Documents, error) {
	folder, err := locate()
	if err != nil {
		return nil, err
	}
	return readFolder(folder)
}

// Open returns the documents. Without them the test is skipped, and says so.
func Open(t testing.TB) *Documents {
	t.Helper()
	folder := Folder(t)
	if folder == "" {
		t.Skip("Klarna's OpenAPI documents are not here, nothing can be checked: set KLARNA_OPENAPI")
	}
	return open(t, folder)
}

// read keeps documents, which take long to read, for the tests to come.
var read sync.Map // of folders, each a func() (*Documents, error)

func open(t testing.TB, folder string) *Documents {
	t.Helper()
	once, _ := read.LoadOrStore(folder, sync.OnceValues(func() (*Documents, error) { return readFolder(folder) }))
	docs, err := once.(func() (*Documents, error))()
	if err != nil {
		t.Fatalf("Klarna's OpenAPI documents: %v", err)
	}
	return docs
}

func readFolder(folder string) (*Documents, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no documents in %s (%w)", folder, err)
	}
	docs := &Documents{specs: map[string]*openapi3.T{}}
	for _, file := range files {
		if err := docs.add(file); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(file), err)
		}
	}
	docs.addTabled()
	slices.SortFunc(docs.Operations, func(a, b *Operation) int {
		return cmp.Or(cmp.Compare(a.Document, b.Document), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method))
	})
	return docs, nil
}

func (d *Documents) add(file string) error {
	spec, err := openapi3.NewLoader().LoadFromFile(file)
	if err != nil {
		return err
	}
	err = spec.Validate(context.Background(), openapi3.DisableExamplesValidation(), openapi3.DisableSchemaPatternValidation())
	if err != nil {
		return err
	}
	base := ""
	if len(spec.Servers) > 0 {
		if u, err := url.Parse(spec.Servers[0].URL); err == nil {
			base = strings.TrimSuffix(u.Path, "/")
		}
	}
	name := filepath.Base(file)
	d.specs[name] = spec
	for path, item := range spec.Paths.Map() {
		for method, op := range item.Operations() {
			d.Operations = append(d.Operations, &Operation{
				Document: name, ID: op.OperationID, Method: method, Path: base + path, Own: !reconstructed[name],
				segments: strings.Split(base+path, "/"), spec: spec, item: item, op: op,
			})
		}
	}
	return nil
}

// Schema is a named schema of a document.
func (d *Documents) Schema(t testing.TB, document, name string) *openapi3.Schema {
	t.Helper()
	spec := d.specs[document]
	if spec == nil || spec.Components.Schemas[name] == nil {
		t.Fatalf("%s has no schema %s", document, name)
	}
	return spec.Components.Schemas[name].Value
}

// Find is the operation that a request is for, with what stands in its path; nil if no document has it. A segment that is
// written out goes before one that may be anything.
func (d *Documents) Find(r *http.Request) (*Operation, map[string]string) {
	sent := strings.Split(r.URL.EscapedPath(), "/")
	var found *Operation
	for _, o := range d.Operations {
		if o.Method == r.Method && o.matches(sent) && (found == nil || o.literals() > found.literals()) {
			found = o
		}
	}
	if found == nil {
		return nil, nil
	}
	params := map[string]string{}
	for i, segment := range found.segments {
		if name, ok := placeholder(segment); ok {
			params[name], _ = url.PathUnescape(sent[i])
		}
	}
	return found, params
}

func placeholder(segment string) (name string, ok bool) {
	if strings.HasPrefix(segment, "{") && strings.HasSuffix(segment, "}") {
		return segment[1 : len(segment)-1], true
	}
	return "", false
}

func (o *Operation) matches(sent []string) bool {
	if len(sent) != len(o.segments) {
		return false
	}
	for i, segment := range o.segments {
		if _, free := placeholder(segment); free && sent[i] != "" || segment == sent[i] {
			continue
		}
		return false
	}
	return true
}

func (o *Operation) literals() (n int) {
	for _, segment := range o.segments {
		if _, free := placeholder(segment); !free {
			n++
		}
	}
	return n
}
