package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/dbusapi/client"
)

// exit is how a container ended.
type exit struct {
	ID         string `json:"Id"`
	ExitCode   int32  `json:"ExitCode"`
	ExitSignal uint32 `json:"ExitSignal"`
	ExitReason string `json:"ExitReason"`
}

// status is the exit status a shell would give: the payload's own, or 128 and the signal's number. ok is false
// when nobody knows it.
func (e exit) status() (n int, ok bool) {
	switch {
	case e.ExitSignal != 0:
		return 128 + int(e.ExitSignal), true
	case e.ExitCode >= 0 && e.ExitReason != "":
		return int(e.ExitCode), true
	}
	return 0, false
}

// String is a word for a list: the code, the signal, or the reason where that says more.
func (e exit) String() string {
	switch {
	case e.ExitReason == "":
		return ""
	case e.ExitReason == "exit":
		return fmt.Sprint(e.ExitCode)
	case e.ExitReason == "signal" && e.ExitSignal != 0:
		return signalName(unix.Signal(e.ExitSignal))
	}
	return e.ExitReason
}

func exitOf(p client.Properties) exit {
	return exit{ID: p.ID, ExitCode: p.ExitCode, ExitSignal: p.ExitSignal, ExitReason: p.ExitReason}
}

// waitExit waits until c has stopped. Wait itself does not tell the signal, the properties do, unless somebody
// has deleted the container in between.
func waitExit(ctx context.Context, id string, c *client.Container) (exit, error) {
	ended, err := c.Wait(ctx)
	if err != nil {
		return exit{}, err
	}
	p, err := c.Properties(ctx)
	if err != nil {
		return exit{ID: id, ExitCode: int32(ended.Code), ExitReason: ended.Reason}, nil
	}
	return exitOf(p), nil
}

func (a *app) waitCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "wait ID...",
		Short: "Wait until containers have stopped, print their exit statuses",
		Long: "Wait until the containers have stopped. One line each, in the order of the arguments, is the exit\n" +
			"status as a shell would give it: that of the program, or 128 and the number of the signal that killed it.",
		Args:              someIDs,
		ValidArgsFunction: a.completeIDs(0),
		RunE: func(cmd *cobra.Command, ids []string) error {
			return a.each(cmd.Context(), "wait for", ids, func(ctx context.Context, id string, c *client.Container) error {
				e, err := waitExit(ctx, id, c)
				if err != nil {
					return err
				}
				return a.printExit(e)
			})
		},
	}
}

func (a *app) printExit(e exit) error {
	if a.json {
		return a.printJSON(e)
	}
	n, ok := e.status()
	if !ok {
		return fmt.Errorf("the exit status is unknown, nobody saw it end")
	}
	_, err := fmt.Fprintln(a.stdout, n)
	return err
}
