package contract

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// StrangeIn lists what a request has in its query and its body that the document does not name, exceptions apart.
func (o *Operation) StrangeIn(r *http.Request, body []byte) (found []string) {
	if !o.Described() {
		return nil
	}
	for name := range r.URL.Query() {
		if o.op.Parameters.GetByInAndName("query", name) == nil && o.item.Parameters.GetByInAndName("query", name) == nil {
			found = append(found, "?"+name)
		}
	}
	if o.op.RequestBody == nil {
		if len(body) > 0 {
			found = append(found, "a body")
		}
		return found
	}
	return append(found, o.strange(jsonSchema(o.op.RequestBody.Value.Content), body, "request")...)
}

// Answers tells whether the operation's answer of success has a property. One type stands for both often, and what Klarna
// gives a resource, such as its id, is then no mistake in a request type.
func (o *Operation) Answers(path string) bool {
	for status, response := range o.op.Responses.Map() {
		if status[0] != '2' {
			continue
		}
		if schema := jsonSchema(response.Value.Content); schema != nil && names(schema, strings.Split(path, ".")) {
			return true
		}
	}
	return false
}

func names(schema *openapi3.Schema, path []string) bool {
	name, _, list := strings.Cut(path[0], "[")
	known := map[string]*openapi3.Schema{}
	propertiesOf(schema, known)
	property := known[name]
	if property != nil && list {
		property = itemsOf(property)
	}
	return property != nil && (len(path) == 1 || names(property, path[1:]))
}

// strange lists the properties of a body that neither the schema nor an exception knows.
func (o *Operation) strange(schema *openapi3.Schema, body []byte, side string) []string {
	var value any
	if len(body) == 0 || json.Unmarshal(body, &value) != nil {
		return nil
	}
	return slices.DeleteFunc(Strange(schema, value), func(path string) bool { return excepted(o, side, path) })
}

// Strange lists the properties of a JSON value, by path, that its schema does not name. Klarna's documents allow further
// properties everywhere, so that a misspelt optional one would pass. An object about which the schema says nothing may be
// anything.
func Strange(schema *openapi3.Schema, value any) []string {
	var found []string
	walk(schema, value, "", &found)
	slices.Sort(found)
	return found
}

func walk(schema *openapi3.Schema, value any, at string, found *[]string) {
	if schema == nil {
		return
	}
	switch value := value.(type) {
	case []any:
		for i, item := range value {
			walk(itemsOf(schema), item, fmt.Sprintf("%s[%d]", at, i), found)
		}
	case map[string]any:
		known := map[string]*openapi3.Schema{}
		rest := propertiesOf(schema, known)
		if len(known) == 0 && rest == nil {
			return
		}
		for _, name := range slices.Sorted(maps.Keys(value)) {
			path := name
			if at != "" {
				path = at + "." + name
			}
			property, named := known[name]
			switch {
			case named:
				walk(property, value[name], path, found)
			case rest != nil:
				walk(rest, value[name], path, found)
			default:
				*found = append(*found, path)
			}
		}
	}
}

// propertiesOf collects what an object may have by any of the schema's parts, and the schema of all else, nil if there is
// none.
func propertiesOf(schema *openapi3.Schema, into map[string]*openapi3.Schema) (rest *openapi3.Schema) {
	for name, property := range schema.Properties {
		if property.Value != nil {
			into[name] = property.Value
		}
	}
	if more := schema.AdditionalProperties.Schema; more != nil {
		rest = more.Value
	}
	for _, part := range partsOf(schema) {
		if more := propertiesOf(part, into); more != nil {
			rest = more
		}
	}
	return rest
}

func itemsOf(schema *openapi3.Schema) *openapi3.Schema {
	if schema.Items != nil {
		return schema.Items.Value
	}
	for _, part := range partsOf(schema) {
		if items := itemsOf(part); items != nil {
			return items
		}
	}
	return nil
}

func partsOf(schema *openapi3.Schema) (parts []*openapi3.Schema) {
	for _, ref := range slices.Concat(schema.AllOf, schema.OneOf, schema.AnyOf) {
		if ref.Value != nil {
			parts = append(parts, ref.Value)
		}
	}
	return parts
}
