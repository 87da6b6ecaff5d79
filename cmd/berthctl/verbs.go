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

// The verbs without flags: one call for each container named.

func (a *app) startCommand() *cobra.Command {
	return a.verb("start", "Start created containers", statusCreated, (*client.Container).Start)
}

func (a *app) pauseCommand() *cobra.Command {
	return a.verb("pause", "Freeze every process of containers", statusRunning, (*client.Container).Pause)
}

func (a *app) resumeCommand() *cobra.Command {
	return a.verb("resume", "Thaw paused containers", statusPaused, (*client.Container).Resume)
}

// verb makes a command that does call to each container named; completion offers those in the state it needs.
func (a *app) verb(name, short, state string, call func(*client.Container, context.Context) error) *cobra.Command {
	return &cobra.Command{
		Use:               name + " ID...",
		Short:             short,
		Args:              someIDs,
		ValidArgsFunction: a.completeIDs(0, state),
		RunE: func(cmd *cobra.Command, ids []string) error {
			return a.each(cmd.Context(), name, ids, func(ctx context.Context, _ string, c *client.Container) error {
				return call(c, ctx)
			})
		},
	}
}
