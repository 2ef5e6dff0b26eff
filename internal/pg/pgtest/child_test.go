package pgtest_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"kiosk/internal/pg/pgtest"
)

// childVariable makes this test program run as a child of one of its tests: it
// says whether the child uses pgtest.Run.
const (
	childVariable = "KIOSK_TEST_CHILD"
	childWithRun  = "run"
	childBare     = "bare"
)

func runChild(m *testing.M) int {
	if os.Getenv(childVariable) == childBare {
		return m.Run()
	}
	return pgtest.Run(m)
}

// TestChild is what children run.
func TestChild(t *testing.T) {
	if os.Getenv(childVariable) == "" {
		t.Skip("is run by other tests")
	}
	t.Run("passes", func(t *testing.T) {
		must(t, execute(t.Context(), notes(t), "INSERT INTO notes VALUES (1)"))
		must(t, execute(t.Context(), pgtest.Empty(t), "CREATE TABLE notes ()"))
	})
	t.Run("fails", func(t *testing.T) {
		must(t, execute(t.Context(), notes(t), "INSERT INTO notes VALUES (42)"))
		t.Error("deliberately")
	})
}

func child(t *testing.T, how, only string, env ...string) string {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self, "-test.v", "-test.run", "^TestChild$/^"+only+"$")
	cmd.Env = append(append(os.Environ(), childVariable+"="+how), env...)
	out, err := cmd.CombinedOutput()
	if passed := err == nil; passed != (only == "passes") {
		t.Fatalf("the child that %s: %v\n%s", only, err, out)
	}
	return string(out)
}

func TestColdCache_ChildrenAtTheSameTimeMakeOneTemplate(t *testing.T) {
	t.Parallel()
	needPrivateServer(t)
	cache := t.TempDir()
	t.Run("children", func(t *testing.T) {
		for range 3 {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				child(t, childWithRun, "passes", "XDG_CACHE_HOME="+cache)
			})
		}
	})
	folders, err := filepath.Glob(cache + "/kiosk/postgres/data-*[0-9a-f]")
	must(t, err)
	if len(folders) != 2 { // the bare one, and the one with the template
		t.Errorf("cached: %v", folders)
	}
}

func TestFailedTest_DatabaseIsKept(t *testing.T) {
	t.Parallel()
	needPrivateServer(t)
	for _, how := range []string{childWithRun, childBare} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			out := child(t, how, "fails")
			server := regexp.MustCompile(`\t(.*/postgres -D (\S+)/pgdata -k (\S+) .*)\n`).FindStringSubmatch(out)
			url := regexp.MustCompile(`psql '(.*)'`).FindStringSubmatch(out)
			if server == nil || url == nil {
				t.Fatalf("the log does not say how to look into it:\n%s", out)
			}
			t.Cleanup(func() { os.RemoveAll(server[2]); os.RemoveAll(server[3]); os.Remove(server[2] + ".lock") })
			waitUntil(t, "the server of the child ends", func() bool {
				_, err := os.Stat(server[2] + "/pgdata/postmaster.pid")
				return errors.Is(err, os.ErrNotExist)
			})
			runByHand(t, server[1], url[1])
			if n := queryInt(t, url[1], "SELECT id FROM notes"); n != 42 {
				t.Errorf("id is %d", n)
			}
		})
	}
}

func needPrivateServer(t *testing.T) {
	t.Helper()
	if os.Getenv("KIOSK_TEST_DATABASE_URL") != "" {
		t.Skip("needs a private server")
	}
}

// runByHand runs the server command of a log, as a person would, until the
// database of the URL answers.
func runByHand(t *testing.T, command, url string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", "exec "+command)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	must(t, cmd.Start())
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGQUIT)
		cmd.Wait()
	})
	waitUntil(t, "the server run by hand answers", func() bool {
		conn, err := pgx.Connect(t.Context(), url)
		return err == nil && conn.Close(t.Context()) == nil
	})
}

func waitUntil(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long: %s", what)
		}
	}
}
