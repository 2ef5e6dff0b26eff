package smoke

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"kiosk/internal/console"
	"kiosk/internal/inbox"
	"kiosk/internal/pg"
	"kiosk/singleton"
)

//go:embed sql/inbox_state.sql
var sqlInboxState string

//go:embed sql/inbox_clean.sql
var sqlInboxClean string

func instanceChecks() []check {
	return []check{
		{name: checkInstances, needs: []string{checkStatements}, running: true, limit: 4 * time.Second, run: instances},
		{name: checkInbox, needs: []string{checkInstances}, running: true, limit: 6 * time.Second, run: roundTrip},
		{name: checkAddress, settings: []string{"WEBHOOK_BASE_URL"}, needs: []string{checkInstances}, running: true, limit: 4 * time.Second, run: address},
		{name: "clock", needs: []string{checkDatabase}, limit: 4 * time.Second, run: clock},
		{name: "disk", limit: time.Second, run: disk},
		{name: checkGeneration, needs: []string{checkModels, checkCredits}, limit: 10 * time.Minute, run: generate},
	}
}

// instances asks the database who is ACTIVE, and each instance that can be
// reached how it is.
func instances(ctx context.Context, r *run) finding {
	h, err := singleton.ReadHolding(ctx, r.pool, r.LockName)
	switch {
	case errors.Is(err, singleton.ErrUnknownLock):
		return fail(nobodyActive, "none ever was in this database")
	case err != nil:
		return whyNot(err)
	case !h.Held:
		return fail(nobodyActive, "the last one, %s, has stopped", h.Holder)
	case h.HeartbeatAge > r.StaleHeartbeat:
		return fail(holderSilent, "%s, for %s", h.Holder, h.HeartbeatAge.Round(time.Second))
	}
	reached := r.askAround(ctx)
	var active, unwell []string
	for _, i := range reached {
		if i.Lock.State == string(singleton.Active) {
			active = append(active, i.Instance)
		}
		if why := complaints(i); i.Status != "ok" && why != "" {
			unwell = append(unwell, fmt.Sprintf("%s is %s%s", i.Instance, i.Status, why))
		}
	}
	switch {
	case len(active) > 1 || len(active) == 1 && active[0] != h.Holder && !r.changedHands(ctx, h):
		return fail(twoActive, "%s has the lock in the database, and %s say that they have it", h.Holder, strings.Join(active, " and "))
	case len(unwell) > 0:
		return warn(healthNotFine, "%s", strings.Join(unwell, ", "))
	}
	return pass("%s is ACTIVE, epoch %d, last heartbeat %s ago; %s", h.Holder, h.Epoch, h.HeartbeatAge.Round(10*time.Millisecond), described(reached))
}

// complaints is why an instance is not well, "" when other checks say all of it.
func complaints(h console.Health) string {
	if len(h.Reasons) == 0 {
		return " and does not say why" // an older version
	}
	var all []string
	for _, why := range h.Reasons {
		if why != console.OtherSchema && why != console.BooksWrong {
			all = append(all, string(why))
		}
	}
	if len(all) == 0 {
		return ""
	}
	return ": " + strings.Join(all, ", ")
}

// changedHands reports that another term began since h was read.
func (r *run) changedHands(ctx context.Context, h singleton.Holding) bool {
	now, err := singleton.ReadHolding(ctx, r.pool, r.LockName)
	return err != nil || now.Epoch != h.Epoch
}

func described(reached []console.Health) string {
	if len(reached) == 0 {
		return "no /health can be reached from here"
	}
	var list []string
	for _, i := range reached {
		list = append(list, fmt.Sprintf("%s %s (version %s)", i.Instance, i.Lock.State, i.Version))
	}
	return "/health of " + strings.Join(list, ", ")
}

// askAround returns what the instances that can be reached say, each once.
func (r *run) askAround(ctx context.Context) []console.Health {
	var list []console.Health
	for _, base := range r.Instances {
		h, err := health(ctx, base)
		known := slices.ContainsFunc(list, func(o console.Health) bool { return o.Instance == h.Instance })
		if err == nil && h.Instance != "" && !known {
			list = append(list, h)
		}
	}
	return list
}

func health(ctx context.Context, base string) (console.Health, error) {
	var h console.Health
	a, err := ask(ctx, http.MethodGet, base+"/health")
	if err != nil {
		return h, err
	}
	return h, json.Unmarshal(a.body, &h)
}

// answer is what a server said.
type answer struct {
	status int
	header http.Header
	body   []byte
	asked  time.Time // in the middle of the exchange
}

