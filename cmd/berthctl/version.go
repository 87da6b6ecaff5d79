package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "version",
		Short:             "Show the versions of client and service",
		Args:              nothing,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !a.json {
				fmt.Fprintln(a.stdout, "berthctl", version) //nolint:errcheck // the next write tells
			}
			bus, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer bus.Close() //nolint:errcheck // nothing is lost with it
			m, err := bus.Manager(cmd.Context())
			if err != nil {
				return fmt.Errorf("ask berthd for its version: %w", err)
			}
			if a.json {
				return a.printJSON(map[string]any{
					"Client": version, "Service": m.Version, "OCIVersions": m.OCIVersions, "Features": m.Features,
				})
			}
			_, err = fmt.Fprintf(a.stdout, "berthd %s\nOCI runtime specification %s\n", m.Version, strings.Join(m.OCIVersions, " "))
			if err == nil && len(m.Features) > 0 {
				_, err = fmt.Fprintln(a.stdout, "features", strings.Join(m.Features, " "))
			}
			return err
		},
	}
}
