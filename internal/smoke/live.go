package smoke

import (
	"context"
	"time"

	"kiosk/internal/catalog"
	"kiosk/internal/provider"
	"kiosk/internal/provider/kie"
)

// Live asks for one real generation, which costs money.
type Live struct {
	MaxCost  catalog.USD
	Announce func(model string, cost catalog.USD) // called before anything is ordered
	Patience time.Duration                        // default 5 minutes
	Every    time.Duration                        // between two looks, default 2 s
}

// generate runs the example of the cheapest model that needs no file.
func generate(ctx context.Context, r *run) finding {
	m, cost := r.prices.cheapest, r.prices.cost
	if m == nil {
		return skip("no model runs from words alone")
	}
	if cost > r.Live.MaxCost {
		return fail(liveTooDear, "%s costs %s USD, allowed are %s", m.ID, cost, r.Live.MaxCost)
	}
	client, err := kie.New(r.KieURL, r.KieKey)
	if err != nil {
		return fail(liveRefused, "%s", err)
	}
	r.Live.Announce(m.ID, cost)
	began := time.Now()
	id, err := client.Submit(ctx, provider.Request{Model: m.ID, Input: r.prices.input})
	if err != nil {
		e := provider.AsError(err)
		return fail(liveRefused, "%s: %d %s", m.ID, e.Code, e.Message)
	}
	task := r.await(ctx, client, id)
	switch {
	case task.State == provider.Failed:
		return fail(liveFailed, "%s: %s", m.ID, task.Message)
	case task.State != provider.Succeeded:
		return fail(liveLost, "%s, task %s", m.ID, id)
	}
	return pass("%s for %s USD in %s: %d result", m.ID, cost, time.Since(began).Round(100*time.Millisecond), max(len(task.Results), 1))
}

// await looks at the task until it has ended or the patience has.
func (r *run) await(ctx context.Context, client *kie.Client, id string) provider.Task {
	patience, every := r.Live.Patience, r.Live.Every
	if patience == 0 {
		patience = 5 * time.Minute
	}
	if every == 0 {
		every = 2 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var last provider.Task
	for ctx.Err() == nil {
		pause(ctx, every)
		task, err := client.Fetch(ctx, id)
		if err != nil {
			continue // not visible yet, or a passing error: the patience ends it
		}
		if last = task; task.State == provider.Succeeded || task.State == provider.Failed {
			break
		}
	}
	return last
}
