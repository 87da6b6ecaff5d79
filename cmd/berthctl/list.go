package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/berth-project/berth/dbusapi/client"
)

func (a *app) listCommand() *cobra.Command {
	var quiet bool
	cmd := &cobra.Command{
		Use:               "list",
		Aliases:           []string{"ls"},
		Short:             "List containers",
		Args:              nothing,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			bus, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer bus.Close() //nolint:errcheck // nothing is lost with it
			all, err := bus.Containers(cmd.Context())
			if err != nil {
				return fmt.Errorf("list containers: %w", err)
			}
			return a.printList(all, quiet)
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "print ids only")
	return cmd
}

func (a *app) printList(all []client.Properties, quiet bool) error {
	switch {
	case a.json:
		objects := make([]map[string]any, len(all))
		for i, p := range all {
			objects[i] = propertyMap(p)
		}
		return a.printJSON(objects)
	case quiet:
		for _, p := range all {
			if _, err := fmt.Fprintln(a.stdout, p.ID); err != nil {
				return err
			}
		}
		return nil
	}
	return a.printTable(listTable(all, time.Now()), counted(len(all), "container"))
}

func listTable(all []client.Properties, now time.Time) *table {
	t := &table{columns: []string{"ID", "STATUS", "PID", "EXIT", "SINCE", "BUNDLE"}, right: []bool{2: true}}
	for _, p := range all {
		pid := "-"
		if p.PID != 0 {
			pid = strconv.FormatUint(uint64(p.PID), 10)
		}
		ended := exitOf(p).String()
		if ended == "" {
			ended = "-"
		}
		t.add(cell{p.ID, bold}, cell{p.Status, statusStyle(p)}, cell{text: pid}, cell{ended, exitStyle(p)},
			cell{formatAgo(lastChange(p), now), dim}, cell{text: p.Bundle})
	}
	return t
}

// lastChange is when the container came into the state it is in; pausing leaves no time.
func lastChange(p client.Properties) uint64 {
	return max(p.CreatedTimestamp, p.StartedTimestamp, p.FinishedTimestamp)
}

func statusStyle(p client.Properties) style {
	switch p.Status {
	case statusRunning:
		return green
	case statusPaused:
		return yellow
	case statusStopped:
		return dim
	}
	return plain
}

// exitStyle marks what did not end well.
func exitStyle(p client.Properties) style {
	if p.ExitReason == "" || p.ExitReason == "exit" && p.ExitCode == 0 {
		return plain
	}
	return red
}
