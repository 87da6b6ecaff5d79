package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/berth-project/berth/runtime/keeper"
	"github.com/berth-project/berth/runtime/state"
	"github.com/berth-project/berth/unit"
)

// Manager holds the containers. All methods may be called from any goroutine.
type Manager struct {
	cfg     Config
	store   *state.Store
	closing context.Context // ends when Close begins
	close   context.CancelFunc
	ctx     context.Context // ends when no create is under way any more
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	// gate is held for reading by every create from before its launch until it is over, and for writing by a
	// reconciliation, which so never takes a half-made container for a leftover.
	gate sync.RWMutex

	publishing sync.Mutex // orders OnEvent

	hands hands

	preparations preparations

	mu         sync.Mutex
	containers map[string]*Container // guarded by mu
	damaged    map[string]error      // guarded by mu; ids whose record cannot be read
	creates    int                   // guarded by mu
	closed     bool                  // guarded by mu
}

// New recovers: when it returns, state directory, keeper and scopes agree, and what happened meanwhile has been
// published.
func New(ctx context.Context, cfg Config) (*Manager, error) {
	store, err := state.Open(cfg.StateDir)
	if err != nil {
		return nil, fmt.Errorf("recover containers: %w", err)
	}
	m := &Manager{
		cfg: cfg.withDefaults(), store: store,
		containers: map[string]*Container{}, damaged: map[string]error{},
	}
	m.hands.lost = make(chan struct{}, 1)
	m.closing, m.close = context.WithCancel(context.Background())
	m.ctx, m.cancel = context.WithCancel(context.Background())
	if err := m.recover(ctx); err != nil {
		m.Close()
		return nil, fmt.Errorf("recover containers: %w", err)
	}
	m.wg.Go(m.keepHands)
	return m, nil
}

// Close stops watching and waits for the manager's goroutines; creates under way are undone. Containers are not touched.
func (m *Manager) Close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.close()
	m.gate.Lock() // creates under way are undone, for which the rest must be at work
	m.gate.Unlock()
	m.cancel()
	m.hands.set(nil)
	m.wg.Wait()
	for _, c := range m.all() {
		c.release()
	}
	if err := m.store.Close(); err != nil {
		m.cfg.Logger.Warn("close state directory, ignoring", "error", err)
	}
}

// Get finds a container. Errors: ErrNoSuchContainer.
func (m *Manager) Get(id string) (*Container, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.containers[id]; c != nil && !c.leaving.Load() {
		return c, nil
	}
	return nil, noSuchContainer(id)
}

func noSuchContainer(id string) error {
	return faultf(ErrNoSuchContainer, "no container has the id %q", id)
}

// List is every container, sorted by id, those being created included, but none whose deletion has been published.
func (m *Manager) List() []Info {
	var infos []Info
	for _, c := range m.all() {
		if !c.leaving.Load() {
			infos = append(infos, c.Info())
		}
	}
	return infos
}

func (m *Manager) all() []*Container {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]*Container, 0, len(m.containers))
	for _, c := range m.containers {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *Container) int { return strings.Compare(a.id, b.id) })
	return all
}

// GetByPID finds the container that the process pid is in, by its control group. Errors: ErrNoSuchContainer,
// ErrInvalidArgs.
func (m *Manager) GetByPID(_ context.Context, pid int) (*Container, error) {
	if pid < 1 || pid > maxPID {
		return nil, faultf(ErrInvalidArgs, "find container of process %d: it must be 1 to %d", pid, maxPID)
	}
	group, err := m.controlGroupOf(pid)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, faultf(ErrNoSuchContainer, "find container of process %d: there is no such process", pid)
	}
	if err != nil {
		return nil, faultf(ErrNoSuchContainer, "find container of process %d: %w", pid, err)
	}
	for _, c := range m.all() {
		// The whole path counts: anyone with a delegated group may make one that is named like a scope of ours.
		if inGroup(group, c.Info().ControlGroup) {
			return c, nil
		}
	}
	return nil, faultf(ErrNoSuchContainer, "find container of process %d: its control group %q belongs to none", pid, group)
}

