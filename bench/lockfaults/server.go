package main

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"kiosk/internal/pg/pgdev"
)

// server is a private, durable PostgreSQL that listens on the loopback interface,
// as the faults of a network need it, behind a random password.
type server struct {
	dir      string
	bin      string
	port     int
	password string
	settings []string // -c
	env      []string
	account  *syscall.Credential // nil: our own
	process  *process
}

// startServer makes and starts a server in a folder of its own.
func startServer(ctx context.Context, env []string, settings ...string) (*server, error) {
	bin, err := pgdev.FindBinaries()
	if err != nil {
		return nil, err
	}
	s := &server{bin: bin, password: strings.ToLower(rand.Text()), settings: settings, env: env}
	if s.dir, err = os.MkdirTemp("", "lockfaults-"); err != nil {
		return nil, fmt.Errorf("make a folder for the server: %w", err)
	}
	if err := s.initialise(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// initialise makes the cluster. As root the server runs as the account postgres.
func (s *server) initialise() error {
	if os.Geteuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			return fmt.Errorf("postgres refuses to run as root: %w; run as an ordinary user", err)
		}
		uid, _ := strconv.Atoi(u.Uid)                                       // numbers on every system with a root
		gid, _ := strconv.Atoi(u.Gid)                                       // the same
		s.account = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)} //nolint:gosec // ids are small
		if err := os.Chown(s.dir, uid, gid); err != nil {
			return err
		}
	}
	secret := filepath.Join(s.dir, "password")
	if err := os.WriteFile(secret, []byte(s.password), 0o600); err != nil {
		return err
	}
	if s.account != nil {
		if err := os.Chown(secret, int(s.account.Uid), int(s.account.Gid)); err != nil {
			return err
		}
	}
	// md5 costs a connection next to nothing, and guards a random password for minutes.
	out, err := s.command("initdb", "-D", s.data(), "-U", "postgres", "-A", "md5", "--pwfile", secret,
		"-E", "UTF8", "--locale", "C", "--no-sync", "-c", "password_encryption=md5").CombinedOutput()
	if err != nil { // -c is of version 16
		_ = os.RemoveAll(s.data())
		out, err = s.command("initdb", "-D", s.data(), "-U", "postgres", "-A", "md5", "--pwfile", secret,
			"-E", "UTF8", "--locale", "C", "--no-sync").CombinedOutput()
	}
	if err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return nil
}

func (s *server) data() string { return filepath.Join(s.dir, "data") }

func (s *server) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, program), args...) //nolint:gosec,noctx // programs of ours, ended by signals
	cmd.Dir = "/"
	cmd.Env = append([]string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}, s.env...)
	cmd.SysProcAttr = attributes(syscall.SIGQUIT)
	cmd.SysProcAttr.Credential = s.account
	return cmd
}

// start runs the server and waits until it answers. It listens on the same port
// as before, if there was one.
func (s *server) start(ctx context.Context) error {
	if s.port == 0 {
		var err error
		if s.port, err = freePort(); err != nil {
			return err
		}
	}
	args := []string{"-D", s.data(), "-k", s.dir, "-h", "127.0.0.1", "-p", strconv.Itoa(s.port)}
	// A fast shutdown waits for whoever is cut off while it logs in: not for a minute.
	common := []string{"timezone=UTC", "log_timezone=UTC", "authentication_timeout=3s"}
	for _, setting := range append(common, s.settings...) {
		args = append(args, "-c", setting)
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := s.command("postgres", args...)
	cmd.Stdout, cmd.Stderr = log, log
	if s.process, err = launch(cmd); err != nil {
		return err
	}
	return s.waitReady(ctx)
}

func (s *server) waitReady(ctx context.Context) error {
	for {
		conn, err := pgx.Connect(ctx, s.url("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		if !s.process.running() {
			log, _ := os.ReadFile(filepath.Join(s.dir, "log")) // for the message only
			return fmt.Errorf("postgres ended: %s", log[max(0, len(log)-2000):])
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return fmt.Errorf("wait for postgres: %w", err)
		}
	}
}

// restart ends the server, SIGINT being fast and SIGQUIT immediate, and starts it
// again. It returns when the signal was sent and when connections were possible.
func (s *server) restart(ctx context.Context, how syscall.Signal) (signalled, up int64, err error) {
	signalled = now()
	s.process.signal(how)
	select {
	case <-s.process.exited:
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	}
	err = s.start(ctx)
	return signalled, now(), err
}

func (s *server) url(database string) string {
	return fmt.Sprintf("postgres://postgres:%s@127.0.0.1:%d/%s?sslmode=disable", s.password, s.port, database)
}

// close ends the server and removes its folder.
func (s *server) close() error {
	if s.process != nil {
		s.process.signal(syscall.SIGINT)
		select {
		case <-s.process.exited:
		case <-time.After(20 * time.Second):
			s.process.signal(syscall.SIGQUIT)
			<-s.process.exited
		}
	}
	return os.RemoveAll(s.dir)
}

// listen takes any free port of the loopback interface.
func listen() (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
}

func freePort() (int, error) {
	l, err := listen()
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// pause waits, or returns why it could not.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
