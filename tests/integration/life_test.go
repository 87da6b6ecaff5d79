package integration

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-project/berth/dbusapi/client"
	"github.com/berth-project/berth/dbusapi/wire"
)

func TestLifeOfAContainer(t *testing.T) {
	r := newRig(t)
	events, err := r.client.Events(r.ctx)
	r.must(err)
	bundle := r.bundle(func(s *specs.Spec) { s.Annotations = map[string]string{"org.example.kind": "test"} }, "/bin/sh", "-c", "exit 42")

	c := r.create("life", bundle, client.CreateOptions{Annotations: map[string]string{"added": "yes"}})
	p := r.properties(c)
	if p.Status != "created" || p.PID == 0 || p.Bundle != bundle || p.Scope != "berth-life.scope" || p.CreatedTimestamp == 0 || p.StartedTimestamp != 0 {
		t.Errorf("created: %+v", p)
	}
	if p.Annotations["org.example.kind"] != "test" || p.Annotations["added"] != "yes" {
		t.Errorf("annotations %v", p.Annotations)
	}
	if state := output(t, "systemctl", "is-active", "berth-life.scope"); state != "active" {
		t.Errorf("the scope is %s", state)
	}
	text, err := c.State(r.ctx)
	r.must(err)
	var state specs.State
	r.must(json.Unmarshal([]byte(text), &state))
	if state.ID != "life" || state.Status != specs.StateCreated || state.Pid != int(p.PID) || state.Bundle != bundle || state.Version == "" {
		t.Errorf("state %s", text)
	}

	r.must(c.Start(r.ctx))
	if exit := r.wait(c); exit.Code != 42 || exit.Reason != "exit" {
		t.Errorf("exit %+v", exit)
	}
	p = r.properties(c)
	if p.Status != "stopped" || p.ExitCode != 42 || p.ExitReason != "exit" || p.FinishedTimestamp < p.StartedTimestamp || p.StartedTimestamp < p.CreatedTimestamp {
		t.Errorf("stopped: %+v", p)
	}
	r.must(c.Delete(r.ctx, false))
	if _, err := r.client.Get(r.ctx, "life"); !client.Is(err, wire.ErrorNoSuchContainer) {
		t.Errorf("get after delete: %v", err)
	}
	var kinds []client.EventKind
	for e := range events {
		if e.ID != "life" || e.Kind == client.Changed {
			continue
		}
		kinds = append(kinds, e.Kind)
		if e.Kind == client.Exited && (e.ExitCode != 42 || e.Reason != "exit") {
			t.Errorf("event %+v", e)
		}
		if e.Kind == client.Deleted {
			break
		}
	}
	if want := []client.EventKind{client.Created, client.Started, client.Exited, client.Deleted}; !slices.Equal(kinds, want) {
		t.Errorf("signals %v, want %v", kinds, want)
	}
}

func TestNameIsFreeAgainAfterDelete(t *testing.T) {
	r := newRig(t)
	bundle := r.bundle(nil, "/bin/true")
	for range 20 {
		c := r.run("again", bundle, client.CreateOptions{})
		r.wait(c)
		r.must(c.Delete(r.ctx, false))
	}
}

func TestLookups(t *testing.T) {
	r := newRig(t)
	c := r.run("look-up", r.bundle(nil, "/bin/sh", "-c", "sleep 1000 & sleep 1000 & wait"), client.CreateOptions{})
	pid := r.properties(c).PID
	byPID, err := r.client.GetByPID(r.ctx, pid)
	r.must(err)
	if byPID.Path() != c.Path() {
		t.Errorf("GetByPID gives %s, want %s", byPID.Path(), c.Path())
	}
	_, err = r.client.GetByPID(r.ctx, 1)
	r.wantError(err, wire.ErrorNoSuchContainer, "1")
	list, err := r.client.List(r.ctx)
	r.must(err)
	if len(list) != 1 || list[0].ID != "look-up" || list[0].Status != "running" || list[0].PID != pid || list[0].Object != c.Path() {
		t.Errorf("list %+v", list)
	}
	eventually(t, func() bool {
		ps, err := c.Processes(r.ctx)
		return err == nil && len(ps) == 3
	}, func() string { ps, err := c.Processes(r.ctx); return "processes: " + jsonOf(ps) + errText(err) })
	stats, err := c.Stats(r.ctx)
	r.must(err)
	if _, ok := stats["CPUUsageNSec"]; !ok {
		t.Errorf("stats %v", stats)
	}
}

