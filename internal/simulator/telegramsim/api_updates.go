package telegramsim

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	maxPollTimeout = 50 * time.Second
	maxPollLimit   = 100
)

// webhook is where updates go and which kinds the bot wants. The kinds also hold for long polling.
type webhook struct {
	URL            string    `json:"url"`
	Secret         string    `json:"secret,omitempty"`
	MaxConnections int       `json:"max_connections"`
	AllowedUpdates []string  `json:"allowed_updates,omitempty"`
	LastError      string    `json:"last_error,omitempty"`
	LastErrorAt    time.Time `json:"last_error_at,omitzero"`

	epoch  int // counts changes, so that what was in flight before one is recognized
	ctx    context.Context
	cancel context.CancelFunc
}

// allows says whether the bot gets updates of this kind. An empty list means every kind but a few that the
// simulator does not make.
func (h *webhook) allows(kind string) bool {
	return len(h.AllowedUpdates) == 0 || slices.Contains(h.AllowedUpdates, kind)
}

func (h *webhook) sameTarget(o webhook) bool {
	return h.URL == o.URL && h.Secret == o.Secret && h.MaxConnections == o.MaxConnections
}

// poller is the one getUpdates call that may wait.
type poller struct{ stop chan *apiError }

func (s *Server) setWebhook(_ context.Context, p *params) (any, error) {
	if !p.has("url") {
		return s.deleteWebhook(nil, p)
	}
	next, err := parseWebhook(p)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next.AllowedUpdates = s.webhook.AllowedUpdates // Left out, the list stays as it was.
	if p.has("allowed_updates") {
		next.AllowedUpdates = nil
		if err := p.decode("allowed_updates", &next.AllowedUpdates); err != nil {
			return nil, badRequest("can't parse allowed updates list")
		}
	}
	s.dropPendingLocked(p)
	if s.poller != nil {
		s.poller.stop <- &apiError{Code: http.StatusConflict, Description: "Conflict: terminated by setWebhook request"}
		s.poller = nil
	}
	if s.webhook.sameTarget(next) {
		s.webhook.AllowedUpdates = next.AllowedUpdates
		return described{true, "Webhook is already set"}, nil
	}
	s.pointWebhookLocked(next)
	return described{true, "Webhook was set"}, nil
}

func parseWebhook(p *params) (webhook, error) {
	target, err := url.Parse(p.str("url"))
	if err != nil || target.Host == "" {
		return webhook{}, badRequest("bad webhook: invalid webhook URL specified")
	}
	if target.Scheme != "https" && !(target.Scheme == "http" && isLoopback(target.Hostname())) {
		return webhook{}, badRequest("bad webhook: An HTTPS URL must be provided for webhook")
	}
	secret := p.str("secret_token")
	switch {
	case len(secret) > 256:
		return webhook{}, badRequest("secret token is too long")
	case strings.ContainsFunc(secret, isForbiddenInSecret):
		return webhook{}, badRequest("secret token contains unallowed characters")
	}
	connections := p.integer("max_connections", defaultConnections)
	if connections < 1 {
		connections = defaultConnections
	}
	return webhook{
		URL: target.String(), Secret: secret, MaxConnections: int(min(connections, maxConnections)),
	}, nil
}

func isForbiddenInSecret(r rune) bool {
	return r > 127 || !isAlphanumeric(byte(r)) && r != '_' && r != '-'
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// pointWebhookLocked sends updates to another address from now on: what is in flight to the old one is cut, and
// everything that waits is due at once.
func (s *Server) pointWebhookLocked(next webhook) {
	if s.webhook.cancel != nil {
		s.webhook.cancel()
	}
	next.epoch = s.webhook.epoch + 1
	next.ctx, next.cancel = context.WithCancel(s.ctx)
	s.webhook = next
	s.lanes = newLanes()
	if next.URL != "" {
		for _, u := range s.pendingLocked() {
			s.lanes.push(u)
		}
	}
	s.changedLocked()
	nudge(s.wake)
}

func (s *Server) deleteWebhook(_ context.Context, p *params) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropPendingLocked(p)
	if s.webhook.URL == "" {
		return described{true, "Webhook is already deleted"}, nil
	}
	s.pointWebhookLocked(webhook{
		MaxConnections: defaultConnections, AllowedUpdates: s.webhook.AllowedUpdates,
	})
	return described{true, "Webhook was deleted"}, nil
}