// maxPID is PID_MAX_LIMIT; see proc_sys_kernel(5), "pid_max".
const maxPID = 1 << 22

// StopScope stops the container of the scope, because systemd asks its controller to (RequestStop in
// org.freedesktop.systemd1(5)), for example at shutdown. It does not wait, and means the container of now.
func (m *Manager) StopScope(scope string) {
	id, ok := unit.ParseScopeName(scope)
	c, err := m.Get(id)
	if !ok || err != nil || !m.begin() {
		return
	}
	go func() {
		defer m.wg.Done()
		if err := c.Stop(m.ctx, -1); err != nil && m.ctx.Err() == nil {
			m.cfg.Logger.Error("stop container as systemd asks", "container", id, "error", err)
		}
	}()
}

// begin counts one more goroutine; false after Close, which waits for those counted.
func (m *Manager) begin() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.wg.Add(1)
	}
	return !m.closed
}

// onRecord is called by the keeper's reader, so it only leaves the record where the container's goroutine finds it.
func (m *Manager) onRecord(r keeper.Record) {
	m.mu.Lock()
	c := m.containers[r.Key]
	m.mu.Unlock()
	if c != nil {
		c.deliver(r)
	}
}

// claim enters a new container, so that its id is taken. A container of that id which is just being deleted is waited for.
func (m *Manager) claim(ctx context.Context, c *Container) error {
	for {
		old, err := m.tryClaim(c)
		if old == nil {
			return err
		}
		select {
		case <-old.gone:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (m *Manager) tryClaim(c *Container) (wait *Container, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := m.containers[c.id]
	switch {
	case m.closed:
		return nil, errClosed
	case old != nil && old.leaving.Load():
		return old, nil
	case old != nil:
		return nil, faultf(ErrContainerExists, "a container with the id %q exists", c.id)
	case m.damaged[c.id] != nil:
		return nil, faultf(ErrContainerExists, "a container with the id %q exists, but: %w", c.id, m.damaged[c.id])
	case len(m.containers) >= m.cfg.MaxContainers:
		return nil, faultf(ErrLimitsExceeded, "there are %d containers, and no more are allowed; delete one first", len(m.containers))
	case m.creates >= m.cfg.MaxCreates:
		return nil, faultf(ErrLimitsExceeded, "%d containers are being created, and no more are allowed at the same time; try again", m.creates)
	}
	m.containers[c.id] = c
	m.creates++
	m.wg.Add(1) // for its watch
	return nil, nil
}

var errClosed = faultf(ErrUnavailable, "the service is stopping")

// unclaim frees the id; if its record could not be removed, that still keeps it.
func (m *Manager) unclaim(c *Container) {
	m.mu.Lock()
	delete(m.containers, c.id)
	m.mu.Unlock()
	close(c.gone)
	c.release()
}

func (m *Manager) createOver() {
	m.mu.Lock()
	m.creates--
	m.mu.Unlock()
}

// publish tells of one event. The caller holds the container's mu, which orders the events of one container.
func (m *Manager) publish(kind EventKind, info Info, caller Caller) {
	m.publishing.Lock()
	defer m.publishing.Unlock()
	m.journal(kind, info, caller)
	m.cfg.OnEvent(Event{Kind: kind, Info: info, Caller: caller})
}

// forget frees the key of an exited process at the keeper. A keeper that is away has nothing to say in it: what is
// left there is found when it is back.
func (m *Manager) forget(ctx context.Context, key string) error {
	k, err := m.hands.get()
	if err == nil {
		err = k.Forget(ctx, key)
	}
	if err == nil || errors.Is(err, keeper.ErrNoSuchProcess) || errors.Is(err, keeper.ErrLost) || errors.Is(err, ErrUnavailable) {
		return nil
	}
	return fmt.Errorf("forget process of %q: %w", key, err)
}

func nowUSec() uint64 { return uint64(time.Now().UnixMicro()) }
