package server

import (
	"context"
	"errors"
	"io"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gatewayv1 "payments.internal/klarna-gateway/gen/gateway/v1"
)

// reportPath serves reports as files, where the generated handlers would wrap them in JSON.
const reportPath = "/v1/settlements/reports/{report}"

// registerReports adds the report path to the generated ones. It calls DownloadReport like any other client, so that
// every check there holds here too.
func registerReports(mux *runtime.ServeMux, conn *grpc.ClientConn) error {
	client := gatewayv1.NewSettlementServiceClient(conn)
	return mux.HandlePath(http.MethodGet, reportPath, func(w http.ResponseWriter, r *http.Request, path map[string]string) {
		ctx, cancel := context.WithCancel(r.Context()) // ends the download when nobody takes it any more
		defer cancel()
		first, rest, err := openReport(ctx, mux, client, r, path["report"])
		if err != nil {
			_, marshaler := runtime.MarshalerForRequest(mux, r)
			runtime.HTTPError(ctx, mux, marshaler, w, r, err)
			return
		}
		w.Header().Set("Content-Type", first.GetContentType())
		w.Header().Set("X-Content-Type-Options", "nosniff")
		copyReport(w, first, rest)
	})
}

type reportStream = grpc.ServerStreamingClient[gatewayv1.DownloadReportResponse]

// openReport calls DownloadReport and waits for the first piece: until then an error is an answer of its own.
func openReport(ctx context.Context, mux *runtime.ServeMux, client gatewayv1.SettlementServiceClient, r *http.Request, name string) (first *gatewayv1.DownloadReportResponse, rest reportStream, err error) {
	ctx, err = runtime.AnnotateContext(ctx, mux, r, gatewayv1.SettlementService_DownloadReport_FullMethodName, runtime.WithHTTPPathPattern(reportPath))
	if err != nil {
		return nil, nil, err
	}
	req := &gatewayv1.DownloadReportRequest{}
	if err := runtime.PopulateQueryParameters(req, r.URL.Query(), utilities.NewDoubleArray(nil)); err != nil {
		return nil, nil, status.Error(codes.InvalidArgument, err.Error())
	}
	req.Report = reportFromName(name)
	if rest, err = client.DownloadReport(ctx, req); err != nil {
		return nil, nil, err
	}
	first, err = rest.Recv()
	return first, rest, err
}

// reportFromName is UNSPECIFIED for a name that no report has; the server refuses that.
func reportFromName(name string) gatewayv1.Report {
	for report, klarnas := range reportNames {
		if string(klarnas) == name {
			return report
		}
	}
	return gatewayv1.Report_REPORT_UNSPECIFIED
}

// copyReport writes a report as it comes. One that breaks off breaks the connection: the status is sent already, and a
// cut file must not look whole.
func copyReport(w http.ResponseWriter, piece *gatewayv1.DownloadReportResponse, rest reportStream) {
	for {
		if _, err := w.Write(piece.GetData()); err != nil {
			return // the client is gone
		}
		var err error
		if piece, err = rest.Recv(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}
