package scope

import (
	"context"
	"errors"
	"fmt"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// Remove kills every process of the unit, stops and unloads it, and waits until it is gone. Without such a unit
// it does nothing. When the bus is lost in the middle it begins again.
func (m *Manager) Remove(ctx context.Context, name string) error {
	for {
		if err := m.remove(ctx, name); !interrupted(ctx, err) {
			return wrap("remove", name, err)
		}
	}
}

// interrupted tells that the bus was lost in the middle of something that may be done again.
func interrupted(ctx context.Context, err error) bool {
	return errors.Is(err, ErrDisconnected) && !errors.Is(err, ErrTimeout) && ctx.Err() == nil
}

func (m *Manager) remove(ctx context.Context, name string) error {
	err := m.Kill(ctx, name, "all", unix.SIGKILL)
	if errors.Is(err, ErrNoSuchUnit) {
		return nil
	}
	if failed(err) {
		return err
	}
	for _, f := range []func(context.Context, string) error{m.stopKilled, m.resetFailed, m.WaitRemoved} {
		if err := f(ctx, name); failed(err) {
			return err
		}
	}
	return nil
}

func (m *Manager) stopKilled(ctx context.Context, name string) error {
	return wrap("stop", name, m.stop(ctx, name, true))
}

// failed tells the errors that end a removal. Not among them: that the unit is gone already, that it has no
// process to kill, that another stop job took the place of ours.
func failed(err error) bool {
	var refused *RefusedError
	var job *JobError
	return err != nil && !errors.Is(err, ErrNoSuchUnit) && !errors.As(err, &refused) && !errors.As(err, &job)
}

func (m *Manager) resetFailed(ctx context.Context, name string) error {
	return m.call(ctx, request{unit: name, method: "ResetFailedUnit", args: []any{name}})
}

// Release unloads a scope whose processes have all ended, and returns when its name is free. systemd would do it
// unasked, but hears of an empty cgroup late when that became populated just before: the kernel tells at most every
// 10 ms (cgroup_file_notify in kernel/cgroup/cgroup.c). The scope is abandoned first, since systemd asks the
// controller of a scope to stop it and then waits for the same news. A unit that is not loaded is no error.
func (m *Manager) Release(ctx context.Context, name string) error {
	l, err := m.ready(ctx)
	if err != nil {
		return wrap("release", name, err)
	}
	r := m.waiters.watchRemoval(name)
	defer m.waiters.forgetRemoval(r)
	l.send(abandon(name)) // why it is refused does not matter
	stopped := l.send(request{unit: name, method: "StopUnit", args: []any{name, "replace"}})
	select {
	case call := <-stopped:
		if err = call.Err; err != nil {
			err = m.callError(request{unit: name}, err)
		}
	case <-ctx.Done(): // a systemd that does not answer is not waited for for ever
		err = context.Cause(ctx)
	}
	switch {
	case errors.Is(err, ErrNoSuchUnit):
		return nil
	case err != nil:
		return wrap("release", name, err)
	}
	select {
	case <-r.gone:
		return nil
	case <-l.lost:
		return wrap("release", name, ErrDisconnected)
	case <-ctx.Done():
		return wrap("release", name, context.Cause(ctx))
	}
}

// WaitRemoved returns when systemd has unloaded the unit, at once if it is not loaded; then its name is free. A
// unit that others depend on stays loaded, so give a context with an end.
func (m *Manager) WaitRemoved(ctx context.Context, name string) error {
	for {
		gone, err := m.waitRemoved(ctx, name)
		if gone || err != nil {
			return wrap("wait for removal of", name, err)
		}
	}
}

// waitRemoved waits on one link; without a result when that is lost.
func (m *Manager) waitRemoved(ctx context.Context, name string) (gone bool, err error) {
	l, err := m.ready(ctx)
	if err != nil {
		return false, err
	}
	r := m.waiters.watchRemoval(name)
	defer m.waiters.forgetRemoval(r)
	var path dbus.ObjectPath
	err = m.call(ctx, request{unit: name, method: "GetUnit", args: []any{name}}, &path)
	switch {
	case errors.Is(err, ErrNoSuchUnit):
		return true, nil
	case errors.Is(err, ErrDisconnected) && ctx.Err() == nil:
		return false, nil
	case err != nil:
		return false, err
	}
	select {
	case <-r.gone:
		return true, nil
	case <-l.lost:
		return false, nil
	case <-ctx.Done():
		return false, fmt.Errorf("still loaded: %w", context.Cause(ctx))
	}
}
