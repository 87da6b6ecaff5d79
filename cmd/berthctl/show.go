package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-project/berth/dbusapi/client"
	"github.com/berth-project/berth/dbusapi/wire"
)

func (a *app) showCommand() *cobra.Command {
	var (
		names     []string
		valueOnly bool
	)
	cmd := &cobra.Command{
		Use:               "show ID...",
		Short:             "Show the properties of containers",
		Args:              someIDs,
		ValidArgsFunction: a.completeIDs(0),
		RunE: func(cmd *cobra.Command, ids []string) error {
			if err := checkNames(names); err != nil {
				return usageError{err}
			}
			first := true
			return a.each(cmd.Context(), "show", ids, func(ctx context.Context, _ string, c *client.Container) error {
				p, err := c.Properties(ctx)
				if err != nil {
					return err
				}
				if !first && !a.json {
					fmt.Fprintln(a.stdout) //nolint:errcheck // the next write tells
				}
				first = false
				return a.printProperties(p, names, valueOnly)
			})
		},
	}
	cmd.Flags().StringSliceVarP(&names, "property", "p", nil, "show only the property `NAME`")
	cmd.Flags().BoolVar(&valueOnly, "value", false, "print values without names")
	_ = cmd.RegisterFlagCompletionFunc("property", completeWords(cobra.ShellCompDirectiveNoFileComp, containerProperties()...))
	return cmd
}

// containerProperties are the names of the properties of a container, in the order of the API.
func containerProperties() []string {
	var names []string
	for _, p := range wire.Container().Properties {
		names = append(names, p.Name)
	}
	return names
}

func checkNames(names []string) error {
	for _, name := range names {
		if !slices.Contains(containerProperties(), name) {
			return fmt.Errorf("unknown property %q, known are %s", name, strings.Join(containerProperties(), " "))
		}
	}
	return nil
}

func (a *app) printProperties(p client.Properties, names []string, valueOnly bool) error {
	values := propertyMap(p)
	if a.json {
		for name := range values {
			if len(names) > 0 && !slices.Contains(names, name) {
				delete(values, name)
			}
		}
		return a.printJSON(values)
	}
	if len(names) == 0 {
		names = containerProperties()
	}
	var b strings.Builder
	for _, name := range names {
		if !valueOnly {
			b.WriteString(name + "=")
		}
		b.WriteString(formatProperty(name, values[name]) + "\n")
	}
	_, err := fmt.Fprint(a.stdout, b.String())
	return err
}

// propertyMap has the properties by the names they have on the bus.
func propertyMap(p client.Properties) map[string]any {
	notes := p.Annotations
	if notes == nil {
		notes = map[string]string{} // {} in JSON, not null
	}
	return map[string]any{
		"Id": p.ID, "Bundle": p.Bundle, "Status": p.Status, "Pid": p.PID,
		"ExitCode": p.ExitCode, "ExitSignal": p.ExitSignal, "ExitReason": p.ExitReason,
		"CreatedTimestamp": p.CreatedTimestamp, "StartedTimestamp": p.StartedTimestamp, "FinishedTimestamp": p.FinishedTimestamp,
		"Scope": p.Scope, "ControlGroup": p.ControlGroup, "InvocationId": p.InvocationID,
		"Annotations": notes, "Terminal": p.Terminal, "Log": p.Log,
	}
}

// formatProperty writes one value as systemctl show would.
func formatProperty(name string, value any) string {
	switch v := value.(type) {
	case uint64:
		if strings.HasSuffix(name, "Timestamp") {
			return formatTimestamp(v)
		}
	case bool:
		return formatBool(v)
	case map[string]string:
		return formatMap(v)
	}
	return printable(fmt.Sprint(value))
}
