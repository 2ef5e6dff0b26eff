package main

import (
	_ "embed"
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

// The licences ask that their texts go with the binary.
//
//go:embed licenses.txt
var licenses string

func versionCommand() *cobra.Command {
	c := &cobra.Command{Use: "version", Short: "Print version, commit and Go version", Args: cobra.NoArgs}
	asJSON := jsonFlag(c)
	withLicenses := c.Flags().Bool("licenses", false, "print the licences of all that is linked, too")
	c.RunE = func(c *cobra.Command, _ []string) error {
		info := map[string]string{"version": version, "commit": commit(), "go": runtime.Version()}
		if *withLicenses {
			info["licenses"] = licenses
		}
		if *asJSON {
			return printJSON(c.OutOrStdout(), info)
		}
		fmt.Fprintf(c.OutOrStdout(), "kiosk %s, commit %s, %s\n", info["version"], info["commit"], info["go"])
		if *withLicenses {
			fmt.Fprintf(c.OutOrStdout(), "\n%s", licenses)
		}
		return nil
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