func jsonOf(v any) string { b, _ := json.Marshal(v); return string(b) }

func errText(err error) string {
	if err == nil {
		return ""
	}
	return " " + err.Error()
}

func TestKill(t *testing.T) {
	r := newRig(t)
	trap := r.sh(`trap 'exit 7' USR1; while :; do sleep 0.1; done`)
	for _, tc := range []struct {
		name   string
		whom   string
		signal syscall.Signal
		code   int
		reason string
	}{
		{"handled", wire.WhomLeader, syscall.SIGUSR1, 7, "exit"},
		{"leader", wire.WhomLeader, syscall.SIGKILL, -1, "signal"},
		{"all", wire.WhomAll, syscall.SIGKILL, -1, "signal"},
	} {
		c := r.run("kill-"+tc.name, trap, client.CreateOptions{})
		r.ready(c)
		r.must(c.Kill(r.ctx, tc.whom, tc.signal))
		if exit := r.wait(c); exit.Code != tc.code && tc.code >= 0 || exit.Reason != tc.reason {
			t.Errorf("%s: exit %+v", tc.name, exit)
		}
		if p := r.properties(c); tc.reason == "signal" && p.ExitSignal != uint32(tc.signal) {
			t.Errorf("%s: signal %d", tc.name, p.ExitSignal)
		}
		r.wantError(c.Kill(r.ctx, tc.whom, tc.signal), wire.ErrorInvalidState, "kill-"+tc.name, "stopped")
	}
}

// ready waits until the shell of a payload has begun its loop: it has a child.
func (r *rig) ready(c *client.Container) {
	r.Helper()
	eventually(r.T, func() bool {
		ps, err := c.Processes(r.ctx)
		return err == nil && len(ps) > 1
	}, func() string { return "the payload does not begin" })
}

func TestStop(t *testing.T) {
	r := newRig(t)
	t.Run("obeys", func(t *testing.T) {
		c := r.run("stop", r.sh(`trap 'exit 3' TERM; while :; do sleep 0.1; done`), client.CreateOptions{})
		r.ready(c)
		r.must(c.Stop(r.ctx, 20*time.Second))
		if p := r.properties(c); p.Status != "stopped" || p.ExitCode != 3 || p.ExitReason != "exit" {
			t.Errorf("%+v", p)
		}
	})
	t.Run("ignores SIGTERM", func(t *testing.T) {
		c := r.run("stubborn", r.sh(`trap '' TERM; while :; do sleep 0.1; done`), client.CreateOptions{})
		r.ready(c)
		r.must(c.Stop(r.ctx, 200*time.Millisecond))
		if p := r.properties(c); p.Status != "stopped" || p.ExitReason != "stop-timeout" || p.ExitSignal != uint32(syscall.SIGKILL) {
			t.Errorf("%+v", p)
		}
	})
	t.Run("by systemctl", func(t *testing.T) {
		c := r.run("by-systemd", r.sh(`trap 'exit 5' TERM; while :; do sleep 0.1; done`), client.CreateOptions{})
		r.ready(c)
		output(t, "systemctl", "stop", "berth-by-systemd.scope")
		if exit := r.wait(c); exit.Code != 5 || exit.Reason != "exit" {
			t.Errorf("exit %+v", exit)
		}
	})
}

func TestPauseStopsTheClockOfThePayload(t *testing.T) {
	r := newRig(t)
	bundle := r.sh(`i=0; while :; do i=$((i+1)); echo $i > /tmp/count; done`)
	c := r.run("pause", bundle, client.CreateOptions{})
	count := func() string { b, _ := os.ReadFile(bundle + "/rootfs/tmp/count"); return string(b) }
	eventually(t, func() bool { return count() != "" }, func() string { return "the payload does not count" })
	r.must(c.Pause(r.ctx))
	if p := r.properties(c); p.Status != "paused" {
		t.Errorf("status %q", p.Status)
	}
	if state := output(t, "systemctl", "show", "--property=FreezerState", "--value", "berth-pause.scope"); state != "frozen" {
		t.Errorf("the scope is %s", state)
	}
	frozen := count()
	r.wantError(c.Pause(r.ctx), wire.ErrorInvalidState, "pause")
	if now := count(); now != frozen {
		t.Errorf("it counted from %q to %q while paused", frozen, now)
	}
	r.must(c.Resume(r.ctx))
	eventually(t, func() bool { return count() != frozen && count() != "" }, func() string { return "the payload does not go on" })
	r.wantError(c.Resume(r.ctx), wire.ErrorInvalidState, "pause")
	r.must(c.Pause(r.ctx))
	r.must(c.Delete(r.ctx, true))
}

