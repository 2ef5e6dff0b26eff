package main

import (
	"context"
	"errors"
	"sync"
)

// servers are the PostgreSQL servers of a run: one that the scenarios share, and
// one each for those that restart or strain theirs.
type servers struct {
	mu     sync.Mutex
	common *server
	all    []*server
}

// shared starts the common server at its first use.
func (s *servers) shared(ctx context.Context) (*server, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.common != nil {
		return s.common, nil
	}
	srv, err := startServer(ctx, nil, "max_connections=500")
	if err == nil {
		s.common = srv
		s.all = append(s.all, srv)
	}
	return srv, err
}

// own starts a server for one scenario.
func (s *servers) own(ctx context.Context, env []string, settings ...string) (*server, error) {
	srv, err := startServer(ctx, env, settings...)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, srv)
	return srv, nil
}

func (s *servers) close() error {
	var errs []error
	for _, srv := range s.all {
		errs = append(errs, srv.close())
	}
	return errors.Join(errs...)
}
