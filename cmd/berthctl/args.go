package main

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// someIDs wants at least one container.
func someIDs(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("name at least one container")
	}
	return nil
}

// exactly wants one argument.
func exactly(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return fmt.Errorf("%s is missing", what)
		case 1:
			return nil
		}
		return fmt.Errorf("unexpected argument %q after %s", args[1], what)
	}
}

// nothing wants no argument.
func nothing(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected argument %q", args[0])
	}
	return nil
}

// checkText refuses ids that cannot be sent: a string of D-Bus is UTF-8. A path that is not sent may be anything.
func checkText(cmd *cobra.Command, args []string) error {
	for _, arg := range args {
		if !utf8.ValidString(arg) && cmd.Name() != "plan" {
			return usageError{fmt.Errorf("argument %q is not UTF-8", arg)}
		}
	}
	return nil
}

// strict makes the commands that cobra itself adds fail on words they do not know.
func strict(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			show := c.Run
			c.Run, c.RunE = nil, func(cmd *cobra.Command, args []string) error {
				if _, rest, err := root.Find(args); err != nil || len(rest) > 0 {
					return usageError{fmt.Errorf("unknown command %q", strings.Join(args, " "))}
				}
				show(cmd, args)
				return nil
			}
		case "completion":
			c.Args = cobra.ArbitraryArgs
			c.RunE = func(*cobra.Command, []string) error {
				return usageError{fmt.Errorf("name a shell: bash, zsh or fish")}
			}
		}
	}
}