func TestStdio(t *testing.T) {
	r := newRig(t)
	in, inWrite := r.pipe()
	outRead, out := r.pipe()
	defer outRead.Close()
	c := r.create("stdio", r.bundle(nil, "/bin/cat"), client.CreateOptions{Stdin: in, Stdout: out})
	in.Close()
	out.Close()
	r.must(c.Start(r.ctx))
	if _, err := inWrite.WriteString("through\n"); err != nil {
		t.Error(err)
	}
	inWrite.Close()
	buf := make([]byte, 100)
	n, _ := outRead.Read(buf)
	if string(buf[:n]) != "through\n" {
		t.Errorf("read %q", buf[:n])
	}
	if exit := r.wait(c); exit.Code != 0 {
		t.Errorf("exit %+v", exit)
	}
	if n, err := outRead.Read(buf); n != 0 || err == nil {
		t.Errorf("somebody still holds the pipe: %d bytes, %v", n, err)
	}
}

func TestListenFDsReachThePayload(t *testing.T) {
	r := newRig(t)
	file, write := r.pipe()
	if _, err := write.WriteString("hello"); err != nil {
		t.Fatal(err)
	}
	write.Close()
	outRead, out := r.pipe()
	defer outRead.Close()
	c := r.create("listen", r.sh(`echo $LISTEN_FDS $LISTEN_FDNAMES $LISTEN_PID $$; cat <&3; ls /proc/self/fd`), client.CreateOptions{
		Stdout: out, ListenFDs: []client.NamedFile{{Name: "web", File: file}},
	})
	file.Close()
	out.Close()
	r.must(c.Start(r.ctx))
	r.wait(c)
	buf := make([]byte, 1000)
	var got strings.Builder
	for n, err := outRead.Read(buf); err == nil; n, err = outRead.Read(buf) {
		got.Write(buf[:n])
	}
	if !strings.HasPrefix(got.String(), "1 web 1 1\nhello") {
		t.Errorf("payload says %q", got.String())
	}
}

func TestTwoClientsCreateTheSameName(t *testing.T) {
	r := newRig(t)
	bundle := r.bundle(nil, "/bin/sleep", "1000")
	for range 10 {
		const rivals = 8
		errs := make(chan error, rivals)
		var wg sync.WaitGroup
		for range rivals {
			wg.Go(func() {
				_, err := r.client.Create(r.ctx, "rival", bundle, client.CreateOptions{})
				errs <- err
			})
		}
		wg.Wait()
		close(errs)
		won := 0
		for err := range errs {
			if err == nil {
				won++
				continue
			}
			r.wantError(err, wire.ErrorContainerExists, `"rival"`)
		}
		if won != 1 {
			t.Errorf("%d of %d creates succeeded", won, rivals)
		}
		c, err := r.client.Get(r.ctx, "rival")
		r.must(err)
		r.must(c.Delete(r.ctx, true))
	}
}

func TestRivalsStartAndDelete(t *testing.T) {
	r := newRig(t)
	bundle := r.bundle(nil, "/bin/sleep", "1000")
	for range 10 {
		c := r.create("fought", bundle, client.CreateOptions{})
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { _ = c.Start(r.ctx) })
			wg.Go(func() { _ = c.Kill(r.ctx, wire.WhomAll, syscall.SIGKILL) })
			wg.Go(func() { _ = c.Delete(r.ctx, true) })
		}
		wg.Wait()
		if _, err := r.client.Get(r.ctx, "fought"); err == nil {
			r.must(c.Delete(r.ctx, true))
		}
	}
}
