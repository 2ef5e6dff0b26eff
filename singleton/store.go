package singleton

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed sql/bootstrap.sql
var sqlBootstrap string

//go:embed sql/bootstrap_lock.sql
var sqlBootstrapLock string

//go:embed sql/register.sql
var sqlRegister string

//go:embed sql/session.sql
var sqlSession string

//go:embed sql/acquire.sql
var sqlAcquire string

//go:embed sql/beat.sql
var sqlBeat string

//go:embed sql/release.sql
var sqlRelease string

//go:embed sql/unlock.sql
var sqlUnlock string

//go:embed sql/lost.sql
var sqlLost string

//go:embed sql/read.sql
var sqlRead string

//go:embed sql/takeover.sql
var sqlTakeover string

//go:embed sql/end_work.sql
var sqlEndWork string

// bootstrapKey serialises Bootstrap. It differs from every lock's key, which
// are hashes, with all but certainty.
const bootstrapKey int64 = 0x73696e676c65746f // "singleto"

// Bootstrap makes the package's tables and function in the connection's first
// schema. It is idempotent, and safe when many processes call it at once.
// Run it before anything else uses the lock; it needs no other migration.
func Bootstrap(ctx context.Context, c *pgx.Conn) error {
	return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlBootstrapLock, bootstrapKey); err != nil {
			return fmt.Errorf("wait for another bootstrap: %w", err)
		}
		// Many statements in one message: the simple protocol, without parameters.
		if _, err := tx.Conn().PgConn().Exec(ctx, sqlBootstrap).ReadAll(); err != nil {
			return fmt.Errorf("make the lock's tables: %w", err)
		}
		return nil
	})
}

// grant is what the server answered to one attempt.
type grant struct {
	outcome                                    string
	epoch                                      int64
	term                                       string
	formerInstance, formerWorkApp, formerState string
}

// snapshot is the lease row as a watcher sees it.
type snapshot struct {
	epoch, beat int64
	state       string
	instance    string
	acquiredAt  time.Time
}

func (c *Config) connect(ctx context.Context, role string) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(c.URL)
	if err != nil {
		return nil, fmt.Errorf("read the lock's database URL: %w", err)
	}
	cfg.ConnectTimeout = c.StaleHeartbeat / 2
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec // survives changes of the table; nothing is cached
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect for the lock: %w", err)
	}
	reap := c.StaleHeartbeat * 12 / 10
	idle := max(int(reap.Seconds())-4, 1)
	_, err = conn.Exec(ctx, sqlSession, "singleton/"+role+"/"+c.Instance,
		strconv.Itoa(idle), strconv.FormatInt(reap.Milliseconds(), 10))
	if err != nil {
		closeConn(conn)
		return nil, fmt.Errorf("prepare the lock's session: %w", err)
	}
	return conn, nil
}

func (c *Config) acquire(ctx context.Context, conn *pgx.Conn, slice time.Duration) (grant, error) {
	var g grant
	err := conn.QueryRow(ctx, sqlAcquire, c.Name, key(c.Name), c.Instance, c.WorkApplicationName, int(slice.Milliseconds())).
		Scan(&g.outcome, &g.epoch, &g.term, &g.formerInstance, &g.formerWorkApp, &g.formerState)
	if err != nil {
		return g, fmt.Errorf("wait for the lock: %w", err)
	}
	return g, nil
}

func (c *Config) read(ctx context.Context, conn *pgx.Conn) (snapshot, error) {
	var s snapshot
	err := conn.QueryRow(ctx, sqlRead, c.Name).Scan(&s.epoch, &s.beat, &s.state, &s.instance, &s.acquiredAt)
	if err != nil {
		return s, fmt.Errorf("read the lease: %w", err)
	}
	return s, nil
}

// takeover ends the registered session if it is still as the watcher saw it.
func (c *Config) takeover(ctx context.Context, conn *pgx.Conn, s snapshot, reason string) (bool, error) {
	var ended bool
	err := conn.QueryRow(ctx, sqlTakeover, c.Name, key(c.Name), s.epoch, s.beat, c.Instance, reason).Scan(&ended)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("take over: %w", err)
	}
	return ended, nil
}

// closeConn ends a session for good, in bounded time, whatever state it is in.
func closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // a failed goodbye still closes the socket
}
