package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/state"
)

// Whom Kill signals.
const (
	WhomLeader = "leader"
	WhomAll    = "all"
)

// maxSignal is SIGRTMAX; see signal(7).
const maxSignal = 64

// check says what is wrong with a verb in the container's state, and what would help.
func (c *Container) check(verb string, allowed ...Status) error {
	select {
	case <-c.gone:
		return noSuchContainer(c.id)
	default:
	}
	status := c.Info().Status
	if slices.Contains(allowed, status) {
		return nil
	}
	words := make([]string, len(allowed))
	for i, s := range allowed {
		words[i] = string(s)
	}
	return faultf(ErrInvalidState, "%s container %q: it is %s, not %s%s", verb, c.id, status, strings.Join(words, " or "), hint(verb, status))
}

func hint(verb string, status Status) string {
	switch {
	case status == StatusCreating:
		return "; try again"
	case verb == "delete":
		return "; stop it first, or use force"
	case verb == "start" && status == StatusStopped:
		return "; delete it and create it again"
	case verb == "pause" && status == StatusCreated:
		return "; start it first"
	}
	return ""
}

// Start executes the program of a created container. Errors: ErrInvalidState. When the program cannot be
// executed the error says why and the container is stopped. A program that has exited already was started.
func (c *Container) Start(ctx context.Context) error {
	if err := c.letGo(ctx); err != nil {
		return err
	}
	err := c.await(ctx, func() bool { s := c.Info().Status; return s != StatusCreated })
	if err != nil {
		return err
	}
	if c.Info().StartedUSec != 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Errorf("start container %q: %w", c.id, processError(c.id, c.proc))
}

// letGo writes the byte the child waits for. The intent is saved first: only it tells a later reader of the keeper's
// records a program that ran from a child that was killed before.
func (c *Container) letGo(ctx context.Context) error {
	if err := c.lock(ctx); err != nil {
		return err
	}
	defer c.unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.rec.Phase == state.Starting:
		return faultf(ErrInvalidState, "start container %q: it is being started", c.id)
	case c.rec.Phase == state.Created && c.orphan:
		return faultf(ErrInvalidState, "start container %q: the keeper that made it is gone; delete it and create it again", c.id)
	case c.rec.Phase != state.Created:
		return c.check("start", StatusCreated)
	}
	rec := c.rec
	rec.Phase = state.Starting
	if err := c.m.store.Save(rec); err != nil {
		return fmt.Errorf("start container %q: %w", c.id, err)
	}
	if err := c.m.store.WriteStart(c.id); err != nil && !errors.Is(err, state.ErrNobodyWaits) {
		c.save() // as it was
		return fmt.Errorf("start container %q: %w", c.id, err)
	}
	c.rec, c.startCaller = rec, CallerFrom(ctx)
	return nil // if nobody waits the child is gone, and its record says why
}

// Kill sends a signal to WhomLeader ("" too) or WhomAll. Errors: ErrInvalidArgs, ErrInvalidState when stopped.
func (c *Container) Kill(ctx context.Context, whom string, sig int) error {
	if sig < 1 || sig > maxSignal {
		return faultf(ErrInvalidArgs, "kill container %q: signal %d is not in 1 to %d", c.id, sig, maxSignal)
	}
	if whom != "" && whom != WhomLeader && whom != WhomAll {
		return faultf(ErrInvalidArgs, "kill container %q: %q is neither %q nor %q", c.id, whom, WhomLeader, WhomAll)
	}
	if err := c.check("kill", StatusCreated, StatusRunning, StatusPaused); err != nil {
		return err
	}
	if whom != WhomAll {
		return c.signalLeader(unix.Signal(sig))
	}
	err := c.m.cfg.Scopes.Kill(ctx, c.Info().Scope, unix.Signal(sig))
	if errors.Is(err, ErrNoSuchScope) {
		return c.check("kill") // it stopped just now
	}
	if err != nil {
		return fmt.Errorf("kill container %q: %w", c.id, err)
	}
	return nil
}

// Stop sends SIGTERM to the leader, waits for timeout, kills all, and returns when the container is stopped. A
// timeout of 0 kills at once, below 0 is Config.StopTimeout. Stopping a stopped container does nothing; one that was
// never started is killed at once, and one that is paused goes on to get its signal.
func (c *Container) Stop(ctx context.Context, timeout time.Duration) error {
	if timeout < 0 {
		timeout = c.m.cfg.StopTimeout
	}
	if err := c.check("stop", StatusCreated, StatusRunning, StatusPaused, StatusStopped); err != nil {
		return err
	}
	if status := c.Info().Status; timeout > 0 && (status == StatusRunning || status == StatusPaused) {
		over, err := c.stopGently(ctx, timeout)
		if over || err != nil {
			return err
		}
		c.mu.Lock()
		c.overdue = true
		c.mu.Unlock()
	}
	if err := c.killAll(ctx); err != nil {
		return fmt.Errorf("stop container %q: %w", c.id, err)
	}
	_, err := c.Wait(ctx)
	return err
}

// stopGently returns true when the container has stopped within the timeout.
func (c *Container) stopGently(ctx context.Context, timeout time.Duration) (bool, error) {
	if err := c.signalLeader(unix.SIGTERM); err != nil {
		return false, fmt.Errorf("stop container %q: %w", c.id, err)
	}
	if c.Info().Status == StatusPaused {
		if err := c.Resume(ctx); err != nil && !errors.Is(err, ErrInvalidState) {
			return false, err
		}
	}
	limit, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, err := c.Wait(limit)
	if err != nil && ctx.Err() == nil && limit.Err() != nil {
		return false, nil
	}
	return err == nil, err
}

// killAll kills every process. The leader is killed by hand as well: that needs no systemd, and in a PID namespace of
// its own it is enough.
func (c *Container) killAll(ctx context.Context) error {
	err := c.m.cfg.Scopes.Kill(ctx, c.Info().Scope, unix.SIGKILL)
	if leader := c.signalLeader(unix.SIGKILL); leader != nil {
		return errors.Join(err, leader)
	}
	if err != nil && !errors.Is(err, ErrNoSuchScope) {
		c.m.cfg.Logger.Warn("kill all processes, only the leader was killed", "container", c.id, "error", err)
	}
	return nil
}

// Pause freezes every process. Errors: ErrInvalidState.
func (c *Container) Pause(ctx context.Context) error {
	return c.freezer(ctx, "pause", StatusRunning, true, c.m.cfg.Scopes.Freeze)
}

// Resume is the inverse of Pause.
func (c *Container) Resume(ctx context.Context) error {
	return c.freezer(ctx, "resume", StatusPaused, false, c.m.cfg.Scopes.Thaw)
}

func (c *Container) freezer(ctx context.Context, verb string, from Status, pause bool, call func(context.Context, string) error) error {
	if err := c.lock(ctx); err != nil {
		return err
	}
	defer c.unlock()
	if err := c.check(verb, from); err != nil {
		return err
	}
	if err := call(ctx, c.Info().Scope); err != nil {
		if state := c.check(verb, from); state != nil {
			return state // it stopped just now
		}
		return fmt.Errorf("%s container %q: %w", verb, c.id, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.check(verb, from); err != nil {
		return err
	}
	c.setPaused(pause, CallerFrom(ctx))
	return nil
}

// setPaused is the transition between running and paused. The caller holds mu.
func (c *Container) setPaused(paused bool, caller Caller) {
	c.rec.Paused = paused
	c.changed()
	kind := EventResumed
	if paused {
		kind = EventPaused
	}
	c.m.publish(kind, infoOf(&c.rec), caller)
	c.save()
}
