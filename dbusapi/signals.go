package dbusapi

import (
	"github.com/berth-project/berth/dbusapi/wire"
	"github.com/berth-project/berth/runtime/lifecycle"
	"github.com/godbus/dbus/v5"
)

// Notify publishes an event. Events must come in the order they happened; the signals go out in that order, the
// changed properties of a container before the signal that tells why they changed. After the bus is lost it does
// nothing.
func (s *Server) Notify(e lifecycle.Event) {
	s.notify.Lock()
	defer s.notify.Unlock()
	id, path := e.Info.ID, containerPath(e.Info.ID)
	if e.Kind == lifecycle.EventDeleted {
		delete(s.published, id)
		s.emit(wire.ManagerInterface, "ContainerDeleted", id, path)
		s.emit(wire.ObjectManagerInterface, "InterfacesRemoved", path, []string{wire.ContainerInterface})
		return
	}
	old, known := s.published[id]
	s.published[id] = e.Info
	if e.Kind == lifecycle.EventCreated {
		s.emit(wire.ObjectManagerInterface, "InterfacesAdded", path, containerInterfaces(e.Info))
	} else if changed := changes(old, e.Info, known); len(changed) > 0 {
		s.emitFrom(string(path), wire.PropertiesInterface, "PropertiesChanged", wire.ContainerInterface, variants(changed), []string{})
	}
	s.announceEvent(e, path)
}

func (s *Server) announceEvent(e lifecycle.Event, path dbus.ObjectPath) {
	switch i := e.Info; e.Kind {
	case lifecycle.EventCreated:
		s.emit(wire.ManagerInterface, "ContainerCreated", i.ID, path)
	case lifecycle.EventStarted:
		s.emit(wire.ManagerInterface, "ContainerStarted", i.ID, path, pid(i.PID))
	case lifecycle.EventExited:
		s.emit(wire.ManagerInterface, "ContainerExited", i.ID, path, int32(i.ExitCode), string(i.ExitReason), uint32(max(i.ExitSignal, 0)))
	case lifecycle.EventOOM:
		s.emit(wire.ManagerInterface, "ContainerOOM", i.ID, path)
	}
}

// changes are the properties that have another value now, or all that can change when nothing was published before.
func changes(old, now lifecycle.Info, known bool) map[string]any {
	before, after := containerValues(old), containerValues(now)
	changed := map[string]any{}
	for _, p := range wire.Container().Properties {
		if p.Emits == wire.EmitsTrue && (!known || before[p.Name] != after[p.Name]) {
			changed[p.Name] = after[p.Name]
		}
	}
	return changed
}

func (s *Server) emit(iface, member string, args ...any) {
	s.emitFrom(wire.ManagerPath, iface, member, args...)
}

func (s *Server) emitFrom(path, iface, member string, args ...any) {
	if err := s.conn.Emit(path, iface, member, args...); err != nil && s.conn.Err() == nil {
		s.cfg.Logger.Error("signal not sent", "signal", iface+"."+member, "path", path, "error", err)
	}
}
