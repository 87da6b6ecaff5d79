package scope

import (
	"context"
	"fmt"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// job is a request that systemd answers with a job.
type job struct {
	m     *Manager
	req   request
	link  *link
	reply chan *dbus.Call // nil once the reply was taken
	end   *jobWaiter
}

// begin registers for the end of the job and sends the request that build makes for the link. On success the
// caller must call forget.
func (m *Manager) begin(ctx context.Context, name string, build func(*link) (request, error)) (*job, error) {
	l, err := m.ready(ctx)
	if err != nil {
		return nil, err
	}
	req, err := build(l)
	if err != nil {
		return nil, err
	}
	j := &job{m: m, req: req, link: l, end: m.waiters.watchJob(name)}
	j.reply = l.send(req)
	return j, nil
}

// forget ends the interest in the job.
func (j *job) forget() { j.m.waiters.forgetJob(j.end) }

// accepted waits for the reply to the request: the job exists.
func (j *job) accepted(ctx context.Context) error {
	select {
	case c := <-j.reply:
		j.reply = nil
		return j.take(c)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (j *job) take(c *dbus.Call) error {
	var path dbus.ObjectPath
	err := c.Err
	if err == nil {
		if err = dbus.Store(c.Body, &path); err == nil {
			j.m.waiters.expect(j.end, path)
			return nil
		}
	}
	return j.m.callError(j.req, err)
}

// ended waits for the end of the job.
func (j *job) ended(ctx context.Context) error {
	select {
	case result := <-j.end.done:
		return j.result(result)
	case <-j.link.lost:
		return j.lost()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (j *job) result(r JobResult) error {
	if r == JobDone {
		return nil
	}
	return &JobError{Unit: j.req.unit, Result: r}
}

// lost is the end of a job whose link is lost: it may have been told just before.
func (j *job) lost() error {
	select {
	case result := <-j.end.done:
		return j.result(result)
	default:
	}
	if j.m.ctx.Err() != nil {
		return ErrClosed
	}
	return ErrDisconnected
}

// Stop stops the unit and waits for the job, so at most about the unit's TimeoutStopUSec. A scope that has a
// controller is stopped by asking that, see Config.OnRequestStop.
func (m *Manager) Stop(ctx context.Context, name string) error {
	return wrap("stop", name, m.stop(ctx, name, false))
}

// stop with killed is for a scope whose processes are not to end by themselves. It is abandoned first: systemd would
// ask the controller and wait TimeoutStopUSec for it, also for one that died before it knew it (scope_start in
// src/core/scope.c, bus_scope_send_request_stop in src/core/dbus-scope.c). And when nothing can join the scope any
// more it is killed once more: a start job that was only queued before may have brought in a process, which, being
// process 1 of its namespace, ignores the SIGTERM of the stop (pid_namespaces(7)).
func (m *Manager) stop(ctx context.Context, name string, killed bool) error {
	j, err := m.begin(ctx, name, func(l *link) (request, error) {
		if killed {
			l.send(abandon(name)) // of no interest: it may not run, not be loaded, not be a scope
		}
		return request{unit: name, method: "StopUnit", args: []any{name, "replace"}}, nil
	})
	if err != nil {
		return err
	}
	defer j.forget()
	if err := j.accepted(ctx); err != nil {
		return err
	}
	if killed {
		_ = m.Kill(ctx, name, "all", unix.SIGKILL) // mostly there is nothing; what matters is how the job ends
	}
	return j.ended(ctx)
}

// abandon is a call to the manager: the unit's own object would load the unit if it is gone.
func abandon(name string) request {
	return request{unit: name, method: "AbandonScope", args: []any{name}}
}

// wrap says what failed; nil stays nil.
func wrap(verb, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s unit %q: %w", verb, name, err)
}
