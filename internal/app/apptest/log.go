package apptest

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"

	"kiosk/internal/trace"
)

// record keeps all that the instances of a test log, at every level.
type record struct {
	mu    sync.Mutex
	text  strings.Builder
	grown chan struct{} // closed and replaced with every write
}

func newRecord() *record { return &record{grown: make(chan struct{})} }

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.grown)
	r.grown = make(chan struct{})
	return r.text.Write(p)
}

func (r *record) read() (text string, grown <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String(), r.grown
}

// log shows a failing test what happened, and keeps the finer lines, too.
func (w *World) log() *slog.Logger {
	shown := slog.NewTextHandler(w.T.Output(), &slog.HandlerOptions{Level: slog.LevelInfo})
	var all io.Writer = w.logged
	if w.Log != nil {
		all = io.MultiWriter(all, w.Log)
	}
	kept := slog.NewTextHandler(all, &slog.HandlerOptions{Level: slog.LevelDebug})
	return slog.New(trace.Handler(slog.NewMultiHandler(shown, kept)))
}

// Logged returns all that the instances have logged so far, at every level.
func (w *World) Logged() string {
	text, _ := w.logged.read()
	return text
}

// WaitLog waits until the log fits, and returns it.
func (w *World) WaitLog(fits func(log string) bool) string {
	w.T.Helper()
	return w.waitLog(w.Context(), fits)
}

func (w *World) waitLog(ctx context.Context, fits func(log string) bool) string {
	w.T.Helper()
	for {
		text, grown := w.logged.read()
		if fits(text) {
			return text
		}
		select {
		case <-grown:
		case <-ctx.Done():
			w.T.Fatalf("the line was not logged; the log is\n%s", text)
		}
	}
}

var _ io.Writer = (*record)(nil)
