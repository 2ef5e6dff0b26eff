package main

import (
	"context"
	"crypto/subtle"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"kiosk/internal/inbox"
	"kiosk/internal/telegram"
)

//go:embed sql/insert.sql
var sqlInsert string

const (
	secretHeader = "X-Telegram-Bot-Api-Secret-Token"
	secret       = "a-secret-of-the-usual-length-0123456789"
	maxBody      = 2 << 20
)

// way is one way of acknowledging. Build returns its handler and a function
// that ends what works behind it.
type way struct {
	name  string
	build func(pool *pgxpool.Pool) (http.Handler, func(), error)
}

// ways lists the handlers. The second is what the others are compared with.
func ways() []way {
	return []way{
		{"answer only", answerOnly},
		{"insert per request", insertEach},
		{"River job per request", riverEach},
		{"inbox", viaInbox},
	}
}

func answerOnly(*pgxpool.Pool) (http.Handler, func(), error) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			http.Error(w, "body not readable", http.StatusBadRequest)
			return
		}
		acknowledge(w)
	})
	return h, func() {}, nil
}

func insertEach(pool *pgxpool.Pool) (http.Handler, func(), error) {
	h := storing(func(ctx context.Context, e inbox.Envelope) error {
		_, err := pool.Exec(ctx, sqlInsert, e.Key, e.Lane, e.Queue, e.Position, e.Body)
		return err
	})
	return h, func() {}, nil
}

// updateArgs is a job that carries an update. Unlike the other ways it accepts a
// repeated update twice.
type updateArgs struct {
	Lane string          `json:"lane"`
	Body json.RawMessage `json:"body"`
}

// Kind names the job.
func (updateArgs) Kind() string { return "update" }

func riverEach(pool *pgxpool.Pool) (http.Handler, func(), error) {
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, nil, fmt.Errorf("make River's client: %w", err)
	}
	h := storing(func(ctx context.Context, e inbox.Envelope) error {
		_, err := client.Insert(ctx, updateArgs{Lane: e.Lane, Body: e.Body}, nil)
		return err
	})
	return h, func() {}, nil
}

// viaInbox is the product: its receiver, and the listener that the ACTIVE
// instance has.
func viaInbox(pool *pgxpool.Pool) (http.Handler, func(), error) {
	quiet := slog.New(slog.DiscardHandler)
	receiver, err := inbox.NewReceiver(pool, quiet, inbox.NewMetrics(nil), nil)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { receiver.Run(ctx) })
	running.Go(func() { inbox.Listen(ctx, pool, func() {}, quiet) })
	h := receiver.Handler(endpoint())
	return h, func() { cancel(); running.Wait() }, nil
}

// storing is the inbox's own handler with another way to store.
func storing(store func(context.Context, inbox.Envelope) error) http.Handler {
	return inbox.NewHandler(endpoint(), store, inbox.NewMetrics(nil))
}

func endpoint() inbox.Endpoint {
	return inbox.Endpoint{
		Source: "telegram", MaxBody: maxBody, Authorize: authorized,
		Open: func(_ *http.Request, body []byte) inbox.Envelope { return open(body) },
	}
}

func acknowledge(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"code":200,"msg":"success"}`) // the sender may have left
}

func authorized(r *http.Request) bool {
	return subtle.ConstantTimeCompare([]byte(r.Header.Get(secretHeader)), []byte(secret)) == 1
}

// open says what an update is, as the product's wiring does.
func open(body []byte) inbox.Envelope {
	u, err := telegram.Decode(body)
	if err != nil {
		return inbox.Envelope{Undecodable: true}
	}
	return inbox.Envelope{
		Key: strconv.FormatInt(u.ID, 10), Lane: strconv.FormatInt(u.UserID(), 10),
		Queue: u.Queue(), Position: u.ID,
	}
}
