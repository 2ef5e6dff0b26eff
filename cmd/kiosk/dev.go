package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"kiosk/internal/app"
	"kiosk/internal/pg/pgdev"
	"kiosk/internal/simulator/kiesim"
	"kiosk/internal/simulator/telegramsim"
	"kiosk/singleton"
)

type devOptions struct {
	listen, simListen string
	data              string
	ephemeral         bool
}

func devCommand() *cobra.Command {
	var o devOptions
	c := &cobra.Command{
		Use:   "dev",
		Short: "Run the whole system on this machine: no key, no account, no Docker",
		Long:  "Run a private PostgreSQL, a Telegram simulator with a web chat, a KIE simulator and the bot.\nPrints one line with the addresses when all of it works. Ctrl-C stops all of it.",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.ephemeral && o.data != "" {
				return usageError{errors.New("--data keeps the data and --ephemeral keeps nothing: choose one")}
			}
			return dev(c.Context(), o, c.ErrOrStderr())
		},
	}
	c.Flags().StringVar(&o.listen, "listen", "127.0.0.1:8080", "address of the bot and the console")
	c.Flags().StringVar(&o.simListen, "sim-listen", "127.0.0.1:8081", "address of the simulators and the web chat")
	c.Flags().StringVar(&o.data, "data", "", "folder of the data (default: one of your user's)")
	c.Flags().BoolVar(&o.ephemeral, "ephemeral", false, "keep nothing")
	return c
}

// The identities of the simulated world. They open nothing but the simulators.
const (
	devToken   = "700000000:dev-token-that-only-the-simulator-knows"
	devKieKey  = "dev-kie-key"
	devAdminID = 700000001
)

// devnet is everything around the bot.
type devnet struct {
	dir      string // of dev.env and the simulators' data
	postgres *pgdev.Server
	telegram *telegramsim.Server
	kie      *kiesim.Server
	http     *http.Server
	listener net.Listener
	log      *slog.Logger
}

// dev starts the surroundings, then the same program as serve, and waits.
func dev(ctx context.Context, o devOptions, stderr io.Writer) (err error) {
	log := app.NewLog(stderr, app.Config{LogLevel: "warn", LogFormat: "text"})
	d := &devnet{log: log}
	defer func() { err = errors.Join(err, d.stop()) }()
	listener, err := listen(ctx, o.listen, "--listen")
	if err != nil {
		return err
	}
	defer listener.Close()
	if err := d.start(ctx, o); err != nil {
		return err
	}
	cfg, err := d.config(listener.Addr().String())
	if err != nil {
		return err
	}
	a, err := app.New(ctx, cfg, app.Options{Version: version, Log: log, Listener: listener})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go d.watchPostgres(ctx, cancel)
	go d.announce(ctx, a, stderr)
	err = a.Run(ctx)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(err, cause)
	}
	return err
}

// start brings up the surroundings.
func (d *devnet) start(ctx context.Context, o devOptions) error {
	listener, err := listen(ctx, o.simListen, "--sim-listen")
	if err != nil {
		return err
	}
	d.listener = listener
	if err := d.startPostgres(ctx, o); err != nil {
		return err
	}
	return d.startSimulators(o)
}

func listen(ctx context.Context, address, flag string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w; is another `kiosk dev` running? %s chooses another address", err, flag)
	}
	return l, nil
}

func (d *devnet) startPostgres(ctx context.Context, o devOptions) error {
	options := pgdev.Options{Ephemeral: o.ephemeral, AllowDownload: true, Log: d.log}
	if !o.ephemeral {
		dir, err := dataDir(o.data)
		if err != nil {
			return err
		}
		d.dir, options.Dir = dir, filepath.Join(dir, "postgres")
	}
	server, err := pgdev.Start(ctx, options)
	if err != nil {
		return err
	}
	d.postgres = server
	if o.ephemeral {
		d.dir = server.Dir() // goes with the server, after a kill at the next start
	}
	return createDatabase(ctx, server.URL("postgres"))
}

// createDatabase makes the database kiosk if this folder is new.
func createDatabase(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect to the private PostgreSQL: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = 'kiosk')").Scan(&exists); err != nil {
		return fmt.Errorf("look for the database: %w", err)
	}
	if exists {
		return nil
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE kiosk"); err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	return nil
}

func dataDir(chosen string) (string, error) {
	if chosen != "" {
		return filepath.Abs(chosen)
	}
	return pgdev.DefaultDir()
}

