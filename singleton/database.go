package singleton

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed sql/register.sql
var sqlRegister string

//go:embed sql/session.sql
var sqlSession string

//go:embed sql/probe.sql
var sqlProbe string

//go:embed sql/grant.sql
var sqlGrant string

//go:embed sql/listen.sql
var sqlListen string

//go:embed sql/rehearse.sql
var sqlRehearse string

//go:embed sql/beat.sql
var sqlBeat string

//go:embed sql/beat_lease.sql
var sqlBeatLease string

//go:embed sql/release.sql
var sqlRelease string

//go:embed sql/event.sql
var sqlEvent string

//go:embed sql/read.sql
var sqlRead string

//go:embed sql/takeover.sql
var sqlTakeover string

//go:embed sql/stranger.sql
var sqlStranger string

//go:embed sql/ask.sql
var sqlAsk string

//go:embed sql/end_work.sql
var sqlEndWork string

// database is the store of the product.
type database struct {
	cfg *Config

	mu     sync.Mutex
	pooled string // why lease mode was found necessary after session mode had begun
}

func (d *database) suspicion() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.pooled
}

// suspectPooler remembers why session mode cannot be trusted here.
func (d *database) suspectPooler(why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pooled = "a pooler is in between: " + why
}

func (d *database) open(ctx context.Context, r role) (session, error) {
	s := &pgSession{d: d, cfg: d.cfg, role: r}
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// pgSession is a connection of its own, never one of a pool.
type pgSession struct {
	d    *database
	cfg  *Config
	role role
	conn *pgx.Conn
	m    Mode
	why  string

	hears string // the term whose requests are listened to
}

func (s *pgSession) mode() (Mode, string) { return s.m, s.why }
func (s *pgSession) broken() bool         { return s.conn.IsClosed() }
func (s *pgSession) close()               { closeConn(s.conn) }

func (s *pgSession) connect(ctx context.Context) error {
	cfg, err := pgx.ParseConfig(s.cfg.URL)
	if err != nil {
		return fmt.Errorf("read the lock's database URL: %w", err)
	}
	cfg.ConnectTimeout = s.cfg.StaleHeartbeat / 2
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec // survives changes of the table and poolers; nothing is cached
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return fmt.Errorf("connect for the lock: %w", err) // the session keeps the connection that it had
	}
	s.conn = conn
	if err := s.prepare(ctx); err != nil {
		closeConn(s.conn)
		return err
	}
	return nil
}

func (s *pgSession) prepare(ctx context.Context) error {
	if err := s.probe(ctx); err != nil {
		return err
	}
	if s.m == Session { // settings of a pooled connection would become somebody else's
		reap := s.cfg.StaleHeartbeat * 12 / 10
		_, err := s.conn.Exec(ctx, sqlSession, "singleton/"+string(s.role)+"/"+s.cfg.Instance,
			strconv.Itoa(max(int(reap.Seconds())-4, 1)), strconv.FormatInt(reap.Milliseconds(), 10))
		if err != nil {
			return fmt.Errorf("prepare the lock's session: %w", err)
		}
	}
	if s.role != roleLock {
		return nil
	}
	if _, err := s.conn.Exec(ctx, sqlRegister, s.cfg.Name, stripes); err != nil {
		return fmt.Errorf("register the lock: %w", err)
	}
	if s.m != Session {
		return nil
	}
	if err := s.rehearse(ctx); s.conn.IsClosed() {
		return err
	} else if err != nil { // the lock may work all the same, and says what is wrong if it does not
		s.cfg.Log.Warn("the lock's session could not rehearse; a handover to it may be slow", "error", err.Error())
	}
	return nil
}

// rehearse does for nothing what has to be fast later.
func (s *pgSession) rehearse(ctx context.Context) error {
	if err := Rehearse(ctx, s.conn); err != nil {
		return err
	}
	if _, err := s.conn.Exec(ctx, sqlBeat, s.cfg.Name, -1, noTerm, 0, false, 0); err != nil {
		return fmt.Errorf("rehearse a heartbeat: %w", err)
	}
	return nil
}

