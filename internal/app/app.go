// Package app puts the rooms together and runs them in order. It is the only
// room that knows all others, and the only one that reads the environment.
//
// Start: database, schema, HTTP, lock, and on the ACTIVE instance the workers.
// HTTP never waits for the lock: a PASSIVE instance is ready and stores webhooks,
// else a rolling deploy would deadlock. Stop is the reverse: not ready, no new
// work, finish what runs, give the lock away, drain HTTP, close the pool.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/PaulSonOfLars/gotgbot/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/internal/bot"
	"kiosk/internal/catalog"
	"kiosk/internal/console"
	"kiosk/internal/generation"
	"kiosk/internal/inbox"
	"kiosk/internal/ledger"
	"kiosk/internal/pg"
	"kiosk/internal/provider"
	"kiosk/internal/provider/kie"
	"kiosk/internal/telegram"
	"kiosk/singleton"
)

// LockName is the lock that makes one instance the ACTIVE one.
const LockName = "kiosk"

// App is one instance of the program.
type App struct {
	cfg     Config
	version string
	log     *slog.Logger
	limits  generation.Limits
	watch   Watch
	metrics *metrics
	getenv  Getenv
	systemd systemd
	settle  time.Duration

	tracing  tracing
	pool     *pgxpool.Pool
	pooled   bool // the pool leads through a transaction pooler
	migrator *pg.Migrator
	elector  *singleton.Elector
	receiver *inbox.Receiver
	kie      *kie.Client
	gate     *inbox.Gate // Telegram's
	api      *gotgbot.Bot
	bot      *bot.Bot
	sender   *bot.Sender
	gens     *generation.Service
	console  *console.Console
	listener net.Listener

	began   time.Time
	startup console.Startup

	mu     sync.Mutex
	active *work // what runs during this instance's term, nil when PASSIVE
	warmed *work // what warm has made for work; only they touch it

	refusedAt atomic.Int64 // when a wrong secret was last noted

	serving     chan struct{} // closed once updates can arrive
	servingOnce sync.Once
}

// Options are what tests set beside the settings.
type Options struct {
	Version string
	Log     *slog.Logger
	Limits  generation.Limits // patience; FreeDaily comes from the settings

	Watch Watch

	// Settle is how long a term works before it sweeps; 0 means a minute.
	Settle time.Duration

	// Listener, if set, is served in place of the settings' address.
	Listener net.Listener

	// Getenv shows who runs the program: a platform, systemd. Nil shows nobody.
	Getenv Getenv
}

// New opens the database, brings its schema up to date, builds all parts and
// starts listening. It serves nothing until Run. Call Run or Close.
func New(ctx context.Context, cfg Config, o Options) (*App, error) {
	a := &App{cfg: cfg, version: o.Version, log: o.Log, limits: o.Limits, watch: o.Watch.complete(), settle: o.Settle,
		metrics: newMetrics(o.Version), listener: o.Listener, serving: make(chan struct{})}
	a.limits.FreeDaily = cfg.FreeDaily
	a.getenv = o.Getenv
	if a.getenv == nil {
		a.getenv = func(string) (string, bool) { return "", false }
	}
	a.systemd = newSystemd(a.getenv)
	if a.cfg.Instance == "" {
		a.cfg.Instance = singleton.RandomInstance()
	}
	var err error
	if a.tracing, err = newTracing(cfg.Traces, o.Version, a.cfg.Instance, o.Log); err != nil {
		return nil, err
	}
	var startup console.Startup
	phases := []struct {
		took *float64
		run  func(context.Context) error
	}{
		{&startup.Database, a.openDatabase},
		{&startup.Migrations, a.migrate},
		{&startup.HTTP, a.build},
	}
	begin := time.Now()
	for _, p := range phases {
		start := time.Now()
		if err := p.run(ctx); err != nil {
			a.Close()
			return nil, err
		}
		*p.took = time.Since(start).Seconds()
	}
	startup.Total = time.Since(begin).Seconds()
	a.began, a.startup = begin, startup
	a.console.Started(startup)
	return a, nil
}

// Close frees what New took, for an App that is not run.
func (a *App) Close() {
	if a.listener != nil {
		_ = a.listener.Close() // closed before by the server, if it ran
	}
	if a.pool != nil {
		a.pool.Close()
	}
	a.tracing.close(context.Background())
}

func (a *App) workName() string { return "kiosk/work/" + a.cfg.Instance }

func (a *App) openDatabase(ctx context.Context) error {
	var err error
	if a.pooled, err = pg.Pooled(ctx, a.cfg.Database.Reveal()); err != nil {
		return err
	}
	if a.pooled && a.cfg.LockURL == "" {
		a.log.Warn("DATABASE_URL leads through a transaction pooler: the lock works in lease mode, and a dead instance is followed after the stale time; set LOCK_DATABASE_URL to the direct address for milliseconds")
	}
	a.pool, err = pg.Open(ctx, a.cfg.Database.Reveal(), pg.Options{
		ApplicationName: a.workName(), MaxConns: 20, Pooled: a.pooled, Tracer: a.tracing.queries(),
	})
	return err
}

