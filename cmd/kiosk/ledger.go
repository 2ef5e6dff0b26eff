package main

import (
	"errors"
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"kiosk/internal/ledger"
)

func ledgerCommand() *cobra.Command {
	c := &cobra.Command{Use: "ledger", Short: "Prove the books; show a user's movements", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(ledgerVerifyCommand(), ledgerStatementCommand())
	return c
}

func ledgerVerifyCommand() *cobra.Command {
	c := &cobra.Command{Use: "verify", Short: "Recompute the books; exit code 1 on any contradiction", Args: cobra.NoArgs}
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		db, _, done, err := openDatabase(c.Context())
		if err != nil {
			return err
		}
		defer done()
		defects, err := ledger.Audit(c.Context(), db)
		if err != nil {
			return err
		}
		if *asJSON {
			if defects == nil {
				defects = []ledger.Defect{}
			}
			err = printJSON(c.OutOrStdout(), defects)
		} else {
			for _, d := range defects {
				fmt.Fprintf(c.OutOrStdout(), "%s: %s (%s)\n", d.Subject, d.Defect, d.Detail)
			}
		}
		if len(defects) > 0 {
			return errors.Join(err, fmt.Errorf("the books have %d contradictions; stop sales, keep the database as it is, and compare it with the last backup", len(defects)))
		}
		if !*asJSON {
			fmt.Fprintln(c.OutOrStdout(), "the books are sound")
		}
		return err
	}
	return c
}

func ledgerStatementCommand() *cobra.Command {
	c := &cobra.Command{Use: "statement USER", Short: "List a user's movements, newest first", Args: cobra.ExactArgs(1)}
	asJSON := jsonFlag(c)
	limit := c.Flags().Int("limit", 50, "at most so many lines")
	c.RunE = func(c *cobra.Command, args []string) error {
		user, err := strconv.ParseInt(args[0], 10, 64)
		if err != nil {
			return usageError{fmt.Errorf("user %q: want a Telegram id such as 700000001", args[0])}
		}
		db, currency, done, err := openDatabase(c.Context())
		if err != nil {
			return err
		}
		defer done()
		lines, err := ledger.Statement(c.Context(), db, ledger.UserID(user), *limit)
		if err != nil {
			return err
		}
		if *asJSON {
			if lines == nil {
				lines = []ledger.Line{}
			}
			return printJSON(c.OutOrStdout(), lines)
		}
		w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintf(w, "WHEN\tWHAT\tACCOUNT\tAMOUNT %s\tBALANCE\tKEY\tREASON\n", currency)
		for _, l := range lines {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.At.UTC().Format(time.DateTime), l.Kind, l.Account, l.Amount, l.After, l.Key, l.Reason)
		}
		return w.Flush()
	}
	return c
}
