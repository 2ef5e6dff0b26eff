package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

func healthCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "health", Short: "Ask the local instance whether it is ready", Args: cobra.NoArgs,
		Long: "Ask the local instance's /readyz. For container health checks, where there is no shell or curl.",
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, _ := config() // only PORT and LISTEN matter here, and they have defaults
		if _, _, err := net.SplitHostPort(cfg.Address()); err != nil {
			return usageError{fmt.Errorf("LISTEN %q: want host:port", cfg.Address())}
		}
		client := &http.Client{Timeout: 4 * time.Second}
		req, err := http.NewRequestWithContext(c.Context(), http.MethodGet, cfg.LocalURL()+"/readyz", nil)
		if err != nil {
			return fmt.Errorf("build the request: %w", err)
		}
		resp, err := client.Do(req)
		if err != nil {
			return fmt.Errorf("no instance answers: %w", err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
		if err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		fmt.Fprint(c.OutOrStdout(), string(body))
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("the instance is not ready (%s)", resp.Status)
		}
		return nil
	}
	return c
}