// noTerm is a term that never was.
const noTerm = "00000000-0000-0000-0000-000000000000"

// Rehearse makes a session do once, without effect, what a grant and a fenced
// transaction do, so that they cost no more later than they always cost: a new
// session's first statements take some milliseconds each. Call it in the
// AfterConnect of the pool that does the work.
func Rehearse(ctx context.Context, c *pgx.Conn) error {
	if _, err := c.Exec(ctx, sqlRehearse); err != nil {
		return fmt.Errorf("rehearse the lock's statements: %w", err)
	}
	if c.Config().DefaultQueryExecMode != pgx.QueryExecModeCacheStatement {
		return nil // nothing may stay with the session, or nothing would be used
	}
	if _, err := c.Prepare(ctx, sqlFence, sqlFence); err != nil {
		return fmt.Errorf("prepare the fence: %w", err)
	}
	return nil
}

// probe finds out what the connection leads to. The server names its process
// when a connection begins; a pooler that lends server processes to clients
// names something else.
func (s *pgSession) probe(ctx context.Context) error {
	var pid uint32
	var replica bool
	var domain string
	if err := s.conn.QueryRow(ctx, sqlProbe).Scan(&pid, &replica, &domain); err != nil {
		return fmt.Errorf("probe the lock's database: %w; did Bootstrap run?", err)
	}
	if replica {
		return errors.New("the lock's database is a read-only replica; name the primary")
	}
	if s.cfg.ClusterID != "" && s.cfg.ClusterID != domain {
		return fmt.Errorf("the lock's database is domain %s and the configuration wants %s: a copy, or another database", domain, s.cfg.ClusterID)
	}
	s.m, s.why = s.cfg.Mode, "configured"
	if s.cfg.Mode != Auto {
		return nil
	}
	if s.conn.PgConn().PID() != pid {
		s.d.suspectPooler("the connection announced another server process than the one that answers")
	}
	if s.m, s.why = Session, "the connection is direct"; s.d.suspicion() != "" {
		s.m, s.why = Lease, s.d.suspicion()
	}
	return nil
}

func (s *pgSession) acquire(ctx context.Context, stale mark, patience time.Duration) (grant, error) {
	var g grant
	err := s.conn.QueryRow(ctx, sqlGrant, s.cfg.Name, key(s.cfg.Name), string(s.m), s.cfg.Instance, s.cfg.WorkApplicationName,
		s.cfg.Version, s.cfg.Rank, int(patience.Milliseconds()), stale.reason, stale.epoch, stale.value).
		Scan(&g.outcome, &g.epoch, &g.term, &g.server, &g.formerInstance, &g.formerWorkApp, &g.formerState, &g.formerBeat)
	if err != nil {
		return g, fmt.Errorf("wait for the lock: %w", err)
	}
	if g.outcome == "pooled" {
		s.d.suspectPooler("two holders were given one server process")
		return g, errors.New(s.d.suspicion() + "; name a direct database, or use lease mode")
	}
	return g, nil
}

func (s *pgSession) endWork(ctx context.Context, application string) (int, error) {
	var n int
	err := s.conn.QueryRow(ctx, sqlEndWork, application, tag(s.cfg.Name)).Scan(&n)
	return n, err
}

func (s *pgSession) beat(ctx context.Context, t *Term, p pulse) (request, error) {
	sql := sqlBeat
	if s.m == Lease {
		sql = sqlBeatLease
		if err := s.reconnect(ctx); err != nil {
			return request{}, err
		}
	}
	var r request
	b := &pgx.Batch{}
	b.Queue(sql, t.name, t.epoch, t.id, p.progress, p.waiting, p.stale.Milliseconds())
	if s.m == Session && t.id != s.hears {
		b.Queue(sqlListen) // with the first heartbeat: only a holder listens, for a waiting listener would pin the server's queue
	}
	results := s.conn.SendBatch(ctx, b)
	err := results.QueryRow().Scan(&r.asked, &r.by, &r.heir)
	if closeErr := results.Close(); err == nil {
		err = closeErr // the commit
	}
	if err == nil {
		s.hears = t.id
	}
	if errors.Is(err, pgx.ErrNoRows) {
		s.suspect(ctx, t)
		return r, ErrFenced
	}
	return r, err
}

