package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/dbusapi/client"
	"github.com/berth-project/berth/dbusapi/wire"
)

func (a *app) runCommand() *cobra.Command {
	var (
		flags  createFlags
		detach bool
	)
	cmd := &cobra.Command{
		Use:   "run ID",
		Short: "Create, start, wait for and delete a container",
		Long: "Run a container with the standard streams of berthctl. Signals go to its program, its exit status becomes\n" +
			"that of berthctl (128 and the signal's number when one killed it), and it is deleted afterwards. 125 says\n" +
			"that it was not run to its end.\n\n" +
			"With --detach it is only created and started, logs to the journal and stays. It also stays when berthctl\n" +
			"itself is killed: 'berthctl delete --force' removes it.",
		Args:              exactly("ID"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			bundle, options, err := flags.options()
			if err != nil {
				return usageError{err}
			}
			if flags.log != "" && !detach {
				return usageError{fmt.Errorf("--log needs --detach, otherwise output goes where that of berthctl goes")}
			}
			bus, err := a.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer bus.Close() //nolint:errcheck // nothing is lost with it
			p := payload{bus: bus, id: args[0]}
			if detach {
				return p.launch(cmd.Context(), bundle, options)
			}
			options.Stdin, options.Stdout, options.Stderr = a.stdin, a.stdout, a.stderr
			return p.run(cmd.Context(), bundle, options)
		},
	}
	flags.register(cmd)
	cmd.Flags().BoolVarP(&detach, "detach", "d", false, "leave it running in the background")
	return cmd
}

// payload is the one container of a run command.
type payload struct {
	bus       *client.Client
	id        string
	container *client.Container
}

// launch creates and starts the container; it leaves none behind that does not start.
func (p *payload) launch(ctx context.Context, bundle string, options client.CreateOptions) (err error) {
	if p.container, err = p.bus.Create(ctx, p.id, bundle, options); err != nil {
		return failed("create", p.id, err)
	}
	if err := p.container.Start(ctx); err != nil {
		_ = p.container.Delete(ctx, true) // the first error is the one that matters
		return failed("start", p.id, err)
	}
	return nil
}

// run runs the container to its end. A signal that comes before it runs is delivered when it does.
func (p *payload) run(ctx context.Context, bundle string, options client.CreateOptions) error {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2)
	defer signal.Stop(signals)
	if err := p.launch(ctx, bundle, options); err != nil {
		return err
	}
	e, err := p.wait(ctx, signals)
	if err != nil {
		return failed("wait for", p.id, err)
	}
	if err := p.container.Delete(ctx, false); err != nil && !client.Is(err, wire.ErrorNoSuchContainer) {
		return failed("delete", p.id, err)
	}
	status, ok := e.status()
	switch {
	case !ok:
		return fmt.Errorf("wait for %q: the exit status is unknown, nobody saw it end", p.id)
	case status != 0:
		return statusError(status)
	}
	return nil
}

// wait forwards signals until the container has stopped.
func (p *payload) wait(ctx context.Context, signals <-chan os.Signal) (exit, error) {
	type result struct {
		exit exit
		err  error
	}
	done := make(chan result, 1)
	go func() {
		e, err := waitExit(ctx, p.id, p.container)
		done <- result{e, err}
	}()
	for {
		select {
		case s := <-signals:
			// It may be gone or berthd on its way back; then the signal is lost, as one to a process would be.
			_ = p.container.Kill(ctx, wire.WhomLeader, s.(unix.Signal))
		case r := <-done:
			return r.exit, r.err
		}
	}
}
