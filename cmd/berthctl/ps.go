package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/berth-project/berth/dbusapi/client"
)

func (a *app) psCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "ps ID",
		Short:             "List the processes of a container",
		Args:              exactly("ID"),
		ValidArgsFunction: a.completeIDs(1, statusRunning, statusPaused, statusCreated),
		RunE: func(cmd *cobra.Command, ids []string) error {
			return a.each(cmd.Context(), "list processes of", ids, func(ctx context.Context, _ string, c *client.Container) error {
				processes, err := c.Processes(ctx)
				if err != nil {
					return err
				}
				return a.printProcesses(processes)
			})
		},
	}
}

func (a *app) printProcesses(processes []client.Process) error {
	if a.json {
		objects := make([]map[string]any, len(processes))
		for i, p := range processes {
			objects[i] = map[string]any{"Pid": p.PID, "Command": p.Command}
		}
		return a.printJSON(objects)
	}
	t := &table{columns: []string{"PID", "COMMAND"}, right: []bool{true}}
	for _, p := range processes {
		t.add(cell{text: strconv.FormatUint(uint64(p.PID), 10)}, cell{text: p.Command})
	}
	legend := ""
	if len(processes) == 0 {
		legend = "No processes."
	}
	return a.printTable(t, legend)
}
