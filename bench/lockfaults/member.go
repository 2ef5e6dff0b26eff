package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// member is a worker process as its parent sees it. Its connections for the lock
// and those for the work go through proxies of their own, if it has any.
type member struct {
	arena  *arena
	name   string
	p      *process
	orders io.Writer
	lock   *proxy
	work   *proxy
	said   chan struct{} // closed when all it said was heard

	mu      sync.Mutex
	freezes []span
	died    int64 // when its end was noticed, 0 while it runs
}

// span is a time on the shared clock; to is 0 while it lasts.
type span struct{ from, to int64 }

// fast is the profile of most scenarios.
func fast() settings {
	return settings{
		Heartbeat: 500 * time.Millisecond, Stale: 3 * time.Second, Idle: 5 * time.Second, Drain: 10 * time.Second,
		Pace: 10 * time.Millisecond, Rest: 100 * time.Millisecond, Step: 5 * time.Millisecond, Steps: 20, Conns: 6,
	}
}

// standard is the profile of the package's defaults.
func standard(s *settings) {
	s.Heartbeat, s.Stale, s.Idle = 2*time.Second, 10*time.Second, 120*time.Second
}

// join starts a worker and waits until it campaigns.
func (a *arena) join(ctx context.Context, change func(*settings)) (*member, error) {
	return a.joinVia(ctx, false, change)
}

func (a *arena) joinVia(ctx context.Context, proxied bool, change func(*settings)) (*member, error) {
	from := a.mark()
	m, err := a.spawn(proxied, change)
	if err != nil {
		return nil, err
	}
	_, err = a.await(ctx, m.name+" to campaign", from, func(e *event) bool {
		return e.member == m && (e.Kind == evMode || e.Kind == evExit)
	})
	if err == nil && !m.p.running() {
		err = fmt.Errorf("%s ended at once: %s", m.name, a.log.tail())
	}
	return m, err
}

func (a *arena) spawn(proxied bool, change func(*settings)) (*member, error) {
	a.mu.Lock()
	a.born++
	m := &member{arena: a, name: fmt.Sprintf("w%d", a.born), said: make(chan struct{})}
	a.mu.Unlock()
	s := fast()
	s.Instance = m.name
	target := fmt.Sprintf("127.0.0.1:%d", a.srv.port)
	if a.pooler != "" {
		target, s.Pooled = a.pooler, true
	}
	lock, work := target, target
	if proxied {
		var err error
		if m.lock, err = newProxy(target); err != nil {
			return nil, err
		}
		if m.work, err = newProxy(target); err != nil {
			return nil, err
		}
		lock, work = m.lock.address(), m.work.address()
	}
	s.LockURL, s.WorkURL = a.at(lock), a.at(work)
	if change != nil {
		change(&s)
	}
	if err := m.launch(s); err != nil {
		return nil, err
	}
	a.mu.Lock()
	a.members = append(a.members, m)
	a.mu.Unlock()
	return m, nil
}

// at is the URL of the arena's database by another address.
func (a *arena) at(address string) string {
	return fmt.Sprintf("postgres://postgres:%s@%s/%s?sslmode=disable", a.srv.password, address, a.name)
}

func (m *member) launch(s settings) error {
	path, err := os.Executable() // also as its own test
	if err != nil {
		return err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	cmd := exec.Command(path, "worker") //nolint:gosec,noctx // this program, ended by signals
	cmd.Env = append(os.Environ(), environment+"="+string(text), "GOMAXPROCS=2")
	cmd.SysProcAttr = attributes(syscall.SIGKILL)
	cmd.Stderr = m.arena.log.of(m.name)
	if m.orders, err = cmd.StdinPipe(); err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd.Stdout = w
	m.p, err = launch(cmd)
	w.Close()
	if err != nil {
		r.Close()
		return err
	}
	go m.hear(r)
	return nil
}

// hear keeps all that the worker says, and its end.
func (m *member) hear(r *os.File) {
	defer close(m.said)
	defer r.Close()
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue // the race detector or the runtime spoke
		}
		e.member, e.seen = m, now()
		m.arena.heard(e)
	}
	<-m.p.exited
	at := now()
	m.mu.Lock()
	m.died = at
	m.mu.Unlock()
	m.arena.heard(event{Kind: evExit, At: at, member: m, seen: at, Text: m.p.cmd.ProcessState.String()})
}

func (m *member) order(do string, d time.Duration) error {
	line, err := json.Marshal(order{do, d})
	if err != nil {
		return err
	}
	_, err = m.orders.Write(append(line, '\n'))
	return err
}

// freeze stops the process and returns when.
func (m *member) freeze() int64 {
	at := now()
	m.mu.Lock()
	m.freezes = append(m.freezes, span{from: at})
	m.mu.Unlock()
	m.p.signal(syscall.SIGSTOP)
	return at
}

// wake lets a frozen process go on.
func (m *member) wake() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.freezes); n > 0 && m.freezes[n-1].to == 0 {
		m.freezes[n-1].to = now()
		m.p.signal(syscall.SIGCONT)
	}
}

// frozen reports whether a freeze touched the time.
func (m *member) frozen(from, to int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, f := range m.freezes {
		if f.from <= to && (f.to == 0 || f.to >= from) {
			return true
		}
	}
	return false
}

func (m *member) kill() int64 {
	at := now()
	m.p.signal(syscall.SIGKILL)
	return at
}

func (m *member) terminate() { m.p.signal(syscall.SIGTERM) }

func (m *member) heal() {
	if m.lock != nil {
		m.lock.heal()
		m.work.heal()
	}
}

// gone waits for the end of the process.
func (m *member) gone(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-m.said:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s does not end: %w", m.name, ctx.Err())
	}
}

func (m *member) close() {
	<-m.said
	if m.lock != nil {
		m.lock.close()
		m.work.close()
	}
}

// syncedLog keeps the end of what the workers log, for the message of a failure.
type syncedLog struct {
	mu   sync.Mutex
	text []string
}

func (l *syncedLog) of(name string) io.Writer { return &namedLog{l, name} }

func (l *syncedLog) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.text[max(0, len(l.text)-40):], "\n")
}

type namedLog struct {
	log  *syncedLog
	name string
}

func (n *namedLog) Write(b []byte) (int, error) {
	n.log.mu.Lock()
	defer n.log.mu.Unlock()
	for line := range bytes.Lines(b) {
		n.log.text = append(n.log.text, n.name+": "+strings.TrimSpace(string(line)))
	}
	if len(n.log.text) > 2000 {
		n.log.text = append([]string(nil), n.log.text[1000:]...)
	}
	return len(b), nil
}
