package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/berth-project/berth/dbusapi/client"
)

func (a *app) stateCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "state ID",
		Short:             "Print the OCI state of a container, which is JSON",
		Args:              exactly("ID"),
		ValidArgsFunction: a.completeIDs(1),
		RunE: func(cmd *cobra.Command, ids []string) error {
			return a.each(cmd.Context(), "read state of", ids, func(ctx context.Context, _ string, c *client.Container) error {
				state, err := c.State(ctx)
				if err != nil {
					return err
				}
				var indented bytes.Buffer
				if err := json.Indent(&indented, []byte(state), "", "  "); err != nil {
					return fmt.Errorf("parse %q: %w", state, err)
				}
				_, err = fmt.Fprintln(a.stdout, indented.String())
				return err
			})
		},
	}
}
