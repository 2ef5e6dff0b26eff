package generation_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/internal/catalog"
	"kiosk/internal/generation"
	"kiosk/internal/ledger"
	"kiosk/internal/pg/pgtest"
	"kiosk/internal/provider"
	"kiosk/singleton"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

const (
	user     ledger.UserID = 7
	patience               = 20 * time.Second
)

// script is a provider whose answers a test decides. (The real client runs
// against a server at the wire in the tests of app; here single outcomes are
// placed exactly.)
type script struct {
	mu      sync.Mutex
	submits int
	submit  func(n int) (string, error)
	fetch   func(task string) (provider.Task, error)
}

func (s *script) Submit(context.Context, provider.Request) (string, error) {
	s.mu.Lock()
	s.submits++
	n := s.submits
	s.mu.Unlock()
	return s.submit(n)
}

func (s *script) Fetch(_ context.Context, task string) (provider.Task, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetch(task)
}

func (s *script) Upload(context.Context, string, io.Reader) (string, error) {
	return "https://example.com/uploaded.png", nil
}

func (s *script) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.submits
}

func succeeds(task string) (provider.Task, error) {
	return provider.Task{ID: task, State: provider.Succeeded, Results: []string{"https://example.com/a.png"}}, nil
}

func noFiles(context.Context, string) (*provider.File, error) {
	return nil, &provider.Error{Cause: provider.BadInput, Message: "no files here"}
}

type shop struct {
	*generation.Service
	t        *testing.T
	url      string
	pool     *pgxpool.Pool
	provider *script
}

func open(t *testing.T, p *script, limits generation.Limits) *shop {
	t.Helper()
	models, err := catalog.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	pricer, err := catalog.NewPricer("80", "2", "0.8")
	if err != nil {
		t.Fatal(err)
	}
	books, err := ledger.New("RUB")
	if err != nil {
		t.Fatal(err)
	}
	url := pgtest.URL(t)
	pool := pgtest.Pool(t, url)
	if limits.FirstPoll == 0 {
		limits.FirstPoll = 20 * time.Millisecond
	}
	s, err := generation.New(generation.Deps{
		Pool: pool, Catalog: models, Pricer: pricer, Ledger: books, Providers: map[string]provider.Provider{"kie": p},
		CallbackURL: func(uuid.UUID) string { return "" }, OpenFile: noFiles, Downloader: provider.NewDownloader(), Limits: limits, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	shop := &shop{s, t, url, pool, p}
	shop.tx(func(tx pgx.Tx) error {
		_, err := books.GiveBonus(context.Background(), tx, "test", user, 10_000, ledger.Promo, "test")
		return err
	})
	t.Cleanup(shop.audit)
	return shop
}

func (s *shop) audit() {
	if defects, err := ledger.Audit(context.Background(), s.pool); err != nil || len(defects) > 0 {
		s.t.Errorf("audit: %v %v", defects, err)
	}
}

func (s *shop) tx(fn func(pgx.Tx) error) {
	s.t.Helper()
	if err := pgx.BeginFunc(context.Background(), s.pool, fn); err != nil {
		s.t.Fatal(err)
	}
}

func order(key string) generation.Order {
	return generation.Order{
		Key: key, UserID: user, ChatID: int64(user), MessageID: 5, Language: "en",
		Model: "z-image", Values: catalog.Values{"prompt": "a fox"}, MaxPrice: 64,
	}
}

func (s *shop) request(key string) generation.ID {
	s.t.Helper()
	var id generation.ID
	s.tx(func(tx pgx.Tx) (err error) {
		id, err = s.Request(context.Background(), tx, order(key))
		return err
	})
	return id
}

// work runs one term's worker until the test, or stop, ends it.
func (s *shop) work() (stop func()) {
	s.t.Helper()
	e, err := singleton.New(singleton.Config{Name: "kiosk", URL: s.url, Heartbeat: 200 * time.Millisecond, StaleHeartbeat: 2 * time.Second})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- e.Run(ctx, func(ctx context.Context, term *singleton.Term) error {
			w, err := generation.NewWorker(s.Service, term, func() {})
			if err != nil {
				return err
			}
			w.Run(ctx)
			return nil
		})
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("the worker ended with %v", err)
		}
	})
	s.t.Cleanup(stop)
	return stop
}

