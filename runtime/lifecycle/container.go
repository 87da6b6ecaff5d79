package lifecycle

import (
	"context"
	"errors"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Whom Kill signals.
const (
	WhomLeader = "leader"
	WhomAll    = "all"
)

// Container is one container. It stays usable after Delete; then every method but ID, Info and Wait fails with
// ErrNoSuchContainer.
type Container struct{}

// ID is the container's id.
func (c *Container) ID() string { return "" }

// Info is a snapshot; it never blocks.
func (c *Container) Info() Info { return Info{} }

// Start executes the program of a created container. Errors: ErrInvalidState. When the program cannot be
// executed the error says why and the container is stopped.
func (c *Container) Start(ctx context.Context) error { return errors.ErrUnsupported }

// Kill sends a signal to WhomLeader ("" too) or WhomAll. Errors: ErrInvalidArgs, ErrInvalidState when stopped.
func (c *Container) Kill(ctx context.Context, whom string, sig int) error { return errors.ErrUnsupported }

// Stop sends SIGTERM to the leader, waits for timeout, kills all, and returns when the container is stopped. A
// timeout of 0 kills at once, below 0 is Config.StopTimeout. Stopping a stopped container does nothing.
func (c *Container) Stop(ctx context.Context, timeout time.Duration) error {
	return errors.ErrUnsupported
}

// Pause freezes every process. Errors: ErrInvalidState.
func (c *Container) Pause(ctx context.Context) error { return errors.ErrUnsupported }

// Resume is the inverse of Pause.
func (c *Container) Resume(ctx context.Context) error { return errors.ErrUnsupported }

// Delete removes a stopped or created container, with force any, and returns when its id is free again. Errors: ErrInvalidState.
func (c *Container) Delete(ctx context.Context, force bool) error { return errors.ErrUnsupported }

// Wait returns when the container is stopped or deleted, with its last Info.
func (c *Container) Wait(ctx context.Context) (Info, error) { return Info{}, errors.ErrUnsupported }

// State is the state of the OCI runtime specification (runtime.md, "State"); "paused" is reported as runc does.
func (c *Container) State() specs.State { return specs.State{} }

// Processes lists the processes of the container, as the host numbers them.
func (c *Container) Processes(ctx context.Context) ([]Process, error) {
	return nil, errors.ErrUnsupported
}

// Stats reads the container's measurements.
func (c *Container) Stats(ctx context.Context) (Stats, error) { return nil, errors.ErrUnsupported }
