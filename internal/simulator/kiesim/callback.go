package kiesim

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

const (
	callbackTimeout = 15 * time.Second
	callbackRetries = 3
	// The provider names no agent of its own; this is what the HTTP client of a JVM service sends.
	callbackAgent = "okhttp/4.12.0"
)

// notify sends the callback of an ended task, with the faults that are scripted for it. It reports whether nothing is
// left to do: false means that the server closes and that the callback is still due.
func (s *Server) notify(t Task) bool {
	fault, _ := s.faults.take(methodCallback, t.Model, []string{actionNone, actionDuplicate, actionForged, actionDelay})
	switch fault.Action {
	case actionNone:
		return true
	case actionForged:
		s.forge(t)
	case actionDelay:
		if !s.pause(s.ctx, fault.delay()) {
			return false
		}
	}
	if !s.deliver(t) {
		return false
	}
	if fault.Action == actionDuplicate {
		s.call(s.ctx, t)
	}
	return true
}

// deliver repeats the call until it is answered with success or the retries are used up. False means that the server closes.
func (s *Server) deliver(t Task) bool {
	wait := s.cfg.Backoff
	for range callbackRetries {
		if s.call(s.ctx, t) {
			return true
		}
		if !s.pause(s.ctx, wait) {
			return false
		}
		wait *= 2
	}
	if !s.call(s.ctx, t) {
		s.log.Warn("callback given up", "task_id", t.ID, "url", t.CallBackURL)
	}
	return s.ctx.Err() == nil
}

// call sends one callback and reports whether it was answered with success.
func (s *Server) call(ctx context.Context, t Task) bool {
	rec := s.record(t)
	env := envelope{Code: http.StatusOK, Msg: "Playground task completed successfully.", Data: &rec}
	if t.State == StateFail {
		rec.ResultJSON = nil
		env.Code, env.Msg = http.StatusNotImplemented, "Playground task failed."
	}
	return s.post(ctx, t, t.ID, s.cfg.HMACKey, env)
}

// forge tells the callback's address of a task that does not exist, signed with a key that is not the account's. The
// signature is sent even when the account has no key: an attacker would not know.
func (s *Server) forge(t Task) {
	rec := s.record(t)
	rec.TaskID = newTaskID()
	env := envelope{Code: http.StatusOK, Msg: "Playground task completed successfully.", Data: &rec}
	s.post(s.ctx, t, rec.TaskID, "not "+s.cfg.HMACKey, env)
}

func (s *Server) post(ctx context.Context, t Task, signedID, key string, env envelope) bool {
	body := encode(env)
	entry := s.journal.open(Call{Method: methodCallback, HTTPMethod: http.MethodPost, Path: t.CallBackURL, Model: t.Model,
		Body: journalBody(body)})
	status, err := s.send(ctx, t.CallBackURL, signedID, key, body)
	s.journal.close(entry, status)
	if err != nil {
		s.log.Warn("callback not delivered", "task_id", t.ID, "error", err)
		return false
	}
	return status >= 200 && status < 300
}

func (s *Server) send(ctx context.Context, address, signedID, key string, body []byte) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("build request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", callbackAgent)
	if key != "" {
		stamp := strconv.FormatInt(time.Now().Unix(), 10)
		req.Header.Set("X-Webhook-Timestamp", stamp)
		req.Header.Set("X-Webhook-Signature", sign(key, signedID, stamp))
	}
	resp, err := s.hooks.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody)) // Read, so that the connection can be used again.
	return resp.StatusCode, nil
}

// sign is the provider's scheme: the signature covers the task and the time, not the body.
func sign(key, taskID, stamp string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(taskID + "." + stamp))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
