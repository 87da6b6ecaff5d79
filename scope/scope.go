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
// The callbacks are called one after the other from one goroutine that does nothing else, in the order of the
// events; they may call the Manager, but not Close, which waits for them.
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
	// OnResync is called when the bus or systemd was away and is back: events may have been missed, List tells.
	OnResync func()
}

// Manager starts, stops and watches scopes. Its methods may be called from any goroutine. While the bus or
// systemd is away they wait for it as long as their context and their time limit let them.
type Manager struct {
	cfg    Config
	ctx    context.Context // done when closed
	cancel context.CancelFunc
	reqs   chan func(*owner)
	calls  *queue[func()]
	wg     sync.WaitGroup // the owner, the callbacks, clean-ups
}

// New connects to the bus and subscribes to systemd. It needs the right to talk to systemd, so in practice root.
func New(ctx context.Context, cfg Config) (*Manager, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithTimeoutCause(ctx, linkTimeout, ErrTimeout)
	defer stop()
	b, err := dial(ctx, cfg.Address)
	if err != nil {
		return nil, err
	}
	l, err := b.open(ctx)
	if err != nil {
		b.conn.Close()
		return nil, err
	}
	m := &Manager{cfg: cfg, reqs: make(chan func(*owner)), calls: newQueue[func()]()}
	m.ctx, m.cancel = context.WithCancel(context.WithoutCancel(ctx))
	o := newOwner(m, l)
	m.wg.Go(o.run)
	m.wg.Go(m.runCallbacks)
	return m, nil
}

// Close closes the connection and waits for all goroutines of the manager. Calls under way fail with ErrClosed.
// The scopes stay.
func (m *Manager) Close() error {
	m.cancel()
	m.wg.Wait()
	return nil
}

// Version is systemd's version, for example 252; 0 when the manager is closed or systemd is away.
func (m *Manager) Version() int {
	l, _, err := m.current()
	if err != nil || l == nil {
		return 0
	}
	return l.version
}

// do runs f on the owner's goroutine and waits for it.
func (m *Manager) do(f func(*owner)) error {
	done := make(chan struct{})
	select {
	case m.reqs <- func(o *owner) { f(o); close(done) }:
		<-done
		return nil
	case <-m.ctx.Done():
		return ErrClosed
	}
}

// current returns the link, or nil and a channel that is closed when there is a new one.
func (m *Manager) current() (l *link, changed <-chan struct{}, err error) {
	err = m.do(func(o *owner) { l, changed = o.link, o.changed })
	return l, changed, err
}

// ready returns the link, waiting for one.
func (m *Manager) ready(ctx context.Context) (*link, error) {
	for {
		l, changed, err := m.current()
		if l != nil || err != nil {
			return l, err
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
