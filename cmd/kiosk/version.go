package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set at link time by releases: -ldflags "-X main.version=v1.2.3".
var version = "dev" //nolint:gochecknoglobals // the linker needs a variable

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