// simURL is where the simulators are reached from this machine.
func (d *devnet) simURL() string { return "http://" + d.listener.Addr().String() }

func (d *devnet) startSimulators(o devOptions) error {
	telegramDir, kieDir := filepath.Join(d.dir, "telegram"), filepath.Join(d.dir, "kie")
	if o.ephemeral {
		telegramDir, kieDir = "", ""
	}
	var err error
	d.telegram, err = telegramsim.New(telegramsim.Config{Token: devToken, BaseURL: d.simURL(), DataDir: telegramDir, Log: d.log})
	if err != nil {
		return fmt.Errorf("start the Telegram simulator: %w", err)
	}
	d.telegram.EnsureUser(telegramsim.User{ID: devAdminID, FirstName: "Alex", LanguageCode: "en"})
	d.kie, err = kiesim.New(kiesim.Config{APIKey: devKieKey, BaseURL: d.simURL() + "/kie", DataDir: kieDir, Log: d.log})
	if err != nil {
		return fmt.Errorf("start the KIE simulator: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("/kie/", http.StripPrefix("/kie", d.kie))
	mux.Handle("/", d.telegram)
	d.http = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelWarn)}
	go func() { _ = d.http.Serve(d.listener) }() // ends with Shutdown in stop
	return nil
}

// settings are what an instance needs to join this system.
func (d *devnet) settings(bot string) map[string]string {
	return map[string]string{
		"TELEGRAM_BOT_TOKEN": devToken,
		"TELEGRAM_API_URL":   d.simURL(),
		"DATABASE_URL":       d.postgres.URL("kiosk"),
		"KIE_API_KEY":        devKieKey,
		"KIE_API_URL":        d.simURL() + "/kie",
		"KIE_UPLOAD_URL":     d.simURL() + "/kie",
		"ADMIN_IDS":          fmt.Sprint(devAdminID),
		"WEBHOOK_BASE_URL":   "http://" + bot,
		"WELCOME_CREDIT":     "100",
		"FREE_DAILY":         "5",
	}
}

// config makes the bot's settings, and dev.env for more instances.
func (d *devnet) config(bot string) (app.Config, error) {
	values := d.settings(bot)
	if err := writeEnv(filepath.Join(d.dir, "dev.env"), values); err != nil {
		return app.Config{}, err
	}
	values["LISTEN"] = bot
	values["INSTANCE_NAME"] = singleton.RandomInstance()
	return app.LoadConfig(func(name string) (string, bool) { v, ok := values[name]; return v, ok })
}

func writeEnv(path string, values map[string]string) error {
	var lines []string
	for name, value := range values {
		lines = append(lines, name+"="+value)
	}
	slices.Sort(lines)
	text := "# Joins the system of `kiosk dev`:  KIOSK_ENV_FILE=" + path + " PORT=8090 kiosk serve\n" + strings.Join(lines, "\n") + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write dev.env: %w", err)
	}
	return nil
}

// watchPostgres ends the program when its database dies, which nothing here survives.
func (d *devnet) watchPostgres(ctx context.Context, end context.CancelCauseFunc) {
	select {
	case <-d.postgres.Exited():
		end(errors.New("the private PostgreSQL has ended; its log is in " + d.postgres.Dir()))
	case <-ctx.Done():
	}
}

// announce prints the one line that says that everything works: the instance is
// ACTIVE and Telegram knows its webhook.
func (d *devnet) announce(ctx context.Context, a *app.App, stderr io.Writer) {
	if a.WaitServing(ctx) != nil {
		return
	}
	fmt.Fprintf(stderr, "ready  chat %s/  health %s/health  settings for more instances %s\n",
		d.simURL(), a.URL(), filepath.Join(d.dir, "dev.env"))
}

// stop ends the surroundings after the bot. It is safe after a partial start.
func (d *devnet) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var errs []error
	if d.telegram != nil {
		errs = append(errs, d.telegram.Close())
	}
	if d.kie != nil {
		errs = append(errs, d.kie.Close())
	}
	if d.http != nil {
		errs = append(errs, d.http.Shutdown(ctx))
	} else if d.listener != nil {
		errs = append(errs, d.listener.Close())
	}
	if d.postgres != nil {
		errs = append(errs, d.postgres.Stop())
	}
	return errors.Join(errs...)
}
