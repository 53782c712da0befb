package server

import (
	"crypto/tls"
	"net"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// listenerCredentials is TLS for who comes from outside, and none for REST, which shares the gRPC server over memory.
func listenerCredentials(cfg *tls.Config) credentials.TransportCredentials {
	if cfg == nil {
		return insecure.NewCredentials()
	}
	return outerTLS{TransportCredentials: credentials.NewTLS(cfg), plain: insecure.NewCredentials()}
}

type outerTLS struct {
	credentials.TransportCredentials
	plain credentials.TransportCredentials
}

func (t outerTLS) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if inner(conn.RemoteAddr()) {
		return t.plain.ServerHandshake(conn)
	}
	return t.TransportCredentials.ServerHandshake(conn)
}

func (t outerTLS) Clone() credentials.TransportCredentials {
	return outerTLS{TransportCredentials: t.TransportCredentials.Clone(), plain: t.plain}
}