// reconnect replaces a broken connection of lease mode, where only the row counts.
func (s *pgSession) reconnect(ctx context.Context) error {
	if !s.conn.IsClosed() {
		return nil
	}
	m, why := s.m, s.why
	err := s.connect(ctx)
	s.m, s.why = m, why
	return err
}

// suspect finds out whether a beat failed because a pooler lent the session's
// server process to somebody else.
func (s *pgSession) suspect(ctx context.Context, t *Term) {
	if now, err := s.read(ctx); err == nil && s.m == Session && now.held() && now.epoch == t.epoch {
		s.d.suspectPooler("the session's server process was swapped")
	}
}

func (s *pgSession) idle(ctx context.Context) error {
	if s.m == Lease {
		<-ctx.Done()
		return nil
	}
	for {
		n, err := s.conn.WaitForNotification(ctx)
		switch {
		case err == nil && n.Payload != s.cfg.Name:
			continue
		case err == nil || ctx.Err() != nil && !s.conn.IsClosed():
			return nil
		}
		return err
	}
}

func (s *pgSession) release(ctx context.Context, t *Term, reason, heir string) error {
	if s.m == Lease {
		if err := s.reconnect(ctx); err != nil {
			return err
		}
	}
	var unlocked bool
	err := s.conn.QueryRow(ctx, sqlRelease, t.name, t.epoch, t.id, reason, heir, s.m == Session, key(t.name), t.Barrier() > 0).
		Scan(&unlocked)
	if err == nil && !unlocked {
		err = errors.New("the lock was not held")
	}
	return err
}

func (s *pgSession) read(ctx context.Context) (snapshot, error) {
	var n snapshot
	var staleMS int64
	err := s.conn.QueryRow(ctx, sqlRead, s.cfg.Name).Scan(&n.epoch, &n.beat, &n.term, &n.state, &n.instance, &n.acquiredAt,
		&n.mode, &n.version, &n.rank, &n.progress, &n.waiting, &staleMS)
	if err != nil {
		return n, fmt.Errorf("read the lease: %w", err)
	}
	n.stale = time.Duration(staleMS) * time.Millisecond
	return n, nil
}

// takeover ends the registered session if it is still as the watcher saw it.
func (s *pgSession) takeover(ctx context.Context, m mark) (bool, error) {
	var ended bool
	err := s.conn.QueryRow(ctx, sqlTakeover, s.cfg.Name, key(s.cfg.Name), m.epoch, m.value, s.cfg.Instance, m.reason,
		m.age.Round(10*time.Millisecond).String()).Scan(&ended)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("take over: %w", err)
	}
	return ended, nil
}

func (s *pgSession) stranger(ctx context.Context) (int32, error) {
	var pid int32
	err := s.conn.QueryRow(ctx, sqlStranger, s.cfg.Name, key(s.cfg.Name)).Scan(&pid)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	return pid, err
}

func (s *pgSession) ask(ctx context.Context, epoch int64, heir string) error {
	_, err := s.conn.Exec(ctx, sqlAsk, s.cfg.Name, epoch, s.cfg.Instance, heir)
	return err
}

func (s *pgSession) record(ctx context.Context, epoch int64, kind, detail string) error {
	_, err := s.conn.Exec(ctx, sqlEvent, s.cfg.Name, epoch, kind, s.cfg.Instance, detail)
	return err
}

// closeConn ends a session for good, in bounded time, whatever state it is in.
func closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // a failed goodbye still closes the socket
}
