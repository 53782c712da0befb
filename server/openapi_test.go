package server

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi2"
	"github.com/getkin/kin-openapi/openapi2conv"
	"github.com/getkin/kin-openapi/openapi3"
)

// TestOpenAPI_IsFitForPeopleAndGenerators lints the description of our own REST API.
func TestOpenAPI_IsFitForPeopleAndGenerators(t *testing.T) {
	t.Parallel()
	var described openapi2.T
	must(t, json.Unmarshal(describedREST(), &described))
	document, err := openapi2conv.ToV3(&described) // resolves every reference
	must(t, err)
	must(t, document.Validate(t.Context(), openapi3.DisableExamplesValidation()))
	ids := map[string]string{}
	for path, item := range document.Paths.Map() {
		for method, op := range item.Operations() {
			at := method + " " + path
			if other, taken := ids[op.OperationID]; taken || op.OperationID == "" {
				t.Errorf("%s: operation id %q, as of %s", at, op.OperationID, other)
			}
			ids[op.OperationID] = at
			for _, flaw := range flawsOf(method, op) {
				t.Errorf("%s: %s", at, flaw)
			}
		}
	}
	if report := document.Paths.Value(reportPath); report == nil || report.Get == nil {
		t.Error("reports are not described")
	}
	for name, schema := range document.Components.Schemas {
		for field, property := range schema.Value.Properties {
			named := property.Ref != "" || strings.HasPrefix(name, "googleRpc") || strings.HasPrefix(name, "protobuf")
			if v := property.Value; !named && v.Description == "" && v.Title == "" {
				t.Errorf("%s.%s has no description", name, field)
			}
		}
	}
}

func flawsOf(method string, op *openapi3.Operation) (flaws []string) {
	bad := func(wrong bool, flaw string) {
		if wrong {
			flaws = append(flaws, flaw)
		}
	}
	bad(op.Summary == "" || len(op.Summary) > 300 || strings.Contains(op.Summary, "\n"), "the summary is no short sentence: "+op.Summary)
	bad(op.Description == "", "no description")
	bad(len(op.Tags) != 1, "not of one service")
	failed := op.Responses.Default()
	bad(failed == nil || failed.Value == nil || len(failed.Value.Content) == 0, "no response for errors")
	ok := op.Responses.Status(http.StatusOK)
	bad(ok == nil || len(ok.Value.Content) == 0, "no response for success")
	for _, p := range op.Parameters {
		bad(p.Value.Description == "", "parameter "+p.Value.Name+" has no description")
	}
	bad(method == http.MethodGet && op.RequestBody != nil, "GET with a body")
	return flaws
}
