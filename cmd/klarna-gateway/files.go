package main

import (
	"log/slog"
	"net"
	"sync"
	"syscall"
)

// Each connection takes a file descriptor: one for all calls and watches of a gRPC client, one for each watch over REST.
// Callers get no more than leave enough for Klarna's posts, the calls to Klarna and the database: without those, watchers
// would keep out what they watch for. Go raises the limit to the hard one by itself, so that is what counts.
const (
	filesKept    = 512 // for all but callers; half of them all if there are fewer than twice as many
	fewFiles     = 4096
	advisedFiles = 65536
	mostCallers  = 1 << 20
)

// callerRoom is the room for callers' connections. It warns where there is little.
func callerRoom(log *slog.Logger) room {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return make(room, mostCallers)
	}
	files := int(min(uint64(limit.Cur), mostCallers))
	callers := files - min(files/2, filesKept)
	if files < fewFiles {
		log.Warn("few files may be open at a time; further connections of callers will wait", "limit", files, "for_callers", callers, "advised", advisedFiles)
	}
	return make(room, callers)
}

// room bounds the connections of the listeners that share it. Who finds none waits until one is closed.
type room chan struct{}

func (r room) listener(l net.Listener) net.Listener {
	return &roomListener{Listener: l, room: r, closed: make(chan struct{})}
}

type roomListener struct {
	net.Listener
	room   room
	closed chan struct{}
	close  sync.Once
}

// Accept implements net.Listener.
func (l *roomListener) Accept() (net.Conn, error) {
	select {
	case l.room <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.room
		return nil, err
	}
	return &roomConn{Conn: conn, leave: sync.OnceFunc(func() { <-l.room })}, nil
}

// Close implements net.Listener.
func (l *roomListener) Close() error {
	l.close.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type roomConn struct {
	net.Conn
	leave func()
}

// Close implements net.Conn.
func (c *roomConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
