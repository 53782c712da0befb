package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a PostgreSQL in a folder of its own, reached by a socket in it and on loopback.
type Server struct {
	dir   string // of the socket; the data is in a folder below
	bin   string
	args  []string
	port  int
	as    *syscall.SysProcAttr
	cmd   *exec.Cmd
	ended chan struct{}
}

// start makes a server and starts it. Its settings are quick instead of safe, unless args say otherwise.
func start(args ...string) (*Server, error) {
	programs, err := bin()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pg") // short: a socket's path holds 107 bytes
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, bin: programs, as: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGQUIT}}
	s.args = append([]string{
		"-D", s.data(), "-k", dir, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off", "-c", "shared_buffers=32MB",
		"-c", "max_connections=200",
	}, args...)
	if err := s.make(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := s.Start(); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// make makes the cluster. PostgreSQL refuses to be run by root: then it is user postgres who runs it.
func (s *Server) make() error {
	if os.Getuid() == 0 {
		owner, err := user.Lookup("postgres")
		if err != nil {
			return fmt.Errorf("PostgreSQL does not run as root: %w", err)
		}
		uid, _ := strconv.Atoi(owner.Uid)
		gid, _ := strconv.Atoi(owner.Gid)
		s.as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(s.dir, uid, gid); err != nil {
			return err
		}
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.port = free.Addr().(*net.TCPAddr).Port
	if err := free.Close(); err != nil {
		return err
	}
	initdb := s.program("initdb", "-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
	if said, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, said)
	}
	return nil
}

func (s *Server) program(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir, cmd.SysProcAttr = s.dir, s.as
	return cmd
}

// Start starts a server that was stopped, on the same data and the same port.
func (s *Server) Start() error {
	cmd := s.program("postgres", append(s.args, "-p", strconv.Itoa(s.port))...)
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	ended, started := make(chan struct{}), make(chan error)
	fate := make(chan struct{}) // closed to let go of the thread that the server's life hangs on
	s.cmd, s.ended = cmd, ended
	go func() { // the server gets Pdeathsig when the thread that started it ends
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			<-fate
		}
	}()
	if err := <-started; err != nil {
		close(ended)
		return err
	}
	go func() {
		_ = cmd.Wait()
		close(fate)
		close(ended)
	}()
	return s.ready()
}

// ready waits until the server answers.
func (s *Server) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.URL())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.ended:
			said, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			return fmt.Errorf("the server ended: %s", said)
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Kill ends the server as a power cut would. Start brings it back.
func (s *Server) Kill() { s.end(syscall.SIGQUIT) }

// Shut ends the server in good order. Start brings it back.
func (s *Server) Shut() { s.end(syscall.SIGINT) }

func (s *Server) end(signal syscall.Signal) {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Signal(signal)
		<-s.ended
	}
}

// Stop ends the server and removes its data.
func (s *Server) Stop() {
	s.end(syscall.SIGQUIT)
	if said, err := os.ReadFile(filepath.Join(s.dir, "log")); err == nil && look != nil {
		look("the log of PostgreSQL", said)
	}
	_ = os.RemoveAll(s.dir)
}

// Address is where the server listens on loopback.
func (s *Server) Address() string { return fmt.Sprintf("127.0.0.1:%d", s.port) }
