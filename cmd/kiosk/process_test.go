package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"kiosk/internal/app/apptest"
	"kiosk/internal/pg/pgtest"
	"kiosk/internal/simulator/kiesim"
	"kiosk/internal/simulator/telegramsim"
)

// beKiosk makes the test binary behave as the program itself, so that tests run
// real processes of exactly this code.
const beKiosk = "KIOSK_TEST_BE_KIOSK"

func TestMain(m *testing.M) {
	if os.Getenv(beKiosk) != "" {
		os.Exit(run())
	}
	os.Exit(pgtest.Run(m))
}

// process is one running kiosk.
type process struct {
	cmd  *exec.Cmd
	url  string
	done chan struct{}
}

// kiosk runs a command to its end.
func kiosk(t *testing.T, env map[string]string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs strings.Builder
	cmd := command(t, env, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func command(t *testing.T, env map[string]string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*apptest.Patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = []string{beKiosk + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

// serve starts an instance and returns when it is ready.
func serve(t *testing.T, env map[string]string, name string) *process {
	t.Helper()
	address := freeAddress(t)
	env = maps.Clone(env)
	env["LISTEN"], env["INSTANCE_NAME"] = address, name
	p := &process{cmd: command(t, env, "serve"), url: "http://" + address, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = t.Output(), t.Output()
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // a killed process is an expected end
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		<-p.done
	})
	until(t, name+" is ready", func() bool {
		resp, err := http.Get(p.url + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return p
}

func (p *process) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

func (p *process) active() bool {
	resp, err := http.Get(p.url + "/health")
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	var h struct {
		Lock struct {
			State string `json:"state"`
		} `json:"lock"`
	}
	return json.NewDecoder(resp.Body).Decode(&h) == nil && h.Lock.State == "ACTIVE"
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// until waits for something that no event announces: another process's state.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(apptest.Patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// balancer is a platform's load balancer: it sends each request to an instance
// that is alive, and answers 502 when that one dies meanwhile.
type balancer struct {
	*httptest.Server
	mu        sync.Mutex
	instances []*process
	next      atomic.Int64
}

func newBalancer(t *testing.T) *balancer {
	t.Helper()
	b := &balancer{}
	b.Server = httptest.NewServer(http.HandlerFunc(b.forward))
	t.Cleanup(func() {
		b.CloseClientConnections()
		b.Close()
	})
	return b
}

func (b *balancer) add(p *process) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.instances = append(b.instances, p)
}

func (b *balancer) forward(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	alive := slices.DeleteFunc(slices.Clone(b.instances), func(p *process) bool { return !p.alive() })
	b.mu.Unlock()
	if len(alive) == 0 {
		http.Error(w, "nobody is there", http.StatusBadGateway)
		return
	}
	target, err := url.Parse(alive[int(b.next.Add(1))%len(alive)].url)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	proxy.ErrorLog = nil
	proxy.ServeHTTP(w, r)
}

// Two real processes on one database: the ACTIVE one is killed in the middle of
// ten generations. The other finishes them; each result arrives once, each hold
// is settled once, and the books are sound.
func TestServe_KillOfTheActiveInstanceLosesNothing(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	b := newBalancer(t)
	env := w.Settings(b.URL)
	first := serve(t, env, "first")
	b.add(first)
	until(t, "the first instance is ACTIVE", first.active)
	second := serve(t, env, "second")
	b.add(second)

	people := make([]*apptest.Person, 10)
	var ordering sync.WaitGroup
	for i := range people {
		people[i] = w.Person(fmt.Sprintf("P%d", i), "en")
		ordering.Go(func() { people[i].Order("Pictures", "Z-Image", fmt.Sprintf("picture %d", i)) })
	}
	middle := func(calls []kiesim.Call) bool { return created(calls) >= 5 }
	if err := w.Kie.WaitFor(w.Context(), middle); err != nil {
		t.Fatal(err)
	}
	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	ordering.Wait()
	until(t, "the second instance is ACTIVE", second.active)
	for _, p := range people {
		p.Wait("the result or its offer", func(m telegramsim.Message) bool {
			return len(m.Photo) > 0 || strings.Contains(m.Text, "did not confirm")
		})
		if p.Files() == 0 { // the kill hit before Telegram had it; the person presses the button
			p.PressAnswered("Send it to me")
			p.Wait("the result", func(m telegramsim.Message) bool { return len(m.Photo) > 0 })
		}
	}
	checkAfterKill(t, w, env, people)
}

func created(calls []kiesim.Call) int {
	n := 0
	for _, c := range calls {
		if c.Method == "createTask" {
			n++
		}
	}
	return n
}

func checkAfterKill(t *testing.T, w *apptest.World, env map[string]string, people []*apptest.Person) {
	t.Helper()
	pool := pgtest.Pool(t, w.Database)
	until(t, "every generation has ended", func() bool {
		var open int
		err := pool.QueryRow(t.Context(), `SELECT count(*) FROM generations WHERE finished_at IS NULL`).Scan(&open)
		return err == nil && open == 0
	})
	for _, p := range people {
		if n := p.Files(); n != 1 {
			t.Errorf("user %d has %d pictures, want 1:\n%s", p.ID, n, p.Chat())
		}
	}
	var captured, holds int
	err := pool.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE state = 'captured'), count(*) FROM ledger_holds`).Scan(&captured, &holds)
	if err != nil || captured != len(people) || holds != len(people) {
		t.Errorf("%d of %d holds captured, want %d; %v", captured, holds, len(people), err)
	}
	if n := len(w.Kie.Tasks()); n != len(people) {
		t.Errorf("%d tasks were paid for, want %d", n, len(people))
	}
	stdout, stderr, code := kiosk(t, env, "ledger", "verify", "--json")
	if code != 0 || strings.TrimSpace(stdout) != "[]" {
		t.Errorf("ledger verify: %d %s %s", code, stdout, stderr)
	}
}

// SIGTERM hands over at once and ends with code 0.
func TestServe_StopHandsOver(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	b := newBalancer(t)
	env := w.Settings(b.URL)
	first := serve(t, env, "first")
	until(t, "the first instance is ACTIVE", first.active)
	second := serve(t, env, "second")
	if err := first.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-first.done
	if code := first.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	until(t, "the second instance is ACTIVE", second.active)
	var kinds string
	err := pgtest.Pool(t, w.Database).QueryRow(t.Context(), `SELECT string_agg(kind, ',' ORDER BY id) FROM singleton_event`).Scan(&kinds)
	if err != nil || kinds != "acquired,released,acquired" {
		t.Errorf("history %s, %v", kinds, err)
	}
}

// Work that does not stop ends with the process when the time is up. What it had
// begun goes on with the next instance.
func TestServe_StopIsBoundedByItsTimeout(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	if err := w.Kie.Fault(kiesim.Fault{Method: "createTask", Action: "delay", DelayMS: 40_000, Count: 1}); err != nil {
		t.Fatal(err)
	}
	b := newBalancer(t)
	env := w.Settings(b.URL)
	env["SHUTDOWN_TIMEOUT_SECONDS"] = "1"
	first := serve(t, env, "first")
	b.add(first)
	until(t, "the first instance is ACTIVE", first.active)
	p := w.Person("Ada", "en")
	p.Order("Pictures", "Z-Image", "a fox")
	if err := w.Kie.WaitFor(w.Context(), func(calls []kiesim.Call) bool { return created(calls) == 1 }); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := first.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-first.done
	if code := first.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("exit code %d, want 1: the work did not stop", code)
	}
	if took := time.Since(began); took > 20*time.Second { // the call alone would take 30 s
		t.Errorf("the stop took %s", took)
	}
	second := serve(t, env, "second")
	b.add(second)
	until(t, "the second instance is ACTIVE", second.active)
}

func TestModelsRequest_PrintsTheBodyOrSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"model":"z-image","input":{"prompt":"a cat"}}`:                                                        `{"model":"z-image","input":{"aspect_ratio":"1:1","nsfw_checker":true,"prompt":"a cat"}}`,
		`{"model":"google/nano-banana-edit","input":{"prompt":"x","image_urls":["https://a/1","https://a/2"]}}`: `{"model":"google/nano-banana-edit","input":{"aspect_ratio":"auto","image_urls":["https://a/1","https://a/2"],"prompt":"x"}}`,
		`{"model":"kling-2.6/image-to-video","input":{"prompt":"x","image_urls":["https://a/1"],"sound":true}}`: `{"model":"kling-2.6/image-to-video","input":{"duration":"5","image_urls":["https://a/1"],"prompt":"x","sound":true}}`,
		`{"model":"kling-2.6/image-to-video","input":{"prompt":"x","image_urls":"https://a/1"}}`:                "!image_urls",
		`{"model":"z-image","input":{}}`:                                  "!prompt is required",
		`{"model":"z-image","input":{"prompt":5}}`:                        "!wrong JSON type",
		`{"model":"z-image","input":{"prompt":"x","aspect_ratio":"9:1"}}`: "!aspect_ratio is none of the options",
		`{"model":"z-image","input":{"prompt":"x","speed":"1"}}`:          "!no input \"speed\"",
		`{"model":"z-image","input":{"prompt":"x","nsfw_checker":false}}`: "!always true",
		`{"model":"nothing","input":{}}`:                                  "!models list",
		`{"prompt":"x"}`:                                                  "!unknown field",
		`[`:                                                               "!read the body",
	} {
		cmd := command(t, nil, "models", "request")
		cmd.Stdin = strings.NewReader(in)
		out, err := cmd.CombinedOutput()
		if text, refused := strings.CutPrefix(want, "!"); refused {
			if err == nil || !strings.Contains(string(out), text) {
				t.Errorf("%s: %v %s, want a refusal with %q", in, err, out, text)
			}
			continue
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, out); err != nil || compact.String() != want {
			t.Errorf("%s: %s, want %s", in, out, want)
		}
	}
}

func TestCommands_AnswerWithTheRightCode(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	env := w.Settings("http://127.0.0.1:1")
	empty := maps.Clone(env)
	empty["DATABASE_URL"] = pgtest.Empty(t)
	down := maps.Clone(env)
	down["LISTEN"] = "127.0.0.1:1"
	for _, c := range []struct {
		env  map[string]string
		args string
		code int
		says string
	}{
		{nil, "", 0, "kiosk dev"},
		{nil, "--help", 0, "Available Commands"},
		{nil, "version", 0, "kiosk dev"},
		{nil, "nonsense", 2, "unknown command"},
		{nil, "serve --nonsense", 2, "unknown flag"},
		{nil, "serve", 2, "TELEGRAM_BOT_TOKEN"},
		{nil, "dev --ephemeral --data /tmp/x", 2, "choose one"},
		{nil, "env --check", 2, "KIE_API_KEY"},
		{env, "env --check", 0, "valid"},
		{env, "env", 0, "WELCOME_CREDIT"},
		{nil, "migrate status", 2, "DATABASE_URL"},
		{env, "migrate verify", 0, "complete"},
		{empty, "migrate verify", 1, "kiosk migrate up"},
		{env, "migrate up", 0, "nothing to do"},
		{env, "migrate status --json", 0, "0001_ledger.sql"},
		{env, "ledger verify", 0, "sound"},
		{env, "ledger statement x", 2, "Telegram id"},
		{env, "ledger statement 5", 0, "BALANCE"},
		{nil, "models list", 0, "z-image"},
		{nil, "models show z-image", 0, "aspect_ratio"},
		{nil, "models show nothing", 1, "models list"},
		{nil, "models validate", 0, "valid"},
		{nil, "models validate root.go", 1, "root.go"},
		{nil, "models show", 2, "accepts 1 arg"},
		{down, "health", 1, "no instance answers"},
	} {
		t.Run(c.args, func(t *testing.T) {
			t.Parallel()
			stdout, stderr, code := kiosk(t, c.env, strings.Fields(c.args)...)
			if code != c.code || !strings.Contains(stdout+stderr, c.says) {
				t.Errorf("code %d, want %d and %q:\n%s%s", code, c.code, c.says, stdout, stderr)
			}
			for _, secret := range []string{apptest.Token, apptest.KieKey, apptest.HMACKey} {
				if strings.Contains(stdout+stderr, secret) {
					t.Errorf("a secret is printed: %s%s", stdout, stderr)
				}
			}
		})
	}
}
