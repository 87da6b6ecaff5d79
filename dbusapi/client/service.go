package client

import (
	"context"
	"fmt"

	"github.com/berth-project/berth/dbusapi/wire"
	"github.com/godbus/dbus/v5"
)

const (
	busInterface = "org.freedesktop.DBus"
	ownerChanged = "type='signal',sender='" + busInterface + "',interface='" + busInterface +
		"',member='NameOwnerChanged',arg0='" + wire.BusName + "'"
)

// awaitService returns when berthd is on the bus. It does not make the bus start it: systemd restarts one that
// died, and the start would cancel the job of an administrator who stops it.
func (c *Client) awaitService(ctx context.Context) error {
	signals := make(chan *dbus.Signal, 16)
	c.conn.Signal(signals)
	defer c.conn.RemoveSignal(signals)
	if err := c.bus(ctx, "AddMatch", ownerChanged); err != nil {
		return fmt.Errorf("watch for berthd: %w", err)
	}
	defer c.conn.BusObject().Go(busInterface+".RemoveMatch", dbus.FlagNoReplyExpected, nil, ownerChanged)
	for {
		var owned bool
		err := c.conn.BusObject().CallWithContext(ctx, busInterface+".NameHasOwner", 0, wire.BusName).Store(&owned)
		if err != nil {
			return fmt.Errorf("watch for berthd: %w", wireError(err))
		}
		if owned {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case _, ok := <-signals:
			if !ok {
				return fmt.Errorf("watch for berthd: %w", dbus.ErrClosed)
			}
		}
	}
}
