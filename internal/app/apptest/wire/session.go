package wire

import (
	"bufio"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgproto3"
)

// session is one connection to the database: it follows what the client asks
// far enough to know which message commits a change.
type session struct {
	journal    *Journal
	reader     *reader
	client     net.Conn
	server     net.Conn
	fromClient *bufio.Reader
	toServer   *bufio.Writer

	statements map[string]string // SQL by the name of the prepared statement
	portals    map[string]string // SQL by the name of the portal
	changes    []string          // of the transaction under way
	committing bool              // the question under way ends it

	mu       sync.Mutex
	progress sync.Cond
	asked    int  // questions that end with "ready for the next"
	answered int  // and those that have ended
	status   byte // of the transaction, as the server said last: I, T or E
	mute     bool // answers go no further
	over     bool
}

func newSession(j *Journal, r *reader, client, server net.Conn) *session {
	s := &session{
		journal: j, reader: r, client: client, server: server,
		fromClient: bufio.NewReader(client), toServer: bufio.NewWriter(server),
		statements: map[string]string{}, portals: map[string]string{}, asked: 1, // the start-up is a question
	}
	s.progress.L = &s.mu
	return s
}

// begin passes the start-up on, refusing encryption as a server without it does.
func (s *session) begin() error {
	for {
		code, raw, err := readStart(s.fromClient)
		if err != nil {
			return err
		}
		if code == sslRequest || code == gssRequest {
			if _, err := s.client.Write([]byte{'N'}); err != nil {
				return err
			}
			continue
		}
		_, err = s.server.Write(raw) // a cancel request, too: the server closes after it
		return err
	}
}

// relayRequests passes on what the client says, until the trap.
func (s *session) relayRequests() error {
	for {
		m, err := readMessage(s.fromClient)
		if err != nil {
			return err
		}
		label := s.follow(m)
		switch s.journal.meet(label) {
		case Before:
			s.journal.spring()
			return nil
		case After:
			s.silence()
			if err := s.forward(m); err != nil {
				return err
			}
			s.awaitAnswers()
			s.journal.spring()
			return nil
		}
		if err := s.forward(m); err != nil {
			return err
		}
	}
}

func (s *session) forward(m message) error {
	if m.kind == 'Q' || m.kind == 'S' {
		s.mu.Lock()
		s.asked++
		s.mu.Unlock()
	}
	if _, err := s.toServer.Write(m.raw); err != nil {
		return err
	}
	if s.fromClient.Buffered() > 0 && m.kind != 'Q' && m.kind != 'S' {
		return nil // more of the same question follows
	}
	return s.toServer.Flush()
}

// follow returns the label of the point that a message is, or "".
func (s *session) follow(m message) string {
	switch m.kind {
	case 'P':
		var p pgproto3.Parse
		if p.Decode(m.body()) == nil {
			s.statements[p.Name] = p.Query
		}
	case 'B':
		var b pgproto3.Bind
		if b.Decode(m.body()) == nil {
			s.portals[b.DestinationPortal] = s.statements[b.PreparedStatement]
		}
	case 'E':
		var e pgproto3.Execute
		if e.Decode(m.body()) == nil {
			s.run(s.portals[e.Portal])
		}
	case 'S':
		return s.synced()
	case 'Q':
		var q pgproto3.Query
		if q.Decode(m.body()) == nil {
			s.run(q.String)
			return s.synced()
		}
	}
	return ""
}

// run notes what a statement changes.
func (s *session) run(sql string) {
	switch verb(sql) {
	case "commit", "end":
		s.committing = true
	case "rollback", "abort":
		s.changes = nil
	default:
		s.changes = append(s.changes, s.reader.changes(sql)...)
	}
}

// synced decides whether the question that ends here commits changes: by COMMIT,
// or because it stands outside any transaction.
func (s *session) synced() string {
	status := s.transaction()
	label := ""
	if len(s.changes) > 0 && (status == idle || s.committing && status == inside) {
		label = "pg commit (" + strings.Join(slices.Compact(s.changes), ", ") + ")"
	}
	if status == idle || s.committing {
		s.changes, s.committing = nil, false
	}
	return label
}

// The server's words for the state of a transaction.
const (
	idle   = 'I'
	inside = 'T'
)

func (s *session) transaction() byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

// relayAnswers passes on what the server says, until it is told to be silent.
func (s *session) relayAnswers() error {
	from, to := bufio.NewReader(s.server), bufio.NewWriter(s.client)
	for {
		m, err := readMessage(from)
		if err != nil {
			return err
		}
		if s.hear(m) {
			continue
		}
		if _, err := to.Write(m.raw); err != nil {
			return err
		}
		if from.Buffered() > 0 {
			continue
		}
		if err := to.Flush(); err != nil {
			return err
		}
	}
}

// hear notes an answer and reports that the client must not get it.
func (s *session) hear(m message) (swallow bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.kind == 'Z' && len(m.raw) == 6 { // ready for the next question
		s.answered++
		s.status = m.raw[5]
		s.progress.Broadcast()
	}
	return s.mute
}

func (s *session) silence() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mute = true
}

// awaitAnswers blocks until the server has answered everything.
func (s *session) awaitAnswers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.answered < s.asked && !s.over {
		s.progress.Wait()
	}
}

func (s *session) ended() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	s.progress.Broadcast()
}
