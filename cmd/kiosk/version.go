package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Set at link time by releases: -ldflags "-X main.version=v1.2.3 -X main.revision=…".
//
//nolint:gochecknoglobals // the linker needs variables
var (
	version  = "dev"
	revision = "" // where the build sees no repository, as in an image
)

func versionCommand() *cobra.Command {
	c := &cobra.Command{Use: "version", Short: "Print version, commit and Go version", Args: cobra.NoArgs}
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		info := map[string]string{"version": version, "commit": commit(), "go": runtime.Version()}
		if *asJSON {
			return printJSON(c.OutOrStdout(), info)
		}
		_, err := fmt.Fprintf(c.OutOrStdout(), "kiosk %s, commit %s, %s\n", info["version"], info["commit"], info["go"])
		return err
	}
	return c
}

func commit() string {
	if revision != "" {
		return revision
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return "unknown"
}
