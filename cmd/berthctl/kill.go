package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/dbusapi/client"
	"github.com/berth-project/berth/dbusapi/wire"
)

func (a *app) killCommand() *cobra.Command {
	var (
		signal string
		all    bool
	)
	cmd := &cobra.Command{
		Use:               "kill ID...",
		Short:             "Send a signal to containers",
		Args:              someIDs,
		ValidArgsFunction: a.completeIDs(0, statusRunning, statusPaused, statusCreated),
		RunE: func(cmd *cobra.Command, ids []string) error {
			sig, err := parseSignal(signal)
			if err != nil {
				return usageError{err}
			}
			whom := wire.WhomLeader
			if all {
				whom = wire.WhomAll
			}
			return a.each(cmd.Context(), "kill", ids, func(ctx context.Context, _ string, c *client.Container) error {
				return c.Kill(ctx, whom, sig)
			})
		},
	}
	cmd.Flags().StringVarP(&signal, "signal", "s", "SIGTERM", "`SIGNAL` to send, a name or number")
	cmd.Flags().BoolVarP(&all, "all", "a", false, "send it to every process, not only to the container's program")
	_ = cmd.RegisterFlagCompletionFunc("signal", completeWords(cobra.ShellCompDirectiveNoFileComp, signalNames()...))
	return cmd
}

// signalNames are the names of all signals that have one.
func signalNames() []string {
	var names []string
	for sig := unix.Signal(1); sig < 32; sig++ {
		names = append(names, signalName(sig))
	}
	slices.Sort(names)
	return names
}
