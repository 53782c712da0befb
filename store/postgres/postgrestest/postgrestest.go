// Package postgrestest gives tests a PostgreSQL: the server that GATEWAY_TEST_POSTGRES names (a URL of a role that may
// create schemas), or one of its own that it starts for the test process when a server is installed.
package postgrestest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// variable names the server to use, as a URL.
const variable = "GATEWAY_TEST_POSTGRES"

// patience bounds every wait for the server.
const patience = 60 * time.Second

// shared is the server that all tests of this process use.
var shared struct {
	once   sync.Once
	server *Server
	url    string
	err    error
}

// ErrMissing says that there is no server to test with.
var ErrMissing = errors.New("PostgreSQL is not installed, and " + variable + " names none")

// Tests are the tests of a package, for its TestMain: a server that they have started ends with them.
type Tests struct {
	*testing.M
	// Look gets to see all that each schema holds before it is dropped, and what the servers have logged; nil if nobody
	// looks. where says what it is.
	Look func(where string, content []byte)
}

// Run runs them.
func (t Tests) Run() int {
	look = t.Look
	defer func() {
		if shared.server != nil {
			shared.server.Stop()
		}
	}()
	return t.M.Run()
}

// URL gives a fresh, empty schema, which is dropped when the test is over; making a database would take ten times as long.
// Without a server the test is skipped; where CI is set it fails.
func URL(t testing.TB) string {
	t.Helper()
	shared.once.Do(func() {
		if shared.url = os.Getenv(variable); shared.url != "" {
			return
		}
		if shared.server, shared.err = start(); shared.err == nil {
			shared.url = shared.server.URL()
		}
	})
	missing(t, shared.err)
	return schema(t, shared.url)
}

func missing(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, ErrMissing) && os.Getenv("CI") == "" {
		t.Skipf("skipped: %v", err)
	}
	if err != nil {
		t.Fatalf("PostgreSQL for tests: %v", err)
	}
}

// schema makes a schema on a server, and returns the URL by which it is the only one.
func schema(t testing.TB, server string) string {
	t.Helper()
	name := "test_" + strings.ToLower(rand.Text())
	run(t, server, `CREATE SCHEMA `+name)
	t.Cleanup(func() {
		if look != nil {
			lookThrough(t, server, name)
		}
		run(t, server, `DROP SCHEMA `+name+` CASCADE`)
	})
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("%s is not a URL", variable)
	}
	query := u.Query()
	query.Set("search_path", name)
	u.RawQuery = query.Encode()
	return u.String()
}

func run(t testing.TB, server, statement string) {
	t.Helper()
	connected(t, server, func(ctx context.Context, conn *pgx.Conn) {
		if _, err := conn.Exec(ctx, statement); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	})
}

func connected(t testing.TB, server string, do func(context.Context, *pgx.Conn)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatalf("connect to PostgreSQL: %v", err)
	}
	defer conn.Close(ctx)
	do(ctx, conn)
}

// bin finds the folder of the server's programs, which Debian keeps off the PATH.
func bin() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		found = append(found, filepath.Dir(path))
	}
	slices.SortFunc(found, func(a, b string) int { return len(a) - len(b) }) // 9.6 before 15
	for _, dir := range slices.Backward(found) {
		if _, err := os.Stat(filepath.Join(dir, "postgres")); err == nil {
			return dir, nil
		}
	}
	return "", ErrMissing
}

// Durable starts a server that waits for the disk, as one in use does.
func Durable() (*Server, error) { return start("-c", "fsync=on") }

// Private starts a server for one test, which may stop and start it. It waits for the disk.
func Private(t testing.TB) *Server {
	t.Helper()
	s, err := Durable()
	missing(t, err)
	t.Cleanup(s.Stop)
	return s
}

// URL of the server.
func (s *Server) URL() string {
	return fmt.Sprintf("postgres://postgres@localhost:%d/postgres?host=%s", s.port, url.QueryEscape(s.dir))
}

// Schema makes a schema on the server, as URL does.
func (s *Server) Schema(t testing.TB) string {
	t.Helper()
	return schema(t, s.URL())
}
