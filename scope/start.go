package scope

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/berth-project/berth/unit"
	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// DefaultTimeout is the time limit of a Start that has none.
const DefaultTimeout = 30 * time.Second

// Limits of the clean-up after a Start that failed.
const (
	undoWait    = 5 * time.Second  // Start returns after this even if the clean-up goes on
	undoTimeout = 60 * time.Second // the clean-up gives up
)

// StartRequest is what Start needs.
type StartRequest struct {
	// Name is the full unit name, see unit.ScopeName.
	Name string
	// PIDs are the processes to put into the scope, the leader first; at least one.
	PIDs []int
	// PIDFD is a pidfd of the leader, -1 for none; the caller keeps it, and keeps it open until Start returns.
	// With it a start whose leader has ended meanwhile, so that its number may mean another process, is an
	// error. (The property PIDFDs of systemd 254 would also guard the number, but see transport.)
	PIDFD int
	// Properties are all others: not PIDs or Controller. A Value may be a dbus.Variant.
	Properties []unit.Property
	// Timeout is the limit for the whole start; 0 means DefaultTimeout.
	Timeout time.Duration
}

// Start starts a scope and returns when its job is done.
//
// After an error nothing of the scope is left: a job is cancelled, and a unit that this call has created is
// removed, together with the processes in it, which are killed. A unit that was there before is not touched.
// Errors: ErrExists, *RefusedError (a property), *JobError, ErrNoLeader, ErrTimeout or the cause of ctx,
// ErrDisconnected, ErrClosed.
func (m *Manager) Start(ctx context.Context, r StartRequest) error {
	if r.Timeout == 0 {
		r.Timeout = DefaultTimeout
	}
	ctx, stop := limited(ctx, r.Timeout)
	defer stop()
	return wrap("start", r.Name, m.start(ctx, r))
}

func (m *Manager) start(ctx context.Context, r StartRequest) error {
	if len(r.PIDs) == 0 {
		return errors.New("no process given: a scope begins with at least one")
	}
	if err := leaderLives(r); err != nil {
		return err
	}
	j, err := m.begin(ctx, r.Name, func(l *link) (request, error) { return m.startCall(l, r) })
	if err != nil {
		return err
	}
	err = j.accepted(ctx)
	created := err == nil
	if created {
		err = j.ended(ctx)
	}
	if err == nil {
		j.forget()
		return m.checkLeader(ctx, r)
	}
	if !created && undelivered(err) {
		j.forget()
		if lost := j.link.waitLost(ctx); lost != nil {
			return lost
		}
		return m.start(ctx, r)
	}
	m.cleanUp(j, r, created, err)
	return err
}

// leaderLives checks that the leader has not ended; without a pidfd it knows nothing and says yes.
func leaderLives(r StartRequest) error {
	if r.PIDFD < 0 {
		return nil
	}
	fds := []unix.PollFd{{Fd: int32(r.PIDFD), Events: unix.POLLIN}} // readable: it has ended, see pidfd_open(2)
	n, err := unix.Poll(fds, 0)
	for err == unix.EINTR { // the runtime's own signals do that, even to a poll that does not wait
		n, err = unix.Poll(fds, 0)
	}
	switch {
	case err != nil:
		return fmt.Errorf("poll pidfd of process %d: %w", r.PIDs[0], err)
	case n > 0:
		return fmt.Errorf("%w: process %d has ended", ErrNoLeader, r.PIDs[0])
	}
	return nil
}

// checkLeader is leaderLives for a scope that was started, and removes it if not: systemd does not notice that
// the cgroup is empty when the process it moved there was a zombie, and would keep the scope for ever. But when
// the leader was reaped and the scope has a process of its number, that is another's, and not ours to kill.
func (m *Manager) checkLeader(ctx context.Context, r StartRequest) error {
	err := leaderLives(r)
	if err == nil {
		return nil
	}
	ctx, stop := limited(context.WithoutCancel(ctx), undoWait)
	defer stop()
	if unix.PidfdSendSignal(r.PIDFD, 0, nil, 0) != nil {
		procs, _ := m.Processes(ctx, r.Name) // without the unit there are none
		if slices.ContainsFunc(procs, func(p Process) bool { return p.PID == r.PIDs[0] }) {
			return fmt.Errorf("%w, and its number is another process's now: the unit is left as it is", err)
		}
	}
	return errors.Join(err, m.Remove(ctx, r.Name))
}

