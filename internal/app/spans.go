package app

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"

	"github.com/PaulSonOfLars/gotgbot/v2"
	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/attribute"
	otel "go.opentelemetry.io/otel/trace"

	"kiosk/internal/bot"
	"kiosk/internal/generation"
	"kiosk/internal/inbox"
	"kiosk/internal/outbox"
	"kiosk/internal/provider"
	"kiosk/internal/telegram"
	"kiosk/internal/trace"
)

// The spans of the route are drawn around the rooms' edges here. Addresses are
// left out: Telegram's hold the bot token, a callback's its own. So are errors'
// texts, which may quote people; their codes say enough.

// followed gives a request the trace that all that comes of it will have.
func (a *App) followed(name string, id func(*http.Request) (id trace.ID, isNew bool), next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, isNew := id(r)
		start := a.tracing.tracer.Start
		if isNew {
			start = a.tracing.tracer.Begin
		}
		ctx, span := start(trace.Into(r.Context(), id), name, otel.WithSpanKind(otel.SpanKindServer))
		defer span.End()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// handled draws the handling of a stored message.
func (a *App) handled(name string, handle func(context.Context, pgx.Tx, inbox.Message) error) func(context.Context, pgx.Tx, inbox.Message) error {
	return func(ctx context.Context, tx pgx.Tx, m inbox.Message) error {
		ctx, span := a.tracing.tracer.Start(ctx, name, otel.WithSpanKind(otel.SpanKindConsumer), trace.With(attribute.Int("attempt", m.Attempts+1)))
		defer span.End()
		err := handle(ctx, tx, m)
		if err != nil {
			trace.Fail(span, "not handled")
		}
		return err
	}
}

// drawn returns the provider itself where tracing is off.
func (a *App) drawn(name string, p provider.Provider) provider.Provider {
	if a.tracing.tracer == nil {
		return p
	}
	return tracedProvider{name, p, a.tracing.tracer}
}

// tracedProvider draws calls to a provider.
type tracedProvider struct {
	name   string
	to     provider.Provider
	tracer *trace.Tracer
}

func (p tracedProvider) Submit(ctx context.Context, r provider.Request) (string, error) {
	ctx, span := p.start(ctx, "submit", attribute.String("model", r.Model))
	id, err := p.to.Submit(ctx, r)
	return id, p.end(span, err, attribute.String("task_id", id))
}

func (p tracedProvider) Fetch(ctx context.Context, taskID string) (provider.Task, error) {
	ctx, span := p.start(ctx, "fetch", attribute.String("task_id", taskID))
	task, err := p.to.Fetch(ctx, taskID)
	return task, p.end(span, err, attribute.String("state", string(task.State)))
}

func (p tracedProvider) Upload(ctx context.Context, name string, file io.Reader) (string, error) {
	ctx, span := p.start(ctx, "upload")
	address, err := p.to.Upload(ctx, name, file)
	return address, p.end(span, err)
}

func (p tracedProvider) start(ctx context.Context, call string, a ...attribute.KeyValue) (context.Context, otel.Span) {
	return p.tracer.Start(ctx, p.name+" "+call, otel.WithSpanKind(otel.SpanKindClient), trace.With(a...))
}

func (p tracedProvider) end(span otel.Span, err error, a ...attribute.KeyValue) error {
	defer span.End()
	span.SetAttributes(a...)
	if err != nil {
		e := provider.AsError(err)
		span.SetAttributes(attribute.Int("code", e.Code))
		trace.Fail(span, string(e.Cause))
	}
	return err
}

// tracedSender draws what the outbox sends.
type tracedSender struct {
	*bot.Sender

	tracer *trace.Tracer
}

// Send draws a message. An order's result that is sent at somebody's later wish
// belongs to that wish, and links to the order.
func (s tracedSender) Send(ctx context.Context, m outbox.Message) (outbox.Receipt, error) {
	options := []otel.SpanStartOption{otel.WithSpanKind(otel.SpanKindProducer), trace.With(attribute.Int64("outbox_id", m.ID), attribute.Int("attempt", m.Attempts))}
	var n generation.Notice
	if json.Unmarshal(m.Args, &n) == nil && n.Generation != (generation.ID{}) && n.Generation != m.Trace {
		options = append(options, trace.Link(n.Generation))
	}
	ctx, span := s.tracer.Start(ctx, "send "+m.Kind, options...)
	defer span.End()
	receipt, err := s.Sender.Send(ctx, m)
	if err != nil {
		trace.Fail(span, "not sent")
	}
	return receipt, err
}

// tracedAPI draws calls to the Bot API.
type tracedAPI struct {
	gotgbot.BotClient

	tracer *trace.Tracer
}

// RequestWithContext draws a call, but not the long poll, which waits for most of its time.
func (c tracedAPI) RequestWithContext(ctx context.Context, token, method string, params map[string]any, o *gotgbot.RequestOpts) (json.RawMessage, error) {
	if method == "getUpdates" {
		return c.BotClient.RequestWithContext(ctx, token, method, params, o)
	}
	ctx, span := c.tracer.Start(ctx, "telegram "+method, otel.WithSpanKind(otel.SpanKindClient))
	defer span.End()
	answer, err := c.BotClient.RequestWithContext(ctx, token, method, params, o)
	if err != nil {
		trace.Fail(span, "code "+strconv.Itoa(telegram.CodeOf(err)))
	}
	return answer, err
}
