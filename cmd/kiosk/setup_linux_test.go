package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"kiosk/internal/app/apptest"
)

// terminal is a pseudo-terminal: what a person sees on it is what it shows.
type terminal struct {
	t             *testing.T
	person, other *os.File

	mu    sync.Mutex
	shows bytes.Buffer
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminal: %v", err)
	}
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &terminal{t: t, person: person, other: other}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := person.Read(buf)
			s.mu.Lock()
			s.shows.Write(buf[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { _ = other.Close(); _ = person.Close() })
	return s
}

func (s *terminal) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shows.String()
}

func (s *terminal) echoes() bool {
	state, err := unix.IoctlGetTermios(int(s.other.Fd()), unix.TCGETS)
	if err != nil {
		s.t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

func (s *terminal) write(text string) {
	if _, err := s.person.WriteString(text + "\n"); err != nil {
		s.t.Fatal(err)
	}
}

// On a terminal a secret is not shown while it is typed, and Ctrl-C in the middle
// of one leaves the terminal as it was.
func TestSetup_ATerminalShowsNoSecretAndCtrlCRestoresIt(t *testing.T) {
	t.Parallel()
	n := newNewcomer(t)
	s := newTerminal(t)
	cmd := command(t, n.env, "setup", "--env-file", n.file)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.other, s.other, s.other
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "the token is asked for", func() bool { return strings.Contains(s.text(), "BotFather") && !s.echoes() })
	s.write(apptest.Token)
	until(t, "the database is asked for", func() bool { return strings.Contains(s.text(), "PostgreSQL") && !s.echoes() })
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("Ctrl-C ended with %d", code)
	}
	if !s.echoes() {
		t.Error("the terminal does not echo any more")
	}
	until(t, "the end is said", func() bool { return strings.Contains(s.text(), "nothing was written") })
	if strings.Contains(s.text(), apptest.Token) || !strings.Contains(s.text(), "@kiosk_dev_bot") {
		t.Errorf("the terminal shows\n%s", s.text())
	}
}
