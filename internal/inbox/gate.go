package inbox

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/internal/pg"
	"kiosk/singleton"
)

//go:embed sql/secret_read.sql
var sqlSecretRead string

//go:embed sql/secret_announce.sql
var sqlSecretAnnounce string

//go:embed sql/secret_registered.sql
var sqlSecretRegistered string

//go:embed sql/secret_used.sql
var sqlSecretUsed string

const (
	secretOverlap = 24 * time.Hour         // a previous secret's life after its successor was registered
	secretLook    = 250 * time.Millisecond // strangers cause no more than one look in this time
	secretRecheck = time.Minute            // how long an instance may go by what it knows
	secretTimeout = time.Second            // a look that takes longer counts as failed
)

// Gate knows by which secret a sender proves itself, also while the secret
// changes: the previous one is admitted until the sender has used the current one,
// and for a day after that was registered at most. All instances share what they
// know through the database, as hashes, so old and new ones admit the same during
// a deploy. An instance's own secret counts before it is announced, too, and no
// longer once the instance has seen it replaced. A Gate is safe for concurrent use.
type Gate struct {
	pool   *pgxpool.Pool
	source string
	own    [sha256.Size]byte // of this instance's settings
	log    *slog.Logger

	mu     sync.Mutex
	known  secrets
	looked time.Time
	seen   bool // the database has had the own secret: from then on it decides
}

// secrets is what the database says, as hashes.
type secrets struct {
	current  []byte // nil: nothing was announced yet
	previous []byte // nil: none is admitted
	until    time.Time
}

// NewGate returns the gate of a source. The secret is the one of this instance's
// settings; it counts for all once it was announced.
func NewGate(pool *pgxpool.Pool, source, secret string, log *slog.Logger) (*Gate, error) {
	if pool == nil || source == "" || secret == "" || log == nil {
		return nil, errors.New("inbox: a gate needs pool, source, secret and log")
	}
	return &Gate{pool: pool, source: source, own: sha256.Sum256([]byte(secret)), log: log}, nil
}

// Admit reports whether the secret proves its sender. It compares hashes in
// constant time, and asks the database only about what it does not know.
func (g *Gate) Admit(ctx context.Context, secret string) bool {
	hash := sha256.Sum256([]byte(secret))
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.known.current == nil || time.Since(g.looked) > secretRecheck {
		g.look(ctx)
	}
	if !g.knows(hash[:]) {
		g.look(ctx)
	}
	if !g.knows(hash[:]) {
		return !g.seen && equal(hash[:], g.own[:])
	}
	if g.known.previous != nil && equal(hash[:], g.known.current) {
		g.used(ctx)
	}
	return true
}

// knows reports that the hash is the current one, or a previous one in time.
func (g *Gate) knows(hash []byte) bool {
	inTime := g.known.until.IsZero() || time.Now().Before(g.known.until)
	return equal(hash, g.known.current) || inTime && equal(hash, g.known.previous)
}

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// look reads what the database says. What is known stays when it cannot be read.
func (g *Gate) look(ctx context.Context) {
	if time.Since(g.looked) < secretLook {
		return
	}
	g.looked = time.Now()
	ctx, cancel := context.WithTimeout(ctx, secretTimeout)
	defer cancel()
	var s secrets
	var left float64
	err := g.pool.QueryRow(ctx, sqlSecretRead, g.source, int64(secretOverlap.Seconds())).Scan(&s.current, &s.previous, &left)
	if err != nil {
		if !pg.IsNoRows(err) {
			g.log.WarnContext(ctx, "webhook secrets not read", "source", g.source, "error", err.Error())
		}
		return
	}
	if left >= 0 {
		s.until = time.Now().Add(time.Duration(left * float64(time.Second)))
	}
	g.known = s
	g.seen = g.seen || equal(s.current, g.own[:]) || equal(s.previous, g.own[:])
}

// used ends the overlap: the sender has the current secret.
func (g *Gate) used(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, secretTimeout)
	defer cancel()
	if _, err := g.pool.Exec(ctx, sqlSecretUsed, g.source, g.known.current); err != nil {
		g.log.WarnContext(ctx, "use of the webhook secret not noted", "source", g.source, "error", err.Error())
		return // the next message notes it
	}
	g.known.previous = nil
	g.log.InfoContext(ctx, "the previous webhook secret is admitted no longer", "source", g.source)
}

// Announce makes this instance's secret the current one, before the sender is
// told. Announcing the same again changes nothing.
func (g *Gate) Announce(ctx context.Context, term *singleton.Term) error {
	var changed bool
	err := term.InTx(ctx, g.pool, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, sqlSecretAnnounce, g.source, g.own[:]).Scan(&changed)
		if pg.IsNoRows(err) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("announce the secret of %s: %w", g.source, err)
	}
	if changed {
		g.log.InfoContext(ctx, "webhook secret changes; the previous one is admitted until the sender uses the new one", "source", g.source)
	}
	g.lookAgain()
	return nil
}

// Registered notes that the sender took this instance's secret, from which the
// day of the previous one counts.
func (g *Gate) Registered(ctx context.Context, term *singleton.Term) error {
	err := term.InTx(ctx, g.pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sqlSecretRegistered, g.source, g.own[:])
		return err
	})
	if err != nil {
		return fmt.Errorf("note the registration at %s: %w", g.source, err)
	}
	g.lookAgain()
	return nil
}

// lookAgain makes the next message look, whoever looked last.
func (g *Gate) lookAgain() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.looked = time.Time{}
}
