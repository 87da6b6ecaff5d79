package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/berth-project/berth/dbusapi/client"
)

// Statuses as the service spells them.
const (
	statusCreated = "created"
	statusRunning = "running"
	statusPaused  = "paused"
	statusStopped = "stopped"
)

func (a *app) startCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "start ID...",
		Short:             "Start created containers",
		Args:              someIDs,
		ValidArgsFunction: a.completeIDs(0, statusCreated),
		RunE: func(cmd *cobra.Command, ids []string) error {
			return a.each(cmd.Context(), "start", ids, func(ctx context.Context, _ string, c *client.Container) error {
				return c.Start(ctx)
			})
		},
	}
}

func (a *app) pauseCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "pause ID...",
		Short:             "Freeze every process of containers",
		Args:              someIDs,
		ValidArgsFunction: a.completeIDs(0, statusRunning),
		RunE: func(cmd *cobra.Command, ids []string) error {
			return a.each(cmd.Context(), "pause", ids, func(ctx context.Context, _ string, c *client.Container) error {
				return c.Pause(ctx)
			})
		},
	}
}

func (a *app) resumeCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "resume ID...",
		Short:             "Thaw paused containers",
		Args:              someIDs,
		ValidArgsFunction: a.completeIDs(0, statusPaused),
		RunE: func(cmd *cobra.Command, ids []string) error {
			return a.each(cmd.Context(), "resume", ids, func(ctx context.Context, _ string, c *client.Container) error {
				return c.Resume(ctx)
			})
		},
	}
}
