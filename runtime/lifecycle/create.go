package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/keeper"
	"github.com/berth-project/berth/runtime/plan"
	"github.com/berth-project/berth/runtime/state"
	"github.com/berth-project/berth/unit"
)

// undoTimeout bounds the undoing of a failed create, whose caller may be gone.
const undoTimeout = 30 * time.Second

// NamedFile is a file with the name it has in LISTEN_FDNAMES.
type NamedFile struct {
	Name string
	File *os.File
}

// What CreateRequest.Log can be.
const (
	LogJournald = "journald"
	LogNone     = "none"
)

// logCaller is Info.Log of a container whose stdout and stderr are both the caller's.
const logCaller = "caller"

// CreateRequest is what Create needs. Create owns the files from the call on and closes them in every case.
type CreateRequest struct {
	ID     string
	Bundle string // absolute

	Stdin, Stdout, Stderr *os.File // nil: /dev/null for Stdin, Log for the others
	ListenFDs             []NamedFile

	Environment     []string          // "NAME=value", after those of the bundle, which they replace
	Annotations     map[string]string // besides those of the bundle, which they replace
	Slice           string            // "" means Config.Slice
	ScopeProperties []unit.Property   // resources, texts and relations to other units; the rest is refused
	Log             string            // "" means LogJournald
}

// Create makes a container and returns when it is created. On any failure, also when ctx is cancelled, nothing is
// left. Errors: ErrInvalidArgs, ErrInvalidConfig, ErrNotSupported, ErrContainerExists, ErrLimitsExceeded,
// ErrUnavailable, or what the plan says of the step that failed.
func (m *Manager) Create(ctx context.Context, r CreateRequest) (*Container, error) {
	defer r.close()
	if err := r.check(); err != nil {
		return nil, err
	}
	if _, err := m.hands.get(); err != nil { // else it would wait at the gate, whatever ctx says
		return nil, fmt.Errorf("create container %q: %w", r.ID, err)
	}
	if r.Slice == "" {
		r.Slice = m.cfg.Slice
	}
	c := newContainer(m, state.Record{
		ID: r.ID, Phase: state.Creating, Bundle: r.Bundle, Scope: unit.ScopeName(r.ID), Log: r.log(), ExitCode: -1,
	})
	ctx, c.abort = context.WithCancelCause(ctx)
	defer c.abort(nil)
	defer context.AfterFunc(m.closing, func() { c.abort(errClosed) })()
	if err := m.claim(ctx, c); err != nil {
		return nil, err
	}
	go func() {
		defer m.wg.Done()
		c.watch()
	}()
	defer m.createOver()
	m.gate.RLock()
	defer m.gate.RUnlock()

	cr := creation{m: m, c: c, r: r}
	if err := cr.run(ctx); err != nil {
		if err := cr.undo.run(context.WithoutCancel(ctx)); err != nil {
			m.cfg.Logger.Error("undo create; what is left is removed at the next start", "container", r.ID, "error", err)
		}
		m.unclaim(c)
		return nil, fmt.Errorf("create container %q: %w", r.ID, err)
	}
	return c, nil
}

// cause is why ctx ended, if that is what made err: a step that was interrupted cannot know.
func cause(ctx context.Context, err error) error {
	if why := context.Cause(ctx); why != nil {
		return why
	}
	return err
}

// creation is one Create under way.
type creation struct {
	m    *Manager
	c    *Container
	r    CreateRequest
	undo undoStack

	prepared *prepared
	files    handles
}

func (cr *creation) run(ctx context.Context) error {
	defer cr.files.close()
	for _, step := range []func(context.Context) error{
		cr.prepare, cr.reserve, cr.open, cr.launch, cr.place, cr.await, cr.commit,
	} {
		if cr.m.closing.Err() != nil {
			return errClosed // ctx is cancelled for it too, a moment later
		}
		if err := cause(ctx, step(ctx)); err != nil {
			return err // decided now: the undoing makes the child say other things
		}
	}
	return nil
}

// prepare does all that can be done without changing anything.
func (cr *creation) prepare(context.Context) (err error) {
	cr.prepared, err = cr.m.prepare(cr.r)
	if err != nil {
		return err
	}
	for _, w := range cr.prepared.warnings {
		cr.m.cfg.Logger.Warn("config.json", "container", cr.r.ID, "finding", w)
	}
	cr.c.mu.Lock()
	defer cr.c.mu.Unlock()
	rec := &cr.c.rec
	rec.Annotations, rec.OCIVersion, rec.Terminal = annotations(cr.prepared, cr.r), cr.prepared.ociVersion, cr.prepared.terminal
	cr.c.changed()
	return nil
}

// annotations are those of the bundle with those of the request over them.
func annotations(p *prepared, r CreateRequest) map[string]string {
	all := make(map[string]string, len(p.annotations)+len(r.Annotations))
	maps.Copy(all, p.annotations)
	maps.Copy(all, r.Annotations)
	return all
}

