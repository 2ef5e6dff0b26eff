package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"kiosk/internal/app/apptest"
	"kiosk/internal/simulator/telegramsim"
)

// tap is one instance's own way to Telegram: it shows who polls, and it can
// kill its instance at the moments that matter.
type tap struct {
	telegram http.Handler
	url      string
	asked    atomic.Int64 // polls that have begun
	waiting  atomic.Int64 // polls under way
	fatal    atomic.Int32 // the moment of the next batch at which the instance dies
	instance *process
}

// The moments at which a tap can kill.
const (
	never        int32 = iota
	beforeAnswer       // the instance never sees the batch
	afterAnswer        // it has the batch, and may have stored it, and may have acknowledged it
)

func newTap(t *testing.T, w *apptest.World) *tap {
	t.Helper()
	x := &tap{telegram: w.Telegram}
	server := httptest.NewServer(x)
	x.url = server.URL
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return x
}

func (x *tap) ServeHTTP(to http.ResponseWriter, r *http.Request) {
	if !strings.HasSuffix(r.URL.Path, "/getUpdates") {
		x.telegram.ServeHTTP(to, r)
		return
	}
	x.asked.Add(1)
	x.waiting.Add(1)
	defer x.waiting.Add(-1)
	answer := httptest.NewRecorder()
	x.telegram.ServeHTTP(answer, r)
	batch := bytes.Contains(answer.Body.Bytes(), []byte(`"update_id"`))
	if batch && x.fatal.CompareAndSwap(beforeAnswer, never) {
		_ = x.instance.cmd.Process.Kill()
		panic(http.ErrAbortHandler)
	}
	maps.Copy(to.Header(), answer.Header())
	to.WriteHeader(answer.Code)
	_, _ = to.Write(answer.Body.Bytes()) // the instance may have left
	if batch && x.fatal.CompareAndSwap(afterAnswer, never) {
		_ = http.NewResponseController(to).Flush()
		_ = x.instance.cmd.Process.Kill()
	}
}

// pollers is a fleet that polls, each instance over a tap of its own.
type pollers struct {
	fleet
	w *apptest.World
}

func (f *pollers) join() *tap {
	f.t.Helper()
	x := newTap(f.t, f.w)
	x.instance = f.start(pollingSettings(f.w, x.url))
	return x
}

func pollingSettings(w *apptest.World, telegram string) map[string]string {
	env := w.Settings("")
	env["BOT_MODE"], env["TELEGRAM_API_URL"], env["LOG_LEVEL"] = "polling", telegram, "info"
	return env
}

// typing makes people type until the returned function is called.
func typing(w *apptest.World, perSecond rate.Limit) (typists []*typist, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	pace := rate.NewLimiter(perSecond, 1)
	var group sync.WaitGroup
	for i := range 8 {
		y := &typist{Person: w.Person(fmt.Sprintf("Typist %d", i), "en")}
		typists = append(typists, y)
		group.Go(func() {
			for pace.Wait(ctx) == nil {
				y.next()
			}
		})
	}
	w.T.Cleanup(cancel)
	return typists, func() { cancel(); group.Wait() }
}

// answered waits until everybody who types has got n more answers.
func answered(t *testing.T, w *apptest.World, typists []*typist, n int) {
	t.Helper()
	want := make([]int, len(typists))
	for i, y := range typists {
		want[i] = len(quotes(w, y.Person)) + n
	}
	for i, y := range typists {
		y.Wait(fmt.Sprintf("answer %d", want[i]), func(telegramsim.Message) bool { return len(quotes(w, y.Person)) >= want[i] })
	}
}

// stopped sends SIGTERM and demands an end in order long before a poll would end.
func (x *tap) stopped(t *testing.T) {
	t.Helper()
	began := time.Now()
	if err := x.instance.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-x.instance.done
	took := time.Since(began)
	if code := x.instance.cmd.ProcessState.ExitCode(); code != 0 || took > 10*time.Second {
		t.Errorf("ended with code %d after %s", code, took)
	}
	until(t, "the poll has ended", func() bool { return x.waiting.Load() == 0 })
	t.Logf("stopped within %s", took)
}

// Only the ACTIVE instance asks. Told to stop, it cuts its poll, whether updates
// come or not, and the other one goes on: each text is answered once, in order.
func TestPolling_StopHandsOver(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	f := &pollers{fleet: fleet{t: t}, w: w}
	first := f.join()
	f.active()
	second := f.join()
	typists, stop := typing(w, 10)
	answered(t, w, typists, 2)
	if n := second.asked.Load(); n != 0 {
		t.Errorf("the PASSIVE instance has asked %d times", n)
	}
	first.stopped(t)
	f.active()
	answered(t, w, typists, 2)
	stop()
	f.active().settled(t)
	checkUpdates(t, w)
	checkTexts(t, w, typists, 0)
	t.Logf("polls: %d by the first, %d by the second", first.asked.Load(), second.asked.Load())
	until(t, "a poll waits for nothing", func() bool { return second.waiting.Load() == 1 })
	second.stopped(t)
}

