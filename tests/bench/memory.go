package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/berth-project/berth/dbusapi/client"
	"github.com/berth-project/berth/dbusapi/wire"
)

var services = []string{"berthd.service", "berth-keeper.service"}

// memory restarts berthd, so that it is idle and fresh, then measures both
// services with no container and with many.
func memory(ctx context.Context, out io.Writer, count int, service *berth) error {
	if text, err := exec.CommandContext(ctx, "systemctl", "restart", "berthd.service").CombinedOutput(); err != nil {
		return fmt.Errorf("restart berthd: %w: %s", err, text)
	}
	if _, err := service.client.List(ctx); err != nil {
		return err
	}
	before, err := usage(ctx)
	if err != nil {
		return err
	}
	ids, err := idle(ctx, count, service)
	after, usageErr := usage(ctx)
	err = errors.Join(err, usageErr, removeAll(ctx, service, ids))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Memory\n\n| what | idle RSS KiB | with %d containers RSS KiB | private KiB per container |\n|---|---:|---:|---:|\n", count)
	var total int
	for i, name := range services {
		grown := after[i].private - before[i].private
		total += grown
		fmt.Fprintf(out, "| %s | %d | %d | %.1f |\n", name, before[i].rss, after[i].rss, float64(grown)/float64(max(count, 1)))
	}
	fmt.Fprintf(out, "| both | %d | %d | %.1f |\n", before[0].rss+before[1].rss, after[0].rss+after[1].rss, float64(total)/float64(max(count, 1)))
	return nil
}

func idle(ctx context.Context, count int, service *berth) ([]*client.Container, error) {
	var list []*client.Container
	for range count {
		c, err := service.client.Create(ctx, service.name(), service.bundle.idle, client.CreateOptions{Log: wire.LogNone})
		if err != nil {
			return list, err
		}
		list = append(list, c)
		if err := c.Start(ctx); err != nil {
			return list, err
		}
	}
	return list, nil
}

func removeAll(ctx context.Context, service *berth, list []*client.Container) error {
	var errs []error
	for _, c := range list {
		errs = append(errs, c.Delete(ctx, true))
	}
	return errors.Join(errs...)
}

type used struct{ rss, private int } // KiB

func usage(ctx context.Context) ([]used, error) {
	var list []used
	for _, name := range services {
		pid, err := exec.CommandContext(ctx, "systemctl", "show", "--property=MainPID", "--value", name).Output()
		if err != nil {
			return nil, fmt.Errorf("find %s: %w", name, err)
		}
		u, err := rollup(strings.TrimSpace(string(pid)))
		if err != nil {
			return nil, err
		}
		list = append(list, u)
	}
	return list, nil
}

// rollup reads smaps_rollup. See proc_pid_smaps(5).
func rollup(pid string) (used, error) {
	text, err := os.ReadFile("/proc/" + pid + "/smaps_rollup")
	if err != nil {
		return used{}, err
	}
	var u used
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		n, _ := strconv.Atoi(f[1])
		switch f[0] {
		case "Rss:":
			u.rss = n
		case "Private_Clean:", "Private_Dirty:":
			u.private += n
		}
	}
	return u, nil
}
