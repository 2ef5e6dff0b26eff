package main

import (
	"os"

	"github.com/spf13/cobra"

	"kiosk/internal/app"
)

func serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run an instance; settings come from the environment",
		Long:  "Run an instance. Any number may run on one database: one is ACTIVE, the others are PASSIVE,\nstore webhooks and take over. SIGTERM stops in order, a second signal at once.",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			app.TuneGC()
			cfg, err := config()
			if err != nil {
				return err
			}
			a, err := app.New(c.Context(), cfg, app.Options{Version: version, Log: app.NewLog(os.Stderr, cfg), Getenv: os.LookupEnv})
			if err != nil {
				return err
			}
			return a.Run(c.Context())
		},
	}
}
