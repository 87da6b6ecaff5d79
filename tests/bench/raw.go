package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/compile"
	"github.com/berth-project/berth/runtime/kernel"
	"github.com/berth-project/berth/runtime/launch"
	"github.com/berth-project/berth/runtime/plan"
	"github.com/berth-project/berth/runtime/spec"
)

// raw is the floor: systemd's call alone, the plan alone.
type raw struct {
	bus     *dbus.Conn
	jobs    chan *dbus.Signal
	program []byte
	count   atomic.Uint64
	waiting waiters
	ready   chan *exec.Cmd // sleepers made in advance
	killed  sync.WaitGroup
}

func newRaw(ctx context.Context, b *bundle) (*raw, error) {
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	r := &raw{bus: conn, jobs: make(chan *dbus.Signal, 4096), ready: make(chan *exec.Cmd)}
	close(r.ready)
	if err := conn.Object(systemd, systemdPath).Call(manager+".Subscribe", 0).Err; err != nil {
		return nil, err
	}
	if err := conn.AddMatchSignal(dbus.WithMatchInterface(manager), dbus.WithMatchMember("JobRemoved")); err != nil {
		return nil, err
	}
	conn.Signal(r.jobs)
	go r.waiting.dispatch(r.jobs)
	facts, err := kernel.Probe()
	if err != nil {
		return nil, err
	}
	s, findings, err := spec.LoadBundle(b.dir)
	if err = errors.Join(err, findings.Err()); err != nil {
		return nil, err
	}
	p, err := compile.Container(compile.Request{Spec: s, Bundle: b.dir, Facts: facts})
	if err != nil {
		return nil, err
	}
	r.program = p.Encode()
	return r, nil
}

const (
	systemd     = "org.freedesktop.systemd1"
	systemdPath = "/org/freedesktop/systemd1"
	manager     = systemd + ".Manager"
)

func (r *raw) close() {
	r.killed.Wait()
	r.bus.Close()
}

type property struct {
	Name  string
	Value dbus.Variant
}

type auxiliary struct {
	Name       string
	Properties []property
}

// prefork makes n processes in advance, so that only systemd is measured.
func (r *raw) prefork(n int) error {
	r.ready = make(chan *exec.Cmd, n)
	for range n {
		c, err := sleep()
		if err != nil {
			return err
		}
		r.ready <- c
	}
	close(r.ready)
	return nil
}

func (r *raw) sleeper() (*exec.Cmd, error) {
	if c := <-r.ready; c != nil {
		return c, nil
	}
	return sleep()
}

func sleep() (*exec.Cmd, error) {
	c := exec.Command("/bin/busybox", "sleep", "1000")
	return c, c.Start()
}

// scope times StartTransientUnit until JobRemoved, for a process that is there.
func (r *raw) scope(ctx context.Context) (time.Duration, error) {
	sleeper, err := r.sleeper()
	if err != nil {
		return 0, err
	}
	defer func() {
		sleeper.Process.Kill()
		r.killed.Go(func() { sleeper.Wait() })
	}()
	name := fmt.Sprintf("bench-raw-%d.scope", r.count.Add(1))
	start := time.Now()
	done := r.waiting.expect(name)
	err = r.bus.Object(systemd, systemdPath).CallWithContext(ctx, manager+".StartTransientUnit", 0, name, "fail", []property{
		{"PIDs", dbus.MakeVariant([]uint32{uint32(sleeper.Process.Pid)})},
		{"CollectMode", dbus.MakeVariant("inactive-or-failed")},
		{"Delegate", dbus.MakeVariant(true)},
	}, []auxiliary{}).Err
	if err != nil {
		return 0, err
	}
	select {
	case result := <-done:
		if result != "done" {
			return 0, fmt.Errorf("start %s: job %s", name, result)
		}
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	return time.Since(start), nil
}

// plan times one plan: decode, fork, run, execute, exit, reap.
func (r *raw) plan(context.Context) (time.Duration, error) {
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	var gates [2][2]int
	for i := range gates {
		if err := unix.Pipe2(gates[i][:], unix.O_CLOEXEC); err != nil {
			return 0, err
		}
		defer unix.Close(gates[i][0])
		defer unix.Close(gates[i][1])
		if _, err := unix.Write(gates[i][1], []byte{1}); err != nil {
			return 0, err
		}
	}
	start := time.Now()
	p, err := plan.Decode(r.program)
	if err != nil {
		return 0, err
	}
	fd := int(null.Fd())
	proc, err := launch.Start(p, []int{fd, fd, fd, gates[0][0], gates[1][0]})
	if err != nil {
		return 0, err
	}
	defer unix.Close(proc.PIDFD)
	defer unix.Close(proc.Report)
	var status unix.WaitStatus
	if _, err := unix.Wait4(proc.PID, &status, 0, nil); err != nil {
		return 0, err
	}
	if status.ExitStatus() != 0 {
		return 0, fmt.Errorf("run plan: status %d", status.ExitStatus())
	}
	return time.Since(start), nil
}
