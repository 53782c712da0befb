package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/encoding/protojson"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// Gateway is the API as REST: JSON over HTTP, carried to the same gRPC server over an in-memory connection, so that
// every check there holds here too.
type Gateway struct {
	handler http.Handler
	conn    *grpc.ClientConn
	serving sync.WaitGroup
}

// streamJSON is how responses are written: streams are newline-delimited JSON.
type streamJSON struct{ runtime.JSONPb }

// StreamContentType is the content type of streams.
func (streamJSON) StreamContentType(any) string { return "application/x-ndjson" }

// NewGateway returns the REST face of a server. Close it after its http.Server has shut down.
func (s *Server) NewGateway(ctx context.Context) (*Gateway, error) {
	const buffer = 256 << 10
	pipe := bufconn.Listen(buffer)
	conn, err := grpc.NewClient("passthrough:///gateway",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(messageLimit)),
	)
	if err != nil {
		return nil, fmt.Errorf("connect rest to grpc: %w", err)
	}
	useStrictQuery()
	var mux *runtime.ServeMux
	asJSON := runtime.JSONPb{
		MarshalOptions:   protojson.MarshalOptions{EmitUnpopulated: true},
		UnmarshalOptions: protojson.UnmarshalOptions{DiscardUnknown: false}, // a misspelt field must not be lost
	}
	mux = runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, &streamJSON{asJSON}),
		runtime.WithMarshalerOption(eventStreamType, &eventStream{asJSON}),
		runtime.WithDisablePathLengthFallback(),
		runtime.WithDisableHTTPMethodOverride(),
		runtime.WithHealthzEndpoint(healthv1.NewHealthClient(conn)),
		runtime.WithMetadata(carryCaller),
		runtime.WithErrorHandler(restError),
		runtime.WithRoutingErrorHandler(restRoutingError),
		runtime.WithMiddlewares(bodyAlone(func() *runtime.ServeMux { return mux })),
	)
	for _, register := range []func(context.Context, *runtime.ServeMux, *grpc.ClientConn) error{
		gatewayv1.RegisterPartnerServiceHandler, gatewayv1.RegisterPaymentServiceHandler, gatewayv1.RegisterOrderServiceHandler,
		gatewayv1.RegisterNetworkPaymentServiceHandler,
		gatewayv1.RegisterSettlementServiceHandler, gatewayv1.RegisterWatchServiceHandler,
		gatewayv1.RegisterOperatorServiceHandler,
	} {
		if err := register(ctx, mux, conn); err != nil {
			return nil, fmt.Errorf("register rest handlers: %w", err)
		}
	}
	if err := registerReports(mux, conn); err != nil {
		return nil, fmt.Errorf("register reports: %w", err)
	}
	root := http.NewServeMux()
	root.HandleFunc("GET /openapi.json", serveOpenAPI)
	root.Handle("/", s.watches(http.MaxBytesHandler(mux, messageLimit)))
	g := &Gateway{handler: s.cors.wrap(takeTicket(s.tracedREST(root))), conn: conn}
	g.serving.Go(func() { _ = s.Serve(pipe) })
	return g, nil
}

// ServeHTTP serves REST.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) { g.handler.ServeHTTP(w, r) }

// Close ends the in-memory connection, after the gRPC server has shut down.
func (g *Gateway) Close() error {
	err := g.conn.Close()
	g.serving.Wait()
	return err
}
