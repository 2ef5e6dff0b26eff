package main

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"kiosk/internal/app/apptest"
	"kiosk/internal/pg/pgtest"
	"kiosk/internal/simulator/kiesim"
	"kiosk/internal/simulator/telegramsim"
)

// stopping is one instance that is told to stop while something hangs.
type stopping struct {
	*apptest.World
	t      *testing.T
	env    map[string]string
	b      *balancer
	p      *process
	person *apptest.Person
}

// relay passes bytes to a server until it is frozen.
type relay struct {
	address string
	frozen  chan struct{}
}

func newRelay(t *testing.T, network, address string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{l.Addr().String(), make(chan struct{})}
	over := make(chan struct{})
	var running sync.WaitGroup
	t.Cleanup(func() { close(over); _ = l.Close(); running.Wait() })
	carry := func(to, from net.Conn) {
		defer to.Close()
		buffer := make([]byte, 16<<10)
		for {
			n, err := from.Read(buffer)
			select {
			case <-r.frozen:
				<-over
				return
			default:
			}
			if _, writeErr := to.Write(buffer[:n]); err != nil || writeErr != nil {
				return
			}
		}
	}
	running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial(network, address)
			if err != nil {
				_ = client.Close()
				continue
			}
			go func() { <-over; _ = client.Close(); _ = server.Close() }()
			running.Go(func() { carry(server, client) })
			running.Go(func() { carry(client, server) })
		}
	})
	return r
}

// through returns a database's URL by way of a relay.
func through(t *testing.T, database string) (string, *relay) {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	network, address := "tcp", u.Host
	if dir := u.Query().Get("host"); dir != "" {
		network, address = "unix", dir+"/.s.PGSQL."+u.Query().Get("port")
	}
	r := newRelay(t, network, address)
	return "postgres://postgres@" + r.address + u.Path + "?sslmode=disable", r
}

// hangs are the phases of a stop and what can hang in each. prepare returns once
// it hangs. A stop that had to leave something behind ends with code 1.
var hangs = map[string]struct {
	settings map[string]string
	prepare  func(*stopping)
	code     int
}{
	"nothing": {},
	"the provider does not answer a submission": {code: 1, prepare: func(s *stopping) {
		s.must(s.Kie.Fault(kiesim.Fault{Method: "createTask", Action: "delay", DelayMS: 40_000, Count: 1}))
		s.person.Order("Pictures", "Z-Image", "a fox")
		s.must(s.Kie.WaitFor(s.Context(), func(calls []kiesim.Call) bool { return created(calls) == 1 }))
	}},
	"the provider does not answer a poll": {code: 1, prepare: func(s *stopping) {
		s.must(s.Kie.Fault(kiesim.Fault{Method: "callback", Action: "no_callback"}))
		s.must(s.Kie.Fault(kiesim.Fault{Method: "recordInfo", Action: "delay", DelayMS: 40_000, Count: 1}))
		s.person.Order("Pictures", "Z-Image", "a fox")
		s.must(s.Kie.WaitFor(s.Context(), func(calls []kiesim.Call) bool {
			return len(calls) > 0 && calls[len(calls)-1].Method == "recordInfo"
		}))
	}},
	"Telegram does not take a message": {code: 1, prepare: func(s *stopping) {
		_, err := s.Telegram.Fault(telegramsim.Fault{Method: "sendPhoto", Action: telegramsim.FaultDelay, DelayMillis: 40_000, Count: 1})
		s.must(err)
		s.person.Order("Pictures", "Z-Image", "a fox")
		s.state("outbox_messages", "state = 'sending' AND kind = 'generation.result'")
	}},
	"somebody holds the row of an update": {prepare: func(s *stopping) {
		conn, err := pgx.Connect(s.Context(), s.Database)
		s.must(err)
		s.t.Cleanup(func() { _ = conn.Close(s.t.Context()) })
		_, err = conn.Exec(s.Context(), `BEGIN; LOCK TABLE bot_sessions IN ACCESS EXCLUSIVE MODE`)
		s.must(err)
		s.person.Say("a fox")
		s.state("pg_stat_activity", "wait_event_type = 'Lock' AND datname = current_database()")
	}},
	"a request whose body never ends": {prepare: func(s *stopping) {
		u, err := url.Parse(s.p.url)
		s.must(err)
		conn, err := net.Dial("tcp", u.Host)
		s.must(err)
		s.t.Cleanup(func() { _ = conn.Close() })
		secret := s.Settings(s.b.URL)["TELEGRAM_WEBHOOK_SECRET"]
		_, err = fmt.Fprintf(conn, "POST /webhook/telegram HTTP/1.1\r\nHost: x\r\nX-Telegram-Bot-Api-Secret-Token: %s\r\nContent-Length: 1000\r\n\r\n{", secret)
		s.must(err)
	}},
	"the long poll of updates": {settings: map[string]string{"BOT_MODE": "polling"}, prepare: func(s *stopping) {
		s.person.Say("/start")
		s.person.WaitText("What shall we make")
	}},
	"the database": {prepare: func(s *stopping) { s.freeze("DATABASE_URL") }},
}

