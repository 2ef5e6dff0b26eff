package smoke_test

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"kiosk/internal/generation"
	"kiosk/internal/smoke"
)

// pgbouncer runs the real pooler in transaction mode before the database and
// returns its URL. The test is skipped where there is none.
func pgbouncer(t *testing.T, database string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer"
	}
	if _, err := os.Stat(program); err != nil {
		t.Skip("pgbouncer is not installed")
	}
	cfg, err := pgconn.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/var/tmp", "kiosk-pgbouncer-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(address)
	password := ""
	if cfg.Password != "" { // an empty one is a syntax error
		password = " password=" + cfg.Password
	}
	text := fmt.Sprintf("[databases]\n%s = host=%s port=%d dbname=%s user=%s%s\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %s\nunix_socket_dir =\nauth_type = any\npool_mode = transaction\n",
		cfg.Database, cfg.Host, cfg.Port, cfg.Database, cfg.User, password, port)
	file := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	args := []string{file}
	if os.Geteuid() == 0 { // it refuses to run as root
		args = []string{"-u", ownerOf(t, cfg.Host), file}
	}
	// The shell ends it with the pipe, so also when this process is killed.
	cmd := exec.Command("/bin/sh", append([]string{"-c", `"$@" & pid=$!; read end; kill -9 $pid`, "sh", program}, args...)...)
	alive, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = alive.Close()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(10 * time.Second); ; {
		if c, err := net.Dial("tcp", address); err == nil {
			_ = c.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("pgbouncer does not listen")
		}
		time.Sleep(20 * time.Millisecond) // it announces nothing
	}
	u := url.URL{Scheme: "postgres", User: url.User(cfg.User), Host: address, Path: "/" + cfg.Database, RawQuery: "sslmode=disable"}
	return u.String()
}

// ownerOf returns the user who may reach a server's socket.
func ownerOf(t *testing.T, host string) string {
	info, err := os.Stat(host)
	if err != nil { // no socket: a name
		return "nobody"
	}
	owner, err := user.LookupId(fmt.Sprint(info.Sys().(*syscall.Stat_t).Uid))
	if err != nil {
		t.Fatal(err)
	}
	return owner.Username
}

// Behind a transaction pooler everything is checked, too: the pooler is named, the
// lock works in lease mode, and nothing stays prepared in its sessions.
func TestRun_BehindPgBouncerOnlyThePoolerIsNamed(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	pooled := pgbouncer(t, s.Database)
	a := s.Start(generation.Limits{}, map[string]string{"DATABASE_URL": pooled})
	s.settings, s.before = s.Settings(a.URL()), false
	s.settings["DATABASE_URL"] = pooled
	all := slices.DeleteFunc(smoke.Names(), func(n string) bool { return n == "generation" })
	for range 2 { // the second run meets the sessions of the first
		r := s.smoke(all...)
		if found := bad(r); !r.OK || len(found) != 1 || !strings.HasPrefix(found[0].Cause, "a pooler stands between") {
			t.Errorf("%+v", found)
		}
		for _, c := range r.Checks {
			if c.Check == "lock" && !strings.HasPrefix(c.Found, "lease mode") {
				t.Errorf("%+v", c)
			}
		}
	}
	if n := s.scratch(); n != 0 {
		t.Errorf("%d rows were left", n)
	}
	s.settings["LOCK_DATABASE_URL"] = s.Database
	if r := s.smoke("lock database", "lock"); !r.OK || len(bad(r)) > 0 {
		t.Errorf("with a direct address for the lock: %+v", r)
	}
}