// reserve comes before the first change of the host, so that a restart knows what to look for.
func (cr *creation) reserve(context.Context) error {
	err := cr.m.store.Reserve(cr.record())
	if errors.Is(err, state.ErrExists) {
		return faultf(ErrContainerExists, "%w", err)
	}
	if err == nil {
		cr.undo.push(func(context.Context) error { return cr.m.store.Remove(cr.r.ID) })
	}
	return err
}

func (cr *creation) record() state.Record {
	cr.c.mu.Lock()
	defer cr.c.mu.Unlock()
	return cr.c.rec
}

func (cr *creation) open(context.Context) error {
	fifo, err := cr.m.store.MakeFIFO(cr.r.ID)
	if err != nil {
		return err
	}
	cr.files.add("start", fifo)
	return cr.files.open(cr.m.cfg.Logs, cr.r, cr.c.rec.Scope)
}

// launch forks the child, which begins with its mounts at once.
func (cr *creation) launch(ctx context.Context) error {
	request := keeper.LaunchRequest{Key: cr.r.ID}
	var err error
	if request.Handles, err = cr.files.inOrder(cr.prepared.handles); err != nil {
		return err
	}
	if request.Plan, err = sealedPlan(cr.prepared.plan); err != nil {
		return err
	}
	defer request.Plan.Close() //nolint:errcheck // memory
	hands, err := cr.m.hands.get()
	if err != nil {
		return err
	}
	launched, err := hands.Launch(ctx, request)
	if errors.Is(err, keeper.ErrExists) {
		// The id is ours, so this is a leftover of a create that was undone while the keeper was away.
		if err := cr.m.purge(ctx, hands, cr.r.ID); err != nil {
			return err
		}
		launched, err = hands.Launch(ctx, request)
	}
	if err != nil {
		return launchFault(err)
	}
	cr.c.mu.Lock()
	cr.c.rec.PID, cr.c.pidfd = launched.PID, launched.PIDFD
	cr.c.changed()
	cr.c.mu.Unlock()
	cr.c.wake() // for a record that came before the reply
	cr.undo.push(cr.killProcess)
	return nil
}

// place puts the child into its scope while it makes its mounts, and then tells it so.
func (cr *creation) place(ctx context.Context) error {
	rec := cr.record()
	err := cr.m.cfg.Scopes.Start(ctx, ScopeRequest{
		Name: rec.Scope, Description: "Berth container " + rec.ID, Slice: cr.r.Slice,
		PID: rec.PID, PIDFD: cr.c.pidfd, StopTimeout: cr.m.cfg.StopTimeout,
		Properties: append(cr.prepared.properties, cr.r.ScopeProperties...),
	})
	if err != nil {
		return cr.failure(ctx, err)
	}
	cr.undo.push(func(ctx context.Context) error { return cr.m.cfg.Scopes.Remove(ctx, rec.Scope) })
	if _, err := cr.files.placed.Write([]byte{1}); err != nil && !errors.Is(err, unix.EPIPE) {
		return fmt.Errorf("tell the child that it is placed: %w", err)
	}
	return nil // with EPIPE the child is gone, and its record says why
}

// failure is what the child says if it can be that the child's end made err: systemd refuses a process that is gone.
func (cr *creation) failure(ctx context.Context, err error) error {
	limit, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if ended(cr.c.pidfd) {
		<-limit.Done() // its record ends the create, which tells why
	}
	return err
}

// await waits for the child to be done with its plan but for the last step.
func (cr *creation) await(ctx context.Context) error {
	c := cr.c
	return c.await(ctx, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.proc.Point >= plan.PointCreated
	})
}

// commit makes the container created: on disk, in memory, and for everyone to see.
func (cr *creation) commit(ctx context.Context) error {
	c := cr.c
	group, err := cr.m.controlGroupOf(c.Info().PID)
	if err == nil {
		group, _ = scopeGroup(group, c.Info().Scope)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil { // an exit that comes later finds the container created
		return context.Cause(ctx)
	}
	rec := c.rec
	rec.Phase, rec.CreatedUSec, rec.ControlGroup = state.Created, nowUSec(), group
	rec.InvocationID = cr.m.cfg.Scopes.InvocationID(rec.Scope)
	if err := cr.m.store.Save(rec); err != nil {
		return err
	}
	c.rec = rec
	c.changed()
	cr.m.publish(EventCreated, infoOf(&rec), CallerFrom(ctx))
	return nil
}

// killProcess ends the child and frees its key.
func (cr *creation) killProcess(ctx context.Context) error {
	c := cr.c
	if err := c.signalLeader(unix.SIGKILL); err != nil {
		return err
	}
	err := c.await(ctx, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, away := cr.m.hands.get()
		return c.proc.Exited || away != nil
	})
	return errors.Join(err, cr.m.forget(ctx, cr.r.ID))
}
