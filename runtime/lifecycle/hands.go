package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/keeper"
	"github.com/berth-project/berth/runtime/state"
)

// Back-off of connecting to the keeper.
const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// keeperTimeout bounds how long a keeper that does not answer is waited for before it is dialled again.
const keeperTimeout = 20 * time.Second

// hands is the connection to the keeper, or that there is none.
type hands struct {
	lost chan struct{} // room for one: the connection is gone

	mu   sync.Mutex
	conn Keeper // guarded by mu; nil while away
}

// get is the connection. Errors: ErrUnavailable.
func (h *hands) get() (Keeper, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.conn == nil {
		return nil, faultf(ErrUnavailable, "the keeper is away; try again")
	}
	return h.conn, nil
}

// set replaces the connection and closes the old one.
func (h *hands) set(k Keeper) {
	h.mu.Lock()
	old := h.conn
	h.conn = k
	h.mu.Unlock()
	if old != nil {
		old.Close() //nolint:errcheck // it is of no use any more
	}
}

// keepHands reconnects whenever the connection is lost.
func (m *Manager) keepHands() {
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-m.hands.lost:
		}
		m.cfg.Logger.Warn("connection to the keeper is lost, reconnecting")
		m.hands.set(nil)
		for _, c := range m.all() {
			c.keeperLost()
		}
		if !m.reconnect() {
			return
		}
	}
}

// reconnect returns false when the manager is closed.
func (m *Manager) reconnect() bool {
	for delay := firstRetry; ; delay = min(2*delay, lastRetry) {
		timer := time.NewTimer(delay)
		select {
		case <-m.closing.Done():
			timer.Stop()
			return false
		case <-timer.C:
		}
		err := m.connect(m.closing, m.reconcile)
		if err == nil {
			m.cfg.Logger.Info("the keeper is back")
			return true
		}
		if m.closing.Err() == nil {
			m.cfg.Logger.Warn("connect to the keeper, trying again", "error", err)
		}
	}
}

// connect dials and reconciles before anybody else may use the connection. Creates are not held up by the dialling:
// systemd's socket takes the connection long before there is a keeper to answer.
func (m *Manager) connect(ctx context.Context, reconcile func(context.Context, Keeper) error) error {
	select {
	case <-m.hands.lost: // of a connection before
	default:
	}
	limit, cancel := context.WithTimeout(ctx, keeperTimeout)
	defer cancel()
	conn, err := m.cfg.DialKeeper(limit, m.onRecord, m.onLost)
	if err != nil {
		return fmt.Errorf("connect to the keeper: %w", err)
	}
	m.gate.Lock()
	defer m.gate.Unlock()
	limit, cancel = context.WithTimeout(ctx, keeperTimeout)
	defer cancel()
	if err := reconcile(limit, conn); err != nil {
		conn.Close() //nolint:errcheck // it is of no use
		return err
	}
	m.hands.set(conn)
	return nil
}

func (m *Manager) onLost(error) {
	select {
	case m.hands.lost <- struct{}{}:
	default:
	}
}

// keeperLost ends a create that is under way, for nobody would tell it how its child does, and wakes who waits for
// what only the keeper could tell.
func (c *Container) keeperLost() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rec.Phase == state.Creating {
		c.abort(faultf(ErrUnavailable, "the keeper went away; try again"))
	}
	c.changed()
}

// purge kills and forgets a process that nobody needs.
func (m *Manager) purge(ctx context.Context, conn Keeper, key string) error {
	fd, err := conn.PIDFD(ctx, key)
	if err == nil {
		defer fd.Close() //nolint:errcheck // a pidfd has nothing to lose
		err = conn.Kill(ctx, key, unix.SIGKILL)
	}
	if err == nil {
		err = waitPIDFD(ctx, fd)
	}
	if err != nil && !errors.Is(err, keeper.ErrNoSuchProcess) {
		return fmt.Errorf("kill process of %q: %w", key, keeperFault(err))
	}
	return m.forgetReaped(ctx, conn, key)
}

// forgetReaped forgets a process whose end is visible, but which the keeper may not have reaped yet.
func (m *Manager) forgetReaped(ctx context.Context, conn Keeper, key string) error {
	for delay := time.Millisecond; ; delay = min(2*delay, time.Second) {
		err := conn.Forget(ctx, key)
		switch {
		case err == nil || errors.Is(err, keeper.ErrNoSuchProcess):
			return nil
		case !errors.Is(err, unix.EBUSY):
			return fmt.Errorf("forget process of %q: %w", key, keeperFault(err))
		}
		timer := time.NewTimer(delay)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("forget process of %q: %w", key, context.Cause(ctx))
		case <-timer.C:
		}
	}
}

// keeperFault gives the keeper's errors their kind.
func keeperFault(err error) error {
	if errors.Is(err, keeper.ErrLost) {
		return faultf(ErrUnavailable, "%w", err)
	}
	return err
}

// launchFault is keeperFault in the plan's own words: what failed is a step of the container, not of the keeper.
func launchFault(err error) error {
	if remote := new(keeper.RemoteError); errors.As(err, &remote) {
		return planFault{remote}
	}
	return keeperFault(err)
}

type planFault struct{ *keeper.RemoteError }

// Error is the step and its cause.
func (f planFault) Error() string { return f.Text }
