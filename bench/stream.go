package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// The bare stream: grpc-go and nothing else. It sends bytes that are there already.
const (
	bareWatch   = "/bench.Bare/Watch"   // a message for every event
	bareBacklog = "/bench.Bare/Backlog" // as many messages as asked for, at once
)

// raw sends bytes as they are, and of what it gets it tells the length alone: neither side of a comparison pays for
// reading messages.
type raw struct{ encoding.CodecV2 }

func newRaw() raw { return raw{encoding.GetCodecV2(protocodec.Name)} }

func (c raw) Marshal(v any) (mem.BufferSlice, error) {
	if b, ok := v.([]byte); ok {
		return mem.BufferSlice{mem.SliceBuffer(b)}, nil
	}
	return c.CodecV2.Marshal(v)
}

func (c raw) Unmarshal(data mem.BufferSlice, v any) error {
	switch v := v.(type) {
	case *int:
		*v = data.Len()
		return nil
	case *[]byte:
		*v = data.Materialize()
		return nil
	}
	return c.CodecV2.Unmarshal(data, v)
}

// bare serves streams. An event is a number that grows; whoever waits for it is woken by a channel that closes.
type bare struct {
	message []byte

	mu    sync.Mutex
	event int64
	bell  chan struct{}
}

// serveStream takes the size of a message. It returns two addresses: of gRPC, and of HTTP, where a post is an event.
func serveStream(argument string) (string, error) {
	size, err := strconv.Atoi(argument)
	if err != nil {
		return "", err
	}
	s := &bare{message: make([]byte, size), bell: make(chan struct{})}
	streams, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	events, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	g := grpc.NewServer(grpc.ForceServerCodecV2(newRaw()))
	g.RegisterService(&grpc.ServiceDesc{
		ServiceName: "bench.Bare", HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{
			{StreamName: "Watch", ServerStreams: true, Handler: func(_ any, stream grpc.ServerStream) error { return s.watch(stream) }},
			{StreamName: "Backlog", ServerStreams: true, Handler: func(_ any, stream grpc.ServerStream) error { return s.backlog(stream) }},
		},
	}, s)
	go func() { _ = g.Serve(streams) }()
	server := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { s.ring() }), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = server.Serve(events) }()
	return streams.Addr().String() + " " + events.Addr().String(), nil
}

func (s *bare) ring() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.event++
	close(s.bell)
	s.bell = make(chan struct{})
}

func (s *bare) now() (event int64, bell chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.event, s.bell
}

func (s *bare) watch(stream grpc.ServerStream) error {
	var request []byte
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	seen, bell := s.now()
	if err := stream.SendMsg([]byte("open")); err != nil {
		return err
	}
	for {
		select {
		case <-bell:
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
		var event int64
		for event, bell = s.now(); seen < event; seen++ {
			if err := stream.SendMsg(s.message); err != nil {
				return err
			}
		}
	}
}

func (s *bare) backlog(stream grpc.ServerStream) error {
	var request []byte
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	n, err := strconv.Atoi(string(request))
	if err != nil {
		return err
	}
	if err := stream.SendMsg([]byte("open")); err != nil {
		return err
	}
	for range n {
		if err := stream.SendMsg(s.message); err != nil {
			return err
		}
	}
	return nil
}

// eventSize is from where on a message is an event: bookmarks are smaller.
const eventSize = 250

// crowd is many open streams that count what they get.
type crowd struct {
	events atomic.Int64
	size   atomic.Int64 // of an event
	failed atomic.Pointer[error]
	lines  lines
	stop   context.CancelFunc
	open   sync.WaitGroup
}

// gather opens streams and returns when each has got its first message.
func gather(ctx context.Context, address, method string, request any, streams int) (*crowd, error) {
	ctx, stop := context.WithCancel(known(ctx))
	c := &crowd{stop: stop}
	var err error
	if c.lines, err = dial(address, max(1, streams/100), grpc.WithDefaultCallOptions(grpc.ForceCodecV2(newRaw()))); err != nil {
		return nil, err
	}
	opened := make(chan error, streams)
	atATime := make(chan struct{}, 64)
	for i := range streams {
		atATime <- struct{}{}
		c.open.Go(func() {
			var stream grpc.ClientStream
			stream, err := openStream(ctx, c.lines.to(i), method, request)
			<-atATime
			opened <- err
			if err == nil {
				c.count(ctx, stream)
			}
		})
	}
	for range streams {
		if err := <-opened; err != nil {
			c.close()
			return nil, fmt.Errorf("open a stream: %w", err)
		}
	}
	return c, nil
}

// openStream returns once the first message is there.
func openStream(ctx context.Context, conn *grpc.ClientConn, method string, request any) (grpc.ClientStream, error) {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
	if err != nil {
		return nil, err
	}
	if err := stream.SendMsg(request); err != nil {
		return nil, err
	}
	if err := stream.CloseSend(); err != nil {
		return nil, err
	}
	var size int
	return stream, stream.RecvMsg(&size)
}

func (c *crowd) count(ctx context.Context, stream grpc.ClientStream) {
	size := new(int)
	for {
		if err := stream.RecvMsg(size); err != nil {
			if ctx.Err() == nil {
				c.failed.CompareAndSwap(nil, &err)
			}
			return
		}
		if *size >= eventSize {
			c.size.Store(int64(*size))
			c.events.Add(1)
		}
	}
}

// wait waits until the crowd has got so many events.
func (c *crowd) wait(ctx context.Context, events int64) error {
	for deadline := time.Now().Add(patience); c.events.Load() < events; {
		if failed := c.failed.Load(); failed != nil {
			return fmt.Errorf("a stream ended: %w", *failed)
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return fmt.Errorf("%d of %d events came", c.events.Load(), events)
		}
		time.Sleep(200 * time.Microsecond)
	}
	return nil
}

func (c *crowd) close() {
	c.stop()
	c.open.Wait()
	c.lines.close()
}
