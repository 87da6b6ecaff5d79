package scope

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/godbus/dbus/v5"
)

// systemBus is the address of the system bus, unless the environment has another (D-Bus specification,
// "Well-known Message Bus Instances").
const systemBus = "unix:path=/run/dbus/system_bus_socket"

// transport is a connection to the bus that cannot carry file descriptors, so that dbus-daemon will not send us
// any. godbus 5.2.4 panics on its own goroutine when a message has an array or a dictionary of them, and never
// closes those it has no use for; and any local process may send us a signal. The buffer saves it a read(2) per
// field.
type transport struct {
	net.Conn
	buf *bufio.Reader
}

// Read implements io.Reader.
func (t transport) Read(p []byte) (int, error) { return t.buf.Read(p) }

// connect connects to the first usable part of the address and authenticates.
func connect(ctx context.Context, address string, opts ...dbus.ConnOption) (*dbus.Conn, error) {
	if address == "" {
		address = os.Getenv("DBUS_SYSTEM_BUS_ADDRESS")
	}
	if address == "" {
		address = systemBus
	}
	socket, err := socketOf(address)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	conn, err := dbus.NewConn(transport{c, bufio.NewReader(c)}, opts...)
	if err != nil {
		c.Close()
		return nil, err
	}
	if err := conn.Auth(nil); err != nil {
		conn.Close()
		return nil, fmt.Errorf("authenticate: %w", err)
	}
	if err := conn.Hello(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("say hello: %w", err)
	}
	return conn, nil
}

// socketOf finds the socket in a D-Bus address, in the form of package net.
func socketOf(address string) (string, error) {
	for part := range strings.SplitSeq(address, ";") {
		keys, ok := strings.CutPrefix(part, "unix:")
		if !ok {
			continue
		}
		for kv := range strings.SplitSeq(keys, ",") {
			key, value, _ := strings.Cut(kv, "=")
			value, err := dbus.UnescapeBusAddressValue(value)
			switch {
			case err != nil:
				return "", fmt.Errorf("bus address %q: %w", address, err)
			case key == "path":
				return value, nil
			case key == "abstract":
				return "@" + value, nil
			}
		}
	}
	return "", fmt.Errorf("bus address %q: no socket in it, give unix:path=PATH", address)
}
