package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// remote is how a command reaches a gateway and who it is there. Each field is a flag, and a variable of the
// environment; the token is none of the first, for everybody on a machine sees its command lines.
type remote struct {
	address, tls, caFile, certFile, keyFile, serverName, tokenFile string
	timeout                                                        time.Duration
	merchantAccount                                                string
	output                                                         *string
}

const remoteHelp = `
The gateway is found at -address, and told who calls by a bearer token (-token-file FILE, or the variable
KLARNA_OPERATOR_TOKEN) or a client certificate. Each flag of the connection has a variable: KLARNA_OPERATOR_ADDRESS, _TLS,
_CA_FILE, _CERT_FILE, _KEY_FILE, _SERVER_NAME, _TOKEN_FILE and _MERCHANT_ACCOUNT.`

// remoteCommand is a command that calls a gateway.
func remoteCommand(use, short string, args cobra.PositionalArgs, run func(*call, []string) error) (*cobra.Command, *remote) {
	c := &cobra.Command{Use: use, Short: short, Long: strings.ToUpper(short[:1]) + short[1:] + ".\n" + remoteHelp, Args: args}
	r := &remote{}
	env := func(name, otherwise string) string { return orDefault(os.Getenv("KLARNA_OPERATOR_"+name), otherwise) }
	f := c.Flags()
	f.StringVar(&r.address, "address", env("ADDRESS", "127.0.0.1:9090"), "`address` of the gateway's gRPC")
	r.tls = env("TLS", "auto")
	f.Var(oneOf{&r.tls, []string{"auto", "on", "off"}}, "tls", "auto: on, but for loopback addresses without certificates")
	f.StringVar(&r.caFile, "ca-file", env("CA_FILE", ""), "`file` of the authorities that the gateway's certificate is checked with; else the system's")
	f.StringVar(&r.certFile, "cert-file", env("CERT_FILE", ""), "`file` of the client certificate")
	f.StringVar(&r.keyFile, "key-file", env("KEY_FILE", ""), "`file` of its key")
	f.StringVar(&r.serverName, "server-name", env("SERVER_NAME", ""), "`name` in the gateway's certificate, where it is not that of the address")
	f.StringVar(&r.tokenFile, "token-file", env("TOKEN_FILE", ""), "`file` of the bearer token; - for standard input")
	f.DurationVar(&r.timeout, "timeout", 30*time.Second, "how long a call may take")
	for _, name := range []string{"address", "tls", "ca-file", "cert-file", "key-file", "server-name", "token-file", "timeout"} {
		_ = f.SetAnnotation(name, connection, []string{}) // fails only for a flag that is not there
	}
	f.StringVarP(&r.merchantAccount, "merchant-account", "m", env("MERCHANT_ACCOUNT", ""), "merchant `account`; empty for the default or, where that is possible, all")
	r.output = wordFlag(c, f, "output", "o", "table", "how to print", "table", "json")
	_ = c.RegisterFlagCompletionFunc("tls", cobra.FixedCompletions([]string{"auto", "on", "off"}, cobra.ShellCompDirectiveNoFileComp))
	c.RunE = func(c *cobra.Command, args []string) error {
		conn, err := r.dial(c)
		if err != nil {
			return err
		}
		defer conn.Close()
		return r.hinted(run(&call{Command: c, remote: r, conn: conn, printer: printer{c.OutOrStdout(), *r.output == "json"}}, args))
	}
	return c, r
}

// hinted is an error as people can read it, with what to do about one that is the connection's.
func (r *remote) hinted(err error) error {
	readable := told(err)
	switch {
	case status.Code(err) == codes.Unavailable && strings.Contains(err.Error(), "connection error"):
		return fmt.Errorf("%w\n  does a gateway listen at %s? -address or KLARNA_OPERATOR_ADDRESS names another; \"klarna-gateway dev\" starts one to try", readable, r.address)
	case status.Code(err) == codes.Unauthenticated:
		return fmt.Errorf("%w\n  -token-file FILE or KLARNA_OPERATOR_TOKEN has a bearer token, -cert-file and -key-file a client certificate", readable)
	}
	return readable
}

// call is one run of a command that calls a gateway.
type call struct {
	*cobra.Command
	*remote
	printer
	conn *grpc.ClientConn
}

