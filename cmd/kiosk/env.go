package main

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"kiosk/internal/app"
)

func envCommand() *cobra.Command {
	c := &cobra.Command{Use: "env", Short: "Show the settings in force, secrets masked", Args: cobra.NoArgs}
	asJSON := jsonFlag(c)
	check := c.Flags().Bool("check", false, "fail on any mistake and report all of them")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := config()
		var mistakes *app.ConfigError
		if err != nil && !errors.As(err, &mistakes) {
			return err
		}
		if *check {
			if err == nil {
				fmt.Fprintln(c.OutOrStdout(), "the settings are valid")
			}
			return err
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), cfg.Settings())
		}
		w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NAME\tVALUE\tMEANING")
		for _, s := range cfg.Settings() {
			fmt.Fprintf(w, "%s\t%s\t%s\n", s.Name, orDash(s.Value), s.Desc)
		}
		if err := w.Flush(); err != nil {
			return err
		}
		if mistakes != nil {
			fmt.Fprintf(c.ErrOrStderr(), "\n%s\n", mistakes)
		}
		return nil
	}
	return c
}
