package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/journal"
	"github.com/berth-project/berth/runtime/keeper"
	"github.com/berth-project/berth/runtime/kernel"
	"github.com/berth-project/berth/unit"
)

// Defaults of Config.
const (
	DefaultMaxContainers = 4096
	DefaultMaxCreates    = 256
	DefaultSlice         = "machine.slice"
	DefaultStopTimeout   = 10 * time.Second
	DefaultControlGroups = "/sys/fs/cgroup"
	DefaultProc          = "/proc"
)

// Config configures a Manager.
type Config struct {
	StateDir string // the containers' directory, for example /run/berth/containers

	DialKeeper KeeperDialer
	Scopes     Scopes
	Logs       Logs
	Facts      kernel.Facts

	Logger  *slog.Logger // nil discards
	OnEvent func(Event)  // ordered, one at a time; must not block long nor call the Manager's blocking methods; may be nil

	MaxContainers int           // 0 means DefaultMaxContainers
	MaxCreates    int           // at the same time; 0 means DefaultMaxCreates
	Slice         string        // "" means DefaultSlice
	StopTimeout   time.Duration // 0 means DefaultStopTimeout
	ControlGroups string        // where the cgroup2 tree is mounted; "" means DefaultControlGroups
	Proc          string        // where procfs is mounted; "" means DefaultProc

	stuckTimeout time.Duration // for tests
}

func (cfg Config) withDefaults() Config {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.OnEvent == nil {
		cfg.OnEvent = func(Event) {}
	}
	if cfg.MaxContainers == 0 {
		cfg.MaxContainers = DefaultMaxContainers
	}
	if cfg.MaxCreates == 0 {
		cfg.MaxCreates = DefaultMaxCreates
	}
	if cfg.Slice == "" {
		cfg.Slice = DefaultSlice
	}
	if cfg.StopTimeout == 0 {
		cfg.StopTimeout = DefaultStopTimeout
	}
	if cfg.ControlGroups == "" {
		cfg.ControlGroups = DefaultControlGroups
	}
	if cfg.Proc == "" {
		cfg.Proc = DefaultProc
	}
	if cfg.stuckTimeout == 0 {
		cfg.stuckTimeout = stuckTimeout
	}
	return cfg
}

// Keeper is one connection to the keeper; *keeper.Client is one.
type Keeper interface {
	Launch(ctx context.Context, r keeper.LaunchRequest) (keeper.Launched, error)
	List(ctx context.Context) ([]keeper.Record, error)
	Forget(ctx context.Context, key string) error
	Kill(ctx context.Context, key string, sig syscall.Signal) error
	PIDFD(ctx context.Context, key string) (*os.File, error)
	Close() error
}

// KeeperDialer connects to the keeper. onRecord gets every change from then on, onLost is called at most once, when
// the connection is gone.
type KeeperDialer func(ctx context.Context, onRecord func(keeper.Record), onLost func(error)) (Keeper, error)

// ErrNoSuchScope is what Scopes says of a scope that systemd does not know.
var ErrNoSuchScope = errors.New("no such scope")

// ScopeRequest asks for a scope around one process.
type ScopeRequest struct {
	Name        string
	Description string
	Slice       string
	PID         int
	PIDFD       *os.File // of the same process; the caller's
	StopTimeout time.Duration
	Properties  []unit.Property // after the defaults that every container scope gets
}

// Scopes is systemd as far as containers need it. Errors that wrap one of this package's kinds keep it, others are
// taken for what they say.
type Scopes interface {
	// Start returns when the process is in the scope. On any failure nothing is left of the scope.
	Start(ctx context.Context, r ScopeRequest) error
	// Kill signals every process of the scope. Errors: ErrNoSuchScope.
	Kill(ctx context.Context, name string, sig unix.Signal) error
	Freeze(ctx context.Context, name string) error
	Thaw(ctx context.Context, name string) error
	// Release unloads a scope without processes and returns when its name is free.
	Release(ctx context.Context, name string) error
	// Remove kills what is in the scope and returns when its name is free; no error if it is already.
	Remove(ctx context.Context, name string) error
	// List is the names of the loaded scopes of containers.
	List(ctx context.Context) ([]string, error)
	// Processes are those of the scope and of its subgroups. Errors: ErrNoSuchScope.
	Processes(ctx context.Context, name string) ([]Process, error)
	// InvocationID is the scope's, "" when it is not known without asking systemd.
	InvocationID(name string) string
}

// Logs is journald; *journal.Client is one.
type Logs interface {
	Stream(cfg journal.StreamConfig) (*os.File, error)
	Send(e journal.Entry) error
}
