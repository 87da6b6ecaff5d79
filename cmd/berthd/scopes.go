package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/lifecycle"
	"github.com/berth-project/berth/scope"
)

// ownUnit is what every container's scope comes after, so that at shutdown containers stop before us.
const ownUnit = "berthd.service"

// systemdUnits is where PID 1 leaves for journald what it needs of every unit, the invocation ID as the target of a link among
// it (unit_export_invocation_id in src/core/unit.c). Not an API, so a missing one is no error; asking PID 1 would
// cost a fifth of what a container costs.
const systemdUnits = "/run/systemd/units"

// scopes makes a scope.Manager what lifecycle needs.
type scopes struct {
	*scope.Manager
	units string
}

func (s scopes) Start(ctx context.Context, r lifecycle.ScopeRequest) error {
	defaults := scope.Defaults(scope.DefaultsConfig{
		Description: r.Description, Slice: r.Slice, StopTimeout: r.StopTimeout, After: []string{ownUnit},
	})
	return scopeError(s.Manager.Start(ctx, scope.StartRequest{
		Name: r.Name, PIDs: []int{r.PID}, PIDFD: int(r.PIDFD.Fd()), Properties: append(defaults, r.Properties...),
		Timeout: startTimeout,
	}))
}

// startTimeout is for a systemd that is busy: with hundreds of creates at once the last waits for all others.
const startTimeout = 60 * time.Second

func (s scopes) Kill(ctx context.Context, name string, sig unix.Signal) error {
	return scopeError(s.Manager.Kill(ctx, name, "all", sig))
}

func (s scopes) Freeze(ctx context.Context, name string) error {
	return scopeError(s.Manager.Freeze(ctx, name))
}

func (s scopes) Thaw(ctx context.Context, name string) error {
	return scopeError(s.Manager.Thaw(ctx, name))
}

func (s scopes) Release(ctx context.Context, name string) error {
	return scopeError(s.Manager.Release(ctx, name))
}

func (s scopes) Remove(ctx context.Context, name string) error {
	return scopeError(s.Manager.Remove(ctx, name))
}

func (s scopes) List(ctx context.Context) ([]string, error) {
	infos, err := s.Manager.List(ctx)
	names := make([]string, len(infos))
	for i, info := range infos {
		names[i] = info.Name
	}
	return names, scopeError(err)
}

func (s scopes) Processes(ctx context.Context, name string) ([]lifecycle.Process, error) {
	list, err := s.Manager.Processes(ctx, name)
	out := make([]lifecycle.Process, len(list))
	for i, p := range list {
		out[i] = lifecycle.Process{PID: p.PID, Command: p.Command}
	}
	return out, scopeError(err)
}

func (s scopes) InvocationID(name string) string {
	id, err := os.Readlink(filepath.Join(s.units, "invocation:"+name))
	if err != nil {
		return ""
	}
	return id
}

// scopeError says what an error of package scope is to lifecycle.
func scopeError(err error) error {
	refused, isRefused := errors.AsType[*scope.RefusedError](err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, scope.ErrExists):
		return lifecycle.WithKind(lifecycle.ErrContainerExists, err)
	case errors.Is(err, scope.ErrNoSuchUnit):
		return lifecycle.WithKind(lifecycle.ErrNoSuchScope, err)
	case errors.Is(err, scope.ErrTimeout), errors.Is(err, scope.ErrDisconnected), errors.Is(err, scope.ErrClosed):
		return lifecycle.WithKind(lifecycle.ErrUnavailable, err)
	case isRefused && refused.Property != "":
		return lifecycle.WithKind(lifecycle.ErrInvalidArgs, err)
	}
	return err
}
