package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/berth-project/berth/runtime/keeper"
	"github.com/berth-project/berth/runtime/spec"
	"github.com/berth-project/berth/runtime/state"
	"github.com/berth-project/berth/unit"
)

// stuckTimeout is how long a recovery waits for what does not end, such as a process that hangs in a network file system
// (state D), all containers together. Whatever that is, it is one container's trouble, not that of the service.
const stuckTimeout = 20 * time.Second

// recover puts everything in step after a start of the service, whenever the last one ended.
func (m *Manager) recover(ctx context.Context) error {
	undone, err := m.loadRecords()
	if err != nil {
		return err
	}
	if err := m.connect(ctx, m.reconcile); err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, m.cfg.stuckTimeout)
	defer cancel()
	for _, id := range undone {
		if err := m.undoCreate(limit, id); err != nil {
			m.cfg.Logger.Error("undo create; what is left is removed at the next start", "container", id, "error", err)
			m.mu.Lock()
			m.damaged[id] = err
			m.mu.Unlock()
		}
	}
	if err := m.removeStrayScopes(ctx, limit); err != nil {
		return err
	}
	for _, c := range m.all() {
		m.resume(limit, c)
	}
	return context.Cause(ctx)
}

// loadRecords enters the containers on disk and returns the ids of those that were never created. A record that
// cannot be read is left alone, with all that belongs to it: it may be of a newer version.
func (m *Manager) loadRecords() (undone []string, err error) {
	ids, err := m.store.IDs()
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		rec, err := m.store.Load(id)
		if invalid := spec.ValidID(id); invalid != nil {
			err = invalid
		}
		switch {
		case errors.Is(err, fs.ErrNotExist) || err == nil && rec.Phase == state.Creating:
			undone = append(undone, id)
		case err != nil:
			m.cfg.Logger.Error("recover container, leaving it alone", "container", id, "error", err)
			m.damaged[id] = err
		default:
			m.containers[id] = newContainer(m, rec)
		}
	}
	return undone, nil
}

// undoCreate removes what is left of a create that the service did not survive. The keeper's part is gone already.
func (m *Manager) undoCreate(ctx context.Context, id string) error {
	if err := m.cfg.Scopes.Remove(ctx, unit.ScopeName(id)); err != nil {
		return fmt.Errorf("undo create of %q: %w", id, err)
	}
	return m.store.Remove(id)
}

// removeStrayScopes removes scopes of ours that nobody has a record of, as far as limit lets it.
func (m *Manager) removeStrayScopes(ctx, limit context.Context) error {
	names, err := m.cfg.Scopes.List(ctx)
	if err != nil {
		return fmt.Errorf("list scopes: %w", err)
	}
	for _, name := range names {
		id, ok := unit.ParseScopeName(name)
		if !ok || m.containers[id] != nil || m.damaged[id] != nil {
			continue
		}
		m.cfg.Logger.Warn("remove a scope that belongs to no container", "scope", name)
		if err := m.cfg.Scopes.Remove(limit, name); err != nil {
			m.cfg.Logger.Error("remove scope, the next start tries again", "scope", name, "error", err)
		}
	}
	return nil
}

// resume takes up a container where the records say it is: what happened meanwhile is published now, a deletion that
// had begun is finished. Both go on when ctx ends.
func (m *Manager) resume(ctx context.Context, c *Container) {
	m.wg.Add(1)
	go func() {
		defer m.wg.Done()
		c.watch()
	}()
	if err := c.await(ctx, c.caughtUp); err != nil {
		m.cfg.Logger.Error("recover container, going on without its exit", "container", c.id, "error", err)
	}
	c.readFrozen()
	c.mu.Lock()
	rec := c.rec
	c.mu.Unlock()
	if rec.Phase == state.Starting { // the byte may not have been written, and a second one does no harm
		if err := m.store.WriteStart(c.id); err != nil && !errors.Is(err, state.ErrNobodyWaits) {
			m.cfg.Logger.Error("start container", "container", c.id, "error", err)
		}
	}
	if rec.Deleting {
		m.finishDelete(ctx, c)
	}
}

