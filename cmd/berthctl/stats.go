package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/berth-project/berth/dbusapi/client"
)

// usage is what one container uses, by systemd's property names.
type usage struct {
	id    string
	stats map[string]uint64
}

func (a *app) statsCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "stats [ID...]",
		Short:             "Show what containers use of the machine",
		Long:              "Show CPU time, memory, tasks and disk traffic of the containers named, or of all that have not stopped.",
		ValidArgsFunction: a.completeIDs(0, statusRunning, statusPaused, statusCreated),
		RunE: func(cmd *cobra.Command, ids []string) error {
			var all []usage
			var err error
			if len(ids) == 0 {
				all, err = a.allStats(cmd.Context())
			} else {
				err = a.each(cmd.Context(), "measure", ids, func(ctx context.Context, id string, c *client.Container) error {
					stats, err := c.Stats(ctx)
					if err == nil {
						all = append(all, usage{id, stats})
					}
					return err
				})
			}
			if len(all) == 0 && err != nil {
				return err
			}
			if printErr := a.printStats(all); printErr != nil {
				return printErr
			}
			return err
		},
	}
}

// allStats measures all containers that have not stopped; one that ends meanwhile is left out.
func (a *app) allStats(ctx context.Context) ([]usage, error) {
	bus, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer bus.Close() //nolint:errcheck // nothing is lost with it
	listed, err := bus.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	var all []usage
	for _, l := range listed {
		if l.Status == statusStopped {
			continue
		}
		c, err := bus.Get(ctx, l.ID)
		if err != nil {
			continue
		}
		if stats, err := c.Stats(ctx); err == nil {
			all = append(all, usage{l.ID, stats})
		}
	}
	return all, nil
}

func (a *app) printStats(all []usage) error {
	if a.json {
		objects := make([]map[string]any, len(all))
		for i, u := range all {
			objects[i] = map[string]any{"Id": u.id}
			for name, n := range u.stats {
				objects[i][name] = n
			}
		}
		return a.printJSON(objects)
	}
	t := &table{
		columns: []string{"ID", "CPU", "MEMORY", "PEAK", "LIMIT", "TASKS", "READ", "WRITTEN"},
		right:   []bool{1: true, 2: true, 3: true, 4: true, 5: true, 6: true, 7: true},
	}
	for _, u := range all {
		s := u.stats
		t.add(cell{u.id, bold}, number(s, "CPUUsageNSec", func(n uint64) string { return formatSpan(time.Duration(n)) }),
			number(s, "MemoryCurrent", formatSize), number(s, "MemoryPeak", formatSize), number(s, "MemoryMax", formatSize),
			number(s, "TasksCurrent", formatCount), number(s, "IOReadBytes", formatSize), number(s, "IOWriteBytes", formatSize))
	}
	return a.printTable(t, counted(len(all), "container"))
}

// number is the cell of one measurement, "-" where there is none.
func number(stats map[string]uint64, name string, format func(uint64) string) cell {
	n, ok := stats[name]
	if !ok {
		return cell{"-", dim}
	}
	return cell{text: format(n)}
}
