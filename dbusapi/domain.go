package dbusapi

import (
	"context"
	"time"

	"github.com/berth-project/berth/runtime/lifecycle"
	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// manager is what the API needs of the domain. lifecycleManager makes it of a lifecycle.Manager, tests fake it.
type manager interface {
	Create(ctx context.Context, r lifecycle.CreateRequest) (container, error)
	Get(id string) (container, error)
	GetByPID(ctx context.Context, pid int) (container, error)
	List() []lifecycle.Info
}

type container interface {
	Info() lifecycle.Info
	Start(ctx context.Context) error
	Kill(ctx context.Context, whom string, sig int) error
	Stop(ctx context.Context, timeout time.Duration) error
	Pause(ctx context.Context) error
	Resume(ctx context.Context) error
	Delete(ctx context.Context, force bool) error
	Wait(ctx context.Context) (lifecycle.Info, error)
	State() specs.State
	Processes(ctx context.Context) ([]lifecycle.Process, error)
	Stats(ctx context.Context) (lifecycle.Stats, error)
}

type lifecycleManager struct{ *lifecycle.Manager }

func (m lifecycleManager) Create(ctx context.Context, r lifecycle.CreateRequest) (container, error) {
	return some(m.Manager.Create(ctx, r))
}

func (m lifecycleManager) Get(id string) (container, error) { return some(m.Manager.Get(id)) }

func (m lifecycleManager) GetByPID(ctx context.Context, pid int) (container, error) {
	return some(m.Manager.GetByPID(ctx, pid))
}

// some keeps a nil *Container from becoming a container that is not nil.
func some(c *lifecycle.Container, err error) (container, error) {
	if err != nil {
		return nil, err
	}
	return c, nil
}