// The ACTIVE instance is killed with a batch on its way to it, and with a batch
// that it is about to store or to acknowledge: Telegram hands out again what was
// not acknowledged, and the inbox knows what was stored.
func TestPolling_KillsLoseAndDoubleNothing(t *testing.T) {
	t.Parallel()
	kills := 6
	if testing.Short() {
		kills = 2
	}
	w := apptest.New(t)
	f := &pollers{fleet: fleet{t: t}, w: w}
	taps := map[*process]*tap{}
	join := func() {
		x := f.join()
		taps[x.instance] = x
	}
	join()
	join()
	typists, stop := typing(w, 10)
	for i := range kills {
		answered(t, w, typists, 1)
		victim := f.active()
		taps[victim].fatal.Store([]int32{beforeAnswer, afterAnswer}[i%2])
		<-victim.done
		join()
	}
	f.active()
	answered(t, w, typists, 1)
	stop()
	f.active().settled(t)
	checkUpdates(t, w)
	checkTexts(t, w, typists, unknownDeliveries(t, w)["bot.message"])
}

// botCall makes a call with the bot's token that our instances know nothing of.
func botCall(ctx context.Context, w *apptest.World, method string, params url.Values) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost,
		w.SimURL+"/bot"+apptest.Token+"/"+method, strings.NewReader(params.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// A webhook that was set before is removed, and what waited for it is handled.
func TestPolling_WebhookIsRemovedAndItsUpdatesAreKept(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	hook := httptest.NewServer(http.NotFoundHandler())
	defer hook.Close()
	if answer, err := botCall(w.Context(), w, "setWebhook", url.Values{"url": {hook.URL}}); err != nil || !strings.Contains(answer, "was set") {
		t.Fatalf("%s %v", answer, err)
	}
	var typists []*typist
	for i := range 5 {
		y := &typist{Person: w.Person(fmt.Sprintf("Typist %d", i), "en")}
		typists = append(typists, y)
		for range 3 {
			y.next()
		}
	}
	f := &pollers{fleet: fleet{t: t}, w: w}
	f.join()
	f.active()
	if err := w.Telegram.WaitUpdates(w.Context()); err != nil {
		t.Fatal(err)
	}
	f.active().settled(t)
	checkUpdates(t, w)
	checkTexts(t, w, typists, 0)
	if answer, err := botCall(w.Context(), w, "getWebhookInfo", nil); err != nil || !strings.Contains(answer, `"url":""`) {
		t.Errorf("%s %v", answer, err)
	}
}

// journal is the log of a process. Its lines also go to the test's output.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
	also io.Writer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text.Write(p)
	return j.also.Write(p)
}

func (j *journal) count(text string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.text.String(), text)
}

// logged runs an instance that polls, and keeps its log.
func logged(t *testing.T, w *apptest.World) (*tap, *journal) {
	t.Helper()
	x, j := newTap(t, w), &journal{also: t.Output()}
	env := pollingSettings(w, x.url)
	env["LISTEN"] = freeAddress(t)
	x.instance = &process{cmd: command(t, env, "serve"), url: "http://" + env["LISTEN"], done: make(chan struct{})}
	x.instance.cmd.Stderr = j
	if err := x.instance.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = x.instance.cmd.Wait() // the exit code is asked for later
		close(x.instance.done)
	}()
	return x, j
}

// foreignPoller asks with the bot's token, as a forgotten second deployment does,
// until the returned function is called. It acknowledges nothing.
func foreignPoller(t *testing.T, w *apptest.World) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	pace := rate.NewLimiter(20, 1)
	var group sync.WaitGroup
	group.Go(func() {
		for pace.Wait(ctx) == nil {
			_, _ = botCall(ctx, w, "getUpdates", url.Values{"timeout": {"20"}}) // refused whenever ours asks
		}
	})
	t.Cleanup(cancel)
	return func() { cancel(); group.Wait() }
}

// While a stranger polls with the same token, Telegram refuses the two in turns.
// The log says so when it begins and when it is over, and nothing is lost.
func TestPolling_ForeignPollerIsReportedOnce(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	x, log := logged(t, w)
	until(t, "a poll waits", func() bool { return x.waiting.Load() == 1 })
	leave := foreignPoller(t, w)
	until(t, "the conflict is in the log", func() bool { return log.count("terminated by other getUpdates") > 0 })
	typists, stop := typing(w, 2)
	before := x.asked.Load()
	until(t, "it has asked some more times", func() bool { return x.asked.Load() >= before+6 })
	leave()
	until(t, "the end is in the log", func() bool { return log.count("polling works again") > 0 })
	stop()
	if begun, over := log.count("polling fails"), log.count("polling works again"); begun != 1 || over != 1 {
		t.Errorf("the trouble was reported %d times and its end %d times", begun, over)
	}
	if err := w.Telegram.WaitUpdates(w.Context()); err != nil {
		t.Fatal(err)
	}
	x.instance.settled(t)
	x.stopped(t)
	checkUpdates(t, w)
	checkTexts(t, w, typists, 0)
}
