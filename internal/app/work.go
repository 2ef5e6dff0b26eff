package app

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kiosk/internal/admin"
	"kiosk/internal/bot"
	"kiosk/internal/fault"
	"kiosk/internal/generation"
	"kiosk/internal/inbox"
	"kiosk/internal/ledger"
	"kiosk/internal/outbox"
	"kiosk/internal/provider"
	"kiosk/internal/provider/kie"
	"kiosk/internal/sweep"
	"kiosk/internal/telegram"
	"kiosk/internal/trace"
	"kiosk/singleton"
)

// work is what runs on the ACTIVE instance during one term.
type work struct {
	updates   *inbox.Processor
	callbacks *inbox.Processor
	outbox    *outbox.Worker
	gens      *generation.Worker
	alerts    *admin.Alerts
	sweeper   *sweep.Runner
}

// warm prepares a term: the workers are made, and a first fenced transaction
// shows that the database of the work knows the term.
func (a *App) warm(ctx context.Context, term *singleton.Term) error {
	w, err := a.newWork(term)
	if err != nil {
		return fmt.Errorf("make the workers: %w", err)
	}
	a.warmed = w
	return term.InTx(ctx, a.pool, func(pgx.Tx) error { return nil })
}

// work runs one term. It returns when ctx ends and everything has stopped.
func (a *App) work(ctx context.Context, term *singleton.Term) error {
	w := a.warmed
	a.setActive(w)
	defer a.setActive(nil)
	var running sync.WaitGroup
	running.Go(func() { w.updates.Run(ctx) })
	running.Go(func() { w.callbacks.Run(ctx) })
	running.Go(func() { w.gens.Run(ctx) })
	running.Go(func() { w.outbox.Run(ctx) })
	running.Go(func() { w.sweeper.Run(ctx) })
	if !a.pooled { // a pooler keeps no session to listen on; the poll finds what others stored
		running.Go(func() { inbox.Listen(ctx, a.pool, a.wakeInbox, a.log) })
	}
	running.Go(func() { a.introduce(ctx) })
	running.Go(func() { a.receiveUpdates(ctx, term) })
	running.Go(func() { a.outside(ctx) })
	running.Go(func() { a.console.RunAudit(ctx, a.watch.Audit) })
	running.Go(func() { w.alerts.Run(ctx) })
	running.Wait()
	return nil
}

func (a *App) newWork(term *singleton.Term) (*work, error) {
	w := &work{}
	var err error
	w.outbox, err = outbox.NewWorker(a.pool, term, tracedSender{a.sender, a.tracing.tracer}, a.log, a.metrics.outbox)
	if err != nil {
		return nil, err
	}
	w.gens, err = generation.NewWorker(a.gens, term, w.outbox.Wake)
	if err != nil {
		return nil, err
	}
	if w.alerts, err = a.newAlerts(term, w.outbox.Wake); err != nil {
		return nil, err
	}
	w.sweeper, err = sweep.New(sweep.Config{
		Term: term, Pool: a.pool, Sweeps: a.sweeps(), Count: a.swept, Log: a.log, Settle: a.settle,
	})
	if err != nil {
		return nil, err
	}
	handled := func() { w.gens.Wake(); w.outbox.Wake() }
	w.updates, err = inbox.NewProcessor(sourceTelegram, a.pool, term,
		inbox.Handler{Handle: a.handled("update", a.bot.Handle), SetAside: a.bot.SetAside, Handled: handled}, a.log, a.metrics.inbox)
	if err != nil {
		return nil, err
	}
	w.callbacks, err = inbox.NewProcessor(sourceKie, a.pool, term, inbox.Handler{Handle: a.handled("callback", a.callback), Handled: handled}, a.log, a.metrics.inbox)
	return w, err
}

// sweeps lists all that clears up. Each is declared by the room whose rows it is about.
func (a *App) sweeps() []sweep.Sweep {
	keep := a.cfg.retention()
	return append(slices.Concat(inbox.Sweeps(keep), outbox.Sweeps(keep), a.gens.Sweeps(keep), bot.Sweeps(keep)),
		inbox.Orphans(sourceKie, a.gens.LanesOver), ledger.Orphans(a.gens.HoldsOver))
}

// swept is told what each sweep found, also when it was nothing.
func (a *App) swept(name string, n int) { a.metrics.swept.WithLabelValues(name).Add(float64(n)) }

// callback hands a provider's callback to its generation. The lane is its id.
func (a *App) callback(ctx context.Context, tx pgx.Tx, m inbox.Message) error {
	id, err := uuid.Parse(m.Lane)
	if err != nil {
		return fmt.Errorf("read the generation of a callback: %w", err)
	}
	ctx = trace.Into(ctx, id) // callbacks stored by an older binary do not have it
	a.log.InfoContext(ctx, "callback received", "generation_id", id)
	return a.gens.Callback(ctx, tx, id, kie.CallbackTaskID(m.Body))
}

