package trace

import (
	"context"
	"encoding/binary"
	"math/rand/v2"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// Tracer makes the spans of our traces. A nil Tracer makes none and costs
// nothing: that is how tracing is off. It is safe for concurrent use.
//
// No station stores a span: the first span of a trace has the second half of the
// trace's id as its own, so every later station, on any instance and hours later,
// knows its parent.
type Tracer struct{ tracer trace.Tracer }

// NewTracer returns a Tracer over a provider whose ids come from IDs.
func NewTracer(p trace.TracerProvider) *Tracer { return &Tracer{p.Tracer("kiosk")} }

// Begin starts the first span of the context's trace.
func (t *Tracer) Begin(ctx context.Context, name string, o ...trace.SpanStartOption) (context.Context, trace.Span) {
	if t == nil {
		return ctx, noop.Span{}
	}
	return t.tracer.Start(ctx, name, append(o, trace.WithNewRoot())...) //nolint:spancheck // the caller ends it
}

// Start starts a span within the context's span, or below the first span of the
// context's trace.
func (t *Tracer) Start(ctx context.Context, name string, o ...trace.SpanStartOption) (context.Context, trace.Span) {
	if t == nil {
		return ctx, noop.Span{}
	}
	id := Of(ctx)
	if here := trace.SpanContextFromContext(ctx); id != uuid.Nil && here.TraceID() != trace.TraceID(id) {
		ctx = trace.ContextWithRemoteSpanContext(ctx, first(id))
	}
	return t.tracer.Start(ctx, name, o...) //nolint:spancheck // the caller ends it
}

// first is the place of a trace's first span.
func first(id ID) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID(id), SpanID: firstSpan(id), TraceFlags: trace.FlagsSampled, Remote: true,
	})
}

func firstSpan(id ID) (s trace.SpanID) {
	copy(s[:], id[8:])
	return s
}

// Link points to another trace: what happens now follows from it, but does not
// belong to it.
func Link(id ID) trace.SpanStartOption { return trace.WithLinks(trace.Link{SpanContext: first(id)}) }

// Fail marks a span as failed. The reason is a short constant or a code, never a
// text from outside: it may quote people.
func Fail(s trace.Span, reason string) { s.SetStatus(codes.Error, reason) }

// With adds attributes to a span that starts.
func With(a ...attribute.KeyValue) trace.SpanStartOption { return trace.WithAttributes(a...) }

// IDs gives spans their ids. It implements the SDK's IDGenerator.
type IDs struct{}

// NewIDs returns the ids of a trace's first span, from the context's id if it has one.
func (IDs) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	id := Of(ctx)
	if id == uuid.Nil {
		id = New()
	}
	return trace.TraceID(id), firstSpan(id)
}

// NewSpanID returns a random id.
func (IDs) NewSpanID(context.Context, trace.TraceID) (s trace.SpanID) {
	binary.BigEndian.PutUint64(s[:], rand.Uint64()|1) // zero is none
	return s
}
