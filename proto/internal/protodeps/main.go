// Command protodeps writes the annotation protos that the API imports into a folder, rendered from the descriptors
// of the very Go modules the generated code links. So no third-party proto is committed, none is downloaded apart
// from the Go modules, and the two cannot drift apart. Comments are lost on the way; nothing generated needs them.
//
// Usage: go run ./proto/internal/protodeps FOLDER
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	_ "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	_ "github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-openapiv2/options"
	"github.com/jhump/protoreflect/v2/protoprint"
	_ "google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: protodeps FOLDER")
		os.Exit(2)
	}
	if err := render(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "protodeps:", err)
		os.Exit(1)
	}
}

func render(folder string) error {
	printer := &protoprint.Printer{}
	var failed error
	protoregistry.GlobalFiles.RangeFiles(func(fd protoreflect.FileDescriptor) bool {
		if strings.HasPrefix(fd.Path(), "google/protobuf/") { // built into buf
			return true
		}
		failed = write(printer, fd, filepath.Join(folder, filepath.FromSlash(fd.Path())))
		return failed == nil
	})
	return failed
}

func write(printer *protoprint.Printer, fd protoreflect.FileDescriptor, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := printer.PrintProtoFile(fd, f); err != nil {
		f.Close()
		return fmt.Errorf("render %s: %w", fd.Path(), err)
	}
	return f.Close()
}
