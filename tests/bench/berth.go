package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/berth-project/berth/dbusapi/client"
)

// berth times the service through its API.
type berth struct {
	client *client.Client
	bundle *bundle
	count  atomic.Uint64
}

func newBerth(ctx context.Context, b *bundle) (*berth, error) {
	c, err := client.Connect(ctx, "")
	if err != nil {
		return nil, err
	}
	if _, err := c.List(ctx); err != nil {
		return nil, fmt.Errorf("reach berthd: %w", err)
	}
	return &berth{client: c, bundle: b}, nil
}

func (b *berth) close() { b.client.Close() }

func (b *berth) name() string { return fmt.Sprintf("bench-%d", b.count.Add(1)) }

// cycle times Create, Start, the exit and Delete.
func (b *berth) cycle(ctx context.Context) (time.Duration, error) {
	id := b.name()
	start := time.Now()
	c, err := b.client.Create(ctx, id, b.bundle.dir, client.CreateOptions{})
	if err != nil {
		return 0, err
	}
	if err := c.Start(ctx); err != nil {
		return 0, err
	}
	exit, err := c.Wait(ctx)
	if err != nil {
		return 0, err
	}
	if err := c.Delete(ctx, false); err != nil {
		return 0, err
	}
	if exit.Code != 0 {
		return 0, fmt.Errorf("container %q exited with %d (%s)", id, exit.Code, exit.Reason)
	}
	return time.Since(start), nil
}
