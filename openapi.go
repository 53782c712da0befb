// Package gateway holds what the binary carries of the project's own documents.
package gateway

import _ "embed"

// OpenAPI is the description of the REST API, Swagger 2.0, generated from the protos.
//
//go:embed gen/openapi/api.swagger.json
var OpenAPI []byte
