package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"kiosk/bench/internal/rig"
)

// fenceResult is one number of fence rows with one number of clients.
type fenceResult struct {
	Stripes int         `json:"stripes"`
	Clients int         `json:"clients"`
	TPS     rig.Summary `json:"tps"`
	Ratio   rig.Summary `json:"ratio"`   // to one row, round by round
	Multi   rig.Summary `json:"multi"`   // multixacts made per 1000 transactions
	Members rig.Summary `json:"members"` // entries of these, per 1000 transactions
	Bump    rig.Summary `json:"bump_ms"` // the slowest new term of a round
}

// fenceRound is one measurement.
type fenceRound struct{ tps, multi, members, bump float64 }

// measureStripes compares one fence row with 64: transactions that lock their row
// FOR KEY SHARE and change a row of their own, while a new term begins now and then.
func measureStripes(ctx context.Context, rounds int, length time.Duration, out io.Writer) (results []fenceResult, err error) {
	s, err := startServer(ctx, nil, "max_connections=200", "synchronous_commit=off", "max_wal_size=8GB", "checkpoint_timeout=1h")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	for _, clients := range []int{8, 16, 64} {
		one, many := []fenceRound{}, []fenceRound{}
		for range rounds {
			for _, stripes := range []int{1, 64} {
				r, err := s.fenceRound(ctx, stripes, clients, length)
				if err != nil {
					return nil, err
				}
				if stripes == 1 {
					one = append(one, r)
				} else {
					many = append(many, r)
				}
			}
		}
		results = append(results, sumFence(1, clients, one, one), sumFence(64, clients, many, one))
	}
	return results, showStripes(out, results, rounds, length)
}

func sumFence(stripes, clients int, list, base []fenceRound) fenceResult {
	pick := func(from []fenceRound, f func(fenceRound) float64) (values []float64) {
		for _, r := range from {
			values = append(values, f(r))
		}
		return values
	}
	tps := func(r fenceRound) float64 { return r.tps }
	return fenceResult{
		Stripes: stripes, Clients: clients, TPS: rig.Summarise(pick(list, tps)),
		Ratio:   rig.Summarise(rig.Ratios(pick(list, tps), pick(base, tps))),
		Multi:   rig.Summarise(pick(list, func(r fenceRound) float64 { return r.multi })),
		Members: rig.Summarise(pick(list, func(r fenceRound) float64 { return r.members })),
		Bump:    rig.Summarise(pick(list, func(r fenceRound) float64 { return r.bump })),
	}
}

func showStripes(out io.Writer, results []fenceResult, rounds int, length time.Duration) error {
	fmt.Fprintf(out, "\nFence rows: transactions of one round trip, synchronous_commit off, a new term every 250 ms. Median (min-max) of %d rounds of %s.\n\n", rounds, length)
	rows := [][]string{{"clients", "fence rows", "transactions/s", "x", "multixacts/1000", "their members/1000", "slowest new term ms"}}
	for _, r := range results {
		rows = append(rows, []string{
			strconv.Itoa(r.Clients), strconv.Itoa(r.Stripes), r.TPS.Format(0), r.Ratio.Format(2), r.Multi.Format(0), r.Members.Format(0), r.Bump.Format(0),
		})
	}
	return rig.Table(out, rows)
}

func (s *server) fenceRound(ctx context.Context, stripes, clients int, length time.Duration) (r fenceRound, err error) {
	admin, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return r, err
	}
	defer admin.Close(ctx)
	setUp := strings.NewReplacer("$stripes", strconv.Itoa(stripes), "$clients", strconv.Itoa(clients)).Replace(sqlFenceTables)
	if _, err := admin.PgConn().Exec(ctx, setUp).ReadAll(); err != nil {
		return r, fmt.Errorf("make the fence: %w", err)
	}
	multi, members, err := s.multixacts(ctx, admin)
	if err != nil {
		return r, err
	}
	var done atomic.Int64
	var all sync.WaitGroup
	errs := make(chan error, clients+1)
	end, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	began := time.Now()
	for i := range clients {
		all.Go(func() { errs <- s.fenceClient(end, i, stripes, &done) })
	}
	r.bump, err = bumps(end, admin)
	all.Wait()
	took := time.Since(began)
	close(errs)
	for e := range errs {
		err = errors.Join(err, e)
	}
	if err != nil {
		return r, err
	}
	multi2, members2, err := s.multixacts(ctx, admin)
	thousands := float64(done.Load()) / 1000
	r.tps, r.multi, r.members = float64(done.Load())/took.Seconds(), float64(multi2-multi)/thousands, float64(members2-members)/thousands
	return r, err
}

// fenceClient runs fenced transactions on its own connection, each one batch. It
// ends between two, so that none is broken off.
func (s *server) fenceClient(end context.Context, i, stripes int, done *atomic.Int64) error {
	ctx := context.WithoutCancel(end)
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for end.Err() == nil {
		b := &pgx.Batch{}
		b.Queue(sqlFenceCheck, i%stripes)
		b.Queue(sqlFenceWork, i)
		if err := conn.SendBatch(ctx, b).Close(); err != nil {
			return fmt.Errorf("fenced transaction: %w", err)
		}
		done.Add(1)
	}
	return nil
}

// bumps begins new terms and returns the milliseconds of the slowest.
func bumps(end context.Context, admin *pgx.Conn) (slowest float64, err error) {
	ctx := context.WithoutCancel(end)
	for pause(end, 250*time.Millisecond) == nil {
		began := time.Now()
		if _, err := admin.PgConn().Exec(ctx, sqlFenceBump).ReadAll(); err != nil {
			return 0, fmt.Errorf("new term: %w", err)
		}
		slowest = max(slowest, rig.Milliseconds(time.Since(began)))
	}
	return slowest, nil
}

// multixacts reads the server's counters, which a checkpoint writes down.
func (s *server) multixacts(ctx context.Context, admin *pgx.Conn) (multi, members int64, err error) {
	if _, err := admin.Exec(ctx, "CHECKPOINT"); err != nil {
		return 0, 0, err
	}
	text, err := s.command("pg_controldata", filepath.Join(s.dir, "data")).Output()
	if err != nil {
		return 0, 0, fmt.Errorf("pg_controldata: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		n, _ := strconv.ParseInt(strings.TrimSpace(value), 10, 64) // other lines are no numbers
		switch key {
		case "Latest checkpoint's NextMultiXactId":
			multi = n
		case "Latest checkpoint's NextMultiOffset":
			members = n
		}
	}
	return multi, members, nil
}
