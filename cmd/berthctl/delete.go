package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/berth-project/berth/dbusapi/client"
)

func (a *app) deleteCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:               "delete ID...",
		Short:             "Delete stopped containers",
		Args:              someIDs,
		ValidArgsFunction: a.completeIDs(0),
		RunE: func(cmd *cobra.Command, ids []string) error {
			return a.each(cmd.Context(), "delete", ids, func(ctx context.Context, _ string, c *client.Container) error {
				return c.Delete(ctx, force)
			})
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "kill a running container first")
	return cmd
}
