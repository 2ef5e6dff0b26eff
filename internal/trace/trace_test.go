package trace_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"kiosk/internal/trace"
)

func TestHandler_WritesTheIdOfTheContext(t *testing.T) {
	t.Parallel()
	id := trace.New()
	ctx := trace.Into(t.Context(), id)
	want := "trace_id=" + trace.Text(id)
	for name, derive := range map[string]func(*slog.Logger) *slog.Logger{
		"plain": func(l *slog.Logger) *slog.Logger { return l },
		"with":  func(l *slog.Logger) *slog.Logger { return l.With("a", 1) },
	} {
		var out bytes.Buffer
		log := derive(slog.New(trace.Handler(slog.NewTextHandler(&out, nil))))
		log.InfoContext(ctx, "x")
		log.InfoContext(context.WithValue(ctx, t, 1), "x")
		log.Info("x")
		log.InfoContext(trace.Into(t.Context(), trace.ID{}), "x")
		if n := strings.Count(out.String(), "trace_id"); n != 2 || strings.Count(out.String(), want) != 2 {
			t.Errorf("%s: %s", name, out.String())
		}
	}
	var out bytes.Buffer
	slog.New(trace.Handler(slog.NewTextHandler(&out, nil))).WithGroup("g").InfoContext(ctx, "x")
	if !strings.Contains(out.String(), "g."+want) {
		t.Errorf("in a group: %s", out.String())
	}
}

func TestInto_TheInnermostIdCountsAndZeroChangesNothing(t *testing.T) {
	t.Parallel()
	a, b := trace.New(), trace.New()
	ctx := trace.Into(trace.Into(t.Context(), a), b)
	if trace.Of(ctx) != b || trace.Of(trace.Into(ctx, trace.ID{})) != b || trace.Of(t.Context()) != (trace.ID{}) || a == b {
		t.Errorf("of %s and %s the context has %s", a, b, trace.Of(ctx))
	}
}

func TestMark_AnErrorCarriesItsIdToWhoeverLogsIt(t *testing.T) {
	t.Parallel()
	id := trace.New()
	err := fmt.Errorf("outside: %w", trace.Mark(trace.Into(t.Context(), id), io.EOF))
	if trace.Of(trace.Blame(t.Context(), err)) != id || !errors.Is(err, io.EOF) || err.Error() != "outside: EOF" {
		t.Errorf("%v", err)
	}
	unmarked := trace.Mark(t.Context(), io.EOF)
	if trace.Mark(trace.Into(t.Context(), id), nil) != nil || trace.Blame(t.Context(), unmarked) != t.Context() {
		t.Error("what has no error or no id is marked")
	}
}