// ask makes one bounded call that follows no redirect.
func ask(ctx context.Context, method, address string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 2500*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return answer{}, err
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	sent := time.Now()
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header, asked: sent.Add(time.Since(sent) / 2)}
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return a, err
}

// sourceTelegram is the inbox source whose handler is the bot.
const sourceTelegram = "telegram"

// roundTrip stores a message as a webhook does and waits until the ACTIVE instance
// has handled it. The message is an update of a kind that no bot knows, in a lane
// of its own: the bot reads it, does nothing, answers nobody, and marks it done.
func roundTrip(ctx context.Context, r *run) (f finding) {
	key := "smoke:" + rand.Text()
	defer func() {
		clean, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if _, err := r.pool.Exec(clean, sqlInboxClean, sourceTelegram, key); err != nil && f.status == Pass {
			f = fail(inboxRowStays, "%s", innermost(err))
		}
	}()
	began := time.Now()
	if err := r.store(ctx, inbox.Envelope{
		Source: sourceTelegram, Key: key, Lane: key, Queue: "smoke", Body: []byte(`{"update_id":0,"kiosk_smoke":{}}`),
	}); err != nil {
		return fail(inboxNotStored, "%s", innermost(err))
	}
	stored := time.Since(began)
	for ctx.Err() == nil {
		var state, problem string
		err := r.pool.QueryRow(ctx, sqlInboxState, sourceTelegram, key).Scan(&state, &problem)
		switch {
		case err == nil && state == "done":
			return r.setAside(ctx, pass("stored in %s, handled after %s, removed", stored.Round(time.Millisecond), time.Since(began).Round(time.Millisecond)))
		case err == nil && problem != "":
			return fail(inboxFailed, "%s", problem)
		case err != nil && !pg.IsPassing(err) && ctx.Err() == nil:
			return fail(inboxNotStored, "%s", innermost(err))
		case time.Since(began) > handleLimit:
			return fail(inboxNotHandled, "waited %s", handleLimit)
		}
		pause(ctx, 30*time.Millisecond)
	}
	return fail(inboxNotHandled, "")
}

// setAside returns f unless updates were given up a short time ago.
func (r *run) setAside(ctx context.Context, f finding) finding {
	stats, err := inbox.ReadStats(ctx, r.pool)
	switch {
	case err != nil:
		return whyNot(err)
	case stats.FailedRecent > 0:
		return warn(inboxAside, "%d in the last hour", stats.FailedRecent)
	}
	return f
}

// handleLimit is how long an empty message may wait for its turn.
const handleLimit = 4 * time.Second

// store goes the way of a webhook: one commit, and the ACTIVE instance is told.
func (r *run) store(ctx context.Context, e inbox.Envelope) error {
	receiver, err := inbox.NewReceiver(r.pool, slog.New(slog.DiscardHandler), inbox.NewMetrics(nil), nil)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	go receiver.Run(running)
	return receiver.Store(ctx, e)
}

// address looks whether the instances answer where Telegram is sent.
func address(ctx context.Context, r *run) finding {
	if r.Public == "" {
		return pass("none is needed: the bot polls")
	}
	a, err := ask(ctx, http.MethodPost, r.Webhook)
	if err != nil {
		return warn(addressDead, "%s", innermost(err))
	}
	if a.status != http.StatusUnauthorized {
		return fail(addressElse, "%s answers %d to a call without the secret, want 401", r.Webhook, a.status)
	}
	return pass("%s refuses strangers", r.Webhook)
}

// gib is the free space that results need by default.
const gib = 1 << 30

func disk(_ context.Context, r *run) finding {
	if len(r.Folders) == 0 {
		return pass("nothing is kept on this disk")
	}
	limit := r.MinFree
	if limit == 0 {
		limit = gib
	}
	var seen []string
	for _, folder := range r.Folders {
		if err := writable(folder); err != nil {
			return fail(diskMissing, "%s", err)
		}
		free, known := freeBytes(folder)
		if known && free < limit {
			return fail(diskFull, "%s has %.1f GiB free, want %.1f", folder, float64(free)/gib, float64(limit)/gib)
		}
		seen = append(seen, fmt.Sprintf("%s has %.1f GiB free", folder, float64(free)/gib))
	}
	return pass("%s", strings.Join(seen, ", "))
}

// writable makes a file in the folder and removes it.
func writable(folder string) error {
	f, err := os.CreateTemp(folder, ".smoke-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
