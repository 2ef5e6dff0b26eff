package telegramsim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	defaultConnections = 40
	maxConnections     = 100
	hookTimeout        = 60 * time.Second // an answer that takes longer counts as a failure
	maxRetryPause      = 60 * time.Second // the real cap is drawn between this and twice this
	maxRetryAfter      = time.Hour
	holdTimeout        = 10 * time.Second
	maxHookAnswer      = 1 << 20
)

// newHookClient never follows a redirect: for Telegram one is a wrong answer.
func newHookClient() *http.Client {
	return &http.Client{
		Transport:     newTransport(),
		Timeout:       hookTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// delivery is one attempt that is under way.
type delivery struct {
	ctx    context.Context
	lane   *lane
	update *update
	body   []byte
	hook   webhook
	epoch  int
	faults taken
}

// dispatch hands updates to the webhook until Close.
func (s *Server) dispatch() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		jobs, wait := s.nextDeliveries()
		for _, job := range jobs {
			s.tasks.Go(func() { s.deliver(job) })
		}
		timer.Reset(wait)
		select {
		case <-s.ctx.Done():
			return
		case <-s.wake:
		case <-timer.C:
		}
	}
}

// nextDeliveries takes what may go out now, and says how long to sleep if nothing else happens.
func (s *Server) nextDeliveries() ([]delivery, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.webhook.URL == "" {
		return nil, time.Hour
	}
	var jobs []delivery
	for s.lanes.inFlight < s.webhook.MaxConnections {
		next := s.lanes.next(s.now())
		if next == nil {
			break
		}
		if job, ok := s.prepareLocked(next); ok {
			jobs = append(jobs, job)
		}
	}
	at, ok := s.lanes.wakeAt()
	if !ok || s.lanes.inFlight >= s.webhook.MaxConnections {
		return jobs, time.Hour // Whatever ends next wakes dispatch.
	}
	return jobs, max(at.Sub(s.now()), 0)
}

// prepareLocked makes the head of a lane ready to go, unless it is too old or a fault holds it back.
func (s *Server) prepareLocked(l *lane) (delivery, bool) {
	u := l.updates[0]
	if s.now().After(u.ExpiresAt) {
		s.finishLocked(u, UpdateExpired)
	}
	if !u.pending() {
		s.lanes.done(l)
		return delivery{}, false
	}
	skip := ""
	if u.held {
		skip = FaultReorder
	}
	faults := s.takeFaultsLocked(hookMethod, u.ChatID, skip)
	if faults.is(FaultReorder) {
		u.held = true
		limit := orDefault(time.Duration(faults.main.DelayMillis)*time.Millisecond, holdTimeout)
		s.lanes.hold(l, s.now().Add(limit))
		return delivery{}, false
	}
	u.Attempts++
	return delivery{
		ctx: s.webhook.ctx, lane: l, update: u, body: u.Body, hook: s.webhook, epoch: s.webhook.epoch, faults: faults,
	}, true
}

// deliver makes one attempt and settles what became of it.
func (s *Server) deliver(job delivery) {
	failure, retryAfter := s.attempt(job)
	s.mu.Lock()
	defer s.mu.Unlock()
	defer nudge(s.wake)
	if job.epoch != s.webhook.epoch {
		return // Another webhook took over: the lanes are new, and the update is in them if it still waits.
	}
	if failure != "" && s.ctx.Err() != nil {
		return // Close cut it off, which is no fault of the bot.
	}
	if failure == "" {
		s.finishLocked(job.update, UpdateAcknowledged)
		s.lanes.releaseHeld(job.lane, s.now())
		s.lanes.done(job.lane)
		return
	}
	s.retryLocked(job, failure, retryAfter)
}

// retryLocked follows WebhookActor::on_update_error: the first retry is at once, then the pause doubles; Retry-After
// takes the place of the pause; an update that would be too old by then is dropped.
func (s *Server) retryLocked(job delivery, failure string, retryAfter time.Duration) {
	u, now := job.update, s.now()
	s.webhook.LastError, s.webhook.LastErrorAt = failure, now
	u.LastError = failure
	pause := min(retryAfter, maxRetryAfter)
	if pause == 0 && u.fails > 0 {
		u.pause = min(2*u.pause, maxRetryPause+rand.N(maxRetryPause))
		pause = u.pause
	}
	u.fails++
	if now.Add(pause).After(u.ExpiresAt) {
		s.finishLocked(u, UpdateExpired)
		s.lanes.done(job.lane)
		return
	}
	s.lanes.retry(job.lane, now.Add(pause))
	s.changedLocked()
}

// attempt returns what went wrong in Telegram's words, or nothing.
func (s *Server) attempt(job delivery) (failure string, retryAfter time.Duration) {
	if job.faults.delay > 0 && !s.sleep(job.ctx, job.faults.delay) {
		return "Webhook connection closed", 0
	}
	if job.faults.is(FaultDropBefore) {
		return "Connection reset by peer", 0
	}
	failure, retryAfter = s.postUpdate(job)
	if job.faults.is(FaultDropAfter) {
		return "Read timeout expired", 0
	}
	if failure == "" && job.faults.is(FaultDuplicate) {
		failure, retryAfter = s.postUpdate(job)
	}
	return failure, retryAfter
}

func (s *Server) postUpdate(job delivery) (failure string, retryAfter time.Duration) {
	request, err := http.NewRequestWithContext(job.ctx, http.MethodPost, job.hook.URL, bytes.NewReader(job.body))
	if err != nil {
		return "Wrong webhook URL: " + err.Error(), 0
	}
	request.Header.Set("Content-Type", "application/json")
	if job.hook.Secret != "" {
		request.Header.Set("X-Telegram-Bot-Api-Secret-Token", job.hook.Secret)
	}
	response, err := s.hookTo.Do(request)
	if err != nil {
		return connectionFailure(err), 0
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxHookAnswer))
	if err != nil {
		return connectionFailure(err), 0
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		reason := strings.TrimSpace(response.Status)
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
		return "Wrong response from the webhook: " + reason, time.Duration(max(seconds, 0)) * time.Second
	}
	s.runHookAnswer(job.ctx, response.Header.Get("Content-Type"), body)
	return "", 0
}

// runHookAnswer executes the call that a webhook's answer may carry; its result goes nowhere.
func (s *Server) runHookAnswer(ctx context.Context, contentType string, body []byte) {
	p := newParams()
	if p.readBody(contentType, bytes.NewReader(body)) != nil {
		return
	}
	name := strings.ToLower(p.str("method"))
	switch {
	case name == "", strings.HasPrefix(name, "get"):
		return
	case name == "setwebhook", name == "deletewebhook", name == "close", name == "logout":
		return
	}
	delete(p.values, "method")
	s.call(ctx, name, p, true)
}

func connectionFailure(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "Connection refused"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "Read timeout expired"
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.ErrUnexpectedEOF):
		return "Webhook connection closed"
	}
	return fmt.Sprintf("Connection failed: %v", err)
}
