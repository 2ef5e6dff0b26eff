package outbox

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Telegram's limits, from its FAQ: about one message a second to one chat with
// short bursts, about thirty a second to all chats together.
const (
	chatEvery = time.Second
	chatBurst = 20
	allPerSec = 28
)

// pace keeps to Telegram's limits. Answers to presses count towards neither.
type pace struct {
	all *rate.Limiter

	mu    sync.Mutex
	chats map[int64]*rate.Limiter
}

func newPace() *pace {
	return &pace{
		all:   rate.NewLimiter(allPerSec, allPerSec),
		chats: map[int64]*rate.Limiter{},
	}
}

func (p *pace) wait(ctx context.Context, c Chat) error {
	if c.Urgent {
		return nil
	}
	if err := p.chat(c.ID).Wait(ctx); err != nil {
		return err
	}
	return p.all.Wait(ctx)
}

// chat returns the chat's bucket. Full buckets carry no information and are
// dropped when there are many.
func (p *pace) chat(id int64) *rate.Limiter {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.chats) > 10_000 {
		for k, l := range p.chats {
			if l.Tokens() >= chatBurst {
				delete(p.chats, k)
			}
		}
	}
	l := p.chats[id]
	if l == nil {
		l = rate.NewLimiter(rate.Every(chatEvery), chatBurst)
		p.chats[id] = l
	}
	return l
}
