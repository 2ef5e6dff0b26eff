package pgtest

import (
	"context"
	"errors"
	"os"
	"sync"

	"kiosk/internal/pg/pgdev"
)

// process is the one set of servers of this test process: tests of a package
// have nothing else in common that could hold it.
var process servers

// servers are started when they are first asked for. The zero value is empty.
type servers struct {
	mu    sync.Mutex
	byKey map[string]*entry // "" is the server without a template
}

// entry is a server that is, or is being, started; done is closed then.
type entry struct {
	done chan struct{}
	host *host
	err  error
}

// bare returns a server for databases without a template: one that runs
// already, if there is one.
func (s *servers) bare() (*host, error) {
	if h := s.running(); h != nil {
		return h, nil
	}
	return s.get("", func(ctx context.Context) (*host, error) { return startHost(ctx, nil) })
}

func (s *servers) running() *host {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.byKey {
		select {
		case <-e.done:
			if e.err == nil {
				return e.host
			}
		default: // is being started
		}
	}
	return nil
}

// forTemplate returns a server that has the template of this key. An apply that
// failed is not tried again.
func (s *servers) forTemplate(key string, apply applyFunc) (*host, error) {
	if key == "" {
		return nil, errors.New("a template needs a key that names its content")
	}
	return s.get(key, func(ctx context.Context) (*host, error) {
		return startHost(ctx, &template{name: templateName(key), apply: apply})
	})
}

func (s *servers) get(key string, start func(context.Context) (*host, error)) (*host, error) {
	s.mu.Lock()
	e, ok := s.byKey[key]
	if !ok {
		e = &entry{done: make(chan struct{})}
		if s.byKey == nil {
			s.byKey = map[string]*entry{}
		}
		s.byKey[key] = e
	}
	s.mu.Unlock()
	if !ok {
		e.fill(start)
	}
	<-e.done
	return e.host, e.err
}

// fill starts the server. An apply that ends its goroutine, as t.Fatal does,
// must not leave the other tests waiting.
func (e *entry) fill(start func(context.Context) (*host, error)) {
	defer close(e.done)
	// No test's context: the server outlives the test that needs it first.
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	e.err = errors.New("the server was not started because apply ended its goroutine")
	e.host, e.err = start(ctx)
}

// stop stops the servers that were started.
func (s *servers) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, e := range s.byKey {
		<-e.done
		if e.err == nil {
			errs = append(errs, e.host.stop())
		}
	}
	s.byKey = nil
	return errors.Join(errs...)
}

// startHost starts a private server with the template, or takes the one that
// the environment names.
func startHost(ctx context.Context, tpl *template) (*host, error) {
	if url := os.Getenv("KIOSK_TEST_DATABASE_URL"); url != "" {
		return useHost(ctx, url, tpl)
	}
	h := &host{prefix: "t", strategy: " STRATEGY file_copy"}
	o := pgdev.Options{Ephemeral: true}
	if tpl != nil {
		h.template = tpl.name
		o.Seed = &pgdev.Seed{Key: tpl.name, Fill: tpl.make}
	}
	var err error
	if h.own, err = pgdev.Start(ctx, o); err != nil {
		return nil, err
	}
	h.admin = h.own.URL("postgres")
	return h, nil
}
