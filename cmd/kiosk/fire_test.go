package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/time/rate"

	"kiosk/internal/app/apptest"
	"kiosk/internal/console"
	"kiosk/internal/pg/pgtest"
	"kiosk/internal/simulator/kiesim"
	"kiosk/internal/simulator/telegramsim"
)

// fleet is the instances of one test. One that dies is not replaced by itself.
type fleet struct {
	t         *testing.T
	instances []*process
}

func (f *fleet) start(env map[string]string) *process {
	f.t.Helper()
	p := serve(f.t, env, fmt.Sprintf("instance-%d", len(f.instances)+1))
	f.instances = append(f.instances, p)
	return p
}

// active waits until an instance is the ACTIVE one.
func (f *fleet) active() (found *process) {
	f.t.Helper()
	until(f.t, "an instance is ACTIVE", func() bool {
		i := slices.IndexFunc(f.instances, func(p *process) bool { return p.alive() && p.active() })
		if i >= 0 {
			found = f.instances[i]
		}
		return i >= 0
	})
	return found
}

// health is what an instance says of itself, zero when it says nothing.
func (p *process) health() (h console.Health) {
	resp, err := http.Get(p.url + "/health")
	if err != nil {
		return h
	}
	defer resp.Body.Close()
	if json.NewDecoder(resp.Body).Decode(&h) != nil {
		return console.Health{}
	}
	return h
}

// settled waits until an instance says that nothing is left to do.
func (p *process) settled(t *testing.T) {
	t.Helper()
	until(t, "nothing is pending", func() bool {
		h := p.health()
		return h.Database.OK && h.Inbox.Pending == 0 && h.Outbox.Pending == 0 && h.Generations.Running == 0
	})
	if h := p.health(); h.Inbox.Failed != 0 || h.Inbox.Undecodable != 0 {
		t.Errorf("%d updates were set aside, %d not understood", h.Inbox.Failed, h.Inbox.Undecodable)
	}
}

// typist is a person who types t1, t2 and so on. No model is chosen, so the bot
// answers each text with a message that quotes it.
type typist struct {
	*apptest.Person
	typed int
}

func (y *typist) next() {
	y.typed++
	y.Say("t" + strconv.Itoa(y.typed))
}

var quotation = regexp.MustCompile(`(?m)^t(\d+)$`)

// quotes lists the numbers of the texts that the bot has quoted to a person.
func quotes(w *apptest.World, p *apptest.Person) []int {
	var list []int
	for _, m := range w.Telegram.Messages(p.ID) {
		if found := quotation.FindStringSubmatch(m.Text); found != nil && m.From.IsBot {
			n, _ := strconv.Atoi(found[1])
			list = append(list, n)
		}
	}
	return list
}

// checkTexts demands that every text was quoted once, in the order of typing.
// Messages whose delivery ended as unknown may be missing, none may be doubled.
func checkTexts(t *testing.T, w *apptest.World, typists []*typist, unknown int) {
	t.Helper()
	typed, missing := 0, 0
	for _, y := range typists {
		got := quotes(w, y.Person)
		for i, n := range got {
			if i > 0 && n <= got[i-1] {
				t.Errorf("user %d: t%d was quoted after t%d", y.ID, n, got[i-1])
			}
		}
		typed += y.typed
		missing += y.typed - len(got)
	}
	if missing > unknown {
		t.Errorf("%d of %d texts were not answered, and %d deliveries are unknown", missing, typed, unknown)
	}
	t.Logf("%d texts of %d people, %d not quoted", typed, len(typists), missing)
}

// checkUpdates demands that the bot has taken every update there ever was.
func checkUpdates(t *testing.T, w *apptest.World) {
	t.Helper()
	all, again := w.Telegram.Updates(), 0
	for _, u := range all {
		if u.State != telegramsim.UpdateAcknowledged {
			t.Errorf("update %d is %s: %s", u.ID, u.State, u.LastError)
		}
		again += u.Attempts - 1
	}
	t.Logf("%d updates taken, %d repetitions by Telegram", len(all), again)
}

// unknownDeliveries counts the messages by kind whose answer was lost.
func unknownDeliveries(t *testing.T, w *apptest.World) map[string]int {
	t.Helper()
	rows, err := pgtest.Pool(t, w.Database).Query(t.Context(),
		`SELECT kind, count(*) FROM outbox_messages WHERE state = 'unknown' GROUP BY kind`)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	var kind string
	var n int
	_, err = pgx.ForEachRow(rows, []any{&kind, &n}, func() error { counts[kind] = n; return nil })
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("unknown deliveries: %v", counts)
	return counts
}

// player is a typist who also presses the button of an order that was placed
// already: the chat shows its card twice, and the other one was pressed first.
// Such a press is answered, and nothing else happens.
type player struct {
	typist
	w       *apptest.World
	card    telegramsim.Message
	pressed int // the card
}

