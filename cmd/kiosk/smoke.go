package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"kiosk/internal/app"
	"kiosk/internal/catalog"
	"kiosk/internal/smoke"
)

func smokeCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "smoke", Short: "Check a live deployment: one table, exit code 1 on any failure", Args: cobra.NoArgs,
		Long: "Check settings, database, every SQL statement, the lock, the books, the models, the inbox, Telegram,\n" +
			"KIE and the running instances, in less than ten seconds. It is safe while production runs.\n" +
			"docs/troubleshooting.md explains every line.",
		Example: "  kiosk smoke && echo deploy\n  kiosk smoke --live --max-cost 0.02",
	}
	asJSON := jsonFlag(c)
	live := c.Flags().Bool("live", false, "also make one real generation of the cheapest model, which costs money")
	maxCost := c.Flags().String("max-cost", "", "what it may cost, in US dollars; required with --live")
	before := c.Flags().Bool("before-start", false, "leave out what only running instances can answer")
	instances := c.Flags().StringSlice("instance", nil, "ask this instance, too, such as http://10.0.0.7:8080")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := smokeConfig()
		if err != nil {
			return err
		}
		cfg.BeforeStart = *before
		cfg.Instances = append(cfg.Instances, *instances...)
		if cfg.Live, err = liveConfig(*live, *maxCost, c.ErrOrStderr()); err != nil {
			return err
		}
		report := smoke.Run(c.Context(), cfg)
		if *asJSON {
			err = printJSON(c.OutOrStdout(), report)
		} else {
			err = report.Print(c.OutOrStdout(), wantsColour(c.OutOrStdout()))
		}
		if err == nil && !report.OK {
			return errors.New("not everything is fine")
		}
		return err
	}
	return c
}

// smokeConfig is for checks that report the mistakes in the settings themselves.
func smokeConfig() (smoke.Config, error) {
	cfg, err := config()
	mistakes, ok := errors.AsType[*app.ConfigError](err)
	if err != nil && !ok {
		return smoke.Config{}, err
	}
	if !ok {
		return cfg.Smoke(nil), nil
	}
	for _, p := range mistakes.Problems {
		if p.Name == "KIOSK_ENV_FILE" { // then nothing is known
			return smoke.Config{}, err
		}
	}
	return cfg.Smoke(mistakes.Problems), nil
}

func liveConfig(live bool, maxCost string, stderr io.Writer) (*smoke.Live, error) {
	if !live {
		return nil, nil
	}
	var limit catalog.USD
	if err := limit.UnmarshalYAML([]byte(maxCost)); err != nil || limit == 0 {
		return nil, usageError{fmt.Errorf("--live orders a real generation: say what it may cost, such as --max-cost 0.02")}
	}
	return &smoke.Live{MaxCost: limit, Announce: func(model string, cost catalog.USD) {
		fmt.Fprintf(stderr, "ordering one generation of %s for %s USD\n", model, cost)
	}}, nil
}

// wantsColour obeys NO_COLOR, and colours terminals only.
func wantsColour(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
