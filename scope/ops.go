package scope

import (
	"context"

	"github.com/berth-project/berth/unit"
	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// Info describes one loaded scope.
type Info struct {
	Name        string
	Description string
	LoadState   string // "loaded"
	ActiveState string // "active", "activating", "deactivating", "failed", "inactive"
	SubState    string // "running", "abandoned", "stop-sigterm", "failed" ...
}

// Process is one process of a scope.
type Process struct {
	ControlGroup string // from the root of the hierarchy
	PID          int
	Command      string // as ps shows it
}

// Kill sends sig to the processes of the unit. whom is "all", or what else KillUnit of the unit's type knows.
func (m *Manager) Kill(ctx context.Context, name, whom string, sig unix.Signal) error {
	return wrap("kill", name, m.call(ctx, request{unit: name, method: "KillUnit", args: []any{name, whom, int32(sig)}}))
}

// Freeze suspends every process of the unit; it returns when they are.
func (m *Manager) Freeze(ctx context.Context, name string) error {
	return wrap("freeze", name, m.call(ctx, request{unit: name, method: "FreezeUnit", args: []any{name}}))
}

// Thaw is the inverse of Freeze.
func (m *Manager) Thaw(ctx context.Context, name string) error {
	return wrap("thaw", name, m.call(ctx, request{unit: name, method: "ThawUnit", args: []any{name}}))
}

// ControlGroup is the scope's cgroup, from the root of the hierarchy: "/machine.slice/berth-a.scope". A scope
// that is not running has none: ErrNoSuchUnit.
func (m *Manager) ControlGroup(ctx context.Context, name string) (string, error) {
	var v dbus.Variant
	err := m.call(ctx, request{unit: name, path: pathOfUnit(name), method: "org.freedesktop.DBus.Properties.Get",
		args: []any{scopeIface, "ControlGroup"}}, &v)
	group, _ := v.Value().(string)
	if err == nil && group == "" {
		err = ErrNoSuchUnit
	}
	return group, wrap("find cgroup of", name, err)
}

// List lists the loaded scopes of containers.
func (m *Manager) List(ctx context.Context) ([]Info, error) {
	var list []struct {
		Name, Description, Load, Active, Sub, Following string
		Path                                            dbus.ObjectPath
		JobID                                           uint32
		JobType                                         string
		JobPath                                         dbus.ObjectPath
	}
	err := m.call(ctx, request{unit: unit.ScopePattern, method: "ListUnitsByPatterns",
		args: []any{[]string{}, []string{unit.ScopePattern}}}, &list)
	out := make([]Info, 0, len(list))
	for _, u := range list {
		if isOurs(u.Name) {
			out = append(out, Info{u.Name, u.Description, u.Load, u.Active, u.Sub})
		}
	}
	return out, wrap("list", unit.ScopePattern, err)
}

// Processes lists the processes of the unit, those of its subgroups too.
func (m *Manager) Processes(ctx context.Context, name string) ([]Process, error) {
	var list []struct {
		Group   string
		PID     uint32
		Command string
	}
	err := m.call(ctx, request{unit: name, method: "GetUnitProcesses", args: []any{name}}, &list)
	out := make([]Process, len(list))
	for i, p := range list {
		out[i] = Process{p.Group, int(p.PID), p.Command}
	}
	return out, wrap("list processes of", name, err)
}

// SetProperties changes properties of the unit until it is gone. systemd applies all or, when it refuses one,
// none (*RefusedError).
func (m *Manager) SetProperties(ctx context.Context, name string, props []unit.Property) error {
	wire, err := encode(props)
	if err == nil {
		err = m.call(ctx, request{unit: name, method: "SetUnitProperties", args: []any{name, true, wire}, props: props})
	}
	return wrap("set properties of", name, err)
}
