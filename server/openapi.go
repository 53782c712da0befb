package server

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	gateway "payments.internal/klarna-gateway"
)

// describedREST is the description of the REST API as it is served: the generated one, with a short summary and the whole
// comment of each operation, and with the reports, which are served as files by a handler of their own.
var describedREST = sync.OnceValue(func() []byte {
	var document map[string]any
	if json.Unmarshal(gateway.OpenAPI, &document) != nil {
		return gateway.OpenAPI
	}
	paths, _ := document["paths"].(map[string]any)
	for _, item := range paths {
		operations, _ := item.(map[string]any)
		for _, operation := range operations {
			if o, is := operation.(map[string]any); is {
				summarize(o)
			}
		}
	}
	if paths != nil {
		paths[reportPath] = map[string]any{"get": reportOperation()}
	}
	document["securityDefinitions"] = map[string]any{
		"bearer": map[string]any{"type": "apiKey", "name": "Authorization", "in": "header", "description": "Bearer and a token of the configuration."},
	}
	document["security"] = []any{map[string]any{"bearer": []any{}}}
	encoded, err := json.Marshal(document)
	if err != nil {
		return gateway.OpenAPI
	}
	return encoded
})

// summarize takes the first sentence of an operation's comment for its summary, and all of it for its description.
func summarize(operation map[string]any) {
	whole, _ := operation["summary"].(string)
	if more, _ := operation["description"].(string); more != "" {
		whole += "\n\n" + more
	}
	first, _, _ := strings.Cut(strings.ReplaceAll(whole, "\n", " "), ". ")
	operation["summary"], operation["description"] = strings.TrimSuffix(first, "."), whole
}

// reportOperation describes what registerReports serves.
func reportOperation() map[string]any {
	text := func(name, in, format, description string) map[string]any {
		p := map[string]any{"name": name, "in": in, "required": in == "path", "type": "string", "description": description}
		if format != "" {
			p["format"] = format
		}
		return p
	}
	failed := map[string]any{"description": "An unexpected error response.", "schema": map[string]any{"$ref": "#/definitions/googleRpcStatus"}}
	report := text("report", "path", "", "Which report.")
	report["enum"] = slices.Sorted(maps.Values(reportNames))
	return map[string]any{
		"operationId": "SettlementService_DownloadReport",
		"summary":     "DownloadReport gives a report as a file, byte for byte as Klarna sends it",
		"description": "The content type is Klarna's. What breaks off on the way ends the connection, so that it does not look whole.",
		"tags":        []any{"SettlementService"},
		"produces":    []any{"text/csv", "application/pdf", "application/json"},
		"parameters": []any{
			report,
			text("merchantAccount", "query", "", "Merchant account; empty means the configured default."),
			text("paymentReference", "query", "", "Payout, for a payout's report."),
			text("startTime", "query", "date-time", "Start of the time, for a summary."),
			text("endTime", "query", "date-time", "End of the time, for a summary."),
		},
		"responses": map[string]any{
			"200":     map[string]any{"description": "The report.", "schema": map[string]any{"type": "file"}},
			"default": failed,
		},
	}
}

func serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(describedREST()) // the client is gone if this fails
}