// migrate makes the lock's own tables first, since everything else may use them.
func (a *App) migrate(ctx context.Context) error {
	applied, m, err := Migrate(ctx, a.cfg, a.version)
	a.migrator = m
	for _, x := range applied {
		a.log.Info("migration applied", "file", x.File, "duration", x.Duration.String())
	}
	if err != nil {
		return err
	}
	return a.checkDomain(ctx)
}

// checkDomain refuses a lock that lives in another database than the work, also in
// a copy: its terms would mean nothing here.
func (a *App) checkDomain(ctx context.Context) error {
	if a.cfg.LockURL == "" {
		return nil
	}
	const remedy = "LOCK_DATABASE_URL must be the direct address of the database of DATABASE_URL"
	conn, err := pgx.Connect(ctx, a.cfg.LockDatabase())
	if err != nil {
		return fmt.Errorf("connect for the lock: %w; %s", err, remedy)
	}
	defer func() { _ = conn.Close(ctx) }() // it has told all it can
	ofLock, lockErr := pg.Identity(ctx, conn)
	ofWork, workErr := pg.Identity(ctx, a.pool)
	if err := errors.Join(lockErr, workErr); err != nil {
		return fmt.Errorf("compare the lock's database with the work's: %w; %s", err, remedy)
	}
	if ofLock != ofWork {
		return errors.New("the lock and the work are in two databases; " + remedy)
	}
	return nil
}

// Migrate brings the database to the schema of this binary.
func Migrate(ctx context.Context, cfg Config, version string) ([]pg.Applied, *pg.Migrator, error) {
	conn, err := pgx.Connect(ctx, cfg.MigrateDatabase())
	if err != nil {
		return nil, nil, fmt.Errorf("connect for migrations: %w; check DATABASE_MIGRATE_URL or DATABASE_URL", err)
	}
	err = singleton.Bootstrap(ctx, conn)
	_ = conn.Close(ctx) // the session has done its work
	if err != nil {
		return nil, nil, err
	}
	m, err := pg.NewMigrator(cfg.MigrateDatabase(), version, pg.Migrations())
	if err != nil {
		return nil, nil, err
	}
	applied, err := m.Up(ctx)
	return applied, m, err
}