// in is the context of one call.
func (c *call) in() (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.Context(), c.timeout)
}

func (r *remote) dial(c *cobra.Command) (*grpc.ClientConn, error) {
	secure, err := r.secure()
	if err != nil {
		return nil, err
	}
	options := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithUserAgent("klarna-gateway-cli/" + version())}
	if secure != nil {
		options[0] = grpc.WithTransportCredentials(credentials.NewTLS(secure))
	}
	token, err := r.token(c)
	if err != nil {
		return nil, err
	}
	if token != "" {
		if secure == nil && !loopback(r.address) {
			return nil, fmt.Errorf("-tls off: a token is not sent in clear to %s", r.address)
		}
		options = append(options, grpc.WithPerRPCCredentials(bearer(token)))
	}
	conn, err := grpc.NewClient(r.address, options...)
	if err != nil {
		return nil, fmt.Errorf("-address: %w", err)
	}
	return conn, nil
}

// secure is the TLS of the connection, nil for none.
func (r *remote) secure() (*tls.Config, error) {
	files := r.caFile != "" || r.certFile != "" || r.keyFile != ""
	switch {
	case r.tls == "off" && files:
		return nil, errors.New("-tls off: certificates have no use then")
	case r.tls == "off", r.tls == "auto" && loopback(r.address) && !files:
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: r.serverName}
	if r.caFile != "" {
		pem, err := os.ReadFile(r.caFile)
		if err != nil {
			return nil, fmt.Errorf("-ca-file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("-ca-file: %s holds no certificate", r.caFile)
		}
	}
	if r.certFile != "" || r.keyFile != "" {
		pair, err := tls.LoadX509KeyPair(r.certFile, r.keyFile)
		if err != nil {
			return nil, fmt.Errorf("-cert-file, -key-file: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

func (r *remote) token(c *cobra.Command) (string, error) {
	if r.tokenFile == "" {
		return os.Getenv("KLARNA_OPERATOR_TOKEN"), nil
	}
	token, err := secretInput(c, r.tokenFile)
	if err != nil {
		return "", fmt.Errorf("-token-file: %w", err)
	}
	return token, nil
}

// bearer sends a token with every call.
type bearer string

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials: dial has decided.
func (b bearer) RequireTransportSecurity() bool { return false }

// told makes a gateway's error readable: its code and reason, and every field that it complains about.
func told(err error) error {
	st, of := status.FromError(err)
	if err == nil || !of {
		return err
	}
	var text strings.Builder
	text.WriteString(st.Code().String())
	for _, detail := range st.Details() {
		if info, is := detail.(*errdetails.ErrorInfo); is {
			fmt.Fprintf(&text, " (%s)", strings.TrimPrefix(info.GetReason(), "ERROR_REASON_"))
		}
	}
	fmt.Fprintf(&text, ": %s", st.Message())
	for _, detail := range st.Details() {
		switch detail := detail.(type) {
		case *errdetails.BadRequest:
			for _, v := range detail.GetFieldViolations() {
				fmt.Fprintf(&text, "\n  %s", strings.TrimPrefix(v.GetField()+": "+v.GetDescription(), ": "))
			}
		case *errdetails.RetryInfo:
			fmt.Fprintf(&text, "\n  try again in %s", detail.GetRetryDelay().AsDuration())
		}
	}
	return errors.New(printable(text.String()))
}

// writeCommand is a command that changes something. It has a request id, which is said when it is not known whether the
// gateway did what it was asked.
func writeCommand(use, short string, args cobra.PositionalArgs, run func(c *call, args []string, requestID string) error) (*cobra.Command, *remote) {
	var id string
	c, r := remoteCommand(use, short, args, func(c *call, args []string) error {
		if id == "" {
			id = uuid.NewString()
		}
		err := run(c, args, id)
		switch status.Code(err) {
		case codes.Unavailable, codes.DeadlineExceeded, codes.Unknown, codes.Internal, codes.Canceled, codes.Aborted:
			return fmt.Errorf("%w\n  it may have been done: repeat it with -request-id %s, which has no second effect", told(err), id)
		}
		return err
	})
	c.Flags().StringVar(&id, "request-id", "", "`UUID` of the request; a repeat under it has no second effect")
	return c, r
}
