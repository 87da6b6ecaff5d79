// Package client talks to berthd over D-Bus: the methods, properties and signals of package wire with Go types.
//
// Every error a call returns is an *Error when berthd or the bus sent one; compare with Is. Calls allow
// interactive authorisation, so a polkit agent may ask the user. berthd is started by the bus when it is not
// running.
package client

import (
	"context"
	"fmt"

	"github.com/berth-project/berth/dbusapi/wire"
	"github.com/godbus/dbus/v5"
)

// SystemBus is the address of the system bus, used when Connect is given none.
const SystemBus = "unix:path=/run/dbus/system_bus_socket"

// Client is a connection to the bus. All methods may be called from any goroutine.
type Client struct {
	conn *dbus.Conn
}

// Connect connects to the bus at address; empty means SystemBus. It does not start berthd, the first call does.
func Connect(ctx context.Context, address string) (*Client, error) {
	if address == "" {
		address = SystemBus
	}
	// Events must arrive in order, which only the sequential handler promises.
	conn, err := dbus.Dial(address, dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()), dbus.WithOutgoingInterceptor(interactive))
	if err != nil {
		return nil, fmt.Errorf("connect to bus %q: %w", address, err)
	}
	// Auth and Hello take no context; closing the connection ends them.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	if err = conn.Auth(nil); err == nil {
		err = conn.Hello()
	}
	if !stop() {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("connect to bus %q: %w", address, err)
	}
	return &Client{conn: conn}, nil
}

// Close ends the connection; calls under way fail, event channels are closed.
func (c *Client) Close() error { return c.conn.Close() }

// interactive lets a polkit agent ask the user. The methods of dbus.Object drop this flag (object.go, createCall).
func interactive(m *dbus.Message) {
	if m.Type == dbus.TypeMethodCall {
		m.Flags |= dbus.FlagAllowInteractiveAuthorization
	}
}

// call calls iface.method on path and stores the reply in out.
func (c *Client) call(ctx context.Context, path dbus.ObjectPath, method string, args []any, out ...any) error {
	call := c.conn.Object(wire.BusName, path).CallWithContext(ctx, method, 0, args...)
	if call.Err != nil {
		return wireError(call.Err)
	}
	if len(out) == 0 {
		return nil
	}
	if err := call.Store(out...); err != nil {
		return fmt.Errorf("decode reply of %s: %w", method, err)
	}
	return nil
}

// readAttempts bounds how many deaths of berthd in a row a read survives.
const readAttempts = 5

// noReply is what the bus answers for a service that has left.
const noReply = "org.freedesktop.DBus.Error.NoReply"

// read is call for methods that change nothing: when berthd left the bus before it answered, it asks again, and
// the bus starts berthd anew.
func (c *Client) read(ctx context.Context, path dbus.ObjectPath, method string, args []any, out ...any) error {
	var err error
	for range readAttempts {
		err = c.call(ctx, path, method, args, out...)
		if !Is(err, noReply) {
			break
		}
	}
	return err
}
