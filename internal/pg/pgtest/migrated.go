package pgtest

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/internal/pg"
	"kiosk/singleton"
)

// URL returns the URL of a new database with the whole schema.
func URL(t testing.TB) string {
	t.Helper()
	m, err := pg.NewMigrator("", "test", pg.Migrations())
	if err != nil {
		t.Fatalf("read the migrations: %v", err)
	}
	return FromTemplate(t, "kiosk-"+m.Hash()+"-"+singleton.SchemaHash(), migrate)
}

// New returns a pool to a new database with the whole schema. The pool is
// closed at the end of the test.
func New(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return Pool(t, URL(t))
}

// Pool opens a pool to url and closes it at the end of the test.
func Pool(t testing.TB, url string) *pgxpool.Pool {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	pool, err := pg.Open(ctx, url, pg.Options{ApplicationName: "test"})
	if err != nil {
		t.Fatalf("open the test database: %v", err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func migrate(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if err := singleton.Bootstrap(ctx, conn); err != nil {
		return err
	}
	m, err := pg.NewMigrator(url, "test", pg.Migrations())
	if err != nil {
		return err
	}
	_, err = m.Up(ctx)
	return err
}
