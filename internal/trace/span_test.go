package trace_test

import (
	"testing"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	otel "go.opentelemetry.io/otel/trace"

	"kiosk/internal/trace"
)

// record returns a tracer and where its spans arrive.
func record() (*trace.Tracer, *tracetest.SpanRecorder) {
	r := tracetest.NewSpanRecorder()
	return trace.NewTracer(sdk.NewTracerProvider(sdk.WithSpanProcessor(r), sdk.WithIDGenerator(trace.IDs{}))), r
}

// Stations that share nothing but the trace's id make one connected trace.
func TestTracer_StationsMeetInOneTraceWithoutStoringASpan(t *testing.T) {
	t.Parallel()
	tracer, spans := record()
	id := trace.New()
	_, receipt := tracer.Begin(trace.Into(t.Context(), id), "receipt")
	receipt.End()
	ctx, later := tracer.Start(trace.Into(t.Context(), id), "hours later, elsewhere")
	_, inner := tracer.Start(ctx, "inside")
	inner.End()
	later.End()
	root, in, out := spans.Ended()[0], spans.Ended()[1], spans.Ended()[2]
	for _, s := range spans.Ended() {
		if s.SpanContext().TraceID() != otel.TraceID(id) || s.SpanContext().TraceID().String() != trace.Text(id) {
			t.Errorf("%s is in trace %s, want %s", s.Name(), s.SpanContext().TraceID(), trace.Text(id))
		}
	}
	if root.Parent().IsValid() || out.Parent().SpanID() != root.SpanContext().SpanID() || in.Parent().SpanID() != out.SpanContext().SpanID() {
		t.Errorf("parents: %v, %v, %v", root.Parent(), out.Parent(), in.Parent())
	}
}

func TestTracer_ASpanOfAnotherTraceIsNoParent(t *testing.T) {
	t.Parallel()
	tracer, spans := record()
	other, order := trace.New(), trace.New()
	ctx, outer := tracer.Start(trace.Into(t.Context(), other), "receipt of a callback")
	_, span := tracer.Start(trace.Into(ctx, order), "of the order", trace.Link(other))
	span.End()
	outer.End()
	s := spans.Ended()[0]
	if s.SpanContext().TraceID() != otel.TraceID(order) || len(s.Links()) != 1 || s.Links()[0].SpanContext.TraceID() != otel.TraceID(other) {
		t.Errorf("trace %s, links %v", s.SpanContext().TraceID(), s.Links())
	}
}

func TestTracer_WithoutAnIdASpanBeginsATraceOfItsOwn(t *testing.T) {
	t.Parallel()
	tracer, spans := record()
	_, a := tracer.Start(t.Context(), "a")
	_, b := tracer.Begin(t.Context(), "b")
	a.End()
	b.End()
	if x, y := spans.Ended()[0].SpanContext(), spans.Ended()[1].SpanContext(); !x.IsValid() || !y.IsValid() || x.TraceID() == y.TraceID() {
		t.Errorf("%v and %v", x, y)
	}
}

func TestTracer_OffCostsNothing(t *testing.T) {
	var off *trace.Tracer
	ctx := trace.Into(t.Context(), trace.New())
	if n := testing.AllocsPerRun(100, func() {
		c, s := off.Start(ctx, "x")
		trace.Fail(s, "no")
		s.End()
		_, s = off.Begin(c, "y")
		s.End()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
