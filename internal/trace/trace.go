// Package trace gives everything that comes of one update one id, so that a
// complaint leads to its cause by one search.
//
// The id is made at receipt, stored with the inbox row, and carried by the
// context through the handler into the outbox rows it adds. An order's
// generation takes the id of its update as its own, so whoever knows a
// generation's id knows its trace: its provider calls, its callback (whose
// address names the generation) and its delivery need no look-up. The Handler
// puts the id into every line that is logged with such a context.
//
// The package stores nothing and imports nothing of ours.
package trace

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"

	"github.com/google/uuid"
)

// ID names one update and what comes of it. It sorts by time, and its sixteen
// bytes are a W3C trace id. The zero value is none.
type ID = uuid.UUID

// New makes an id.
func New() ID { return uuid.Must(uuid.NewV7()) } // fails only where the machine has no random numbers

// Text is the id as logs and tracing systems write it: 32 hexadecimal digits.
// PostgreSQL takes it as a uuid as it stands.
func Text(id ID) string { return hex.EncodeToString(id[:]) }

type key struct{}

// Into returns a context in which id is the one to follow. The zero id changes
// nothing.
func Into(ctx context.Context, id ID) context.Context {
	if id == uuid.Nil || id == Of(ctx) {
		return ctx
	}
	return context.WithValue(ctx, key{}, id)
}

// Of returns the id that the context carries, or zero.
func Of(ctx context.Context) ID {
	id, _ := ctx.Value(key{}).(ID)
	return id
}

// Handler writes the id of the context, if it has one, as trace_id.
func Handler(h slog.Handler) slog.Handler { return handler{h} }

type handler struct{ slog.Handler }

func (h handler) Handle(ctx context.Context, r slog.Record) error {
	if id := Of(ctx); id != uuid.Nil {
		r = r.Clone()
		r.AddAttrs(slog.String("trace_id", Text(id)))
	}
	return h.Handler.Handle(ctx, r)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs)}
}

func (h handler) WithGroup(name string) slog.Handler { return handler{h.Handler.WithGroup(name)} }

// marked is an error that knows whose it is.
type marked struct {
	error

	id ID
}

func (m *marked) Unwrap() error { return m.error }

// Mark notes on an error which id it belongs to, for whoever logs it without
// having the context in which it arose. No error stays none.
func Mark(ctx context.Context, err error) error {
	if id := Of(ctx); err != nil && id != uuid.Nil {
		return &marked{err, id}
	}
	return err
}

// Blame returns a context with the id that err is marked with, if it is.
func Blame(ctx context.Context, err error) context.Context {
	if m, ok := errors.AsType[*marked](err); ok {
		return Into(ctx, m.id)
	}
	return ctx
}
