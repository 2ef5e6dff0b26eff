package kiesim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// Config says what a Server pretends to be. The zero value of every field but APIKey is usable.
type Config struct {
	APIKey      string                              // the bearer key that is accepted; required
	HMACKey     string                              // signs callbacks when set
	BaseURL     string                              // public address without trailing slash; result URLs start with it
	Credits     float64                             // balance of a fresh account; 0 means 10000, a negative one means none
	Duration    func(modality string) time.Duration // how long an "image", "video" or "audio" takes; nil means 2s, 6s, 4s
	Backoff     time.Duration                       // wait before the first retry of a callback, doubled each time; 0 means 2s
	NoRateLimit bool                                // lifts the limit of 20 creations in 10 seconds
	DataDir     string                              // where tasks, balance and uploads survive a restart; "" keeps nothing
	Log         *slog.Logger                        // nil discards
}

// Server is the simulated provider. It is safe for concurrent use and is mounted at the root of the provider's address:
// a caller that serves it under a prefix strips the prefix.
type Server struct {
	cfg     Config
	log     *slog.Logger
	mux     *http.ServeMux
	models  *catalog
	paint   *painter
	hooks   *http.Client // sends callbacks
	fetch   *http.Client // gets files that are uploaded by their URL
	faults  *faultBox
	journal *journal
	cache   *cache
	uploads *os.Root
	keeper  *keeper // nil when nothing is to survive
	scratch string  // directory of uploads to remove at Close, or ""

	// The context ends at Close. It is a field because the tasks it bounds outlive the request that starts them.
	ctx  context.Context
	stop context.CancelFunc
	work sync.WaitGroup

	mu      sync.Mutex // guards what follows
	closed  bool
	base    string
	credits float64
	tasks   map[string]*Task
	order   []string    // task ids, oldest first
	created []time.Time // creations inside the limit's window
}

// New builds a Server and resumes the tasks that DataDir holds. The caller must Close it.
func New(cfg Config) (*Server, error) {
	if cfg.APIKey == "" {
		return nil, errors.New("kiesim: an API key is required")
	}
	cfg = cfg.withDefaults()
	models, err := loadCatalog()
	if err != nil {
		return nil, fmt.Errorf("kiesim: load models: %w", err)
	}
	paint, err := newPainter()
	if err != nil {
		return nil, fmt.Errorf("kiesim: load font: %w", err)
	}
	s := &Server{
		cfg: cfg, log: cfg.Log, models: models, paint: paint,
		faults: newFaultBox(), journal: newJournal(), cache: newCache(),
		base: strings.TrimRight(cfg.BaseURL, "/"), credits: cfg.Credits, tasks: map[string]*Task{},
	}
	s.hooks, s.fetch = newClients()
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.mux = s.routes()
	if err := s.open(); err != nil {
		s.stop()
		return nil, errors.Join(fmt.Errorf("kiesim: open data directory %q: %w", cfg.DataDir, err), s.removeScratch())
	}
	s.resume()
	return s, nil
}

// newClients returns the clients of callbacks and of fetched files. They share connections of their own, so that Close
// can close them. A redirect is no answer to a callback.
func newClients() (hooks, fetch *http.Client) {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 16}
	hooks = &http.Client{Transport: transport, Timeout: callbackTimeout}
	hooks.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return hooks, &http.Client{Transport: transport, Timeout: fetchTimeout}
}

func (c Config) withDefaults() Config {
	switch {
	case c.Credits == 0:
		c.Credits = 10000
	case c.Credits < 0:
		c.Credits = 0
	}
	if c.Duration == nil {
		c.Duration = defaultDuration
	}
	if c.Backoff == 0 {
		c.Backoff = 2 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

func defaultDuration(modality string) time.Duration {
	switch modality {
	case "video":
		return 6 * time.Second
	case "audio":
		return 4 * time.Second
	}
	return 2 * time.Second
}

// ServeHTTP answers the provider's own paths (/api/…), the files it hands out (/files/…) and the control calls (/sim/…).
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mux.ServeHTTP(w, r)
}

func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/jobs/createTask", s.api(methodCreate, s.createTask))
	mux.HandleFunc("GET /api/v1/jobs/recordInfo", s.api(methodRecord, s.recordInfo))
	mux.HandleFunc("GET /api/v1/chat/credit", s.api(methodCredit, s.credit))
	mux.HandleFunc("POST /api/v1/common/download-url", s.api(methodLink, s.downloadURL))
	mux.HandleFunc("GET /api/v1/models", s.api(methodCatalog, s.listModels))
	mux.HandleFunc("GET /api/v1/models/{path...}", s.api(methodCatalog, s.describeModel))
	mux.HandleFunc("POST /api/file-base64-upload", s.api(methodUpload, s.uploadBase64))
	mux.HandleFunc("POST /api/file-stream-upload", s.api(methodUpload, s.uploadStream))
	mux.HandleFunc("POST /api/file-url-upload", s.api(methodUpload, s.uploadURL))
	mux.HandleFunc("GET /files/uploads/{path...}", s.observe(methodFile, s.uploadedFile))
	mux.HandleFunc("GET /files/results/{task}/{name}", s.observe(methodFile, s.resultFile))
	mux.HandleFunc("/sim/", http.NotFound)
	s.controlRoutes(mux)
	mux.HandleFunc("/", s.observe(methodOther, unknownPath))
	return mux
}

func unknownPath(w *reply, r *http.Request) {
	w.envelope(http.StatusNotFound, "The requested path does not exist: "+r.Method+" "+r.URL.Path, nil)
}

// SetBaseURL changes the address that result URLs start with, for servers whose address is known only after they start.
func (s *Server) SetBaseURL(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.base = strings.TrimRight(address, "/")
}

func (s *Server) baseURL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.base
}

// Close stops running tasks and callbacks and waits for them. Tasks that were not finished go on when a Server is opened
// with the same DataDir. Requests that are being answered are cut short, but not waited for: they belong to the caller's
// http.Server. Close is idempotent.
func (s *Server) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.work.Wait()
	if !first {
		return nil
	}
	s.hooks.CloseIdleConnections()
	return errors.Join(s.uploads.Close(), s.removeScratch())
}

func (s *Server) removeScratch() error {
	if s.scratch == "" {
		return nil
	}
	return os.RemoveAll(s.scratch)
}

// start runs f in a goroutine that Close waits for. After Close nothing is started.
func (s *Server) start(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.work.Go(f)
}

// pause waits for d and reports whether it was waited out: false means that the server closes or ctx ended.
func (s *Server) pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-s.ctx.Done():
	}
	return false
}
