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
)

// inbox receives the signals of one connection, in order, on the goroutine that reads the bus.
//
// Any local process may send us a signal that looks like systemd's (a signal with a destination passes no match
// rule, and the default bus policy lets it through), so the sender is checked: the bus fills it in and nobody can
// forge it.
type inbox struct {
	m       *Manager
	owners  *queue[string]         // for the owner: the unique names systemd had, empty for none
	systemd atomic.Pointer[string] // the last of them; nil: not known yet
}

func newInbox(m *Manager) *inbox { return &inbox{m: m, owners: newQueue[string]()} }

// DeliverSignal implements dbus.SignalHandler.
func (b *inbox) DeliverSignal(iface, member string, s *dbus.Signal) {
	if s.Sender == busName {
		if owner, ok := decodeOwner(iface, member, s.Body); ok {
			b.systemd.Store(&owner)
			b.owners.put(owner)
		}
		return
	}
	if owner := b.systemd.Load(); owner == nil || *owner == "" || s.Sender != *owner {
		return
	}
	switch ev := decode(iface, member, s).(type) {
	case jobRemoved:
		b.m.waiters.jobRemoved(ev)
	case unitRemoved:
		if f := b.m.cfg.OnRemoved; f != nil && isOurs(ev.unit) {
			f(ev.unit)
		}
		b.m.waiters.unitRemoved(ev.unit) // last: from now on the name may be another container's
	case requestStop:
		if f := b.m.cfg.OnRequestStop; f != nil {
			f(ev.unit)
		}
	}
}

func decodeOwner(iface, member string, body []any) (owner string, ok bool) {
	var name, before, after string
	if iface != busName || member != "NameOwnerChanged" || dbus.Store(body, &name, &before, &after) != nil {
		return "", false
	}
	return after, name == systemdName
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
