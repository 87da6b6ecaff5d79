package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/dbusapi/client"
)

func (a *app) eventsCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "events",
		Short:             "Follow what happens to containers",
		Long:              "Print one line for everything that happens to a container, until interrupted.",
		Args:              nothing,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			bus, err := a.connect(ctx)
			if err != nil {
				return err
			}
			defer bus.Close() //nolint:errcheck // nothing is lost with it
			events, err := bus.Events(ctx)
			if err != nil {
				return err
			}
			listed, err := bus.List(ctx)
			if err != nil {
				return fmt.Errorf("list containers: %w", err)
			}
			return a.follow(ctx, events, newHistory(listed))
		},
	}
}

// occurrence is one line of events.
type occurrence struct {
	Timestamp uint64 // when we heard of it, in microseconds
	Event     string
	ID        string  `json:"Id"`
	PID       uint32  `json:"Pid,omitempty"`
	Code      *int    `json:"ExitCode,omitempty"`
	Signal    *uint32 `json:"ExitSignal,omitempty"`
	Reason    string  `json:"ExitReason,omitempty"`
}

func (a *app) follow(ctx context.Context, events <-chan client.Event, h *history) error {
	for e := range events {
		o, ok := h.occurrence(e, time.Now())
		if !ok {
			continue
		}
		if err := a.printOccurrence(o); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return errors.New("follow events: the connection to the bus was lost")
}

func (a *app) printOccurrence(o occurrence) error {
	if a.json {
		return a.printJSON(o)
	}
	at := time.UnixMicro(int64(o.Timestamp)).Format("Jan 02 15:04:05.000")
	_, err := fmt.Fprintf(a.stdout, "%s %s: %s\n", at, printable(o.ID), o.text())
	return err
}

// text says in words what happened.
func (o occurrence) text() string {
	switch client.EventKind(o.Event) {
	case client.Started:
		return fmt.Sprintf("started, pid %d", o.PID)
	case client.OOM:
		return "out of memory"
	case client.Exited:
		switch {
		case *o.Signal == 0 && *o.Code < 0:
			return "ended, nobody saw how"
		case *o.Signal == 0:
			return fmt.Sprintf("exited, status %d", *o.Code)
		case o.Reason == "signal":
			return "killed by " + signalName(unix.Signal(*o.Signal))
		}
		return fmt.Sprintf("killed by %s (%s)", signalName(unix.Signal(*o.Signal)), o.Reason)
	}
	return o.Event
}

// history knows which containers are paused: pausing is told as a change of Status, and a running container may
// have been started or resumed.
type history struct{ paused map[string]bool }

func newHistory(listed []client.Listed) *history {
	h := &history{paused: map[string]bool{}}
	for _, l := range listed {
		h.paused[l.ID] = l.Status == statusPaused
	}
	return h
}

// occurrence is what an event tells; ok is false when that is no news.
func (h *history) occurrence(e client.Event, now time.Time) (o occurrence, ok bool) {
	o = occurrence{Timestamp: uint64(now.UnixMicro()), Event: string(e.Kind), ID: e.ID, PID: e.PID}
	switch e.Kind {
	case client.Exited:
		o.Code, o.Signal, o.Reason = &e.ExitCode, &e.Signal, e.Reason
	case client.Changed:
		was := h.paused[e.ID]
		switch status, _ := e.Changes["Status"].(string); {
		case status == statusPaused && !was:
			o.Event = "paused"
		case status == statusRunning && was:
			o.Event = "resumed"
		default:
			return o, false
		}
		h.paused[e.ID] = !was
	case client.Deleted, client.Created:
		delete(h.paused, e.ID)
	}
	return o, true
}
