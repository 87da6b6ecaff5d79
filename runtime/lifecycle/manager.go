package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// Config configures a Manager.
type Config struct {
	StateDir      string        // the containers' directory, for example /run/berth/containers
	Logger        *slog.Logger  // nil discards
	OnEvent       func(Event)   // ordered, one at a time; must not block long nor call the Manager's blocking methods
	MaxContainers int           // 0 means 4096
	Slice         string        // "" means machine.slice
	StopTimeout   time.Duration // 0 means 10 s
}

// Manager holds the containers. All methods may be called from any goroutine.
type Manager struct{}

// New recovers: when it returns, state directory, keeper and scopes agree.
func New(ctx context.Context, cfg Config) (*Manager, error) { return nil, errors.ErrUnsupported }

// Close stops watching and waits for the manager's goroutines. Containers are not touched.
func (m *Manager) Close() {}

// Get finds a container. Errors: ErrNoSuchContainer.
func (m *Manager) Get(id string) (*Container, error) { return nil, errors.ErrUnsupported }

// List is every container, sorted by id, those being created included.
func (m *Manager) List() []Info { return nil }

// GetByPID finds the container that the process pid is in, by its control group. Errors: ErrNoSuchContainer,
// ErrInvalidArgs.
func (m *Manager) GetByPID(ctx context.Context, pid int) (*Container, error) {
	return nil, errors.ErrUnsupported
}
