package singleton

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// watch reads the lease on a connection of its own and takes over from a holder
// whose heartbeat has not changed for the stale time on this process's clock.
// It ends with ctx.
func (e *Elector) watch(ctx context.Context) {
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			closeConn(conn)
		}
	}()
	for ctx.Err() == nil {
		var err error
		if conn == nil || conn.IsClosed() {
			conn, err = e.cfg.connect(ctx, "watch")
		}
		if err == nil {
			err = e.look(ctx, conn)
		}
		if err != nil && ctx.Err() == nil {
			e.note(err)
		}
		wait(ctx, pollEvery(e.cfg.StaleHeartbeat))
	}
}

func pollEvery(stale time.Duration) time.Duration {
	return min(max(stale/10, 50*time.Millisecond), time.Second)
}

// look compares one reading with the last and acts on a stale one.
func (e *Elector) look(ctx context.Context, conn *pgx.Conn) error {
	s, err := e.cfg.read(ctx, conn)
	if err != nil {
		return err
	}
	e.note(nil) // the lease can be read: whatever was wrong is over
	age := e.remember(s)
	if s.state != "held" || age < e.cfg.StaleHeartbeat {
		return nil
	}
	ended, err := e.cfg.takeover(ctx, conn, s, "heartbeat")
	if err != nil {
		return err
	}
	if ended {
		e.cfg.Log.Warn("took over from a stale holder", "former", s.instance, "epoch", s.epoch,
			"reason", "heartbeat", "heartbeat_age", age.String())
	}
	e.forget()
	return nil
}

// remember stores what was read and returns for how long it has not changed.
func (e *Elector) remember(s snapshot) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.seenAt.IsZero() || s != e.seen {
		e.seen, e.seenAt = s, time.Now()
	}
	return time.Since(e.seenAt)
}

// forget starts the timing anew, so that a takeover that found nothing to end
// is not repeated at every poll.
func (e *Elector) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seenAt = time.Now()
}
