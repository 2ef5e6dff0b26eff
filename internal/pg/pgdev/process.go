package pgdev

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a child that has been started and is waited for.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
}

// step is a signal and how long to wait for its effect.
type step struct {
	signal syscall.Signal
	wait   time.Duration
}

// launch starts the command and waits for its end in the background.
func launch(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The kernel sends the parent-death signal when the thread that forked
		// ends, not the process: this goroutine keeps its thread to the end.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // its result stays in ProcessState
		close(p.exited)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("run %s: %w", cmd.Path, err)
	}
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// state tells how the process ended; valid after exited is closed.
func (p *process) state() *os.ProcessState { return p.cmd.ProcessState }

// end sends the signals one after another until the process is gone.
func (p *process) end(steps ...step) error {
	for _, s := range steps {
		if err := p.cmd.Process.Signal(s.signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("send %v to process %d: %w", s.signal, p.pid(), err)
		}
		select {
		case <-p.exited:
			return nil
		case <-time.After(s.wait):
		}
	}
	return fmt.Errorf("process %d does not end", p.pid())
}

// runToEnd runs a helper program to its end. The error carries its output.
func runToEnd(ctx context.Context, cmd *exec.Cmd) error {
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.WaitDelay = 5 * time.Second // a grandchild may hold the pipe
	p, err := launch(cmd)
	if err != nil {
		return err
	}
	name := filepath.Base(cmd.Path)
	select {
	case <-p.exited:
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("run %s: %w", name, context.Cause(ctx)),
			p.end(step{syscall.SIGTERM, 5 * time.Second}, step{syscall.SIGKILL, 10 * time.Second}))
	}
	if !p.state().Success() {
		return fmt.Errorf("run %s: %v: %s", name, p.state(), bytes.TrimSpace(output.Bytes()))
	}
	return nil
}

// readPidFile returns the lines of the file in which a server tells about
// itself, none if there is no such file.
func readPidFile(data string) []string {
	text, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return nil
	}
	return strings.Split(string(text), "\n")
}

// accepts reports whether this very server process accepts connections. The
// file of a server that crashed may still say so, hence the comparison.
func accepts(data string, pid int) bool {
	const statusLine = 7
	lines := readPidFile(data)
	return len(lines) > statusLine && lines[0] == strconv.Itoa(pid) &&
		strings.TrimSpace(lines[statusLine]) == "ready"
}

// endStranger ends a server on our data folder that is not our child, with the
// signals one after another. It returns false if there was none.
func endStranger(data string, steps ...step) (bool, error) {
	lines := readPidFile(data)
	if len(lines) == 0 {
		return false, nil
	}
	pid, err := strconv.Atoi(strings.TrimSpace(lines[0]))
	if err != nil || pid <= 1 || !serves(pid, data) {
		return false, nil //nolint:nilerr // a file without a live process of ours names nobody
	}
	for _, s := range steps {
		if err := syscall.Kill(pid, s.signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return true, fmt.Errorf("stop the leftover server, process %d: %w", pid, err)
		}
		if waitFor(s.wait, func() bool { return !serves(pid, data) }) {
			return true, nil
		}
	}
	return true, fmt.Errorf("the leftover server, process %d, does not stop; end it and start again", pid)
}

// serves reports whether the process is a server on this data folder: its
// command line says so. Numbers of dead processes are used again.
func serves(pid int, data string) bool {
	return hasArgument(pid, data)
}

func waitFor(limit time.Duration, done func() bool) bool {
	for deadline := time.Now().Add(limit); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// logTail returns the last lines of a server log.
func logTail(path string) string {
	const most = 2000
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	if len(text) > most {
		text = text[len(text)-most:]
	}
	return strings.TrimSpace(string(text))
}
