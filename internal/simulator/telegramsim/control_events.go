package telegramsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

const (
	heartbeat     = 15 * time.Second
	writeDeadline = 10 * time.Second
)

// stream is one page that watches a chat by server-sent events.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	seq     int64 // of the last event sent
	people  int   // version of the list of people that the page knows
}

// controlEvents streams the changes of a chat until the page goes away or the Server closes.
func (s *Server) controlEvents(w http.ResponseWriter, r *http.Request, id int64) {
	if !s.enter() {
		s.fail(w, ErrClosed)
		return
	}
	defer s.leave()
	out := &stream{w: w, control: http.NewResponseController(w)}
	if err := s.startStream(out, r, id); err != nil {
		s.fail(w, err)
		return
	}
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		changed, people, err := s.sendNews(out, id)
		if err != nil {
			return
		}
		select {
		case <-changed:
		case <-people:
		case <-tick.C:
			if out.line(": still here\n\n") != nil {
				return
			}
		case <-r.Context().Done():
			return
		case <-s.ctx.Done():
			return
		}
	}
}

// startStream begins where the page left off, or now.
func (s *Server) startStream(out *stream, r *http.Request, id int64) error {
	s.mu.Lock()
	c, err := s.chatLocked(id)
	if err == nil {
		out.seq, out.people = c.events.last, s.people.version
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if last, err := strconv.ParseInt(r.Header.Get("Last-Event-ID"), 10, 64); err == nil {
		out.seq = last
	}
	out.w.Header().Set("Content-Type", "text/event-stream")
	out.w.Header().Set("Cache-Control", "no-cache")
	return out.line(fmt.Sprintf("retry: 1000\nid: %d\nevent: hello\ndata: {}\n\n", out.seq))
}

// sendNews writes what the page does not know yet and returns what to wait for.
func (s *Server) sendNews(out *stream, id int64) (changed, people <-chan struct{}, err error) {
	s.mu.Lock()
	c := s.chats[id]
	recent, complete := c.events.since(out.seq)
	if !complete {
		recent = []event{{Seq: c.events.last}}
	}
	events := append([]event(nil), recent...)
	version := s.people.version
	changed, people = c.changed.wait(), s.people.changed.wait()
	s.mu.Unlock()

	if err := out.send(events, complete); err != nil {
		return nil, nil, err
	}
	if version == out.people {
		return changed, people, nil
	}
	out.people = version
	return changed, people, out.line("event: users\ndata: {}\n\n")
}

// send writes events; when some are missing it tells the page to load the chat anew instead.
func (o *stream) send(events []event, complete bool) error {
	for _, e := range events {
		o.seq = e.Seq
		if !complete {
			return o.line(fmt.Sprintf("id: %d\nevent: reset\ndata: {}\n\n", e.Seq))
		}
		data, err := json.Marshal(e)
		if err != nil {
			return err
		}
		if err := o.line(fmt.Sprintf("id: %d\nevent: chat\ndata: %s\n\n", e.Seq, data)); err != nil {
			return err
		}
	}
	return nil
}

// line writes with a deadline of its own, so that a page that stopped reading cannot hold up Close.
func (o *stream) line(text string) error {
	// A writer without deadlines, as tests may use, is no reason to stop.
	_ = o.control.SetWriteDeadline(time.Now().Add(writeDeadline))
	if _, err := fmt.Fprint(o.w, text); err != nil {
		return err
	}
	return o.control.Flush()
}