func newPlayer(w *apptest.World, name string) *player {
	p := &player{w: w, typist: typist{Person: w.Person(name, "en")}}
	old := p.draft("a fox")
	p.Say("a whale")
	p.card = p.WaitText("a whale", "Price")
	p.press(old) // is outdated, so the newest is shown once more
	twin := p.Wait("the card once more", func(m telegramsim.Message) bool {
		return strings.Contains(m.Text, "a whale") && m.MessageID > p.card.MessageID
	})
	p.press(twin)
	p.Wait("the picture", hasPhoto)
	p.Say("/start")
	p.WaitText("What shall we make")
	return p
}

// draft brings a person to the card of an order.
func (y *typist) draft(prompt string) telegramsim.Message {
	y.Say(prompt)
	y.Press("Pictures")
	y.Press("Z-Image")
	return y.WaitText(prompt, "Price")
}

func hasPhoto(m telegramsim.Message) bool { return len(m.Photo) > 0 }

func (p *player) press(card telegramsim.Message) (id string) {
	b, _ := apptest.Button(card, "Generate")
	id, err := p.w.Telegram.Press(p.ID, card.MessageID, b.CallbackData)
	if err != nil {
		p.w.T.Errorf("press of user %d: %v", p.ID, err)
	}
	return id
}

// round is how many presses come with one text.
const round = 9

// play goes on until ctx ends. Nobody is more than two rounds ahead of the
// answers, which keeps the load at what the instances can take.
func (p *player) play(ctx context.Context, pace *rate.Limiter, answered *atomic.Int64) {
	previous := ""
	for ctx.Err() == nil {
		p.next()
		last := ""
		for range round {
			if pace.Wait(ctx) != nil {
				return
			}
			last = p.press(p.card)
			p.pressed++
		}
		if previous != "" {
			if _, err := p.w.Telegram.WaitAnswer(p.w.Context(), p.ID, previous); err != nil {
				p.w.T.Errorf("user %d: %v", p.ID, err)
				return
			}
			answered.Add(round)
		}
		previous = last
	}
}

// checkPresses demands that every press of everybody was answered, and that the
// players' were taken for double taps.
func checkPresses(t *testing.T, w *apptest.World, players []*player) {
	t.Helper()
	presses := 0
	for _, u := range w.Telegram.Users() {
		for _, a := range w.Telegram.Answers(u.ID) {
			presses++
			if a.AnsweredAt.IsZero() {
				t.Errorf("user %d: a press at %s was not answered", u.ID, a.PressedAt)
			}
		}
	}
	for _, p := range players {
		n := 0
		for _, a := range w.Telegram.Answers(p.ID) {
			if a.MessageID == p.card.MessageID && a.Text == "Already on it." {
				n++
			}
		}
		if n != p.pressed {
			t.Errorf("user %d: %d of %d double taps were answered as such", p.ID, n, p.pressed)
		}
	}
	t.Logf("%d presses answered", presses)
}

// together makes n of something at the same time.
func together[T any](t *testing.T, n int, makeOne func(i int) T) []T {
	t.Helper()
	list := make([]T, n)
	var group sync.WaitGroup
	for i := range list {
		group.Go(func() { list[i] = makeOne(i) })
	}
	group.Wait()
	if t.Failed() {
		t.FailNow() // a Fatal ended its own goroutine only
	}
	return list
}

// fire is a fleet behind a balancer, under load.
type fire struct {
	fleet
	w        *apptest.World
	b        *balancer
	env      map[string]string
	players  []*player
	buyers   []*typist // one for each kill, each with a card that is ready to order
	answered atomic.Int64
}

func lightFire(t *testing.T, players, buyers int) *fire {
	t.Helper()
	w, b := apptest.New(t), newBalancer(t)
	w.Kie.SetBaseURL(smallPictures(t))
	f := &fire{fleet: fleet{t: t}, w: w, b: b, env: w.Settings(b.URL)}
	f.env["LOG_LEVEL"] = "warn"
	// Deliveries that a kill left in doubt wait for the stale time, and their people with them.
	f.env["LOCK_HEARTBEAT_SECONDS"], f.env["LOCK_STALE_HEARTBEAT_SECONDS"] = "1", "4"
	f.join()
	f.active()
	f.join()
	f.players = together(t, players, func(i int) *player { return newPlayer(w, fmt.Sprintf("Player %d", i)) })
	f.buyers = together(t, buyers, func(i int) *typist {
		y := &typist{Person: w.Person(fmt.Sprintf("Buyer %d", i), "en")}
		y.draft("a boat")
		return y
	})
	return f
}

func (f *fire) join() { f.b.add(f.start(f.env)) }