// startCall makes the call of StartTransientUnit for the systemd at the other end of the link.
func (m *Manager) startCall(l *link, r StartRequest) (request, error) {
	pids := make([]uint32, len(r.PIDs))
	for i, p := range r.PIDs {
		pids[i] = uint32(p)
	}
	props := append(slices.Clone(r.Properties), unit.PIDs(pids...))
	if c := m.controller(l); c != "" {
		props = append(props, unit.Controller(c))
	}
	wire, err := encode(props)
	return request{unit: r.Name, method: "StartTransientUnit", props: props,
		args: []any{r.Name, "fail", wire, []auxUnit{}}}, err
}

// controller is the bus name for the Controller property.
func (m *Manager) controller(l *link) string {
	if m.cfg.Controller == "" && m.cfg.OnRequestStop != nil {
		return l.conn.Names()[0]
	}
	return m.cfg.Controller
}

// wireProperty is a property in a message, D-Bus type (sv).
type wireProperty struct {
	Name  string
	Value dbus.Variant
}

// auxUnit is a further unit of StartTransientUnit, D-Bus type (sa(sv)); we have none.
type auxUnit struct {
	Name       string
	Properties []wireProperty
}

func encode(props []unit.Property) ([]wireProperty, error) {
	out := make([]wireProperty, len(props))
	for i, p := range props {
		v, err := variant(p.Value)
		if err != nil {
			return nil, fmt.Errorf("property %q: %w", p.Name, err)
		}
		out[i] = wireProperty{p.Name, v}
	}
	return out, nil
}

// variant is dbus.MakeVariant with an error for a type that D-Bus does not have, where godbus panics.
func variant(value any) (v dbus.Variant, err error) {
	if v, ok := value.(dbus.Variant); ok {
		return v, nil
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("a %T has no D-Bus type: %v", value, r)
		}
	}()
	return dbus.MakeVariant(value), nil
}

// cleanUp removes what a failed start has left, and waits for it, but not for ever.
func (m *Manager) cleanUp(j *job, r StartRequest, created bool, cause error) {
	if !created && !outcomeUnknown(cause) {
		j.forget()
		return // systemd said no: there is nothing
	}
	done := make(chan struct{})
	work := func() {
		defer close(done)
		defer j.forget()
		ctx, stop := limited(m.ctx, undoTimeout)
		defer stop()
		if err := m.undo(ctx, j, r, created); err != nil {
			m.cfg.Logger.Error("cannot remove a scope that failed to start", "unit", r.Name, "error", err)
		}
	}
	if !m.spawn(work) {
		return
	}
	t := time.NewTimer(undoWait)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

// outcomeUnknown tells the errors after which systemd may or may not have made the unit.
func outcomeUnknown(err error) bool {
	var refused *RefusedError
	return !errors.Is(err, ErrExists) && !errors.Is(err, ErrNoSuchUnit) && !errors.As(err, &refused)
}

func (m *Manager) undo(ctx context.Context, j *job, r StartRequest, created bool) error {
	if !created && j.reply != nil { // gave up waiting: the reply still tells
		err := j.accepted(ctx)
		if err != nil && !outcomeUnknown(err) {
			return nil
		}
		created = err == nil
	}
	if !created {
		ours, err := m.holds(ctx, r)
		for interrupted(ctx, err) {
			ours, err = m.holds(ctx, r)
		}
		if err != nil || !ours {
			return err
		}
	}
	return m.Remove(ctx, r.Name)
}

// holds tells whether one of the request's processes is in the unit, which makes it the one we asked for.
func (m *Manager) holds(ctx context.Context, r StartRequest) (bool, error) {
	for _, pid := range r.PIDs {
		var path dbus.ObjectPath
		err := m.call(ctx, request{unit: r.Name, method: "GetUnitByPID", args: []any{uint32(pid)}}, &path)
		if err == nil && path == pathOfUnit(r.Name) {
			return true, nil
		}
		if err != nil && outcomeUnknown(err) {
			return false, err
		}
	}
	return false, nil
}
