package client

import (
	"context"
	"fmt"

	"github.com/berth-project/berth/dbusapi/wire"
	"github.com/godbus/dbus/v5"
)

// EventKind is what happened.
type EventKind string

// The kinds: one per signal of org.berth1.Manager, and Changed for PropertiesChanged of a container.
const (
	Created EventKind = "created"
	Started EventKind = "started"
	Exited  EventKind = "exited"
	OOM     EventKind = "oom"
	Deleted EventKind = "deleted"
	Changed EventKind = "changed"
)

// Event is one signal. PID belongs to Started; ExitCode, Reason and Signal to Exited; Changes to Changed.
type Event struct {
	Kind     EventKind
	ID       string // empty for a Changed of a container not known yet
	Object   string
	PID      uint32
	ExitCode int
	Reason   string
	Signal   uint32
	Changes  map[string]any
}

// matches select what Events wants, and nothing a stranger sends: the bus compares the sender with the owner
// of the name, also when berthd restarts.
func matches() []string {
	sender := "type='signal',sender='" + wire.BusName + "',"
	return []string{
		sender + "path='" + wire.ManagerPath + "',interface='" + wire.ManagerInterface + "'",
		sender + "path_namespace='" + wire.ContainersPath + "',interface='" + wire.PropertiesInterface +
			"',member='PropertiesChanged',arg0='" + wire.ContainerInterface + "'",
	}
}

// Events delivers what happens to all containers, in order, until ctx is done or the connection is lost; then
// the channel is closed. What happens after Events has returned is not missed. The channel must be read.
func (c *Client) Events(ctx context.Context) (<-chan Event, error) {
	signals := make(chan *dbus.Signal, 64)
	c.conn.Signal(signals)
	release := func() { c.conn.RemoveSignal(signals) }
	for _, rule := range matches() {
		if err := c.bus(ctx, "AddMatch", rule); err != nil {
			release()
			return nil, fmt.Errorf("subscribe to events: %w", err)
		}
	}
	listed, err := c.List(ctx)
	if err != nil {
		release()
		return nil, fmt.Errorf("subscribe to events: %w", err)
	}
	ids := make(map[dbus.ObjectPath]string, len(listed))
	for _, l := range listed {
		ids[dbus.ObjectPath(l.Object)] = l.ID
	}
	events := make(chan Event)
	go func() {
		defer close(events)
		defer c.unsubscribe(release)
		forward(ctx, signals, events, ids)
	}()
	return events, nil
}

func (c *Client) unsubscribe(release func()) {
	release()
	for _, rule := range matches() {
		// The bus forgets the rules of a closed connection by itself.
		_ = c.conn.BusObject().Go("org.freedesktop.DBus.RemoveMatch", dbus.FlagNoReplyExpected, nil, rule)
	}
}

func (c *Client) bus(ctx context.Context, method string, args ...any) error {
	return wireError(c.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus."+method, 0, args...).Err)
}

func forward(ctx context.Context, signals <-chan *dbus.Signal, events chan<- Event, ids map[dbus.ObjectPath]string) {
	for {
		select {
		case <-ctx.Done():
			return
		case signal, ok := <-signals:
			if !ok {
				return
			}
			event, ok := decodeEvent(signal, ids)
			if !ok {
				continue
			}
			select {
			case events <- event:
			case <-ctx.Done():
				return
			}
		}
	}
}

// decodeEvent also keeps ids up to date. ok is false for every signal that is none of ours.
func decodeEvent(signal *dbus.Signal, ids map[dbus.ObjectPath]string) (event Event, ok bool) {
	var (
		object dbus.ObjectPath
		code   int32
		into   = []any{&event.ID, &object}
	)
	switch signal.Name {
	case wire.ManagerInterface + ".ContainerCreated":
		event.Kind = Created
	case wire.ManagerInterface + ".ContainerStarted":
		event.Kind, into = Started, append(into, &event.PID)
	case wire.ManagerInterface + ".ContainerExited":
		event.Kind, into = Exited, append(into, &code, &event.Reason, &event.Signal)
	case wire.ManagerInterface + ".ContainerOOM":
		event.Kind = OOM
	case wire.ManagerInterface + ".ContainerDeleted":
		event.Kind = Deleted
	case wire.PropertiesInterface + ".PropertiesChanged":
		return decodeChange(signal, ids)
	default:
		return event, false
	}
	if dbus.Store(signal.Body, into...) != nil {
		return event, false
	}
	event.Object, event.ExitCode = string(object), int(code)
	ids[object] = event.ID
	if event.Kind == Deleted {
		delete(ids, object)
	}
	return event, true
}

func decodeChange(signal *dbus.Signal, ids map[dbus.ObjectPath]string) (Event, bool) {
	var (
		iface       string
		changed     map[string]dbus.Variant
		invalidated []string
	)
	if dbus.Store(signal.Body, &iface, &changed, &invalidated) != nil || iface != wire.ContainerInterface {
		return Event{}, false
	}
	event := Event{Kind: Changed, ID: ids[signal.Path], Object: string(signal.Path), Changes: make(map[string]any, len(changed))}
	for name, value := range changed {
		event.Changes[name] = value.Value()
	}
	return event, true
}
