package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	statusv1 "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// methods lists every RPC of the API.
func methods() (all []protoreflect.MethodDescriptor) {
	protoregistry.GlobalFiles.RangeFilesByPackage("gateway.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for k := range service.Methods().Len() {
				all = append(all, service.Methods().Get(k))
			}
		}
		return true
	})
	return all
}

// methodOf is the RPC that takes a request.
func methodOf(t *testing.T, req proto.Message) protoreflect.MethodDescriptor {
	t.Helper()
	for _, m := range methods() {
		if m.Input().FullName() == req.ProtoReflect().Descriptor().FullName() {
			return m
		}
	}
	t.Fatalf("no RPC takes %T", req)
	return nil
}

func rpcPath(m protoreflect.MethodDescriptor) string {
	return "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
}

// overGRPC makes a call and returns its first response. Streams are given up after it.
func (f *face) overGRPC(req proto.Message, header ...string) (proto.Message, *status.Status) {
	f.t.Helper()
	m := methodOf(f.t, req)
	kind, err := protoregistry.GlobalTypes.FindMessageByName(m.Output().FullName())
	must(f.t, err)
	res := kind.New().Interface()
	ctx := metadata.AppendToOutgoingContext(f.t.Context(), header...)
	if !m.IsStreamingServer() {
		return res, status.Convert(f.conn.Invoke(ctx, rpcPath(m), req, res))
	}
	stream, err := f.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, rpcPath(m))
	must(f.t, err)
	must(f.t, stream.SendMsg(req))
	must(f.t, stream.CloseSend())
	return res, status.Convert(stream.RecvMsg(res))
}

// overREST makes the same call as its HTTP annotation says. Of streams only errors are read.
func (f *face) overREST(req proto.Message, header http.Header) (httpStatus int, body []byte, st *status.Status) {
	f.t.Helper()
	method, path, content := transcode(f.t, methodOf(f.t, req), req)
	res := f.do(method, path, content, header)
	if res.StatusCode == http.StatusOK && methodOf(f.t, req).IsStreamingServer() {
		return res.StatusCode, nil, status.New(codes.OK, "")
	}
	body, err := io.ReadAll(res.Body)
	must(f.t, err)
	if res.StatusCode == http.StatusOK {
		return res.StatusCode, body, status.New(codes.OK, "")
	}
	return res.StatusCode, body, statusOf(f.t, body)
}

// statusOf reads the body of a REST error. Those of watches stand under "error", before the first event as behind it.
func statusOf(t *testing.T, body []byte) *status.Status {
	t.Helper()
	var (
		st      statusv1.Status
		wrapped struct{ Error json.RawMessage }
	)
	if json.Unmarshal(body, &wrapped) == nil && wrapped.Error != nil {
		body = wrapped.Error
	}
	if err := protojson.Unmarshal(body, &st); err != nil {
		t.Fatalf("the error is no google.rpc.Status: %v\n%s", err, body)
	}
	return status.FromProto(&st)
}

// annotated is the HTTP annotation of an RPC, empty if it has none; whole says that the request is the body.
func annotated(m protoreflect.MethodDescriptor) (method, path string, whole bool) {
	rule := proto.GetExtension(m.Options(), annotations.E_Http).(*annotations.HttpRule)
	switch pattern := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		method, path = http.MethodGet, pattern.Get
	case *annotations.HttpRule_Post:
		method, path = http.MethodPost, pattern.Post
	case *annotations.HttpRule_Patch:
		method, path = http.MethodPatch, pattern.Patch
	}
	return method, path, rule.GetBody() == "*"
}

// transcode is the HTTP form of a call.
func transcode(t *testing.T, m protoreflect.MethodDescriptor, req proto.Message) (method, path string, body io.Reader) {
	t.Helper()
	method, path, whole := annotated(m)
	encoded, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(req)
	must(t, err)
	fields := map[string]any{}
	must(t, json.Unmarshal(encoded, &fields))
	for name := range fields {
		if holder := "{" + name + "}"; strings.Contains(path, holder) {
			path = strings.ReplaceAll(path, holder, url.PathEscape(fmt.Sprint(fields[name])))
			delete(fields, name)
		}
	}
	path = strings.NewReplacer("{", "", "}", "").Replace(path) // ids that are not set
	if whole {
		encoded, err := json.Marshal(fields)
		must(t, err)
		return method, path, bytes.NewReader(encoded)
	}
	query := url.Values{}
	for name, value := range fields {
		list, many := value.([]any)
		if !many {
			list = []any{value}
		}
		for _, item := range list {
			query.Add(name, fmt.Sprint(item))
		}
	}
	return method, path + "?" + query.Encode(), nil
}

// violations are the fields and descriptions of the BadRequest of a status.
func violations(st *status.Status) map[string]string {
	found := map[string]string{}
	for _, detail := range st.Details() {
		if bad, ok := detail.(*errdetails.BadRequest); ok {
			for _, v := range bad.GetFieldViolations() {
				found[v.GetField()] = v.GetDescription()
			}
		}
	}
	return found
}
