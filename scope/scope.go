// Package scope manages the transient scopes of containers over the system bus.
package scope

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/berth-project/berth/unit"
	"golang.org/x/sys/unix"
)

// Config configures a Manager. The zero value is a manager on the system bus that controls nothing.
type Config struct {
	// Address is the D-Bus address; empty means the system bus.
	Address string
	// Controller is a bus name; empty means none. It becomes the Controller property of every scope started.
	Controller string
	// Logger gets what no caller can be told; nil discards.
	Logger *slog.Logger
	// OnRequestStop is called when systemd asks the controller to stop a scope. Called from one goroutine, in
	// order; it must not block.
	OnRequestStop func(scope string)
	// OnRemoved is called when systemd has unloaded a berth scope. Same rules.
	OnRemoved func(scope string)
}

// StartRequest is what Start needs.
type StartRequest struct {
	Name       string          // full unit name
	PIDs       []int           // the processes to put into the scope
	PIDFD      int             // pidfd of the leader, -1 for none; used instead of PIDs where systemd knows PIDFDs (254)
	Properties []unit.Property // besides PIDs, PIDFDs and Controller
	Timeout    time.Duration   // for the whole start; 0 means DefaultTimeout
}

// Info describes one loaded scope.
type Info struct {
	Name        string
	Description string
	LoadState   string
	ActiveState string // "active", "deactivating", "failed" ...
	SubState    string // "running", "abandoned", "stop-sigterm", "failed" ...
}

// Process is one process of a scope.
type Process struct {
	ControlGroup string // relative to the cgroup root
	PID          int
	Command      string
}

// Manager starts, stops and watches scopes. All methods may be called from any goroutine.
type Manager struct{}

// New connects and subscribes.
func New(ctx context.Context, cfg Config) (*Manager, error) { return nil, errors.ErrUnsupported }

// Close ends the manager; calls under way fail with ErrDisconnected.
func (m *Manager) Close() error { return nil }

// Version is systemd's version, for example 252.
func (m *Manager) Version() int { return 0 }

// Start starts a scope and returns when its job is done. On any failure nothing it created is left.
func (m *Manager) Start(ctx context.Context, r StartRequest) error { return nil }

// Stop stops the unit and waits for the job.
func (m *Manager) Stop(ctx context.Context, name string) error { return nil }

// Kill sends sig to the processes of the unit; whom is "all", "main" or "control" as in KillUnit.
func (m *Manager) Kill(ctx context.Context, name, whom string, sig unix.Signal) error { return nil }

// Freeze suspends every process of the unit.
func (m *Manager) Freeze(ctx context.Context, name string) error { return nil }

// Thaw is the inverse of Freeze.
func (m *Manager) Thaw(ctx context.Context, name string) error { return nil }

// ControlGroup is the unit's cgroup, relative to the cgroup root.
func (m *Manager) ControlGroup(ctx context.Context, name string) (string, error) { return "", nil }

// WaitRemoved returns when systemd has unloaded the unit, at once if it is not loaded; then its name is free.
func (m *Manager) WaitRemoved(ctx context.Context, name string) error { return nil }

// Remove kills, stops and unloads the unit and waits until it is gone; no error if there is none.
func (m *Manager) Remove(ctx context.Context, name string) error { return nil }

// List lists the loaded scopes of containers.
func (m *Manager) List(ctx context.Context) ([]Info, error) { return nil, nil }

// Processes lists the processes of the unit, those of its subgroups included.
func (m *Manager) Processes(ctx context.Context, name string) ([]Process, error) { return nil, nil }

// SetProperties changes properties of the running unit (not persistently).
func (m *Manager) SetProperties(ctx context.Context, name string, props []unit.Property) error {
	return nil
}
