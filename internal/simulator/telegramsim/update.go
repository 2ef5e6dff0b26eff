package telegramsim

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"
)

const (
	updatesKept = 10_000
	// lifeOfMessages and lifeOfQueries are how long Telegram keeps trying to deliver an update of the kind.
	lifeOfMessages = 24 * time.Hour
	lifeOfQueries  = 150 * time.Second
)

// update is one update with what delivering it needs.
type update struct {
	Update
	messageID int64 // of the person's message in it, for the check marks of the chat
	fails     int
	pause     time.Duration // before the next retry, as it doubles
	held      bool          // a reorder fault has had its turn with it
}

func (u *update) pending() bool { return u.State == UpdatePending }

// queueOf names the queue of an update: one of each is delivered at a time. Telegram keys messages by chat and
// everything else by user under tags of their own (telegram-bot-api, Client.cpp), so that a press and a message of
// one person may overtake each other.
func queueOf(kind string, chatID int64) string {
	return kind + ":" + strconv.FormatInt(chatID, 10)
}

func lifeOf(kind string) time.Duration {
	if kind == "callback_query" || kind == "pre_checkout_query" {
		return lifeOfQueries
	}
	return lifeOfMessages
}

// createUpdateLocked makes an update unless the bot asked not to get its kind.
func (s *Server) createUpdateLocked(kind string, c *chat, messageID int64, payload any) {
	if !s.webhook.allows(kind) {
		return
	}
	s.lastUpdateID++
	body, err := json.Marshal(map[string]any{"update_id": s.lastUpdateID, kind: payload})
	if err != nil {
		s.log.Error("update cannot be encoded", "kind", kind, "error", err)
		return
	}
	now := s.now()
	u := &update{messageID: messageID, pause: s.cfg.RetryBase / 2, Update: Update{
		ID: s.lastUpdateID, Kind: kind, Queue: queueOf(kind, c.user.ID), ChatID: c.user.ID, Body: body,
		CreatedAt: now, ExpiresAt: now.Add(lifeOf(kind)), State: UpdatePending,
	}}
	s.trimUpdatesLocked()
	s.updates = append(s.updates, u)
	if s.webhook.URL != "" {
		s.lanes.push(u)
		nudge(s.wake)
	}
	s.arrivals.broadcast()
	s.changedLocked()
}

// finishLocked gives an update its final state.
func (s *Server) finishLocked(u *update, state UpdateState) {
	if !u.pending() {
		return
	}
	u.State = state
	if state == UpdateAcknowledged {
		u.AcknowledgedAt = s.now()
		s.markReadLocked(u)
	}
	s.arrivals.broadcast()
	s.changedLocked()
}

func (s *Server) markReadLocked(u *update) {
	c := s.chats[u.ChatID]
	if c == nil || u.messageID <= c.readUpTo {
		return
	}
	c.readUpTo = u.messageID
	c.publish(event{Kind: "read", MessageID: u.messageID})
}

// pendingLocked returns what the bot has yet to take, oldest first, after ending what is too old.
func (s *Server) pendingLocked() []*update {
	for s.firstPending < len(s.updates) && !s.updates[s.firstPending].pending() {
		s.firstPending++
	}
	var out []*update
	now := s.now()
	for _, u := range s.updates[s.firstPending:] {
		if u.pending() && now.After(u.ExpiresAt) {
			s.finishLocked(u, UpdateExpired)
		}
		if u.pending() {
			out = append(out, u)
		}
	}
	return out
}

// trimUpdatesLocked forgets the oldest finished updates once the log is long.
func (s *Server) trimUpdatesLocked() {
	if len(s.updates) < 2*updatesKept {
		return
	}
	excess := len(s.updates) - updatesKept
	s.updates = slices.DeleteFunc(s.updates, func(u *update) bool {
		excess--
		return excess >= 0 && !u.pending()
	})
	s.firstPending = 0
}

// Updates returns every update that was created, oldest first, and what became of it. Finished ones are forgotten
// when there are more than 10,000.
func (s *Server) Updates() []Update {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Update, 0, len(s.updates))
	for _, u := range s.updates {
		out = append(out, u.Update)
	}
	return out
}
