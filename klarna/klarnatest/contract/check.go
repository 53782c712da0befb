package contract

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// input is the exchange in the validator's words.
func (x exchange) input() *openapi3filter.RequestValidationInput {
	r := x.request.Clone(x.request.Context())
	r.Body = io.NopCloser(bytes.NewReader(x.sent))
	return &openapi3filter.RequestValidationInput{
		Request: r, PathParams: x.params,
		Route: &routers.Route{
			Spec: x.operation.spec, Path: x.operation.Path, PathItem: x.operation.item, Method: x.operation.Method, Operation: x.operation.op,
		},
		Options: &openapi3filter.Options{
			AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true, SkipSettingDefaults: true,
			RegexCompiler: compile,
		},
	}
}

// compile takes a pattern that Go cannot read, one with a look-ahead, for one that everything matches. Where https is
// demanded the loopback interface, on which tests listen, may do without.
func compile(pattern string) (openapi3.RegexMatcher, error) {
	if rest, secure := strings.CutPrefix(pattern, "^https://"); secure {
		pattern = `^(https://|http://127\.0\.0\.1:)` + rest
	}
	if re, err := regexp.Compile(pattern); err == nil {
		return re, nil
	}
	return regexp.MustCompile(""), nil
}

func (x exchange) checkRequest() error {
	if err := openapi3filter.ValidateRequest(x.request.Context(), x.input()); err != nil {
		if why := brief(err); !slices.ContainsFunc(laxer[x.operation.ID], func(rule string) bool { return strings.Contains(why, rule) }) {
			return fmt.Errorf("took a request that its document refuses: %s", why)
		}
	}
	if unknown := x.operation.StrangeIn(x.request, x.sent); len(unknown) > 0 {
		return fmt.Errorf("request has what its document does not name: %s", strings.Join(unknown, ", "))
	}
	return nil
}

// brief is what a validator complains of, without the schema and the value.
func brief(err error) string {
	var schema *openapi3.SchemaError
	if errors.As(err, &schema) {
		for inner := schema; errors.As(inner.Origin, &inner); { // "does not match all" says less than what does not
			schema = inner
		}
		return "/" + strings.Join(schema.JSONPointer(), "/") + ": " + schema.Reason
	}
	return err.Error()
}

func (x exchange) checkAnswer() error {
	status := x.answer.StatusCode
	if slices.Contains(undocumented[x.operation.ID], status) || slices.Contains(anywhere, status) {
		if x.operation.op.Responses.Status(status) == nil {
			return nil
		}
	}
	if emptyThough[x.operation.ID] == status && len(x.body) == 0 {
		return nil
	}
	input := x.input()
	answer := &openapi3filter.ResponseValidationInput{RequestValidationInput: input, Status: status, Header: x.answer.Header, Options: input.Options}
	if x.body == nil {
		input.Options.ExcludeResponseBody = true
	}
	answer.SetBodyBytes(x.body)
	if err := openapi3filter.ValidateResponse(x.request.Context(), answer); err != nil {
		return fmt.Errorf("answer breaks its document: %s", brief(err))
	}
	if unknown := x.operation.strange(x.schema(), x.body, "answer"); len(unknown) > 0 {
		return fmt.Errorf("answer has properties that its document does not name: %s", strings.Join(unknown, ", "))
	}
	return nil
}

// schema is that of the answer, nil if the document has none for it.
func (x exchange) schema() *openapi3.Schema {
	if documented := x.operation.op.Responses.Status(x.answer.StatusCode); documented != nil {
		return jsonSchema(documented.Value.Content)
	}
	return nil
}

func jsonSchema(content openapi3.Content) *openapi3.Schema {
	if media := content.Get("application/json"); media != nil && media.Schema != nil {
		return media.Schema.Value
	}
	return nil
}
