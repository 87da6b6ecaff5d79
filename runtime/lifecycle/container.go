package lifecycle

import (
	"context"
	"maps"
	"os"
	"sync"
	"sync/atomic"

	"github.com/berth-project/berth/runtime/keeper"
	"github.com/berth-project/berth/runtime/state"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Container is one container. It stays usable after Delete; then every method but ID, Info and Wait fails with
// ErrNoSuchContainer.
type Container struct {
	m  *Manager
	id string

	view     atomic.Pointer[view]
	unloaded atomic.Bool   // systemd has said that the scope is gone
	leaving  atomic.Bool   // deletion has been published, the id is free as soon as gone is closed
	gone     chan struct{} // closed when the id is free
	op       chan struct{} // room for the one Start, Pause, Resume or Delete under way

	latest atomic.Pointer[keeper.Record] // what the keeper said last
	kick   chan struct{}                 // room for one: latest has changed

	mu          sync.Mutex
	rec         state.Record            // guarded by mu
	proc        keeper.Record           // guarded by mu; as far as it was acted on
	pidfd       *os.File                // guarded by mu; nil when stopped
	orphan      bool                    // guarded by mu; the keeper does not know the process any more
	abort       context.CancelCauseFunc // set before anyone else sees the container; ends Create
	overdue     bool                    // guarded by mu; Stop lost its patience
	startCaller Caller                  // guarded by mu
}

// view is what readers see; they never wait for mu.
type view struct {
	info Info
	next chan struct{} // closed when there is a newer view
}

func newContainer(m *Manager, rec state.Record) *Container {
	c := &Container{
		m: m, id: rec.ID, rec: rec,
		gone: make(chan struct{}), op: make(chan struct{}, 1), kick: make(chan struct{}, 1),
	}
	c.view.Store(&view{info: infoOf(&rec), next: make(chan struct{})})
	return c
}

// ID is the container's id.
func (c *Container) ID() string { return c.id }

// Info is a snapshot; it never blocks.
func (c *Container) Info() Info { return c.view.Load().info }

// State is the state of the OCI runtime specification (runtime.md, "State"); "paused" is reported as runc does.
func (c *Container) State() specs.State {
	i := c.Info()
	return specs.State{
		Version: specs.Version, ID: i.ID, Status: specs.ContainerState(i.Status), Pid: i.PID,
		Bundle: i.Bundle, Annotations: maps.Clone(i.Annotations),
	}
}

// Wait returns when the container is stopped, with its last Info. Errors: ErrNoSuchContainer when its creation was undone.
func (c *Container) Wait(ctx context.Context) (Info, error) {
	err := c.await(ctx, func() bool { return c.Info().Status == StatusStopped })
	return c.Info(), err
}

// await returns when done is true, which is looked at after every change.
func (c *Container) await(ctx context.Context, done func() bool) error {
	for {
		next := c.view.Load().next
		if done() {
			return nil
		}
		select {
		case <-next:
		case <-c.gone:
			if done() {
				return nil
			}
			return noSuchContainer(c.id)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// changed shows readers the record as it is now. The caller holds mu.
func (c *Container) changed() {
	old := c.view.Swap(&view{info: infoOf(&c.rec), next: make(chan struct{})})
	close(old.next)
}

// lock takes op, so that one Start, Pause, Resume or Delete at a time decides on what it sees.
func (c *Container) lock(ctx context.Context) error {
	select {
	case c.op <- struct{}{}:
	case <-c.gone:
		return noSuchContainer(c.id)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-c.gone:
		c.unlock()
		return noSuchContainer(c.id)
	default:
		return nil
	}
}

func (c *Container) unlock() { <-c.op }

// save writes the record after a change that has been published; what a restart would do with the older one is right too.
// The caller holds mu.
func (c *Container) save() {
	if err := c.m.store.Save(c.rec); err != nil {
		c.m.cfg.Logger.Error("save container, ignoring", "container", c.id, "error", err)
	}
}

// release closes what the container holds.
func (c *Container) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pidfd != nil {
		c.pidfd.Close() //nolint:errcheck // a pidfd has nothing to lose
		c.pidfd = nil
	}
}

func infoOf(r *state.Record) Info {
	i := Info{
		ID: r.ID, Bundle: r.Bundle, Status: Status(r.Phase), ExitCode: r.ExitCode, ExitSignal: r.ExitSignal,
		ExitReason: ExitReason(r.ExitReason), CreatedUSec: r.CreatedUSec, StartedUSec: r.StartedUSec,
		FinishedUSec: r.FinishedUSec, Scope: r.Scope, ControlGroup: r.ControlGroup, InvocationID: r.InvocationID,
		Annotations: r.Annotations, Terminal: r.Terminal, Log: r.Log, OCIVersion: r.OCIVersion,
		CPUTimeUSec: r.CPUTimeUSec, MaxRSSBytes: r.MaxRSSBytes, MemoryPeakBytes: r.MemoryPeakBytes,
	}
	switch {
	case r.Phase == state.Starting:
		i.Status = StatusCreated
	case r.Phase == state.Running && r.Paused:
		i.Status = StatusPaused
	}
	if r.Phase != state.Stopped {
		i.PID = r.PID
	}
	return i
}
