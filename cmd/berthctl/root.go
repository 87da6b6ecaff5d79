package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-project/berth/dbusapi/client"
)

// version is what the client calls itself; the Makefile sets it.
var version = "0-dev"

// The exit statuses besides 0 and those of payloads.
const (
	statusFailure = 1
	statusUsage   = 2
	statusNotRun  = 125 // of run, where 1 and 2 may be the payload's; as env(1) and timeout(1) have it
)

// app is what every command shares: the standard streams and the global flags.
type app struct {
	stdin, stdout, stderr *os.File

	address  string
	json     bool
	noLegend bool
	noPager  bool

	started bool // the command line was understood
}

// statusError makes run return a status without a message.
type statusError int

func (e statusError) Error() string { return fmt.Sprintf("status %d", int(e)) }

// usageError is a mistake on the command line that only a command can find.
type usageError struct{ error }

// Unwrap returns the cause.
func (e usageError) Unwrap() error { return e.error }

// run runs one command line and returns the exit status.
func run(ctx context.Context, args []string, stdin, stdout, stderr *os.File) int {
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr}
	root := newRoot(a)
	strict(root)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	if status, ok := errors.AsType[statusError](err); ok {
		return int(status)
	}
	status := statusFailure
	if _, ok := errors.AsType[usageError](err); ok || !a.started {
		status, err = statusUsage, fmt.Errorf("%w\nTry '%s --help'.", suggestion(err), cmd.CommandPath())
	}
	a.report(err)
	if cmd.Name() == "run" {
		return statusNotRun
	}
	return status
}

// suggestion puts what cobra says about similar commands on one line.
func suggestion(err error) error {
	text, words, ok := strings.Cut(err.Error(), "\n\nDid you mean this?\n")
	if !ok {
		return err
	}
	return fmt.Errorf("%s, did you mean %s?", text, strings.Join(strings.Fields(words), " or "))
}

// newRoot builds the tree of commands.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "berthctl",
		Short: "Create, watch and control the containers of berthd",
		Long: "berthctl creates, watches and controls OCI containers that are systemd scopes.\n" +
			"It is a client of the D-Bus service org.berth1; berthctl(1) has the details.",
		Version:       version,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, args []string) error {
			a.started = true
			return checkText(cmd, args)
		},
	}
	root.SetVersionTemplate("berthctl {{.Version}}\n")
	flags := root.PersistentFlags()
	flags.StringVar(&a.address, "address", os.Getenv("DBUS_SYSTEM_BUS_ADDRESS"), "`ADDRESS` of the D-Bus bus (default: the system bus)")
	flags.BoolVar(&a.json, "json", false, "print JSON")
	flags.BoolVar(&a.noLegend, "no-legend", false, "print no column headers and no summary")
	flags.BoolVar(&a.noPager, "no-pager", false, "do not pipe logs into a pager")
	flags.Lookup("address").DefValue = "" // help must not depend on the environment
	_ = root.RegisterFlagCompletionFunc("address", cobra.NoFileCompletions)

	root.AddGroup(
		&cobra.Group{ID: groupLife, Title: "Life of a container:"},
		&cobra.Group{ID: groupWatch, Title: "What is going on:"},
	)
	for _, c := range []*cobra.Command{
		a.createCommand(), a.runCommand(), a.startCommand(), a.stopCommand(), a.killCommand(), a.pauseCommand(),
		a.resumeCommand(), a.waitCommand(), a.deleteCommand(),
	} {
		c.GroupID = groupLife
		root.AddCommand(c)
	}
	for _, c := range []*cobra.Command{
		a.listCommand(), a.showCommand(), a.stateCommand(), a.psCommand(), a.statsCommand(), a.eventsCommand(),
		a.logsCommand(), a.planCommand(), a.versionCommand(),
	} {
		c.GroupID = groupWatch
		root.AddCommand(c)
	}
	return root
}

const (
	groupLife  = "life"
	groupWatch = "watch"
)

// connect connects to the bus; the caller closes the client.
func (a *app) connect(ctx context.Context) (*client.Client, error) {
	return client.Connect(ctx, a.address)
}

// action is a command's work on one container.
type action func(ctx context.Context, id string, c *client.Container) error

// each does act to every container named, reports every failure, and fails if there was one.
func (a *app) each(ctx context.Context, verb string, ids []string, act action) error {
	bus, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer bus.Close() //nolint:errcheck // nothing is lost with it
	status := 0
	for _, id := range ids {
		c, err := bus.Get(ctx, id)
		if err == nil {
			err = act(ctx, id, c)
		}
		if err != nil {
			a.report(failed(verb, id, err))
			status = statusFailure
		}
	}
	if status != 0 {
		return statusError(status)
	}
	return nil
}
