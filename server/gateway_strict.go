package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"sync"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// strictQuery refuses parameters that the request does not have. Ignored, a misspelt filter would show everything, and
// a misspelt merchant_account would be the default one.
type strictQuery struct{ runtime.DefaultQueryParser }

// useStrictQuery is for the whole process: grpc-gateway holds the parser in a global.
var useStrictQuery = sync.OnceFunc(func() { runtime.SetQueryParameterParser(&strictQuery{})(nil) })

// Parse implements runtime.QueryParameterParser.
func (p *strictQuery) Parse(msg proto.Message, values url.Values, filter *utilities.DoubleArray) error {
	fields := msg.ProtoReflect().Descriptor().Fields()
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if fields.ByName(protoreflect.Name(name)) == nil && fields.ByJSONName(name) == nil {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		return fmt.Errorf("unknown query parameters %q", unknown)
	}
	return p.DefaultQueryParser.Parse(msg, values, filter)
}

// bodyAlone refuses query parameters beside a body, which would be ignored.
func bodyAlone(mux func() *runtime.ServeMux) runtime.Middleware {
	return func(next runtime.HandlerFunc) runtime.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request, pathParams map[string]string) {
			if r.Method == http.MethodGet || r.URL.RawQuery == "" {
				next(w, r, pathParams)
				return
			}
			_, marshaler := runtime.MarshalerForRequest(mux(), r)
			restError(r.Context(), mux(), marshaler, w, r, status.Error(codes.InvalidArgument, "query parameters are not for this method; put the field into the body"))
		}
	}
}

// restError writes an error. Requests that could not be read never came to the gRPC server, so what an INVALID_ARGUMENT
// carries is added here.
func restError(ctx context.Context, mux *runtime.ServeMux, m runtime.Marshaler, w http.ResponseWriter, r *http.Request, err error) {
	var tooLarge *http.MaxBytesError
	_, unread := r.Body.Read(nil) // tells of the limit again once it was reached
	switch st := status.Convert(err); {
	case errors.As(unread, &tooLarge):
		err = &runtime.HTTPStatusError{
			HTTPStatus: http.StatusRequestEntityTooLarge,
			Err:        status.Errorf(codes.ResourceExhausted, "the body is larger than %d bytes", tooLarge.Limit),
		}
	case st.Code() == codes.InvalidArgument && len(st.Details()) == 0:
		err = reason(codes.InvalidArgument, gatewayv1.ErrorReason_ERROR_REASON_INVALID_FIELD, "the request cannot be read: "+unquoted(st.Message()))
	}
	runtime.DefaultHTTPErrorHandler(ctx, mux, m, w, r, err)
}

// quotes are the places where errors of decoders hold what they could not read, and what is left of them.
var quotes = []struct {
	value *regexp.Regexp
	left  string
}{
	{regexp.MustCompile(`(?s)(invalid value for string (?:field|type) ?\S*?):.*`), "$1"},
	{regexp.MustCompile(`(?s)(unexpected token) .*`), "$1"},
	{regexp.MustCompile(`(parsing) "[^"]*":`), "$1:"},           // strconv
	{regexp.MustCompile(`(unknown field) "[^a-z][^"]*"`), "$1"}, // not the name of a field
}

// unquoted is a decoder's error without the text that it quotes, which may be somebody's name. Numbers and words of enums stay.
func unquoted(text string) string {
	for _, q := range quotes {
		text = q.value.ReplaceAllString(text, q.left)
	}
	return text
}

// restRoutingError answers 405, not 501, where a path is known but not with this method.
func restRoutingError(ctx context.Context, mux *runtime.ServeMux, m runtime.Marshaler, w http.ResponseWriter, r *http.Request, httpStatus int) {
	if httpStatus == http.StatusMethodNotAllowed {
		err := status.Error(codes.Unimplemented, "this path is not served with method "+r.Method)
		restError(ctx, mux, m, w, r, &runtime.HTTPStatusError{HTTPStatus: httpStatus, Err: err})
		return
	}
	runtime.DefaultRoutingErrorHandler(ctx, mux, m, w, r, httpStatus)
}
