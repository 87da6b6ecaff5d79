package lifecycle

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/unit"
)

// unloadTimeout is how long systemd may take to unload an empty scope before what is in it is killed.
const unloadTimeout = 2 * time.Second

// Delete removes a stopped or created container, with force any, and returns when its id is free again. Once
// begun it is finished also when ctx ends, or by the next start of the service. Errors: ErrInvalidState.
func (c *Container) Delete(ctx context.Context, force bool) error {
	if err := c.lock(ctx); err != nil {
		return err
	}
	allowed := []Status{StatusStopped, StatusCreated}
	if force {
		allowed = append(allowed, StatusRunning, StatusPaused)
	}
	if err := c.check("delete", allowed...); err != nil {
		c.unlock()
		return err
	}
	if !c.m.begin() {
		c.unlock()
		return fmt.Errorf("delete container %q: %w", c.id, errClosed)
	}
	result := make(chan error, 1)
	go func() {
		defer c.m.wg.Done()
		defer c.unlock()
		result <- c.remove(c.m.ctx, CallerFrom(ctx))
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// remove takes the container away; each step may be done again by a later remove.
func (c *Container) remove(ctx context.Context, caller Caller) error {
	c.markDeleting()
	if err := c.removeScope(ctx); err != nil {
		return fmt.Errorf("delete container %q: %w", c.id, err)
	}
	if err := c.m.forget(ctx, c.id); err != nil {
		return fmt.Errorf("delete container %q: %w", c.id, err)
	}
	c.leave(caller)
	return nil
}

// leave publishes the deletion and frees the id. The event comes before the record goes: a crash in between repeats
// it, the other order would lose it. Whoever uses the id again on the event's account waits in claim for the rest.
func (c *Container) leave(caller Caller) {
	c.leaving.Store(true)
	c.mu.Lock()
	c.m.publish(EventDeleted, infoOf(&c.rec), caller)
	err := c.m.store.Remove(c.id)
	c.mu.Unlock()
	if err != nil {
		c.m.cfg.Logger.Error("remove record; what is left is removed at the next start", "container", c.id, "error", err)
	}
	c.m.unclaim(c)
}

// markDeleting is for a restart, which finishes what has begun. Where that cannot be written, as on a full /run, deleting
// is what helps.
func (c *Container) markDeleting() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rec.Deleting = true
	c.save()
}

// removeScope returns when nothing of the container runs and its scope's name is free.
func (c *Container) removeScope(ctx context.Context) error {
	scope := c.Info().Scope
	if c.Info().Status == StatusStopped {
		err := c.waitUnloaded(ctx, scope)
		if err == nil || ctx.Err() != nil {
			return err
		}
	} else if err := c.signalLeader(unix.SIGKILL); err != nil { // so that its exit does not depend on systemd
		return err
	}
	if err := c.m.cfg.Scopes.Remove(ctx, scope); err != nil {
		return err
	}
	_, err := c.Wait(ctx)
	return err
}

// waitUnloaded returns when systemd has unloaded the empty scope. Mostly it has said so already.
func (c *Container) waitUnloaded(ctx context.Context, scope string) error {
	if c.unloaded.Load() {
		return nil
	}
	limit, cancel := context.WithTimeout(ctx, unloadTimeout)
	defer cancel()
	return c.m.cfg.Scopes.Release(limit, scope)
}

// ScopeRemoved tells that systemd has unloaded a scope. It may be left untold, and does not wait for anything.
func (m *Manager) ScopeRemoved(scope string) {
	id, ok := unit.ParseScopeName(scope)
	c, err := m.Get(id)
	if !ok || err != nil {
		return
	}
	if c.Info().Status != StatusCreating { // else it was the scope of the container before, of the same id
		c.unloaded.Store(true)
	}
}