// openFile opens what a person has sent to the bot, for its way to the provider.
func (a *App) openFile(ctx context.Context, reference string) (*provider.File, error) {
	id, ok := strings.CutPrefix(reference, bot.FilePrefix)
	if !ok {
		return nil, &provider.Error{Cause: provider.BadInput, Message: "the order names a file that nobody sent"}
	}
	body, name, err := telegram.Download(ctx, a.api, id)
	switch {
	case err == nil:
		return &provider.File{Body: body, Name: name, Size: -1}, nil
	case telegram.OutcomeOf(err) == telegram.Refused && telegram.RetryAfter(err) == 0:
		return nil, &provider.Error{Cause: provider.BadInput, Message: err.Error()}
	}
	return nil, &provider.Error{Cause: provider.Unreachable, Message: err.Error(), After: max(telegram.RetryAfter(err), 5*time.Second)}
}

func (a *App) setActive(w *work) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.active = w
}

func (a *App) wakeInbox() {
	a.mu.Lock()
	w := a.active
	a.mu.Unlock()
	if w != nil {
		w.updates.Wake()
		w.callbacks.Wake()
	}
}

// receiveUpdates registers the webhook, or polls.
func (a *App) receiveUpdates(ctx context.Context, term *singleton.Term) {
	if a.cfg.webhookAddress() != "" {
		a.until(ctx, "webhook not registered", func(ctx context.Context) error { return a.registerWebhook(ctx, term) })
		a.nowServing(ctx)
		return
	}
	a.until(ctx, "webhook not removed for polling", func(ctx context.Context) error { return a.cfg.RegisterWebhook(ctx, a.api) })
	a.nowServing(ctx)
	p := inbox.Poller{Fetch: a.fetchUpdates, Receiver: a.receiver, Log: a.log}
	if err := p.Run(ctx); err != nil {
		a.log.ErrorContext(ctx, "polling stopped", "error", err.Error())
	}
}

// registerWebhook announces the secret to all instances first: Telegram may use it
// before its answer is here.
func (a *App) registerWebhook(ctx context.Context, term *singleton.Term) error {
	if err := a.gate.Announce(ctx, term); err != nil {
		return err
	}
	if err := a.cfg.RegisterWebhook(ctx, a.api); err != nil {
		return err
	}
	return a.gate.Registered(ctx, term)
}

// nowServing says that updates can arrive, unless the term ended meanwhile.
func (a *App) nowServing(ctx context.Context) {
	if ctx.Err() == nil {
		a.servingOnce.Do(func() { close(a.serving) })
	}
}

// fetchUpdates asks for updates as raw bytes, since they are stored undecoded.
func (a *App) fetchUpdates(ctx context.Context, offset int64) ([]inbox.Envelope, int64, error) {
	raw, err := a.api.RequestWithContext(ctx, "getUpdates", map[string]any{
		"offset": offset, "limit": 100, "timeout": int64(25), "allowed_updates": allowedUpdates(),
	}, nil)
	if wait := telegram.RetryAfter(err); wait > 0 {
		return nil, offset, fault.Wrap(err, fault.Unavailable, "Telegram asks to wait").After(wait)
	}
	if err != nil {
		return nil, offset, err
	}
	var updates []json.RawMessage
	if err := json.Unmarshal(raw, &updates); err != nil {
		return nil, offset, fmt.Errorf("read the updates: %w", err)
	}
	var list []inbox.Envelope
	for _, u := range updates {
		var id struct {
			ID int64 `json:"update_id"`
		}
		if err := json.Unmarshal(u, &id); err == nil && id.ID >= offset {
			offset = id.ID + 1
		}
		e := openUpdate(u)
		e.Source, e.Body, e.Trace = sourceTelegram, u, trace.New()
		_, span := a.tracing.tracer.Begin(trace.Into(ctx, e.Trace), "poll telegram")
		span.End()
		list = append(list, e)
	}
	return list, offset, nil
}

// introduce tells Telegram the bot's commands and descriptions.
func (a *App) introduce(ctx context.Context) {
	a.until(ctx, "commands not set", func(ctx context.Context) error { return bot.Introduce(ctx, a.api) })
}

// until repeats a call to Telegram until it works or ctx ends, with growing
// pauses. Each failure is logged together with the pause that follows.
func (a *App) until(ctx context.Context, trouble string, call func(context.Context) error) {
	for pause := time.Second; ctx.Err() == nil; pause = min(2*pause, time.Minute) {
		err := call(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		pause = max(pause, telegram.RetryAfter(err))
		a.log.WarnContext(ctx, trouble, "error", err.Error(), "next_try", pause.String())
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}