func (s *shop) wait(id generation.ID, states ...generation.State) generation.Generation {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		g, err := generation.Get(context.Background(), s.pool, id)
		if err != nil {
			s.t.Fatal(err)
		}
		if slices.Contains(states, g.State) {
			return g
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("still %s (%s), want %v", g.State, g.Cause, states)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (s *shop) balance() ledger.Balance {
	s.t.Helper()
	b, err := s.Ledger.Balance(context.Background(), s.pool, user)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

func TestRequest_TheSameKeyIsTheSameOrder(t *testing.T) {
	t.Parallel()
	s := open(t, &script{}, generation.Limits{})
	if a, b := s.request("k"), s.request("k"); a != b {
		t.Fatalf("%s and %s", a, b)
	}
	if b := s.balance(); b.Held != 64 {
		t.Fatalf("held %s, want 0.64 once", b.Held)
	}
}

func TestRequest_ARefusalLeavesTheTransactionUsableAndNothingBehind(t *testing.T) {
	t.Parallel()
	s := open(t, &script{}, generation.Limits{PerUser: 1})
	bad := order("bad")
	bad.Values = catalog.Values{}
	cheap := order("cheap")
	cheap.MaxPrice = 63
	s.tx(func(tx pgx.Tx) error {
		var input *catalog.InputError
		if _, err := s.Request(context.Background(), tx, bad); !errors.As(err, &input) {
			t.Errorf("no prompt: %v", err)
		}
		if _, err := s.Request(context.Background(), tx, cheap); !errors.Is(err, generation.ErrPriceChanged) {
			t.Errorf("price above what was shown: %v", err)
		}
		if _, err := s.Request(context.Background(), tx, order("good")); err != nil {
			t.Errorf("after refusals: %v", err)
		}
		var busy *generation.BusyError
		if _, err := s.Request(context.Background(), tx, order("second")); !errors.As(err, &busy) || busy.Limit != 1 {
			t.Errorf("over the limit: %v", err)
		}
		return nil
	})
	if b := s.balance(); b.Held != 64 {
		t.Fatalf("held %s, want the good order's only", b.Held)
	}
}

func TestWorker_OutcomesOfASubmission(t *testing.T) {
	t.Parallel()
	never := func(string) (provider.Task, error) {
		return provider.Task{}, &provider.Error{Cause: provider.NotFound, Code: 422}
	}
	for name, c := range map[string]struct {
		submit  func(n int) (string, error)
		fetch   func(string) (provider.Task, error)
		limits  generation.Limits
		state   generation.State
		cause   string
		submits int
	}{
		"accepted": {
			submit: func(int) (string, error) { return "t1", nil }, fetch: succeeds,
			state: generation.Succeeded, submits: 1,
		},
		"refused": {
			submit: func(int) (string, error) { return "", &provider.Error{Cause: provider.Moderation, Code: 400} }, fetch: never,
			state: generation.Failed, cause: "moderation", submits: 1,
		},
		"dropped, then accepted": {
			submit: func(n int) (string, error) {
				if n == 1 {
					return "", &provider.Error{Cause: provider.RateLimited, Code: 429, After: time.Millisecond}
				}
				return "t1", nil
			}, fetch: succeeds,
			state: generation.Succeeded, submits: 2,
		},
		"lost is not repeated": {
			submit: func(int) (string, error) {
				return "", &provider.Error{Outcome: provider.Unknown, Cause: provider.NoAnswer}
			}, fetch: never,
			limits: generation.Limits{UnknownFor: 500 * time.Millisecond},
			state:  generation.Failed, cause: "no_answer", submits: 1,
		},
		"an error of no known kind is lost": {
			submit: func(int) (string, error) { return "", fmt.Errorf("something") }, fetch: never,
			limits: generation.Limits{UnknownFor: 500 * time.Millisecond},
			state:  generation.Failed, cause: "no_answer", submits: 1,
		},
		"never finished": {
			submit: func(int) (string, error) { return "t1", nil },
			fetch:  func(task string) (provider.Task, error) { return provider.Task{ID: task, State: provider.Running}, nil },
			limits: generation.Limits{RunningFor: 300 * time.Millisecond},
			state:  generation.Failed, cause: "no_answer", submits: 1,
		},
		"failed at the provider": {
			submit: func(int) (string, error) { return "t1", nil },
			fetch: func(task string) (provider.Task, error) {
				return provider.Task{ID: task, State: provider.Failed, Cause: provider.Broken}, nil
			},
			state: generation.Failed, cause: "broken", submits: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, &script{submit: c.submit, fetch: c.fetch}, c.limits)
			id := s.request("k")
			s.work()
			g := s.wait(id, generation.Succeeded, generation.Failed)
			if g.State != c.state || g.Cause != c.cause || s.provider.count() != c.submits {
				t.Fatalf("%s (%s) after %d submissions, want %s (%s) after %d", g.State, g.Cause, s.provider.count(), c.state, c.cause, c.submits)
			}
			want := ledger.Amount(10_000)
			if c.state == generation.Succeeded {
				want -= 64
			}
			if b := s.balance(); b.Available() != want || b.Held != 0 {
				t.Errorf("balance %+v, want %s", b, want)
			}
		})
	}
}

// A worker that dies between the call and its record leaves `submitting`. The
// next term does not submit again; the callback's hint brings the task back.
func TestWorker_AnOrphanOfAnEarlierTermIsAdoptedThroughItsCallback(t *testing.T) {
	t.Parallel()
	fetch := func(task string) (provider.Task, error) {
		if task != "t1" {
			return provider.Task{}, &provider.Error{Cause: provider.NotFound, Code: 422}
		}
		return succeeds(task)
	}
	p := &script{submit: func(int) (string, error) { t.Error("submitted again"); return "t2", nil }, fetch: fetch}
	s := open(t, p, generation.Limits{})
	id := s.request("k")
	if _, err := s.pool.Exec(context.Background(),
		`UPDATE generations SET state = 'submitting', claim_epoch = 0, submitted_at = now(), due_at = now() + interval '1 hour'`); err != nil {
		t.Fatal(err)
	}
	s.work()
	s.wait(id, generation.Unknown)
	s.tx(func(tx pgx.Tx) error { return s.Callback(context.Background(), tx, id, "forged") })
	s.tx(func(tx pgx.Tx) error { return s.Callback(context.Background(), tx, id, "t1") })
	s.wait(id, generation.Succeeded)
	history, err := generation.History(context.Background(), s.pool, id)
	if err != nil || len(history) != 3 || history[1].Event != generation.Adopted {
		t.Fatalf("history %+v, %v", history, err)
	}
}

// A callback about a generation that is over changes nothing.
func TestCallback_AfterTheEndChangesNothing(t *testing.T) {
	t.Parallel()
	p := &script{submit: func(int) (string, error) { return "t1", nil }, fetch: succeeds}
	s := open(t, p, generation.Limits{})
	id := s.request("k")
	s.work()
	s.wait(id, generation.Succeeded)
	s.tx(func(tx pgx.Tx) error { return s.Callback(context.Background(), tx, id, "t9") })
	var results, notices int
	err := s.pool.QueryRow(context.Background(), `SELECT (SELECT count(*) FROM generation_results), (SELECT count(*) FROM outbox_messages WHERE kind = 'generation.result')`).Scan(&results, &notices)
	if err != nil || results != 1 || notices != 1 {
		t.Fatalf("%d results, %d deliveries, %v", results, notices, err)
	}
}

// A term that is over changes nothing, although its worker is in the middle of a call.
func TestWorker_AFencedTermRecordsNothing(t *testing.T) {
	t.Parallel()
	inCall, goOn := make(chan struct{}), make(chan struct{})
	p := &script{fetch: succeeds, submit: func(int) (string, error) {
		close(inCall)
		<-goOn
		return "t1", nil
	}}
	s := open(t, p, generation.Limits{})
	id := s.request("k")
	stop := s.work()
	<-inCall
	if _, err := s.pool.Exec(context.Background(), `UPDATE singleton_fence SET epoch = epoch + 1, term = gen_random_uuid()`); err != nil {
		t.Fatal(err)
	}
	close(goOn)
	stop()
	if g := s.wait(id, generation.Submitting, generation.Running, generation.Succeeded); g.State != generation.Submitting {
		t.Fatalf("a fenced term moved it to %s", g.State)
	}
}