func (s *Server) dropPendingLocked(p *params) {
	if !p.flag("drop_pending_updates") {
		return
	}
	for _, u := range s.pendingLocked() {
		s.finishLocked(u, UpdateDropped)
	}
}

func (s *Server) getWebhookInfo(context.Context, *params) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	info := map[string]any{
		"url": s.webhook.URL, "has_custom_certificate": false, "pending_update_count": len(s.pendingLocked()),
	}
	if len(s.webhook.AllowedUpdates) > 0 {
		info["allowed_updates"] = s.webhook.AllowedUpdates
	}
	if s.webhook.URL == "" {
		return info, nil
	}
	info["max_connections"] = s.webhook.MaxConnections
	if s.webhook.LastError != "" {
		info["last_error_date"] = unixOrZero(s.webhook.LastErrorAt)
		info["last_error_message"] = s.webhook.LastError
	}
	return info, nil
}

func (s *Server) getUpdates(ctx context.Context, p *params) (any, error) {
	mine, err := s.startPoll(p)
	if err != nil {
		return nil, err
	}
	defer s.endPoll(mine)
	if !s.enter() {
		return nil, ErrClosed
	}
	defer s.leave()
	timeout := time.Duration(p.integer("timeout", 0)) * time.Second
	deadline := time.NewTimer(max(0, min(timeout, maxPollTimeout)))
	defer deadline.Stop()
	for {
		batch, arrived := s.pollOnce(p)
		if len(batch) > 0 || timeout <= 0 {
			return batch, nil
		}
		select {
		case <-arrived:
		case <-deadline.C:
			return batch, nil
		case refusal := <-mine.stop:
			return nil, refusal
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.ctx.Done():
			return nil, ErrClosed
		}
	}
}

// startPoll acknowledges what lies before the offset and takes the place of a poll that is still waiting.
func (s *Server) startPoll(p *params) (*poller, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.webhook.URL != "" {
		return nil, &apiError{Code: http.StatusConflict, Description: "Conflict: can't use getUpdates method while " +
			"webhook is active; use deleteWebhook to delete the webhook first"}
	}
	if p.has("allowed_updates") {
		var kinds []string
		if err := p.decode("allowed_updates", &kinds); err != nil {
			return nil, badRequest("can't parse allowed updates list")
		}
		s.webhook.AllowedUpdates = kinds
		s.changedLocked()
	}
	s.acknowledgeLocked(p.integer("offset", 0))
	if s.poller != nil {
		s.poller.stop <- &apiError{Code: http.StatusConflict, Description: "Conflict: terminated by other getUpdates " +
			"request; make sure that only one bot instance is running"}
	}
	s.poller = &poller{stop: make(chan *apiError, 1)}
	return s.poller, nil
}

// acknowledgeLocked ends the updates before offset; a negative one keeps only that many of the newest.
func (s *Server) acknowledgeLocked(offset int64) {
	pending := s.pendingLocked()
	if offset < 0 {
		keep := min(int(-offset), len(pending))
		offset = s.lastUpdateID + 1
		if keep > 0 {
			offset = pending[len(pending)-keep].ID
		}
	}
	for _, u := range pending {
		if u.ID < offset {
			s.finishLocked(u, UpdateAcknowledged)
		}
	}
}

func (s *Server) endPoll(mine *poller) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.poller == mine {
		s.poller = nil
	}
}

func (s *Server) pollOnce(p *params) ([]json.RawMessage, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit := int(p.integer("limit", maxPollLimit))
	if limit < 1 || limit > maxPollLimit {
		limit = maxPollLimit
	}
	batch := []json.RawMessage{}
	for _, u := range s.pendingLocked() {
		if len(batch) == limit {
			break
		}
		u.Attempts++
		batch = append(batch, u.Body)
	}
	return batch, s.arrivals.wait()
}