func (a *App) build(ctx context.Context) error {
	if err := a.buildRooms(); err != nil {
		return err
	}
	if a.listener != nil {
		return nil
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", a.cfg.Address())
	if err != nil {
		return fmt.Errorf("listen: %w; check LISTEN and PORT", err)
	}
	a.listener = listener
	return nil
}

func (a *App) buildRooms() error {
	models, err := catalog.Embedded()
	if err != nil {
		return err
	}
	pricer, err := catalog.NewPricer(a.cfg.Rate, a.cfg.Markup, a.cfg.MaxShare)
	if err != nil {
		return err
	}
	books, err := ledger.New(a.cfg.Currency, ledger.Measure(a.metrics.ledger))
	if err != nil {
		return err
	}
	a.kie, err = kie.New(a.cfg.KieURL, a.cfg.KieKey.Reveal(), kie.UploadURL(a.cfg.KieUploadURL), kie.Measure(a.metrics.provider))
	if err != nil {
		return err
	}
	a.gens, err = generation.New(generation.Deps{
		Pool: a.pool, Catalog: models, Pricer: pricer, Ledger: books,
		Providers: map[string]provider.Provider{"kie": a.drawn("kie", a.kie)}, Tracer: a.tracing.tracer,
		CallbackURL: a.callbackURL, OpenFile: a.openFile,
		Downloader: provider.NewDownloader(a.cfg.KieURL, a.cfg.KieUploadURL, a.cfg.TelegramURL),
		Limits:     a.limits, Log: a.log, Metrics: a.metrics.generation,
	})
	if err != nil {
		return err
	}
	return a.buildChat(models, books)
}

func (a *App) buildChat(models *catalog.Catalog, books *ledger.Ledger) error {
	welcome, err := minor(a.cfg.Welcome)
	if err != nil {
		return err
	}
	deps := bot.Deps{Catalog: models, Generations: a.gens, Ledger: books, WelcomeCredit: welcome, Log: a.log}
	if a.bot, err = bot.New(deps); err != nil {
		return err
	}
	if a.api, err = telegram.New(a.cfg.BotToken.Reveal(), a.cfg.TelegramURL, telegram.Measure(a.metrics.telegram)); err != nil {
		return err
	}
	if a.tracing.tracer != nil {
		a.api.BotClient = tracedAPI{a.api.BotClient, a.tracing.tracer}
	}
	if a.sender, err = bot.NewSender(a.api, deps); err != nil {
		return err
	}
	if a.receiver, err = inbox.NewReceiver(a.pool, a.log, a.metrics.inbox, a.wakeInbox); err != nil {
		return err
	}
	if a.gate, err = inbox.NewGate(a.pool, sourceTelegram, a.cfg.webhookSecret(), a.log); err != nil {
		return err
	}
	if err := a.buildLock(); err != nil {
		return err
	}
	a.console, err = console.New(console.Deps{
		Version: a.version, LockName: LockName, Pool: a.pool, Elector: a.elector, Migrator: a.migrator, Catalog: models,
		StaleHeartbeat: a.cfg.stale(), Gatherer: a.metrics.registry, MaxAge: a.watch.Snapshot, Log: a.log,
	})
	if err != nil {
		return err
	}
	a.metrics.collect(a)
	return nil
}

func (a *App) buildLock() (err error) {
	cfg := singleton.Config{
		Name: LockName, URL: a.cfg.LockDatabase(), Instance: a.cfg.Instance, Mode: singleton.Mode(a.cfg.LockMode),
		Heartbeat: a.cfg.heartbeat(), StaleHeartbeat: a.cfg.stale(), StaleIdle: a.cfg.staleIdle(), Drain: a.cfg.shutdown(),
		Waiting: a.waiting, Warm: a.warm,
		Version: a.version, Rank: buildRank(), Supersede: a.cfg.Supersede, Log: a.log,
		Observe: a.metrics.console.Observe,
	}
	if !a.pooled { // a pooler's sessions have no name of ours
		cfg.WorkApplicationName = a.workName()
	}
	a.elector, err = singleton.New(cfg)
	return err
}

// noteActive completes the start-up times once this instance becomes ACTIVE, which
// for a PASSIVE one may be days later.
func (a *App) noteActive(ctx context.Context) {
	before := time.Now()
	if a.elector.WaitState(ctx, singleton.Active) != nil {
		return
	}
	s := a.startup
	s.Active, s.Total = time.Since(before).Seconds(), time.Since(a.began).Seconds()
	a.console.Started(s)
}

// URL returns the address on which the instance listens.
func (a *App) URL() string { return "http://" + a.listener.Addr().String() }

// Elector returns the lock's elector, for those who wait for a state.
func (a *App) Elector() *singleton.Elector { return a.elector }

// WaitServing blocks until this instance is ACTIVE and updates can arrive.
func (a *App) WaitServing(ctx context.Context) error {
	select {
	case <-a.serving:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run serves until ctx ends, then stops in order within the shutdown timeout.
func (a *App) Run(ctx context.Context) error {
	receiving, stopReceiving := context.WithCancel(context.WithoutCancel(ctx))
	defer stopReceiving()
	var background sync.WaitGroup
	background.Go(func() { a.receiver.Run(receiving) })

	server := &http.Server{
		Handler: a.metrics.console.Measured(a.routes()), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 20 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	background.Go(func() { served <- server.Serve(a.listener) })
	a.log.Info("listening", "address", a.listener.Addr().String(), "instance", a.cfg.Instance, "version", a.version)
	NotePlatform(a.log, a.getenv, a.cfg)

	campaign, stopCampaign := context.WithCancel(ctx)
	defer stopCampaign()
	elected := make(chan error, 1)
	background.Go(func() {
		err := a.elector.Run(campaign, a.work)
		stopCampaign() // without a campaign the instance serves nobody
		elected <- err
	})
	background.Go(func() { a.noteActive(campaign) })
	background.Go(func() { a.reportToSystemd(campaign) })

	var err error
	select {
	case <-campaign.Done():
	case serveErr := <-served:
		stopCampaign()
		err = fmt.Errorf("serve HTTP: %w", serveErr)
	}
	a.log.Info("stopping")
	a.tellSystemd("STOPPING=1")
	a.console.Stopping()
	limit, cancel := context.WithTimeout(context.Background(), a.cfg.shutdown())
	defer cancel()
	stopErr := a.stop(limit, server, elected)
	if errors.Is(stopErr, errUnstopped) {
		return errors.Join(err, stopErr) // its connections are in use: the end of the process closes them
	}
	stopReceiving()
	background.Wait()
	a.closePool(limit)
	a.tracing.close(limit)
	return errors.Join(err, stopErr)
}

// closePool says goodbye to the server. One that does not answer is left to the
// end of the process: the pool itself would wait 15 seconds for it.
func (a *App) closePool(limit context.Context) {
	closed := make(chan struct{})
	go func() { defer close(closed); a.pool.Close() }()
	select {
	case <-closed:
	case <-limit.Done():
		a.log.Warn("the database did not say goodbye in time")
	}
}

// errUnstopped says that work ignored the stop for as long as a stop may take.
var errUnstopped = errors.New("the work did not stop in time; what it had begun is in its rows, and the next instance goes on with it")

// stop waits for the work to end and the lock to be released, then drains HTTP,
// all until ctx ends.
func (a *App) stop(ctx context.Context, server *http.Server, elected <-chan error) error {
	var err error
	select {
	case err = <-elected:
	case <-ctx.Done():
		err = errUnstopped
	}
	if server.Shutdown(ctx) != nil {
		a.log.Warn("requests were cut: they did not end in time")
		_ = server.Close() // who asks too slowly gets no answer
	}
	return err
}
