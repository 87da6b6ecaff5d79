package main

import (
	"context"
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/berth-project/berth/dbusapi/client"
)

func (a *app) stopCommand() *cobra.Command {
	var timeout string
	cmd := &cobra.Command{
		Use:   "stop ID...",
		Short: "Ask containers to end, kill those that do not",
		Long: "Send SIGTERM to the container's program and wait until the container has stopped. When the timeout\n" +
			"has passed, every process of the container is killed. A timeout of 0 kills at once.",
		Args:              someIDs,
		ValidArgsFunction: a.completeIDs(0, statusRunning, statusPaused, statusCreated),
		RunE: func(cmd *cobra.Command, ids []string) error {
			limit, err := parseTimeout(timeout)
			if err != nil {
				return usageError{err}
			}
			return a.each(cmd.Context(), "stop", ids, func(ctx context.Context, _ string, c *client.Container) error {
				return c.Stop(ctx, limit)
			})
		},
	}
	cmd.Flags().StringVarP(&timeout, "timeout", "t", "", "`TIME` to wait before killing, such as 30, 1min or infinity (default that of berthd)")
	_ = cmd.RegisterFlagCompletionFunc("timeout", cobra.NoFileCompletions)
	return cmd
}

// parseTimeout parses a time span; none is below 0, which client.Stop takes as the service's default.
func parseTimeout(s string) (time.Duration, error) {
	if s == "" {
		return -1, nil
	}
	usec, err := parseSpan(s)
	if err != nil {
		return 0, err
	}
	if usec > math.MaxInt64/1000 {
		return math.MaxInt64, nil // longer than any machine runs
	}
	return time.Duration(usec) * time.Microsecond, nil
}
