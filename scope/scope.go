package scope

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/berth-project/berth/unit"
)

// Config configures a Manager. The zero value is a manager on the system bus that controls nothing.
//
// OnRequestStop and OnRemoved are called on the goroutine that reads the bus, in the order of the signals and before
// Release, Remove or WaitRemoved return for the same scope: what is told of a scope is never taken for news of the next
// one of that name. So they must not block, nor call the Manager.
type Config struct {
	// Address is the D-Bus address; empty means the system bus.
	Address string
	// Controller is the bus name systemd sends RequestStop to, for every scope started. Empty means the
	// manager's own connection if OnRequestStop is set, else none. When the owner of the name leaves the bus
	// the scopes it controlled have no controller any more, for good (systemd sets it only at creation);
	// systemd then stops them by itself, by signals.
	Controller string
	// Logger gets what no caller can be told; nil discards.
	Logger *slog.Logger
	// OnRequestStop is called when systemd asks the manager's own connection to stop a scope. systemd waits
	// TimeoutStopUSec and then kills.
	OnRequestStop func(scope string)
	// OnRemoved is called when systemd has unloaded a container's scope.
	OnRemoved func(scope string)
	// OnResync is called, from a goroutine that does nothing else, when the bus or systemd was away and is back: events may have been
	// missed, List tells. It may call the Manager, but not Close, which waits for it.
	OnResync func()
}

// Manager starts, stops and watches scopes. Its methods may be called from any goroutine. While the bus or
// systemd is away they wait for it as long as their context and their time limit let them.
type Manager struct {
	cfg     Config
	ctx     context.Context // done when closed
	cancel  context.CancelFunc
	waiters *waiters
	calls   *queue[func()]
	wg      sync.WaitGroup // the owner, the callbacks, clean-ups

	mu      sync.Mutex
	link    *link         // guarded by mu; written by the owner; nil while systemd cannot be used
	changed chan struct{} // guarded by mu; closed when there is a new link
	closed  bool          // guarded by mu; no goroutine begins any more
}

// New connects to the bus and subscribes to systemd. It needs the right to talk to systemd, so in practice root.
func New(ctx context.Context, cfg Config) (*Manager, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Manager{cfg: cfg, waiters: newWaiters(), calls: newQueue[func()](), changed: make(chan struct{})}
	m.ctx, m.cancel = context.WithCancel(context.WithoutCancel(ctx))
	ctx, stop := limited(ctx, linkTimeout)
	defer stop()
	b, err := m.dial(ctx)
	if err != nil {
		m.cancel()
		return nil, err
	}
	l, err := b.open(ctx)
	if err != nil {
		m.cancel()
		b.conn.Close()
		return nil, err
	}
	m.link = l
	m.wg.Go(newOwner(m, l).run)
	m.wg.Go(m.runCallbacks)
	return m, nil
}

// Close closes the connection and waits for all goroutines of the manager. Calls under way fail with ErrClosed.
// The scopes stay.
func (m *Manager) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.cancel()
	m.wg.Wait()
	return nil
}

// spawn runs f on a goroutine that Close waits for; false if it is too late for that.
func (m *Manager) spawn(f func()) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.wg.Go(f)
	}
	return !m.closed
}

// Version is systemd's version, for example 252; 0 when the manager is closed or systemd is away.
func (m *Manager) Version() int {
	l, _ := m.current()
	if l == nil {
		return 0
	}
	return l.version
}

// publish tells the callers of a new link, or with nil that there is none.
func (m *Manager) publish(l *link) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.link = l
	if l != nil {
		close(m.changed)
		m.changed = make(chan struct{})
	}
}

// current returns the link, and a channel that is closed when there is another.
func (m *Manager) current() (*link, <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.link, m.changed
}

// ready returns the link, waiting for one.
func (m *Manager) ready(ctx context.Context) (*link, error) {
	for {
		l, changed := m.current()
		if m.ctx.Err() != nil {
			return nil, ErrClosed
		}
		if l != nil {
			return l, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrDisconnected, context.Cause(ctx))
		case <-m.ctx.Done():
			return nil, ErrClosed
		}
	}
}

func (m *Manager) runCallbacks() {
	for {
		select {
		case <-m.calls.ready:
			for _, f := range m.calls.take() {
				f()
			}
		case <-m.ctx.Done():
			return
		}
	}
}

// limited adds a time limit to ctx whose end is ErrTimeout.
func limited(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, ErrTimeout)
}

// isOurs tells the scopes of containers.
func isOurs(name string) bool {
	_, ok := unit.ParseScopeName(name)
	return ok
}
