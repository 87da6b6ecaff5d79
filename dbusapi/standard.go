package dbusapi

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/berth-project/berth/dbusapi/wire"
	"github.com/berth-project/berth/runtime/lifecycle"
	"github.com/godbus/dbus/v5"
)

// containerValues are the properties of a container, by the names of the table.
func containerValues(i lifecycle.Info) map[string]any {
	annotations := make(map[string]string, len(i.Annotations))
	for name, value := range i.Annotations {
		annotations[text(name)] = text(value)
	}
	return map[string]any{
		"Id": i.ID, "Bundle": i.Bundle, "Status": string(i.Status), "Pid": pid(i.PID),
		"ExitCode": int32(i.ExitCode), "ExitSignal": uint32(max(i.ExitSignal, 0)), "ExitReason": string(i.ExitReason),
		"CreatedTimestamp": i.CreatedUSec, "StartedTimestamp": i.StartedUSec, "FinishedTimestamp": i.FinishedUSec,
		"Scope": i.Scope, "ControlGroup": i.ControlGroup, "InvocationId": i.InvocationID,
		"Annotations": annotations, "Terminal": i.Terminal, "Log": i.Log,
	}
}

func (s *Server) managerValues() map[string]any {
	return map[string]any{
		"Version": s.cfg.Version, "OCIVersions": append([]string{}, s.cfg.OCIVersions...), "Features": append([]string{}, s.cfg.Features...),
	}
}

func variants(values map[string]any) map[string]dbus.Variant {
	out := make(map[string]dbus.Variant, len(values))
	for name, value := range values {
		out[name] = dbus.MakeVariant(value)
	}
	return out
}

// values reads the properties of one interface of the call's object. An empty interface means the object's own.
func (s *Server) values(c *call, iface string) (map[string]any, error) {
	interfaces := s.objects[c.object.kind]
	if iface != "" && iface != interfaces[0].Name {
		for n := range interfaces {
			if interfaces[n].Name == iface {
				return nil, nil // the standard ones have no properties
			}
		}
		return nil, refusal(wire.ErrorUnknownInterface, "object %q has no interface %q", c.object.path, iface)
	}
	if c.object.kind == kindManager {
		return s.managerValues(), nil
	}
	target, err := s.manager.Get(c.object.id)
	if err != nil {
		return nil, err
	}
	return containerValues(target.Info()), nil
}

func getProperty(_ context.Context, s *Server, c *call) ([]any, error) {
	iface, name := arg[string](c, 0), arg[string](c, 1)
	values, err := s.values(c, iface)
	if err != nil {
		return nil, err
	}
	value, ok := values[name]
	if !ok {
		return nil, unknownProperty(c, iface, name)
	}
	return []any{dbus.MakeVariant(value)}, nil
}

func getAllProperties(_ context.Context, s *Server, c *call) ([]any, error) {
	values, err := s.values(c, arg[string](c, 0))
	if err != nil {
		return nil, err
	}
	return []any{variants(values)}, nil
}

func setProperty(_ context.Context, s *Server, c *call) ([]any, error) {
	iface, name := arg[string](c, 0), arg[string](c, 1)
	values, err := s.values(c, iface)
	if err != nil {
		return nil, err
	}
	if _, ok := values[name]; !ok {
		return nil, unknownProperty(c, iface, name)
	}
	return nil, refusal(wire.ErrorPropertyReadOnly, "property %q is read-only", name)
}

func unknownProperty(c *call, iface, name string) error {
	return refusal(wire.ErrorUnknownProperty, "object %q has no property %q in interface %q", c.object.path, name, iface)
}

func introspect(_ context.Context, s *Server, c *call) ([]any, error) {
	if c.object.kind == kindContainer {
		if _, err := s.manager.Get(c.object.id); err != nil {
			return nil, err
		}
	}
	return []any{wire.XML(s.objects[c.object.kind], s.children(c.object))}, nil
}

type interfaces map[string]map[string]dbus.Variant

func containerInterfaces(i lifecycle.Info) interfaces {
	return interfaces{wire.ContainerInterface: variants(containerValues(i))}
}

func managedObjects(_ context.Context, s *Server, _ *call) ([]any, error) {
	all := map[dbus.ObjectPath]interfaces{}
	for _, info := range s.manager.List() {
		all[containerPath(info.ID)] = containerInterfaces(info)
	}
	return []any{all}, nil
}

func ping(context.Context, *Server, *call) ([]any, error) { return nil, nil }

// machineID reads the machine id; see machine-id(5).
func machineID(context.Context, *Server, *call) ([]any, error) {
	id, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		return nil, fmt.Errorf("read machine id: %w", err)
	}
	return []any{text(strings.TrimSpace(string(id)))}, nil
}
