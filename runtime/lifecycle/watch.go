package lifecycle

import (
	"context"
	"errors"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/keeper"
	"github.com/berth-project/berth/runtime/state"
)

// leftoverTimeout bounds how long the exit of a leader waits for the end of what it left behind.
const leftoverTimeout = 30 * time.Second

// deliver leaves a record for watch. Records are whole, so only the one that is furthest counts: that of a list may
// come after news that is newer.
func (c *Container) deliver(r keeper.Record) {
	for {
		old := c.latest.Load()
		if old != nil && old.PID == r.PID && progress(*old) > progress(r) {
			return
		}
		if c.latest.CompareAndSwap(old, &r) {
			c.wake()
			return
		}
	}
}

// progress orders the records of one process.
func progress(r keeper.Record) int {
	switch {
	case r.Exited:
		return 3
	case r.Executed || r.Failed:
		return 2
	case r.Point > 0:
		return 1
	}
	return 0
}

// wake makes watch look at the newest record.
func (c *Container) wake() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// watch acts on the keeper's records until the container is deleted or the manager closed. It is the only one that
// makes a container running or stopped.
func (c *Container) watch() {
	for {
		select {
		case <-c.kick:
			c.step(c.m.ctx)
		case <-c.gone:
			return
		case <-c.m.ctx.Done():
			return
		}
	}
}

// step brings the container to where its process is.
func (c *Container) step(ctx context.Context) {
	if p := c.latest.Load(); p != nil && c.observe(*p) {
		c.exit(ctx, *p)
	}
}

// observe takes in a record, up to the exit; it reports whether that is to be dealt with.
func (c *Container) observe(p keeper.Record) (exited bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.PID != c.rec.PID { // of a process that had the key before, or launch will look again
		return false
	}
	c.proc = p
	defer c.changed()
	switch c.rec.Phase {
	case state.Creating:
		if p.Failed || p.Exited {
			c.abort(processError(c.id, p))
		}
		return false
	case state.Starting:
		if p.Executed {
			c.running(p.StartedUSec)
		}
	}
	return p.Exited && c.rec.Phase != state.Stopped
}

// running is the transition from created. The caller holds mu.
func (c *Container) running(usec uint64) {
	if usec == 0 {
		usec = nowUSec()
	}
	c.rec.Phase, c.rec.StartedUSec = state.Running, usec
	c.changed()
	c.m.publish(EventStarted, infoOf(&c.rec), c.startCaller)
	c.save()
}

// exit is the transition to stopped. In a container that shares the host's PID namespace the leader's children
// outlive it; they are killed first, so that stopped means that nothing runs any more.
func (c *Container) exit(ctx context.Context, p keeper.Record) {
	usage := c.m.readUsage(c.Info().ControlGroup)
	if usage.populated {
		limit, cancel := context.WithTimeout(ctx, leftoverTimeout)
		if err := c.m.cfg.Scopes.Remove(limit, c.Info().Scope); err != nil {
			c.m.cfg.Logger.Error("kill what the leader left behind, ignoring", "container", c.id, "error", err)
		}
		cancel()
	}
	if ctx.Err() != nil {
		return // the next start of the service finds the exit at the keeper
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rec.Phase == state.Stopped {
		return
	}
	c.stopped(p, usage)
}

// stopped records the exit and publishes it. The caller holds mu.
func (c *Container) stopped(p keeper.Record, usage usage) {
	r := &c.rec
	r.Phase, r.Paused = state.Stopped, false
	r.ExitCode, r.ExitSignal = p.Code, p.Signal
	if p.Signal != 0 {
		r.ExitCode = -1
	}
	r.ExitReason = string(reasonOf(p, usage, c.overdue))
	r.CPUTimeUSec, r.MaxRSSBytes, r.MemoryPeakBytes = p.CPUTimeUSec, p.MaxRSSBytes, max(p.MaxRSSBytes, usage.memoryPeak)
	r.FinishedUSec = p.FinishedUSec
	if r.FinishedUSec == 0 {
		r.FinishedUSec = nowUSec()
	}
	c.changed()
	info := infoOf(r)
	if info.ExitReason == ReasonOOM {
		c.m.publish(EventOOM, info, Caller{})
	}
	c.m.publish(EventExited, info, Caller{})
	c.save()
	if c.pidfd != nil {
		c.pidfd.Close() //nolint:errcheck // a pidfd has nothing to lose
		c.pidfd = nil
	}
}

// reasonOf never guesses: what nobody saw is unknown.
func reasonOf(p keeper.Record, u usage, overdue bool) ExitReason {
	switch {
	case p.Signal == int(unix.SIGKILL) && overdue:
		return ReasonStopTimeout
	case p.Signal == int(unix.SIGKILL) && u.oomKills > 0:
		return ReasonOOM
	case p.Signal != 0:
		return ReasonSignal
	case p.Code >= 0:
		return ReasonExit
	}
	return ReasonUnknown
}

// processError says why a process did not come as far as it should.
func processError(id string, p keeper.Record) error {
	switch {
	case p.Failed:
		return errors.New(p.Text)
	case p.Signal != 0:
		return faultf(ErrInvalidState, "container %q was killed by %s before its program was executed", id, signalName(p.Signal))
	}
	if p.Code < 0 {
		return faultf(ErrInvalidState, "container %q ended, nobody saw how, before its program was executed", id)
	}
	return faultf(ErrInvalidState, "container %q exited with code %d before its program was executed", id, p.Code)
}

func signalName(sig int) string {
	if name := unix.SignalName(unix.Signal(sig)); name != "" {
		return name
	}
	return "signal " + strconv.Itoa(sig)
}
