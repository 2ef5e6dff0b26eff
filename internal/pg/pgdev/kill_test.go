package pgdev_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"kiosk/internal/pg/pgdev"
)

// hold is the program that gets killed: it says where its server is, and waits.
func hold(what string) int {
	o := pgdev.Options{Dir: what}
	if what == holdEphemeral {
		o = pgdev.Options{Ephemeral: true}
	}
	s, err := pgdev.Start(context.Background(), o)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(s.Dir())
	<-s.Exited()
	return 2
}

// startHolder starts this test program as one that holds a server, and returns
// it with the server's folder.
func startHolder(t *testing.T, what string) (*exec.Cmd, string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), holdVariable+"="+what)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the holder does not start: %v", err)
	}
	return cmd, strings.TrimSpace(line)
}

func kill9(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
}

func TestStart_AfterKill9ContinuesOnTheSameDir(t *testing.T) {
	t.Parallel()
	holder, dir := startHolder(t, newDir(t))
	pid := serverPid(t, dir)
	kill9(t, holder)
	s := start(t, pgdev.Options{Dir: dir})
	if runs(pid, dir) {
		t.Errorf("the old server, process %d, still runs", pid)
	}
	if got := queryText(t, s.URL("postgres"), "SELECT 'again'"); got != "again" {
		t.Errorf("got %s", got)
	}
}

func TestStart_AfterKill9StopsAServerThatSurvived(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	s := start(t, pgdev.Options{Dir: dir})
	command, err := s.Keep()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	survivor := runByHand(t, s.Dir(), command)
	s = start(t, pgdev.Options{Dir: dir})
	if runs(survivor, s.Dir()) {
		t.Errorf("the survivor, process %d, still runs", survivor)
	}
}

func TestSweep_AfterKill9LeavesNothing(t *testing.T) {
	t.Parallel()
	holder, dir := startHolder(t, holdEphemeral)
	pid := serverPid(t, dir)
	kill9(t, holder)
	pgdev.Sweep(nil)
	// The sweep of another test may have been faster, and not be done yet.
	waitUntil(t, "the server ends and its folder is removed", func() bool {
		left, _ := filepath.Glob(dir + "*")
		return len(left) == 0 && !runs(pid, dir)
	})
}

func TestSweep_LeavesServersInUseAlone(t *testing.T) {
	t.Parallel()
	_, held := startHolder(t, holdEphemeral)
	own := start(t, pgdev.Options{Ephemeral: true})
	pgdev.Sweep(nil)
	for _, dir := range []string{held, own.Dir()} {
		if !runs(serverPid(t, dir), dir) {
			t.Errorf("the server of %s does not run any more", dir)
		}
	}
}

func TestKeep_FolderCanBeUsedForADay(t *testing.T) {
	t.Parallel()
	s := start(t, pgdev.Options{Ephemeral: true})
	mustExecute(t, s.URL("postgres"), "CREATE TABLE clues AS SELECT 'found' AS clue")
	command, err := s.Keep()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	pid := runByHand(t, s.Dir(), command)
	pgdev.Sweep(nil)
	if got := queryText(t, s.URL("postgres"), "SELECT clue FROM clues"); got != "found" {
		t.Errorf("got %s", got)
	}
	yesterday := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(filepath.Join(s.Dir(), "kept"), yesterday, yesterday); err != nil {
		t.Fatal(err)
	}
	pgdev.Sweep(nil)
	waitUntil(t, "the server ends and its folder is removed", func() bool {
		_, err := os.Stat(s.Dir())
		return errors.Is(err, os.ErrNotExist) && !runs(pid, s.Dir())
	})
}

// runByHand runs the command of a server on the folder, as a person would, and
// returns its process when it accepts connections.
func runByHand(t *testing.T, dir, command string) int {
	t.Helper()
	cmd := exec.Command("sh", "-c", "exec "+command)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGQUIT)
		waitClosed(t, done)
	})
	waitUntil(t, "the server run by hand accepts connections", func() bool {
		text, err := os.ReadFile(filepath.Join(dir, "pgdata", "postmaster.pid"))
		return err == nil && strings.Contains(string(text), "\nready")
	})
	return serverPid(t, dir)
}

// runs reports whether the process is a server on the folder.
func runs(pid int, dir string) bool {
	text, err := exec.Command("ps", "-ww", "-o", "args=", "-p", fmt.Sprint(pid)).Output()
	return err == nil && strings.Contains(string(text), filepath.Join(dir, "pgdata"))
}
