package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"
)

// column is one thing that is timed.
type column struct {
	name string
	time func(context.Context) (time.Duration, error)
}

func columns(b *bundle, r *raw, service *berth, peers bool) []column {
	var n atomic.Uint64
	command := func(argv func(id string) []string) func(context.Context) (time.Duration, error) {
		return func(ctx context.Context) (time.Duration, error) {
			return timeCommand(ctx, argv(fmt.Sprintf("bench-cmd-%d", n.Add(1))))
		}
	}
	list := []column{
		{"raw StartTransientUnit", r.scope},
		{"raw plan", r.plan},
		{"Create+Start+exit+Delete over D-Bus", service.cycle},
		{"berthctl run", command(func(id string) []string { return []string{"berthctl", "run", "--bundle", b.dir, id} })},
	}
	if !peers {
		return list
	}
	return append(list, []column{
		{"crun --systemd-cgroup run", command(func(id string) []string {
			return []string{"crun", "--systemd-cgroup", "run", "--bundle", b.dir, id}
		})},
		{"runc --systemd-cgroup run", command(func(id string) []string {
			return []string{"runc", "--systemd-cgroup", "run", "--bundle", b.dir, id}
		})},
		{"podman --runtime runc run --rm --network none", command(func(id string) []string {
			return []string{"podman", "--storage-driver", "vfs", "--runtime", "runc", "run", "--rm", "--network", "none", "--pids-limit", "-1", "--name", id, "--rootfs", filepath.Join(b.dir, "rootfs"), "/bin/true"}
		})},
	}...)
}

func timeCommand(ctx context.Context, argv []string) (time.Duration, error) {
	start := time.Now()
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%q: %w: %s", argv, err, out)
	}
	return time.Since(start), nil
}
