package telegramsim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Config says what the simulator is. Only Token is required.
type Config struct {
	Token    string // the one bot token that is accepted; every other gets 401
	Username string // of the bot, without @; default kiosk_dev_bot
	Name     string // of the bot, as people see it; default Kiosk
	BaseURL  string // own public address, for the links that the control calls give; see SetBaseURL
	// DataDir keeps users, chats, files, webhook and pending updates over a restart; empty keeps them in memory.
	DataDir string
	Log     *slog.Logger // default: discard
	// RetryBase is the pause before the second retry of a webhook delivery. The first retry is at once, every further
	// pause is twice the one before. Default 2 s, as Telegram does.
	RetryBase time.Duration
}

// ErrClosed is returned by what cannot happen any more because the Server was closed.
var ErrClosed = errors.New("telegram simulator: closed")

// Server is the simulator. It is an http.Handler; all methods may be called concurrently.
type Server struct {
	cfg     Config
	log     *slog.Logger
	methods map[string]method
	control http.Handler
	hookTo  *http.Client // delivers updates
	fetch   *http.Client // downloads media that the bot names by URL
	blobs   blobs
	text    formatter
	now     func() time.Time

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup // own goroutines and answers that wait: both must end before Close returns
	wake   chan struct{}  // tells dispatch that there may be something to deliver
	dirty  chan struct{}  // tells the saver that the state changed

	mu      sync.Mutex
	closed  bool
	baseURL string
	state   // what a restart keeps
	session // what it does not
}

// New makes a Server and starts its goroutines; Close stops them.
func New(cfg Config) (*Server, error) {
	if cfg.Token == "" {
		return nil, errors.New("telegram simulator: Config.Token is empty")
	}
	cfg.Username = orDefault(cfg.Username, "kiosk_dev_bot")
	cfg.Name = orDefault(cfg.Name, "Kiosk")
	cfg.RetryBase = orDefault(cfg.RetryBase, 2*time.Second)
	cfg.Log = orDefault(cfg.Log, slog.New(slog.DiscardHandler))
	s := &Server{
		cfg: cfg, log: cfg.Log, now: time.Now,
		hookTo:  newHookClient(),
		fetch:   &http.Client{Transport: newTransport(), Timeout: fetchTimeout},
		text:    newFormatter(),
		wake:    make(chan struct{}, 1),
		dirty:   make(chan struct{}, 1),
		baseURL: strings.TrimSuffix(cfg.BaseURL, "/"),
		state:   newState(),
		session: newSession(),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.methods = s.methodTable()
	s.control = s.controlHandler()
	if err := s.restore(); err != nil {
		s.cancel()
		return nil, fmt.Errorf("telegram simulator: restore %s: %w", cfg.DataDir, err)
	}
	if err := s.save(); err != nil { // from now on the snapshot on disk is no longer complete
		s.cancel()
		return nil, err
	}
	s.tasks.Go(s.dispatch)
	if cfg.DataDir != "" {
		s.tasks.Go(s.saveLoop)
	}
	return s, nil
}

// Close stops deliveries, ends every stream and long poll, waits for them, and writes what DataDir keeps. The Server
// answers 503 from then on. It may be called more than once.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.tasks.Wait()
	s.hookTo.CloseIdleConnections()
	s.fetch.CloseIdleConnections()
	return s.save()
}

// SetBaseURL tells the Server its own address, which often is known only once it listens.
func (s *Server) SetBaseURL(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.baseURL = strings.TrimSuffix(url, "/")
}

// ServeHTTP answers the Bot API, the control calls and the web chat. Where a fault cuts the connection it panics with
// [http.ErrAbortHandler], which net/http takes for just that.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		http.Error(w, "the simulator is closed", http.StatusServiceUnavailable)
		return
	}
	path := r.URL.Path
	switch {
	case strings.HasPrefix(path, "/bot"):
		s.serveBot(w, r, strings.TrimPrefix(path, "/bot"))
	case strings.HasPrefix(path, "/file/bot"):
		s.serveBotFile(w, r, strings.TrimPrefix(path, "/file/bot"))
	default:
		s.control.ServeHTTP(w, r)
	}
}

// enter registers an answer that may wait for long, so that Close can wait for it; leave must follow when it is true.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.tasks.Add(1)
	return true
}

func (s *Server) leave() { s.tasks.Done() }

// sleep waits and says whether the whole time passed, rather than the caller going away or the Server closing.
func (s *Server) sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	case <-s.ctx.Done():
		return false
	}
}

// botUser is the bot as messages show it.
func (s *Server) botUser() *User {
	return &User{ID: s.botID(), IsBot: true, FirstName: s.cfg.Name, Username: s.cfg.Username}
}

// botID is the number before the colon of the token, as in every real one.
func (s *Server) botID() int64 {
	number, _, _ := strings.Cut(s.cfg.Token, ":")
	if id, err := strconv.ParseInt(number, 10, 64); err == nil && id > 0 {
		return id
	}
	return 5_000_000_001
}

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		MaxIdleConnsPerHost:   100,
		IdleConnTimeout:       30 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

func orDefault[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}
