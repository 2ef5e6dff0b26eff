package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"kiosk/internal/app"
	"kiosk/internal/catalog"
	"kiosk/internal/ledger"
)

func modelsCommand() *cobra.Command {
	c := &cobra.Command{Use: "models", Short: "List, show, validate and request models", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(modelsListCommand(), modelsShowCommand(), modelsValidateCommand(), modelsRequestCommand())
	return c
}

// pricing returns the pricer and the currency of the settings, or of their
// defaults where no settings are.
func pricing() (*catalog.Pricer, string, error) {
	cfg, err := config()
	if mistakes, ok := errors.AsType[*app.ConfigError](err); ok {
		for _, p := range mistakes.Problems {
			switch p.Name {
			case "USD_RATE", "PRICE_MARKUP", "MAX_COST_SHARE", "CURRENCY", "KIOSK_ENV_FILE":
				return nil, "", err
			}
		}
	}
	p, err := catalog.NewPricer(cfg.Rate, cfg.Markup, cfg.MaxShare)
	return p, cfg.Currency, err
}

func modelsListCommand() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List the models with their prices at the settings in force", Args: cobra.NoArgs}
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		models, err := catalog.Embedded()
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), models.List(""))
		}
		p, currency, err := pricing()
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintf(w, "ID\tTITLE\tCATEGORY\tFROM %s\tPER\tFREE RUNS\n", currency)
		for _, m := range models.List("") {
			price := "not sold"
			if from, err := m.FromPrice(p); err == nil {
				price = ledger.Amount(from).String()
			}
			free := "no"
			if m.Free {
				free = "yes"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", m.ID, m.Title, m.Category, price, m.Price.Unit, free)
		}
		return w.Flush()
	}
	return c
}

func modelsShowCommand() *cobra.Command {
	c := &cobra.Command{Use: "show ID", Short: "Show one model: inputs, limits, prices", Args: cobra.ExactArgs(1)}
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		models, err := catalog.Embedded()
		if err != nil {
			return err
		}
		m, err := models.Get(args[0])
		if err != nil {
			return fmt.Errorf("%w `kiosk models list` shows all", err)
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), m)
		}
		p, currency, err := pricing()
		if err != nil {
			return err
		}
		return showModel(c, m, p, currency)
	}
	return c
}

func showModel(c *cobra.Command, m *catalog.Model, p *catalog.Pricer, currency string) error {
	out := c.OutOrStdout()
	fmt.Fprintf(out, "%s (%s), %s, by %s\n%s\nUsually ready in %d s. Prices as of %s.\n\n", m.Title, m.ID, m.Category, m.Provider, m.About.EN, m.Seconds, m.Price.AsOf)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "INPUT\tTYPE\tREQUIRED\tDEFAULT\tALLOWED")
	for _, in := range m.Inputs {
		allowed := "-"
		switch {
		case len(in.Options) > 0:
			allowed = fmt.Sprint(in.Options)
		case in.MaxLength > 0:
			allowed = fmt.Sprintf("up to %d characters", in.MaxLength)
		}
		fmt.Fprintf(w, "%s\t%s\t%t\t%s\t%s\n", in.Name, in.Type, in.Required, orDash(in.Default), allowed)
	}
	fmt.Fprintf(w, "\nPER %s\tWHEN\tCOST USD\tPRICE %s\n", m.Price.Unit, currency)
	for _, t := range m.Price.Tiers {
		price, err := p.Price(t.USD)
		text := ledger.Amount(price).String()
		if err != nil {
			text = err.Error()
		}
		when := "always"
		if len(t.When) > 0 {
			when = fmt.Sprint(map[string]string(t.When))[3:]
		}
		fmt.Fprintf(w, "\t%s\t%s\t%s\n", when, t.USD, text)
	}
	return w.Flush()
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func modelsValidateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "validate [FILE…]", Short: "Check model files; without files, the models in this binary",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				models, err := catalog.Embedded()
				if err != nil {
					return err
				}
				fmt.Fprintf(c.OutOrStdout(), "%d models are valid\n", len(models.List("")))
				return nil
			}
			var problems []error
			for _, file := range args {
				m, err := catalog.LoadFile(os.DirFS(filepath.Dir(file)), filepath.Base(file))
				if err != nil {
					problems = append(problems, err)
					continue
				}
				fmt.Fprintf(c.OutOrStdout(), "%s: %s is valid\n", file, m.ID)
			}
			return errors.Join(problems...)
		},
	}
}
