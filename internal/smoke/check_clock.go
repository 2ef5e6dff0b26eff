package smoke

import (
	"context"
	_ "embed"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

//go:embed sql/clock.sql
var sqlClock string

// maxSkew is how much two clocks may differ. Signed callbacks allow five minutes.
const maxSkew = 30 * time.Second

// reading is how far a clock is ahead of this machine's.
type reading struct {
	of    string
	ahead time.Duration
	known bool
}

func (c reading) off() bool { return c.known && c.ahead.Abs() > maxSkew }

// clock compares three clocks with this machine's and names the one that is off.
func clock(ctx context.Context, r *run) finding {
	database := reading{of: "PostgreSQL"}
	outside := []reading{{of: "Telegram"}, {of: "KIE"}}
	var all sync.WaitGroup
	all.Go(func() { database.ahead, database.known = r.databaseClock(ctx) })
	for i, address := range []string{r.TelegramURL, r.KieURL} {
		all.Go(func() { outside[i].ahead, outside[i].known = headerClock(ctx, address) })
	}
	all.Wait()
	return judgeClocks(database, outside)
}

// judgeClocks trusts what two servers of the outside agree on, and else the majority.
func judgeClocks(database reading, outside []reading) finding {
	every := append([]reading{database}, outside...)
	off := slices.DeleteFunc(slices.Clone(every), func(c reading) bool { return !c.off() })
	wrong := slices.DeleteFunc(slices.Clone(outside), func(c reading) bool { return !c.off() })
	known := slices.DeleteFunc(slices.Clone(outside), func(c reading) bool { return !c.known })
	switch {
	case len(off) == 0:
		return pass("%s", describe(every))
	case len(wrong) > 0 && len(wrong) == len(known) && agree(wrong) && (len(wrong) > 1 || database.off()):
		return fail(clockLocal, "%s", describe(every))
	case len(wrong) == 0:
		return fail(clockDatabase, "%s", describe(every))
	}
	return warn(clockOther, "%s", describe(every))
}

func agree(list []reading) bool {
	for _, c := range list {
		if (c.ahead - list[0].ahead).Abs() > maxSkew {
			return false
		}
	}
	return true
}

func describe(list []reading) string {
	var parts []string
	for _, c := range list {
		switch {
		case !c.known:
		case c.ahead.Abs() < 2*time.Second: // headers have whole seconds
			parts = append(parts, c.of+" agrees")
		case c.ahead > 0:
			parts = append(parts, c.of+" is "+c.ahead.Round(time.Second).String()+" ahead of this machine")
		default:
			parts = append(parts, c.of+" is "+(-c.ahead).Round(time.Second).String()+" behind this machine")
		}
	}
	return strings.Join(parts, ", ")
}

func (r *run) databaseClock(ctx context.Context) (time.Duration, bool) {
	sent := time.Now()
	var there time.Time
	if err := r.pool.QueryRow(ctx, sqlClock).Scan(&there); err != nil {
		return 0, false
	}
	return there.Sub(sent.Add(time.Since(sent) / 2)), true
}

// headerClock reads the Date header with which every server answers.
func headerClock(ctx context.Context, address string) (time.Duration, bool) {
	a, err := ask(ctx, http.MethodHead, address)
	if err != nil {
		return 0, false
	}
	there, err := http.ParseTime(a.header.Get("Date"))
	return there.Add(500 * time.Millisecond).Sub(a.asked), err == nil
}
