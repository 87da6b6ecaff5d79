package scope

import (
	"context"
	"fmt"
	"time"

	"github.com/berth-project/berth/unit"
	"github.com/godbus/dbus/v5"
)

// callTimeout bounds a call that has no limit of its own; it is the default of sd-bus.
const callTimeout = 25 * time.Second

// request is one method call to systemd.
type request struct {
	unit   string          // what it is about, for errors
	path   dbus.ObjectPath // empty means the manager object
	method string          // with its interface if the object is not the manager
	args   []any
	props  []unit.Property // those among args, for errors
}

// send sends the request over a link. The reply comes to the channel, at the latest when the connection is lost.
func (l *link) send(r request) chan *dbus.Call {
	path, method := r.path, r.method
	if path == "" {
		path, method = systemdPath, managerIface+"."+method
	}
	ch := make(chan *dbus.Call, 1)
	l.conn.Object(systemdName, path).Go(method, dbus.FlagNoAutoStart, ch, r.args...)
	return ch
}

// call sends a request, waits for the reply and stores it.
func (m *Manager) call(ctx context.Context, r request, reply ...any) error {
	ctx, stop := limited(ctx, callTimeout)
	defer stop()
	for {
		l, err := m.ready(ctx)
		if err != nil {
			return err
		}
		select {
		case c := <-l.send(r):
			switch {
			case c.Err == nil:
				return dbus.Store(c.Body, reply...)
			case !undelivered(c.Err):
				return m.callError(r, c.Err)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := l.waitLost(ctx); err != nil {
			return err
		}
	}
}

// callError turns the error of a call into one of the package's.
func (m *Manager) callError(r request, err error) error {
	if m.ctx.Err() != nil && errorName(err) == "" {
		return ErrClosed
	}
	return callError(r.unit, r.props, err)
}

// waitLost waits for the news that the link is of no use, after a call that found nobody to answer it.
func (l *link) waitLost(ctx context.Context) error {
	select {
	case <-l.lost:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrDisconnected, context.Cause(ctx))
	}
}
