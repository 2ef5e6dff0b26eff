package inbox

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"kiosk/internal/fault"
)

// Poller receives by asking instead of by webhook. Messages are stored first
// and acknowledged by the next question, so none is lost between the two.
type Poller struct {
	// Fetch asks for the messages from offset on, waiting for some time when
	// there are none, and returns them with the offset that acknowledges them.
	// Its error may advise when to ask again (fault.RetryAfter).
	Fetch func(ctx context.Context, offset int64) (messages []Envelope, next int64, err error)

	Receiver *Receiver
	Log      *slog.Logger
}

const (
	errorPause = 2 * time.Second
	notWaiting = 100 * time.Millisecond // a server that answers "nothing" sooner does not hold the poll
)

// calm is how long polling must have worked before its trouble counts as over:
// two who poll with one token are refused in turns.
const calm = 10 * time.Second

// trouble is the error that polling suffers from, "" for none.
type trouble struct {
	text string
	last time.Time // it was met
}

// Run polls until ctx ends. An error pauses, and is logged when it is another
// one than before.
func (p *Poller) Run(ctx context.Context) error {
	if p.Fetch == nil || p.Receiver == nil || p.Log == nil {
		return errors.New("inbox: a poller needs a way to fetch, a receiver and a log")
	}
	var offset int64
	var t trouble
	for ctx.Err() == nil {
		asked := time.Now()
		next, err := p.once(ctx, offset)
		idle := next == offset && time.Since(asked) < notWaiting
		offset = next
		if ctx.Err() != nil {
			break
		}
		p.note(ctx, &t, err)
		switch wait, advised := fault.RetryAfter(err); {
		case advised:
			pause(ctx, max(wait, errorPause))
		case err != nil:
			pause(ctx, errorPause)
		case idle:
			pause(ctx, notWaiting)
		}
	}
	return nil //nolint:nilerr // a poll that was cut by the stop has nothing to report
}

// once fetches and stores. The offset moves only over what is stored.
func (p *Poller) once(ctx context.Context, offset int64) (int64, error) {
	messages, next, err := p.Fetch(ctx, offset)
	p.count(ctx, err)
	if err != nil {
		return offset, err
	}
	for _, e := range messages {
		if err := p.Receiver.Store(ctx, e); err != nil {
			return offset, err
		}
	}
	return next, nil
}

func (p *Poller) count(ctx context.Context, err error) {
	switch {
	case err == nil:
		p.Receiver.metrics.polls.WithLabelValues("done").Inc()
	case ctx.Err() == nil:
		p.Receiver.metrics.polls.WithLabelValues("failed").Inc()
	}
}

func (p *Poller) note(ctx context.Context, t *trouble, err error) {
	switch {
	case err != nil:
		if err.Error() != t.text {
			p.Log.WarnContext(ctx, "polling fails", "error", err.Error())
		}
		t.text, t.last = err.Error(), time.Now()
	case t.text != "" && time.Since(t.last) > calm:
		p.Log.InfoContext(ctx, "polling works again")
		t.text = ""
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
