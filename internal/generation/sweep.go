package generation

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kiosk/internal/sweep"
)

//go:embed sql/sweep_stuck.sql
var sqlSweepStuck string

//go:embed sql/sweep_old.sql
var sqlSweepOld string

//go:embed sql/over.sql
var sqlOver string

// grace lets the worker come first to what has just outlived its limit.
const grace = time.Minute

// Sweeps makes generations due that have outlived the limit of their state, and
// once an order has been over for longer than keep, deletes its history and
// blanks its inputs. Rows that money refers to are never deleted.
func (s *Service) Sweeps(keep time.Duration) []sweep.Sweep {
	l := s.Limits
	return []sweep.Sweep{
		{
			Name: "generation.stuck", Every: time.Minute,
			Batch: sweep.Statement(sqlSweepStuck, (l.HeldFor + grace).Milliseconds(), (l.SubmitTimeout + submitSlack + grace).Milliseconds(),
				(l.UnknownFor + grace).Milliseconds(), (l.RunningFor + grace).Milliseconds()),
		},
		{Name: "generation.old", Every: 10 * time.Minute, Batch: sweep.Statement(sqlSweepOld, int64(keep.Seconds()))},
	}
}

// LanesOver returns those of the callbacks' lanes whose generation is over or
// does not exist.
func (s *Service) LanesOver(ctx context.Context, tx pgx.Tx, lanes []string) ([]string, error) {
	return over(ctx, tx, "", lanes)
}

// HoldsOver returns those of the holds' keys whose generation is over or does
// not exist. Holds of others are none of them.
func (s *Service) HoldsOver(ctx context.Context, tx pgx.Tx, keys []string) ([]string, error) {
	return over(ctx, tx, holdPrefix, keys)
}

// over keeps the names, each a generation's id after a prefix, of what is over.
// A name that is no id speaks of no generation.
func over(ctx context.Context, tx pgx.Tx, prefix string, names []string) ([]string, error) {
	var ids []ID
	byID := map[ID]string{}
	var list []string
	for _, n := range names {
		text, ours := strings.CutPrefix(n, prefix)
		if !ours {
			continue
		}
		id, err := uuid.Parse(text)
		if err != nil {
			list = append(list, n)
			continue
		}
		ids, byID[id] = append(ids, id), n
	}
	rows, err := tx.Query(ctx, sqlOver, ids)
	if err != nil {
		return nil, fmt.Errorf("look which generations are over: %w", err)
	}
	finished, err := pgx.CollectRows(rows, pgx.RowTo[ID])
	for _, id := range finished {
		list = append(list, byID[id])
	}
	return list, err
}
