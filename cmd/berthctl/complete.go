package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

// completionTimeout bounds what a key press may cost when the service does not answer.
const completionTimeout = 500 * time.Millisecond

// completer is what cobra asks for the words that may follow.
type completer = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective)

// completeIDs offers the containers in one of the states, or all, that are not on the command line yet, at most
// limit words; 0 is no limit.
func (a *app) completeIDs(limit int, states ...string) completer {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		const none = cobra.ShellCompDirectiveNoFileComp
		if limit > 0 && len(args) >= limit {
			return nil, none
		}
		ctx := cmd.Context()
		if ctx == nil {
			ctx = context.Background()
		}
		ctx, cancel := context.WithTimeout(ctx, completionTimeout)
		defer cancel()
		bus, err := a.connect(ctx)
		if err != nil {
			return nil, none
		}
		defer bus.Close() //nolint:errcheck // nothing is lost with it
		listed, err := bus.List(ctx)
		if err != nil {
			return nil, none
		}
		var words []string
		for _, l := range listed {
			if !slices.Contains(args, l.ID) && (len(states) == 0 || slices.Contains(states, l.Status)) {
				words = append(words, l.ID+"\t"+l.Status)
			}
		}
		return words, none
	}
}

// completeWords offers fixed words; those that end in "=" want a value.
func completeWords(directive cobra.ShellCompDirective, words ...string) completer {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) { return words, directive }
}

// completeDirs offers directories for the one argument or flag.
func completeDirs(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}
