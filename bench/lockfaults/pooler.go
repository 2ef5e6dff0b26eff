package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// errNoPooler says that a scenario cannot run here.
var errNoPooler = errors.New("pgbouncer is not installed (apt-get install pgbouncer)")

// startPooler runs pgbouncer in transaction mode in front of a server.
func startPooler(ctx context.Context, s *server) (address string, stop func(), err error) {
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		if path = "/usr/sbin/pgbouncer"; !exists(path) {
			return "", nil, errNoPooler
		}
	}
	port, err := freePort()
	if err != nil {
		return "", nil, err
	}
	folder, err := os.MkdirTemp(s.dir, "pooler-")
	if err != nil {
		return "", nil, err
	}
	config := fmt.Sprintf(`[databases]
* = host=127.0.0.1 port=%d
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = md5
auth_file = %s/users
pool_mode = transaction
max_client_conn = 500
default_pool_size = 20
ignore_startup_parameters = extra_float_digits
`, s.port, port, folder)
	files := map[string]string{"config": config, "users": fmt.Sprintf("%q %q\n", "postgres", s.password)}
	for name, text := range files {
		if err := s.writeFile(filepath.Join(folder, name), text); err != nil {
			return "", nil, err
		}
	}
	if s.account != nil {
		if err := os.Chown(folder, int(s.account.Uid), int(s.account.Gid)); err != nil {
			return "", nil, err
		}
	}
	cmd := exec.Command(path, "-q", filepath.Join(folder, "config")) //nolint:gosec,noctx // a program of the system, ended by a signal
	cmd.Dir = "/"
	cmd.SysProcAttr = attributes(syscall.SIGTERM)
	cmd.SysProcAttr.Credential = s.account
	p, err := launch(cmd)
	if err != nil {
		return "", nil, err
	}
	stop = func() { p.signal(syscall.SIGKILL); <-p.exited }
	address = fmt.Sprintf("127.0.0.1:%d", port)
	if err := waitPooler(ctx, p, fmt.Sprintf("postgres://postgres:%s@%s/postgres?sslmode=disable", s.password, address)); err != nil {
		stop()
		return "", nil, err
	}
	return address, stop, nil
}

func waitPooler(ctx context.Context, p *process, url string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, url)
		if err == nil {
			return conn.Close(ctx)
		}
		if !p.running() {
			return fmt.Errorf("pgbouncer ended: %s", p.cmd.ProcessState)
		}
		if waitErr := pause(ctx, 20*time.Millisecond); waitErr != nil {
			return fmt.Errorf("wait for pgbouncer: %w", err)
		}
	}
}

// writeFile writes what only the server's account reads.
func (s *server) writeFile(path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	if s.account == nil {
		return nil
	}
	return os.Chown(path, int(s.account.Uid), int(s.account.Gid))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
