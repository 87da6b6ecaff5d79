package scope

import (
	"strings"
	"sync/atomic"

	"github.com/berth-project/berth/unit"
	"github.com/godbus/dbus/v5"
)

const (
	busName      = "org.freedesktop.DBus"
	systemdName  = "org.freedesktop.systemd1"
	systemdPath  = "/org/freedesktop/systemd1"
	unitPath     = systemdPath + "/unit/"
	managerIface = systemdName + ".Manager"
	scopeIface   = systemdName + ".Scope"
)

// matches are the match rules of a connection. RequestStop needs none: systemd sends it to the controller alone.
func matches() [][]dbus.MatchOption {
	manager := func(member string) []dbus.MatchOption {
		return []dbus.MatchOption{dbus.WithMatchSender(systemdName), dbus.WithMatchObjectPath(systemdPath),
			dbus.WithMatchInterface(managerIface), dbus.WithMatchMember(member)}
	}
	return [][]dbus.MatchOption{
		{dbus.WithMatchSender(busName), dbus.WithMatchInterface(busName), dbus.WithMatchMember("NameOwnerChanged"),
			dbus.WithMatchArg(0, systemdName)},
		manager("JobRemoved"),
		manager("UnitRemoved"),
	}
}

// Events, decoded from signals.
type (
	// jobRemoved: a job ended.
	jobRemoved struct {
		job    dbus.ObjectPath
		unit   string
		result JobResult
	}
	// unitRemoved: systemd unloaded a unit.
	unitRemoved struct{ unit string }
	// requestStop: systemd wants the controller to stop a scope.
	requestStop struct{ unit string }
	// systemdOwner: systemd came to the bus, or left it (empty).
	systemdOwner struct{ owner string }
)

// inbox receives the signals of one connection, in order, on the goroutine that reads the bus.
//
// Any local process may send us a signal that looks like systemd's (a signal with a destination passes no match
// rule, and the default bus policy lets it through), so the sender is checked: the bus fills it in and nobody can
// forge it.
type inbox struct {
	events  *queue[any]
	systemd atomic.Pointer[string] // unique name of systemd; nil: not known yet
}

func newInbox() *inbox { return &inbox{events: newQueue[any]()} }

// DeliverSignal implements dbus.SignalHandler.
func (b *inbox) DeliverSignal(iface, member string, s *dbus.Signal) {
	if s.Sender == busName {
		if ev, ok := decodeOwner(iface, member, s.Body); ok {
			b.systemd.Store(&ev.owner)
			b.events.put(ev)
		}
		return
	}
	if owner := b.systemd.Load(); owner == nil || *owner == "" || s.Sender != *owner {
		return
	}
	if ev := decode(iface, member, s); ev != nil {
		b.events.put(ev)
	}
}

func decodeOwner(iface, member string, body []any) (systemdOwner, bool) {
	var name, before, after string
	if iface != busName || member != "NameOwnerChanged" || dbus.Store(body, &name, &before, &after) != nil {
		return systemdOwner{}, false
	}
	return systemdOwner{after}, name == systemdName
}

// decode returns nil for a signal that is not ours to know.
func decode(iface, member string, s *dbus.Signal) any {
	switch iface + "." + member {
	case managerIface + ".JobRemoved":
		var id uint32
		var ev jobRemoved
		if dbus.Store(s.Body, &id, &ev.job, &ev.unit, (*string)(&ev.result)) == nil {
			return ev
		}
	case managerIface + ".UnitRemoved":
		var ev unitRemoved
		var path dbus.ObjectPath
		if dbus.Store(s.Body, &ev.unit, &path) == nil {
			return ev
		}
	case scopeIface + ".RequestStop":
		if name, ok := unitOfPath(s.Path); ok {
			return requestStop{name}
		}
	}
	return nil
}

// pathOfUnit is the object of a unit.
func pathOfUnit(name string) dbus.ObjectPath {
	return dbus.ObjectPath(unitPath + unit.BusPathEscape(name))
}

func unitOfPath(p dbus.ObjectPath) (string, bool) {
	s, ok := strings.CutPrefix(string(p), unitPath)
	if !ok {
		return "", false
	}
	name, err := unit.BusPathUnescape(s)
	return name, err == nil
}