// finishDelete deletes, and returns before it is done when ctx ends.
func (m *Manager) finishDelete(ctx context.Context, c *Container) {
	if !m.begin() {
		return
	}
	done := make(chan struct{})
	go func() {
		defer m.wg.Done()
		defer close(done)
		if err := c.Delete(m.ctx, true); err != nil && m.ctx.Err() == nil {
			m.cfg.Logger.Error("finish a deletion", "container", c.id, "error", err)
		}
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// caughtUp tells whether all has been acted on that the keeper has said.
func (c *Container) caughtUp() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.latest.Load()
	return p == nil || p.PID != c.rec.PID || c.proc == *p && (!p.Exited || c.rec.Phase == state.Stopped)
}

// readFrozen looks whether the container is paused, which a crash may have left unsaved, and others may have changed.
func (c *Container) readFrozen() {
	c.mu.Lock()
	defer c.mu.Unlock()
	events := readKeyed(filepath.Join(c.m.cfg.ControlGroups, c.rec.ControlGroup, "cgroup.events"))
	frozen, known := events["frozen"]
	if !known || c.rec.Phase != state.Running || c.rec.Paused == (frozen != 0) {
		return
	}
	c.setPaused(frozen != 0, Caller{})
}

// reconcile compares the keeper's processes with the containers. It runs with the gate held, so no create is under way.
func (m *Manager) reconcile(ctx context.Context, conn Keeper) error {
	records, err := conn.List(ctx)
	if err != nil {
		return fmt.Errorf("list processes: %w", err)
	}
	known := map[string]bool{}
	limit, cancel := context.WithTimeout(ctx, m.cfg.stuckTimeout/2)
	defer cancel()
	for _, r := range records {
		m.mu.Lock()
		c, damaged := m.containers[r.Key], m.damaged[r.Key]
		m.mu.Unlock()
		known[r.Key] = true
		switch {
		case damaged != nil:
		case c != nil && c.Info().Status == StatusCreating: // it waits at the gate; its launch deals with what has its key
		case c == nil:
			m.cfg.Logger.Warn("end a process that belongs to no container", "key", r.Key, "pid", r.PID)
			err := m.purge(limit, conn, r.Key)
			if errors.Is(err, ErrUnavailable) {
				return err
			}
			if err != nil {
				m.cfg.Logger.Error("end a process, the next start tries again", "key", r.Key, "pid", r.PID, "error", err)
			}
		default:
			if err := c.adopt(ctx, conn, r); err != nil {
				return err
			}
		}
	}
	for _, c := range m.all() {
		if !known[c.id] {
			c.adoptOrphan()
		}
	}
	return nil
}

// adopt takes a container up with what the keeper knows of it.
func (c *Container) adopt(ctx context.Context, conn Keeper, r keeper.Record) error {
	c.mu.Lock()
	needed := c.pidfd == nil && c.rec.Phase != state.Stopped && !r.Exited
	c.mu.Unlock()
	if needed {
		fd, err := conn.PIDFD(ctx, c.id)
		if err != nil && !errors.Is(err, keeper.ErrNoSuchProcess) { // it exits just now, a record will follow
			return fmt.Errorf("adopt process of %q: %w", c.id, err)
		}
		c.mu.Lock()
		c.pidfd = fd
		c.mu.Unlock()
	}
	c.deliver(r)
	return nil
}

// adoptOrphan takes up a container whose keeper died: its processes live on below init, in their scope, and their
// pidfd is all there is to watch.
func (c *Container) adoptOrphan() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rec.Phase == state.Creating || c.rec.Phase == state.Stopped || c.orphan {
		return // one that waits at the gate has no process yet
	}
	gone := keeper.Record{Key: c.id, PID: c.rec.PID, Executed: true, Exited: true, Code: -1}
	if c.pidfd == nil {
		fd, err := c.m.openPIDFD(c.rec.PID, c.rec.Scope)
		if err != nil {
			c.m.cfg.Logger.Warn("container ended while nobody watched", "container", c.id, "error", err)
			c.deliver(gone)
			return
		}
		c.pidfd = fd
	}
	w, err := newWaiter(c.pidfd)
	if err != nil {
		c.m.cfg.Logger.Error("watch container, ignoring", "container", c.id, "error", err)
		return
	}
	c.orphan = true
	c.m.cfg.Logger.Warn("container lives on without the keeper that made it", "container", c.id, "pid", c.rec.PID)
	if c.rec.Phase == state.Starting { // it is alive and goes on with its byte, which a crash may have kept back
		if err := c.m.store.WriteStart(c.id); err != nil && !errors.Is(err, state.ErrNobodyWaits) {
			c.m.cfg.Logger.Error("start container", "container", c.id, "error", err)
		}
		c.deliver(keeper.Record{Key: c.id, PID: c.rec.PID, Executed: true})
	}
	c.m.wg.Add(1)
	go func() {
		defer c.m.wg.Done()
		status, err := w.waitStatus(c.m.ctx, c.m.cfg.Facts)
		if err == nil {
			gone.Code, gone.Signal, gone.FinishedUSec = status.Code, status.Signal, status.FinishedUSec
			c.deliver(gone)
		}
	}()
}
