package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"kiosk/internal/app"
	"kiosk/internal/pg"
)

func migrateCommand() *cobra.Command {
	c := &cobra.Command{Use: "migrate", Short: "Apply, list or verify the database schema", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(migrateUpCommand(), migrateStatusCommand(), migrateVerifyCommand())
	return c
}

func migrateUpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "up", Short: "Apply what is pending; safe while instances start or run", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := databaseConfig()
			if err != nil {
				return err
			}
			applied, _, err := app.Migrate(c.Context(), cfg, version)
			for _, a := range applied {
				fmt.Fprintf(c.OutOrStdout(), "applied %s in %s\n", a.File, a.Duration.Round(time.Millisecond))
			}
			if err == nil && len(applied) == 0 {
				fmt.Fprintln(c.OutOrStdout(), "nothing to do")
			}
			return err
		},
	}
}

func migrateStatusCommand() *cobra.Command {
	c := &cobra.Command{Use: "status", Short: "List the migrations with state, time and checksum", Args: cobra.NoArgs}
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		m, err := migrator()
		if err != nil {
			return err
		}
		lines, err := m.Status(c.Context())
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), statusJSON(lines))
		}
		w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "FILE\tSTATE\tAPPLIED\tTOOK\tBY\tSHA-256")
		for _, l := range lines {
			at, took, by := "-", "-", "-"
			if l.Applied != nil {
				at, took, by = l.Applied.At.UTC().Format(time.DateTime), l.Applied.Duration.String(), l.Applied.Version
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%.12s\n", l.File, l.State, at, took, by, l.SHA256)
		}
		return w.Flush()
	}
	return c
}

type statusLine struct {
	Number    int        `json:"number"`
	File      string     `json:"file"`
	State     pg.State   `json:"state"`
	SHA256    string     `json:"sha256"`
	AppliedAt *time.Time `json:"applied_at"`
	Version   string     `json:"version,omitempty"`
}

func statusJSON(lines []pg.Status) []statusLine {
	list := make([]statusLine, 0, len(lines))
	for _, l := range lines {
		s := statusLine{Number: l.Number, File: l.File, State: l.State, SHA256: l.SHA256}
		if l.Applied != nil {
			s.AppliedAt, s.Version = &l.Applied.At, l.Applied.Version
		}
		list = append(list, s)
	}
	return list
}

func migrateVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "verify", Short: "Fail unless everything is applied exactly as this binary has it", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			m, err := migrator()
			if err != nil {
				return err
			}
			if err := m.Verify(c.Context()); err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), "the schema is complete and unchanged")
			return nil
		},
	}
}

func migrator() (*pg.Migrator, error) {
	cfg, err := databaseConfig()
	if err != nil {
		return nil, err
	}
	return pg.NewMigrator(cfg.MigrateDatabase(), version, pg.Migrations())
}

// databaseConfig is for commands that need the database only: mistakes in other
// settings do not stop them.
func databaseConfig() (app.Config, error) {
	cfg, err := config()
	var mistakes *app.ConfigError
	if !errors.As(err, &mistakes) {
		return cfg, err
	}
	for _, p := range mistakes.Problems {
		switch p.Name {
		case "DATABASE_URL", "DATABASE_URL_FILE", "DATABASE_MIGRATE_URL", "DATABASE_MIGRATE_URL_FILE", "KIOSK_ENV_FILE", "CURRENCY":
			return cfg, err
		}
	}
	return cfg, nil
}

// openDatabase connects for a short question.
func openDatabase(ctx context.Context) (db pg.DB, currency string, closeDB func(), err error) {
	cfg, err := databaseConfig()
	if err != nil {
		return nil, "", nil, err
	}
	pool, err := pg.Open(ctx, cfg.Database.Reveal(), pg.Options{ApplicationName: "kiosk/cli", MaxConns: 2})
	if err != nil {
		return nil, "", nil, err
	}
	return pool, cfg.Currency, pool.Close, nil
}
