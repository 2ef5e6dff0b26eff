// Package rig is what the benchmarks stand on: a database with the product's
// schema on a durable PostgreSQL, the counters of that server, and figures
// that are repeated and summarised.
//
// A benchmark never touches a database that it did not make. By default the
// server is private and in a temporary folder; both are gone when Close
// returns.
package rig

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/internal/pg"
	"kiosk/internal/pg/pgdev"
	"kiosk/singleton"
)

// EnvURL names the variable that makes the benchmarks use a running server in
// place of a private one. They make a database of their own on it.
const EnvURL = "KIOSK_BENCH_DATABASE_URL"

// Database is an empty, migrated database of this benchmark alone.
type Database struct {
	Machine Machine

	url    string
	name   string
	admin  *pgxpool.Pool // to the server's own database
	server *pgdev.Server // nil: somebody else's
	folder string        // of the private server
}

// Open starts a private server, unless EnvURL names one, and makes the
// database. Call Close in any case.
func Open(ctx context.Context) (*Database, error) {
	d := &Database{name: "kiosk_bench_" + strings.ToLower(rand.Text()[:8])}
	err := d.open(ctx)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Database) open(ctx context.Context) error {
	adminURL := os.Getenv(EnvURL)
	if adminURL == "" {
		if err := d.startServer(ctx); err != nil {
			return err
		}
		adminURL = d.server.URL("postgres")
	}
	var err error
	if d.url, err = withDatabase(adminURL, d.name); err != nil {
		return err
	}
	if d.admin, err = pg.Open(ctx, adminURL, pg.Options{ApplicationName: "kiosk/bench/admin", MaxConns: 2}); err != nil {
		return err
	}
	if _, err := d.admin.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{d.name}.Sanitize()); err != nil {
		return fmt.Errorf("make a database for the benchmark: %w", err)
	}
	if err := d.migrate(ctx); err != nil {
		return err
	}
	d.Machine, err = Inspect(ctx, d.admin, d.folder)
	return err
}

// startServer makes the folder enterable, because as root the server runs as
// another user. The data in it is private all the same.
func (d *Database) startServer(ctx context.Context) error {
	folder, err := os.MkdirTemp("", "kiosk-bench-")
	if err != nil {
		return fmt.Errorf("make a folder for the server: %w", err)
	}
	d.folder = folder
	if err := os.Chmod(folder, 0o711); err != nil { //nolint:gosec // it holds nothing but the server's own closed folder
		return err
	}
	d.server, err = pgdev.Start(ctx, pgdev.Options{Dir: filepath.Join(folder, "postgres")})
	return err
}

func withDatabase(raw, name string) (string, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "" {
		return "", fmt.Errorf("%s must be a postgres:// URL", EnvURL)
	}
	u.Path = "/" + name
	return u.String(), nil
}

func (d *Database) migrate(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, d.url)
	if err != nil {
		return fmt.Errorf("connect for migrations: %w", err)
	}
	err = singleton.Bootstrap(ctx, conn)
	_ = conn.Close(ctx) // the session has done its work
	if err != nil {
		return err
	}
	m, err := pg.NewMigrator(d.url, "bench", pg.Migrations())
	if err != nil {
		return err
	}
	_, err = m.Up(ctx)
	return err
}

// Close drops the database and removes the private server with its folder. It
// works after an interrupt, too.
func (d *Database) Close() error {
	var err error
	if d.admin != nil {
		if d.server == nil { // a private server goes as a whole
			_, err = d.admin.Exec(context.Background(), "DROP DATABASE IF EXISTS "+pgx.Identifier{d.name}.Sanitize()+" WITH (FORCE)")
		}
		d.admin.Close()
	}
	if d.server != nil {
		err = errors.Join(err, d.server.Stop())
	}
	if d.folder != "" {
		err = errors.Join(err, os.RemoveAll(d.folder))
	}
	return err
}

// URL returns the URL of the database, with the schemas searched in order.
func (d *Database) URL(schemas ...string) string {
	if len(schemas) == 0 {
		return d.url
	}
	u, err := url.Parse(d.url)
	if err != nil {
		panic("the URL was parsed before: " + err.Error())
	}
	q := u.Query()
	q.Set("search_path", strings.Join(schemas, ","))
	u.RawQuery = q.Encode()
	return u.String()
}

// Pool opens a pool as the product does. Close it before the counters are read.
func (d *Database) Pool(ctx context.Context, conns int, schemas ...string) (*pgxpool.Pool, error) {
	return pg.Open(ctx, d.URL(schemas...), pg.Options{ApplicationName: "kiosk/bench", MaxConns: int32(conns)}) //nolint:gosec // a small flag
}

// Elect makes this process the ACTIVE one and returns its term, and a function
// that ends it.
func (d *Database) Elect(ctx context.Context) (*singleton.Term, func(), error) {
	elector, err := singleton.New(singleton.Config{Name: "bench", URL: d.url})
	if err != nil {
		return nil, nil, err
	}
	terms := make(chan *singleton.Term, 1)
	ended := make(chan error, 1)
	running, cancel := context.WithCancel(ctx)
	go func() {
		ended <- elector.Run(running, func(ctx context.Context, term *singleton.Term) error {
			terms <- term
			<-ctx.Done()
			return nil
		})
	}()
	stop := func() { cancel(); <-ended }
	select {
	case term := <-terms:
		return term, stop, nil
	case <-ctx.Done():
		stop()
		return nil, nil, ctx.Err()
	}
}
