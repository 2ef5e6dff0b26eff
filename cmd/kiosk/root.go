package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"kiosk/internal/app"
)

// usageError is a mistake in how a command was called or configured: exit code 2.
type usageError struct{ error }

func exitCode(err error) int {
	var usage usageError
	var config *app.ConfigError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage), errors.As(err, &config):
		return 2
	}
	return 1
}

func root() *cobra.Command {
	c := &cobra.Command{
		Use:           "kiosk",
		Short:         "An AI studio in Telegram: one binary, one database",
		Long:          "Kiosk sells pictures, video, music and speech by AI models in a Telegram chat.\n\nTry it without any account:  kiosk dev\nRun it:                      kiosk serve",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	c.AddCommand(serveCommand(), devCommand(), migrateCommand(), setupCommand(), smokeCommand(), lockCommand(), modelsCommand(), ledgerCommand(), envCommand(), healthCommand(), versionCommand())
	wrapArgs(c)
	return c
}

// wrapArgs makes wrong arguments a usage error in every command.
func wrapArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return usageError{fmt.Errorf("%w; see `%s --help`", err, c.CommandPath())}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		wrapArgs(sub)
	}
}

func config() (app.Config, error) { return app.LoadConfig(os.LookupEnv) }

func jsonFlag(c *cobra.Command) *bool {
	return c.Flags().Bool("json", false, "print one JSON document")
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
