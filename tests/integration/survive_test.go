package integration

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/berth-project/berth/dbusapi/client"
	"github.com/berth-project/berth/dbusapi/wire"
)

// mainPID is the main process of a service, 0 if there is none.
func mainPID(t *testing.T, service string) int {
	t.Helper()
	pid, err := strconv.Atoi(output(t, "systemctl", "show", "--property=MainPID", "--value", service))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// killBerthd kills the service as a crash would, and waits until it is gone.
func (r *rig) killBerthd() {
	r.Helper()
	pid := mainPID(r.T, "berthd.service")
	if pid == 0 {
		return
	}
	r.must(syscall.Kill(pid, syscall.SIGKILL))
	eventually(r.T, func() bool { return syscall.Kill(pid, 0) != nil }, func() string { return "berthd does not die" })
}

// back waits until the service answers again.
func (r *rig) back() {
	r.Helper()
	var err error
	eventually(r.T, func() bool {
		_, err = r.client.List(r.ctx)
		return err == nil
	}, func() string { return fmt.Sprintf("berthd does not come back: %v\n%s", err, serviceLog()) })
}

func TestCrashLosesNothing(t *testing.T) {
	r := newRig(t)
	gate := r.TempDir() + "/gate"
	running := r.run("running", r.bundle(nil, "/bin/sleep", "1000"), client.CreateOptions{})
	exits := r.bundleWithDir(gate, "/bin/sh", "-c", "while [ ! -e /gate/open ]; do sleep 0.05; done; exit 77")
	exiting := r.run("exiting", exits, client.CreateOptions{})
	created := r.create("created", r.bundle(nil, "/bin/sh", "-c", "exit 9"), client.CreateOptions{})
	paused := r.run("paused", r.bundle(nil, "/bin/sleep", "1000"), client.CreateOptions{})
	r.must(paused.Pause(r.ctx))
	pids := map[string]uint32{}
	for _, c := range []*client.Container{running, created, paused} {
		p := r.properties(c)
		pids[p.ID] = p.PID
	}
	events, err := r.client.Events(r.ctx)
	r.must(err)

	output(t, "systemctl", "stop", "berthd.service") // so that it is away while the payload exits
	r.write(gate+"/open", "")
	eventually(t, func() bool { return len(dirs("/sys/fs/cgroup", "berth-exiting", ".scope")) == 0 }, func() string { return "the payload does not exit" })
	output(t, "systemctl", "start", "berthd.service")
	r.back()

	if exit := r.wait(exiting); exit.Code != 77 || exit.Reason != "exit" {
		t.Errorf("exit %+v, want 77", exit)
	}
	r.sawExit(events, "exiting", 77)
	r.killBerthd()
	r.back()
	for id, pid := range pids {
		c, err := r.client.Get(r.ctx, id)
		r.must(err)
		if p := r.properties(c); p.PID != pid || p.Status != id {
			t.Errorf("%s: %+v, want PID %d", id, p, pid)
		}
	}
	if p := r.properties(exiting); p.Status != "stopped" || p.ExitCode != 77 {
		t.Errorf("exiting: %+v", p)
	}
	r.must(created.Start(r.ctx))
	if exit := r.wait(created); exit.Code != 9 {
		t.Errorf("created: exit %+v", exit)
	}
	r.must(paused.Resume(r.ctx))
	r.must(running.Kill(r.ctx, wire.WhomAll, syscall.SIGKILL))
	if exit := r.wait(running); exit.Reason != "signal" {
		t.Errorf("running: exit %+v", exit)
	}
}

func (r *rig) sawExit(events <-chan client.Event, id string, code int) {
	r.Helper()
	deadline := time.After(patience)
	for {
		select {
		case e := <-events:
			if e.Kind == client.Exited && e.ID == id {
				if e.ExitCode != code {
					r.Errorf("signal %+v, want code %d", e, code)
				}
				return
			}
		case <-deadline:
			r.Errorf("no signal of the exit of %q", id)
			return
		}
	}
}

// TestCrashDuringCreate kills the service again and again while clients create,
// start and delete: whatever is left is whole or gone.
func TestCrashDuringCreate(t *testing.T) {
	r := newRig(t)
	bundle := r.bundle(nil, "/bin/sleep", "1000")
	for round := range 15 {
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				id := fmt.Sprintf("crash-%d", i)
				c, err := r.client.Create(r.ctx, id, bundle, client.CreateOptions{})
				if err != nil {
					return
				}
				_ = c.Start(r.ctx)
				_ = c.Delete(r.ctx, true)
			})
		}
		// Spread the kill over the time that the calls take.
		spread := time.NewTimer(time.Duration(round) * 2 * time.Millisecond)
		<-spread.C
		if pid := mainPID(t, "berthd.service"); pid != 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		wg.Wait()
		r.back()
		list, err := r.client.List(r.ctx)
		r.must(err)
		for _, l := range list {
			c, err := r.client.Get(r.ctx, l.ID)
			r.must(err)
			if l.Status != "created" && l.Status != "running" && l.Status != "stopped" {
				t.Errorf("round %d: %s is %s", round, l.ID, l.Status)
			}
			r.must(c.Delete(r.ctx, true))
		}
		r.same(r.before)
	}
}

func TestRestartsAreNotNoticed(t *testing.T) {
	r := newRig(t)
	dir := r.TempDir()
	c := r.run("steady", r.bundleWithDir(dir, "/bin/sh", "-c", "i=0; while :; do i=$((i+1)); echo line $i; echo $i > /gate/count; sleep 0.02; done"), client.CreateOptions{})
	count := func() int {
		text, _ := os.ReadFile(dir + "/count")
		n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
		return n
	}
	pid := r.properties(c).PID
	for _, args := range [][]string{
		{"systemctl", "restart", "berthd.service"},
		{"systemctl", "daemon-reload"},
		{"systemctl", "daemon-reexec"},
		{"systemctl", "restart", "systemd-journald.service"},
	} {
		before := count()
		output(t, args[0], args[1:]...)
		r.back()
		eventually(t, func() bool { return count() > before+3 }, func() string { return fmt.Sprintf("%q: the payload stands still", args) })
		if p := r.properties(c); p.Status != "running" || p.PID != pid {
			t.Errorf("%q: %+v", args, p)
		}
		if state := output(t, "systemctl", "is-active", "berth-steady.scope"); state != "active" {
			t.Errorf("%q: the scope is %s", args, state)
		}
	}
	r.must(c.Kill(r.ctx, wire.WhomLeader, syscall.SIGKILL))
	if exit := r.wait(c); exit.Reason != "signal" {
		t.Errorf("exit %+v", exit)
	}
}

// bundleWithDir shares a directory of the host as /gate.
func (r *rig) bundleWithDir(dir string, args ...string) string {
	r.Helper()
	r.must(os.MkdirAll(dir, 0o755))
	return r.bundle(bind(dir, "/gate"), args...)
}
