package pgtest

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// First halves of our advisory lock keys. Such locks are seen only inside of one
// database, so all names of what we make have the number of the database that
// we lock in, and processes that lock in another leave it alone.
const (
	leaseLock    = 0x6b696f73
	templateLock = 0x6b696f74
)

// lease is a connection that holds an advisory lock for as long as this process
// lives, so that others do not take its databases for leftovers.
type lease struct {
	mu    sync.Mutex
	conn  *pgx.Conn
	token int32
	oid   uint32
}

// useHost takes a place on somebody else's server, cleans up what dead
// processes left on it, and makes the template if it is not there.
func useHost(ctx context.Context, admin string, tpl *template) (_ *host, err error) {
	if u, err := url.Parse(admin); err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return nil, errors.New("KIOSK_TEST_DATABASE_URL must have the form postgres://user:password@host:port/database")
	}
	l, err := takeLease(ctx, admin)
	if err != nil {
		return nil, fmt.Errorf("use KIOSK_TEST_DATABASE_URL: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.end())
		}
	}()
	if err := l.cleanUp(ctx); err != nil {
		return nil, fmt.Errorf("clean up KIOSK_TEST_DATABASE_URL: %w", err)
	}
	h := &host{admin: admin, lease: l, prefix: fmt.Sprintf("kiosk_test_%d_%d_%d_", l.oid, os.Getpid(), l.token)}
	if tpl != nil {
		tpl.name = fmt.Sprintf("%s_%d", tpl.name, l.oid)
		h.template = tpl.name
		err = l.provide(ctx, admin, tpl)
	}
	return h, err
}

func takeLease(ctx context.Context, admin string) (*lease, error) {
	conn, err := pgx.Connect(ctx, admin)
	if err != nil {
		return nil, err
	}
	l := &lease{conn: conn}
	for {
		l.token = randomToken()
		var free bool
		err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1::int, $2::int),
			(SELECT oid FROM pg_database WHERE datname = current_database())`, leaseLock, l.token).Scan(&free, &l.oid)
		if err != nil {
			return nil, errors.Join(err, conn.Close(ctx))
		}
		if free {
			return l, nil
		}
	}
}

func randomToken() int32 {
	var b [4]byte
	rand.Read(b[:]) // never fails
	return int32(binary.BigEndian.Uint32(b[:]) >> 1)
}

func (l *lease) end() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return l.conn.Close(ctx)
}

// provide makes the template unless it is there. Of several processes that want
// it one makes it, the others wait.
func (l *lease) provide(ctx context.Context, admin string, tpl *template) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := l.conn.Exec(ctx, `SELECT pg_advisory_lock($1::int, hashtext($2))`, templateLock, tpl.name); err != nil {
		return fmt.Errorf("wait for the template: %w", err)
	}
	made, comment, err := l.find(ctx, tpl.name)
	if err == nil && !made {
		err = tpl.make(ctx, admin)
	}
	if err == nil && time.Since(dateOf(comment)) > templateLife/2 {
		_, err = l.conn.Exec(ctx, dateCommand(tpl.name))
	}
	_, unlockErr := l.conn.Exec(ctx, `SELECT pg_advisory_unlock($1::int, hashtext($2))`, templateLock, tpl.name)
	return errors.Join(err, unlockErr)
}

// find looks a finished template up.
func (l *lease) find(ctx context.Context, name string) (made bool, comment string, err error) {
	err = l.conn.QueryRow(ctx, `SELECT datistemplate, coalesce(shobj_description(oid, 'pg_database'), '')
		FROM pg_database WHERE datname = $1`, name).Scan(&made, &comment)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, "", nil
	}
	return made, comment, err
}
