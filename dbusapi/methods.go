package dbusapi

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/berth-project/berth/dbusapi/wire"
	"github.com/berth-project/berth/runtime/lifecycle"
	"github.com/godbus/dbus/v5"
)

// handlers is what each method of the table does.
func handlers() map[string]handler {
	return map[string]handler{
		wire.ManagerInterface + ".Create":   create,
		wire.ManagerInterface + ".Get":      get,
		wire.ManagerInterface + ".GetByPID": getByPID,
		wire.ManagerInterface + ".List":     list,

		wire.ContainerInterface + ".Start":  change(func(ctx context.Context, t container, _ *call) error { return t.Start(ctx) }),
		wire.ContainerInterface + ".Pause":  change(func(ctx context.Context, t container, _ *call) error { return t.Pause(ctx) }),
		wire.ContainerInterface + ".Resume": change(func(ctx context.Context, t container, _ *call) error { return t.Resume(ctx) }),
		wire.ContainerInterface + ".Kill": change(func(ctx context.Context, t container, c *call) error {
			return t.Kill(ctx, arg[string](c, 0), int(arg[int32](c, 1)))
		}),
		wire.ContainerInterface + ".Stop": change(func(ctx context.Context, t container, c *call) error {
			return t.Stop(ctx, timeout(arg[uint64](c, 0)))
		}),
		wire.ContainerInterface + ".Delete": change(func(ctx context.Context, t container, c *call) error {
			return t.Delete(ctx, arg[bool](c, 0))
		}),

		wire.ContainerInterface + ".Wait":      look(wait),
		wire.ContainerInterface + ".State":     look(state),
		wire.ContainerInterface + ".Processes": look(processes),
		wire.ContainerInterface + ".Stats":     look(stats),

		wire.PropertiesInterface + ".Get":                  getProperty,
		wire.PropertiesInterface + ".GetAll":               getAllProperties,
		wire.PropertiesInterface + ".Set":                  setProperty,
		wire.IntrospectableInterface + ".Introspect":       introspect,
		wire.ObjectManagerInterface + ".GetManagedObjects": managedObjects,
		wire.PeerInterface + ".Ping":                       ping,
		wire.PeerInterface + ".GetMachineId":               machineID,
	}
}

// change makes a handler of what changes a container: authorised, and on a container that is still the one the
// caller was authorised for. It is finished even when the caller leaves.
func change(do func(context.Context, container, *call) error) handler {
	return func(ctx context.Context, s *Server, c *call) ([]any, error) {
		target, err := s.manager.Get(c.object.id)
		if err != nil {
			return nil, err
		}
		before := target.Info()
		caller, asked, err := s.authorize(ctx, c, before.ID, before.Bundle)
		if err != nil {
			return nil, err
		}
		if asked {
			if target, err = s.manager.Get(c.object.id); err != nil {
				return nil, err
			}
			if now := target.Info(); now.CreatedUSec != before.CreatedUSec || now.Bundle != before.Bundle {
				return nil, fmt.Errorf("container %q was replaced while authorisation was pending: %w", before.ID, lifecycle.ErrInvalidState)
			}
		}
		return nil, do(lifecycle.WithCaller(s.peers.ctx, caller), target, c)
	}
}

// look makes a handler of what only reads a container. It ends when the caller leaves.
func look(do func(context.Context, container) ([]any, error)) handler {
	return func(ctx context.Context, s *Server, c *call) ([]any, error) {
		target, err := s.manager.Get(c.object.id)
		if err != nil {
			return nil, err
		}
		return do(ctx, target)
	}
}

// timeout is the duration of usec; the largest number is the service's default.
func timeout(usec uint64) time.Duration {
	switch {
	case usec == math.MaxUint64:
		return -1
	case usec > math.MaxInt64/1000:
		return math.MaxInt64
	}
	return time.Duration(usec) * time.Microsecond //nolint:gosec // bounded above
}

func create(ctx context.Context, s *Server, c *call) ([]any, error) {
	id, bundle := arg[string](c, 0), arg[string](c, 1)
	request, err := decodeOptions(c.msg, arg[map[string]dbus.Variant](c, 2))
	if err != nil {
		return nil, fmt.Errorf("create container %q: %w", id, err)
	}
	c.msg.Release() // the request has its own
	request.ID, request.Bundle = id, bundle
	caller, _, err := s.authorize(ctx, c, id, bundle)
	if err != nil {
		closeFiles(request)
		return nil, err
	}
	created, err := s.manager.Create(lifecycle.WithCaller(ctx, caller), request)
	if err != nil {
		return nil, err
	}
	return []any{containerPath(created.Info().ID)}, nil
}

func get(_ context.Context, s *Server, c *call) ([]any, error) {
	found, err := s.manager.Get(arg[string](c, 0))
	if err != nil {
		return nil, err
	}
	return []any{containerPath(found.Info().ID)}, nil
}

func getByPID(ctx context.Context, s *Server, c *call) ([]any, error) {
	found, err := s.manager.GetByPID(ctx, int(arg[uint32](c, 0)))
	if err != nil {
		return nil, err
	}
	return []any{containerPath(found.Info().ID)}, nil
}

type listed struct {
	ID, Status string
	PID        uint32
	Object     dbus.ObjectPath
}

func list(_ context.Context, s *Server, _ *call) ([]any, error) {
	all := []listed{}
	for _, info := range s.manager.List() {
		all = append(all, listed{info.ID, string(info.Status), pid(info.PID), containerPath(info.ID)})
	}
	return []any{all}, nil
}

func wait(ctx context.Context, target container) ([]any, error) {
	info, err := target.Wait(ctx)
	if err != nil {
		return nil, err
	}
	return []any{int32(info.ExitCode), string(info.ExitReason)}, nil
}

func state(_ context.Context, target container) ([]any, error) {
	data, err := json.Marshal(target.State())
	if err != nil {
		return nil, fmt.Errorf("encode state: %w", err)
	}
	return []any{string(data)}, nil
}

type process struct {
	PID     uint32
	Command string
}

func processes(ctx context.Context, target container) ([]any, error) {
	found, err := target.Processes(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]process, len(found))
	for n, p := range found {
		all[n] = process{pid(p.PID), text(p.Command)}
	}
	return []any{all}, nil
}

func stats(ctx context.Context, target container) ([]any, error) {
	numbers, err := target.Stats(ctx)
	if err != nil {
		return nil, err
	}
	values := make(map[string]dbus.Variant, len(numbers))
	for name, number := range numbers {
		values[name] = dbus.MakeVariant(number)
	}
	return []any{values}, nil
}

func pid(n int) uint32 { return uint32(max(n, 0)) } //nolint:gosec // a pid has 22 bits