// burn drives the load while the instances are killed.
func (f *fire) burn(perSecond rate.Limit) (gaps []time.Duration) {
	f.t.Helper()
	ctx, cancel := context.WithCancel(f.t.Context())
	var playing sync.WaitGroup
	stop := func() { cancel(); playing.Wait() }
	defer stop()
	pace := rate.NewLimiter(perSecond, int(perSecond)) // what a gap kept back comes after it
	began, before := time.Now(), len(f.w.Telegram.Updates())
	for _, p := range f.players {
		playing.Go(func() { p.play(ctx, pace, &f.answered) })
	}
	for i, y := range f.buyers {
		enough := f.answered.Load() + 20*round
		until(f.t, "the ACTIVE instance has had work", func() bool { return f.answered.Load() >= enough })
		gaps = append(gaps, f.killActive(y, i%2 == 0))
		f.join()
	}
	stop()
	updates, took := len(f.w.Telegram.Updates())-before, time.Since(began)
	f.t.Logf("%d updates within %s, %.0f a second", updates, took.Round(time.Millisecond), float64(updates)/took.Seconds())
	return gaps
}

// killActive kills the ACTIVE instance while it works on a paid order, before or
// after the provider has it, and returns how long nobody was ACTIVE.
func (f *fire) killActive(buyer *typist, early bool) time.Duration {
	f.t.Helper()
	victim := f.active()
	orders := created(f.w.Kie.Calls())
	buyer.Press("Generate")
	if !early {
		if err := f.w.Kie.WaitFor(f.w.Context(), func(calls []kiesim.Call) bool { return created(calls) > orders }); err != nil {
			f.t.Fatal(err)
		}
	}
	began := time.Now()
	if err := victim.cmd.Process.Kill(); err != nil {
		f.t.Fatal(err)
	}
	<-victim.done
	f.active()
	return time.Since(began)
}

// Under a load of 200 updates a second, or what the machine can take, the ACTIVE
// instance is killed ten times, each time in the middle of a paid generation.
// What Telegram and the provider have seen is what one immortal instance would
// have shown them, but for messages whose delivery nobody can know.
//
// It does not run in parallel: its load would be at the expense of the others.
func TestServe_TenKillsUnderLoad(t *testing.T) {
	kills := 10
	if testing.Short() {
		kills = 3
	}
	began := time.Now()
	f := lightFire(t, 32, kills)
	t.Logf("%d players and %d buyers ready after %s", len(f.players), len(f.buyers), time.Since(began).Round(time.Second))
	gaps := f.burn(230) // nobody is served while nobody is ACTIVE
	slices.Sort(gaps)
	t.Logf("%d kills; until the next was ACTIVE: p50 %s, max %s", len(gaps), gaps[len(gaps)/2], gaps[len(gaps)-1])
	if err := f.w.Telegram.WaitUpdates(f.w.Context()); err != nil {
		t.Fatal(err)
	}
	f.active().settled(t)
	checkUpdates(t, f.w)
	checkPresses(t, f.w, f.players)
	unknown := unknownDeliveries(t, f.w)
	checkTexts(t, f.w, f.typists(), unknown["bot.message"])
	f.checkOrders(unknown["bot.unsure"])
}

// typists are the players, and f.buyers, who have typed nothing with a number.
func (f *fire) typists() []*typist {
	list := slices.Clone(f.buyers)
	for _, p := range f.players {
		list = append(list, &p.typist)
	}
	return list
}

// checkOrders demands one task for each order, each picture once or offered by
// its button, and sound books.
func (f *fire) checkOrders(lostOffers int) {
	f.t.Helper()
	people := f.typists()
	if n := len(f.w.Kie.Tasks()); n != len(people) {
		f.t.Errorf("%d tasks were created, want %d", n, len(people))
	}
	seen := 0
	for _, y := range people {
		if hasPictureOnce(f.t, f.w, y) {
			seen++
		}
	}
	if unseen := len(people) - seen; unseen > lostOffers {
		f.t.Errorf("%d pictures neither came nor were offered", unseen)
	}
	stdout, stderr, code := kiosk(f.t, f.env, "ledger", "verify", "--json")
	if code != 0 || strings.TrimSpace(stdout) != "[]" {
		f.t.Errorf("ledger verify: %d %s %s", code, stdout, stderr)
	}
	f.t.Logf("%d orders, %d pictures came", len(people), seen)
}

// hasPictureOnce reports whether a person's picture came, or is offered and comes
// by the button.
func hasPictureOnce(t *testing.T, w *apptest.World, y *typist) bool {
	t.Helper()
	offered := slices.ContainsFunc(w.Telegram.Messages(y.ID), func(m telegramsim.Message) bool {
		return strings.Contains(m.Text, "did not confirm")
	})
	if y.Files() == 0 && offered {
		y.PressAnswered("Send it to me")
		y.Wait("the picture", hasPhoto)
	}
	if n := y.Files(); n > 1 {
		t.Errorf("user %d has %d pictures, want 1:\n%s", y.ID, n, y.Chat())
	}
	return y.Files() == 1
}
