package scope

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"
)

// linkTimeout bounds one attempt to connect and subscribe.
const linkTimeout = 20 * time.Second

// bus is one connection to the bus, with the match rules in place.
type bus struct {
	conn  *dbus.Conn
	inbox *inbox
}

// link is a bus with a systemd that sends us signals. It is used until lost is closed.
type link struct {
	bus
	systemd dbus.BusObject
	version int
	lost    chan struct{}
}

// dial connects and adds the match rules. The connection lives until it is closed, whatever becomes of ctx.
func (m *Manager) dial(ctx context.Context) (bus, error) {
	connCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel) // godbus has no other way to interrupt the authentication
	in := newInbox(m)
	opts := []dbus.ConnOption{dbus.WithContext(connCtx), dbus.WithSignalHandler(in)}
	conn, err := connect(ctx, m.cfg.Address, opts...)
	if err != nil {
		cancel()
		return bus{}, fmt.Errorf("connect to bus %q: %w", m.cfg.Address, err)
	}
	b := bus{conn, in}
	if err := b.subscribe(ctx); err != nil || !stop() {
		conn.Close()
		return bus{}, errors.Join(err, context.Cause(ctx))
	}
	return b, nil
}

func (b bus) subscribe(ctx context.Context) error {
	for _, m := range matches() {
		if err := b.conn.AddMatchSignalContext(ctx, m...); err != nil {
			return fmt.Errorf("add match rule: %w", err)
		}
	}
	var owner string
	err := b.conn.BusObject().CallWithContext(ctx, busName+".GetNameOwner", 0, systemdName).Store(&owner)
	if err != nil && errorName(err) != busNameHasNoOwner {
		return fmt.Errorf("find systemd on the bus: %w", err)
	}
	b.inbox.systemd.CompareAndSwap(nil, &owner) // not over a NameOwnerChanged, which is newer
	return nil
}

// open makes a link. An error that is undelivered means that systemd is not on the bus.
func (b bus) open(ctx context.Context) (*link, error) {
	l := &link{bus: b, systemd: b.conn.Object(systemdName, systemdPath), lost: make(chan struct{})}
	call := l.systemd.CallWithContext(ctx, managerIface+".Subscribe", dbus.FlagNoAutoStart)
	if call.Err != nil && errorName(call.Err) != systemdName+".AlreadySubscribed" {
		return nil, fmt.Errorf("subscribe to systemd: %w", call.Err)
	}
	var version string
	err := l.systemd.CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", dbus.FlagNoAutoStart,
		managerIface, "Version").Store(&version)
	if err != nil {
		return nil, fmt.Errorf("read systemd's version: %w", err)
	}
	if l.version = parseVersion(version); l.version == 0 {
		return nil, fmt.Errorf("read systemd's version: %q has no number", version)
	}
	return l, nil
}

// parseVersion takes the first number of "252.38-1~deb12u1" or "v257".
func parseVersion(s string) int {
	n := 0
	for _, c := range s {
		switch {
		case c >= '0' && c <= '9' && n < 1e6:
			n = n*10 + int(c-'0')
		case n > 0:
			return n
		}
	}
	return n
}
