package telegramsim

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"time"
)

// firstUserID is above 2^32, where real accounts have long been: it finds programs that keep ids in 32 bits.
const firstUserID = 5_100_000_001

// state is what a restart keeps. It is guarded by Server.mu.
type state struct {
	chats        map[int64]*chat
	order        []int64 // of chats by creation
	files        map[string]*file
	paths        map[string]*file // by file_path
	lastFile     int
	webhook      webhook
	lastUpdateID int64
	updates      []*update // by id, the finished ones too until the log is trimmed
	firstPending int       // no update before this index is pending
	profile      profile
	stars        []starTransaction
	links        map[string]invoiceOffer // by slug of createInvoiceLink
}

// session is what a restart forgets. It is guarded by Server.mu.
type session struct {
	lanes     lanes
	faults    []*fault
	lastFault int64
	calls     []*Call
	lastCall  int64
	presses   map[string]*chat     // by callback query id
	checkouts map[string]*checkout // open pre-checkout queries
	poller    *poller
	people    peopleLog
	arrivals  signal // an update became pending or stopped being it
}

func newState() state {
	return state{
		chats: map[int64]*chat{}, files: map[string]*file{}, paths: map[string]*file{},
		links: map[string]invoiceOffer{}, lastUpdateID: int64(100_000_000 + randomUint32()%800_000_000),
		profile: newProfile(), webhook: webhook{MaxConnections: defaultConnections},
	}
}

func newSession() session {
	return session{lanes: newLanes(), presses: map[string]*chat{}, checkouts: map[string]*checkout{}}
}

// signal wakes everybody who waits for the next change. The zero value is ready; Server.mu guards it.
type signal struct{ ch chan struct{} }

func (g *signal) wait() <-chan struct{} {
	if g.ch == nil {
		g.ch = make(chan struct{})
	}
	return g.ch
}

func (g *signal) broadcast() {
	if g.ch != nil {
		close(g.ch)
		g.ch = nil
	}
}

// changedLocked notes that what a restart keeps has changed.
func (s *Server) changedLocked() { nudge(s.dirty) }

func nudge(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// peopleLog counts changes of the list of people and of the last messages in it.
type peopleLog struct {
	version int
	changed signal
}

func (p *peopleLog) broadcast() {
	p.version++
	p.changed.broadcast()
}

func (s *Server) unixLocked() int64 { return s.now().Unix() }

// randomID is an unguessable decimal id as Telegram uses for queries.
func randomID() string {
	var b [8]byte
	rand.Read(b[:])
	return strconv.FormatUint(binary.BigEndian.Uint64(b[:])>>1|1<<60, 10)
}

func randomToken(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

func randomUint32() uint32 {
	var b [4]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint32(b[:])
}

func unixOrZero(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}
