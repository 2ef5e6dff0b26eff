package app

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"kiosk/internal/trace"
)

// tracing is the way of spans to a collector. The zero value is off.
type tracing struct {
	tracer   *trace.Tracer // nil: off
	provider *sdk.TracerProvider
	exporter *exporter
}

// flushTimeout bounds how long a stop waits for the last spans to leave.
const flushTimeout = 3 * time.Second

// newTracing exports to the collector at the address; "" is off. Nothing ever
// waits for the collector: spans that it does not take in time are dropped. Every
// order is traced; a collector that wants fewer drops whole traces itself.
func newTracing(address, version, instance string, log *slog.Logger) (tracing, error) {
	if address == "" {
		return tracing{}, nil
	}
	client, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpointURL(strings.TrimRight(address, "/")+"/v1/traces"))
	if err != nil {
		return tracing{}, fmt.Errorf("prepare the export of traces: %w; check OTEL_EXPORTER_OTLP_ENDPOINT", err)
	}
	e := &exporter{SpanExporter: client, log: log}
	p := sdk.NewTracerProvider(
		sdk.WithBatcher(e),
		sdk.WithIDGenerator(trace.IDs{}), sdk.WithSampler(sdk.AlwaysSample()),
		sdk.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "kiosk"), attribute.String("service.version", version), attribute.String("service.instance.id", instance),
		)),
	)
	return tracing{trace.NewTracer(p), p, e}, nil
}

// close sends what is left, for a few seconds at most and not beyond limit.
func (t tracing) close(limit context.Context) {
	if t.provider == nil {
		return
	}
	ctx, cancel := context.WithTimeout(limit, flushTimeout)
	defer cancel()
	if err := t.provider.Shutdown(ctx); err != nil {
		t.exporter.note(ctx, err)
	}
	t.exporter.end()
}

// queries traces the statements within our spans, without their parameters.
func (t tracing) queries() pgx.QueryTracer {
	if t.provider == nil {
		return nil
	}
	return otelpgx.NewTracer(otelpgx.WithTracerProvider(t.provider), otelpgx.WithDisableConnectionDetailsInAttributes(),
		otelpgx.WithDisableAcquireTracer(), otelpgx.WithSpanNameFunc(verb))
}

// verb names a statement by its first word; our files begin with a comment.
func verb(sql string) string {
	for line := range strings.Lines(sql) {
		if word := strings.Fields(line); len(word) > 0 && !strings.HasPrefix(word[0], "--") {
			return strings.ToUpper(word[0])
		}
	}
	return "SQL"
}

// exporter logs that spans cannot be exported once, and once that they can again.
type exporter struct {
	sdk.SpanExporter

	log    *slog.Logger
	mu     sync.Mutex
	failed bool
	ended  bool // an export that a stop did not wait for says nothing more
}

func (e *exporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	e.note(ctx, e.SpanExporter.ExportSpans(ctx, spans))
	return nil // there is nobody else to tell
}

func (e *exporter) note(ctx context.Context, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.ended:
	case err != nil && !e.failed:
		e.log.WarnContext(ctx, "traces not exported; look whether the collector at OTEL_EXPORTER_OTLP_ENDPOINT answers", "error", err.Error())
	case err == nil && e.failed:
		e.log.InfoContext(ctx, "traces are exported again")
	}
	e.failed = err != nil
}

func (e *exporter) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
}