func (s *stopping) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// state waits until a table has a row such as the condition says.
func (s *stopping) state(table, condition string) {
	s.t.Helper()
	pool := pgtest.Pool(s.t, s.Database)
	until(s.t, table+" has "+condition, func() bool {
		var n int
		return pool.QueryRow(s.t.Context(), "SELECT count(*) FROM "+table+" WHERE "+condition).Scan(&n) == nil && n > 0
	})
}

// freeze starts the instance anew behind a relay, and stops that.
func (s *stopping) freeze(setting string) {
	s.t.Helper()
	s.must(s.p.cmd.Process.Signal(syscall.SIGTERM))
	<-s.p.done
	address, r := through(s.t, s.Database)
	s.env[setting] = address
	s.p = serve(s.t, s.env, "behind a relay")
	until(s.t, "it is ACTIVE", s.p.active)
	s.env[setting] = s.Database
	close(r.frozen)
}

// Whatever hangs, a stop ends within its time; the next instance becomes ACTIVE
// and finishes what was left.
func TestServe_EveryPhaseOfAStopIsBounded(t *testing.T) {
	t.Parallel()
	for name, hang := range hangs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &stopping{World: apptest.New(t), t: t, b: newBalancer(t)}
			s.env = s.Settings(s.b.URL)
			s.env["SHUTDOWN_TIMEOUT_SECONDS"] = "3"
			s.env["LOCK_HEARTBEAT_SECONDS"], s.env["LOCK_STALE_HEARTBEAT_SECONDS"] = "1", "4"
			maps.Copy(s.env, hang.settings)
			s.p = serve(t, s.env, "first")
			s.b.add(s.p)
			until(t, "the first instance is ACTIVE", s.p.active)
			s.person = s.Person("Ada", "en")
			if hang.prepare != nil {
				hang.prepare(s)
			}
			began := time.Now()
			s.must(s.p.cmd.Process.Signal(syscall.SIGTERM))
			select {
			case <-s.p.done:
			case <-time.After(20 * time.Second): // far below the 40 s for which things hang
				t.Fatal("the instance did not stop")
			}
			t.Logf("stopped after %s", time.Since(began).Round(10*time.Millisecond))
			if code := s.p.cmd.ProcessState.ExitCode(); code != hang.code {
				t.Errorf("exit code %d, want %d", code, hang.code)
			}
			next := serve(t, s.env, "second")
			s.b.add(next)
			until(t, "the second instance is ACTIVE", next.active)
		})
	}
}

// The second signal means now.
func TestServe_ASecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	if err := w.Kie.Fault(kiesim.Fault{Method: "createTask", Action: "delay", DelayMS: 40_000, Count: 1}); err != nil {
		t.Fatal(err)
	}
	b := newBalancer(t)
	p := serve(t, w.Settings(b.URL), "first")
	b.add(p)
	until(t, "the instance is ACTIVE", p.active)
	w.Person("Ada", "en").Order("Pictures", "Z-Image", "a fox")
	if err := w.Kie.WaitFor(w.Context(), func(calls []kiesim.Call) bool { return created(calls) == 1 }); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	until(t, "it is not ready", func() bool {
		resp, err := http.Get(p.url + "/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode == http.StatusServiceUnavailable
	})
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		t.Fatal("the second signal did not end the process")
	}
}
