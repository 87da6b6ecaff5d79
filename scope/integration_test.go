package scope

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berth-project/berth/unit"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// requireBox skips outside of a box (tests/box), where PID 1 is a systemd that may be played with. On CI that is a
// failure: there these tests are run in the box, and left out elsewhere.
func requireBox(t *testing.T) {
	t.Helper()
	if os.Getenv("BERTH_BOX") == "1" {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal("not in a box: run make test-box BOXED=./scope")
	}
	t.Skip("not in a box: run make test-box BOXED=./scope")
}

// setupBox makes a manager on the box's system bus.
func setupBox(t *testing.T, cfg Config) *Manager {
	t.Helper()
	requireBox(t)
	checkGoroutines(t)
	m, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// sleeper starts a process that does nothing.
func sleeper(t *testing.T) *exec.Cmd {
	t.Helper()
	c := exec.Command("sleep", "1000")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	return c
}

// reap waits for the process in the background, as the keeper does.
func reap(c *exec.Cmd) <-chan error {
	done := make(chan error, 1)
	go func() { done <- c.Wait() }()
	return done
}

// boxRequest asks for a scope with one new process.
func boxRequest(t *testing.T, id string, props ...unit.Property) (StartRequest, *exec.Cmd) {
	t.Helper()
	c := sleeper(t)
	fd, err := unix.PidfdOpen(c.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	defaults := Defaults(DefaultsConfig{Description: "test " + id, StopTimeout: 2 * time.Second, After: []string{"berthd.service"}})
	return StartRequest{Name: unit.ScopeName(id), PIDs: []int{c.Process.Pid}, PIDFD: fd,
		Properties: append(defaults, props...), Timeout: 10 * time.Second}, c
}

// parseResources reads linux.resources.
func parseResources(t *testing.T, text string) *specs.LinuxResources {
	t.Helper()
	var r specs.LinuxResources
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	return &r
}

// show is "systemctl show -p PROP --value UNIT".
func show(t *testing.T, name, prop string) string {
	t.Helper()
	out, err := exec.Command("systemctl", "show", "-p", prop, "--value", name).CombinedOutput()
	if err != nil {
		t.Fatalf("systemctl show: %v\n%s", err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestIntegrationLife(t *testing.T) {
	removed := make(chan string, 4)
	m := setupBox(t, Config{OnRemoved: func(s string) { removed <- s }})
	ctx := t.Context()
	r, c := boxRequest(t, "life-1")
	if err := m.Start(ctx, r); err != nil {
		t.Fatal(err)
	}
	group, err := m.ControlGroup(ctx, r.Name)
	if err != nil || group != "/machine.slice/"+r.Name {
		t.Errorf("cgroup %q, %v", group, err)
	}
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", c.Process.Pid)); err != nil || !strings.Contains(string(b), group) {
		t.Errorf("the process is in %q, %v", b, err)
	}
	procs, err := m.Processes(ctx, r.Name)
	if err != nil || len(procs) != 1 || procs[0].PID != c.Process.Pid || procs[0].Command != "sleep 1000" {
		t.Errorf("processes %v, %v", procs, err)
	}
	list, err := m.List(ctx)
	if want := (Info{r.Name, "test life-1", "loaded", "active", "running"}); err != nil || !slices.Contains(list, want) {
		t.Errorf("list %v, %v", list, err)
	}
	if err := m.Start(ctx, r); !errors.Is(err, ErrExists) {
		t.Errorf("taken name: %v", err)
	}
	for _, step := range []struct {
		f     func(context.Context, string) error
		state string
	}{{m.Freeze, "frozen"}, {m.Thaw, "running"}} {
		if err := step.f(ctx, r.Name); err != nil {
			t.Error(err)
		}
		if s := show(t, r.Name, "FreezerState"); s != step.state {
			t.Errorf("freezer state %q, want %q", s, step.state)
		}
	}
	done := reap(c)
	if err := m.Kill(ctx, r.Name, "all", unix.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := m.WaitRemoved(ctx, r.Name); err != nil {
		t.Error(err)
	}
	<-done
	if s := <-removed; s != r.Name {
		t.Errorf("removed %q", s)
	}
	again, _ := boxRequest(t, "life-1")
	if err := m.Start(ctx, again); err != nil {
		t.Errorf("the name is not free: %v", err)
	}
	if err := m.Stop(ctx, again.Name); err != nil {
		t.Error(err)
	}
	if err := errors.Join(m.WaitRemoved(ctx, again.Name), m.Remove(ctx, again.Name)); err != nil {
		t.Error(err)
	}
	if err := m.Stop(ctx, again.Name); !errors.Is(err, ErrNoSuchUnit) {
		t.Errorf("stop of what is gone: %v", err)
	}
}

// Every property of linux.resources is accepted and shows the value meant.
func TestIntegrationResources(t *testing.T) {
	m := setupBox(t, Config{})
	props, err := unit.FromResources(parseResources(t, `{
		"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":10,"minor":229,"access":"rw"},
			{"allow":true,"type":"c","major":5,"access":"r"}],
		"memory":{"limit":67108864,"reservation":4096,"swap":134217728},
		"cpu":{"shares":2048,"quota":33333,"period":50000,"cpus":"0","mems":"0"},
		"pids":{"limit":17},
		"blockIO":{"weight":500,"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1000}],
			"weightDevice":[{"major":8,"minor":0,"weight":20}]},
		"unified":{"memory.high":"33554432","memory.min":"8192"}}`), unit.DefaultDevices())
	if err != nil {
		t.Fatal(err)
	}
	r, _ := boxRequest(t, "resources", props...)
	if err := m.Start(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	defer m.Remove(context.Background(), r.Name)
	for prop, want := range map[string]string{
		"MemoryMax": "67108864", "MemoryLow": "4096", "MemoryMin": "8192", "MemoryHigh": "33554432", "MemorySwapMax": "67108864",
		"CPUWeight": "174", "CPUQuotaPerSecUSec": "670ms", "CPUQuotaPeriodUSec": "50ms", "AllowedCPUs": "0",
		"AllowedMemoryNodes": "0", "TasksMax": "17", "IOWeight": "4950", "IODeviceWeight": "/dev/block/8:0 102",
		"IOReadBandwidthMax": "/dev/block/8:0 1000", "DevicePolicy": "strict", "Delegate": "yes", "Slice": "machine.slice",
		"CollectMode": "inactive-or-failed", "KillMode": "control-group", "TimeoutStopUSec": "2s", "TasksAccounting": "yes",
		"CPUAccounting": "yes", "MemoryAccounting": "yes", "IOAccounting": "yes", "OOMPolicy": "continue",
	} {
		if got := show(t, r.Name, prop); got != want {
			t.Errorf("%s=%q, want %q", prop, got, want)
		}
	}
	if after := strings.Fields(show(t, r.Name, "After")); !slices.Contains(after, "berthd.service") {
		t.Errorf("After=%q", after)
	}
	allow := strings.Split(show(t, r.Name, "DeviceAllow"), "\n")
	for _, want := range append(unit.DefaultDevices(), unit.DeviceRule{Path: "/dev/char/10:229", Access: "rw"},
		unit.DeviceRule{Path: "char-5", Access: "r"}) {
		if !slices.Contains(allow, want.Path+" "+want.Access) {
			t.Errorf("DeviceAllow has no %v: %q", want, allow)
		}
	}
	if err := m.SetProperties(t.Context(), r.Name, []unit.Property{unit.TasksMax(5), unit.CPUWeight(unit.CPUWeightIdle)}); err != nil {
		t.Error(err)
	}
	systemctl(t, "daemon-reload")
	if a, b, c := show(t, r.Name, "TasksMax"), show(t, r.Name, "CPUWeight"), show(t, r.Name, "CPUQuotaPerSecUSec"); a != "5" || b != "idle" || c != "670ms" {
		t.Errorf("after daemon-reload TasksMax=%s CPUWeight=%s CPUQuotaPerSecUSec=%s", a, b, c)
	}
}

func TestIntegrationRefused(t *testing.T) {
	m := setupBox(t, Config{})
	for _, p := range []unit.Property{unit.CPUWeight(10001), unit.TasksMax(0), unit.MemoryMax(0), unit.DevicePolicy("none"),
		unit.Slice("nonsense"), {Name: "NoSuchProperty", Value: "x"}, unit.DeviceAllow(unit.DeviceRule{Path: "/x", Access: "r"}),
		{Name: "Delegate", Value: "yes"}} {
		t.Run(p.Name, func(t *testing.T) {
			r, c := boxRequest(t, "refused", p)
			err := m.Start(t.Context(), r)
			var e *RefusedError
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want a RefusedError", err)
			}
			t.Log(err)
			if err := m.WaitRemoved(t.Context(), r.Name); err != nil {
				t.Error(err)
			}
			if err := c.Process.Signal(unix.Signal(0)); err != nil {
				t.Errorf("the process was touched: %v", err)
			}
		})
	}
}

// A dead leader, without and with a pidfd.
func TestIntegrationDeadLeader(t *testing.T) {
	m := setupBox(t, Config{})
	r, c := boxRequest(t, "dead")
	_ = c.Process.Kill()
	_ = c.Wait()
	if err := m.Start(t.Context(), r); !errors.Is(err, ErrNoLeader) {
		t.Errorf("with a pidfd: %v", err)
	}
	r.PIDFD = -1
	err := m.Start(t.Context(), r)
	if err == nil {
		t.Error("started without a process")
	}
	t.Log(err)
	if err := m.WaitRemoved(t.Context(), r.Name); err != nil {
		t.Error(err)
	}
}

// A zombie leader: systemd would keep the empty scope for ever.
func TestIntegrationZombieLeader(t *testing.T) {
	m := setupBox(t, Config{})
	r, c := boxRequest(t, "zombie")
	_ = c.Process.Kill()
	eventually(t, "zombie", func() bool {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.Process.Pid))
		return strings.Contains(string(b), ") Z ")
	})
	for _, fd := range []int{r.PIDFD, -1} {
		r.PIDFD = fd
		if err := m.Start(t.Context(), r); (err == nil) != (fd < 0) {
			t.Errorf("pidfd %d: %v", fd, err)
		}
	}
	if err := m.Remove(t.Context(), r.Name); err != nil {
		t.Error(err)
	}
	if list, err := m.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("left %v, %v", list, err)
	}
}

// systemd waits with the job for a unit that is to start first, for ever: the start times out, the job and the
// unit are gone, and so is what the scope was to hold, if it got that far.
func TestIntegrationTimeout(t *testing.T) {
	m := setupBox(t, Config{})
	slow := exec.Command("systemd-run", "--unit=slow-start", "--service-type=notify", "--no-block", "-p", "TimeoutStartSec=infinity", "sleep", "1000")
	if out, err := slow.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	defer systemctl(t, "stop", "slow-start.service")
	r, _ := boxRequest(t, "timeout", unit.After("slow-start.service"))
	r.Timeout = 200 * time.Millisecond
	start := time.Now()
	if err := m.Start(t.Context(), r); !errors.Is(err, ErrTimeout) {
		t.Errorf("got %v, want ErrTimeout", err)
	}
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("took %v", d)
	}
	if out, _ := exec.Command("systemctl", "list-units", "--all", "--no-legend", r.Name).CombinedOutput(); len(out) > 0 {
		t.Errorf("left: %s", out)
	}
}

func systemctl(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("systemctl", args...).CombinedOutput(); err != nil {
		t.Errorf("systemctl %v: %v\n%s", args, err, out)
	}
}

// "systemctl stop" asks the controller, which decides how.
func TestIntegrationRequestStop(t *testing.T) {
	asked := make(chan string, 4)
	m := setupBox(t, Config{OnRequestStop: func(s string) { asked <- s }})
	r, c := boxRequest(t, "ask.a b")
	if err := m.Start(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	done := reap(c)
	stop := exec.Command("systemctl", "stop", r.Name)
	if err := stop.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case s := <-asked:
		if s != r.Name {
			t.Errorf("asked to stop %q", s)
		}
	case <-time.After(time.Second):
		t.Error("not asked")
	}
	if err := m.Kill(t.Context(), r.Name, "all", unix.SIGINT); err != nil {
		t.Error(err)
	}
	<-done
	if s := c.ProcessState.Sys().(syscall.WaitStatus).Signal(); s != unix.SIGINT {
		t.Errorf("stopped by %v, not by us", s)
	}
	if err := stop.Wait(); err != nil {
		t.Error(err)
	}
}

// Remove of a process that ignores everything it can, frozen.
func TestIntegrationRemoveStubborn(t *testing.T) {
	m := setupBox(t, Config{OnRequestStop: func(string) {}})
	r, _ := boxRequest(t, "stubborn")
	c := exec.Command("sh", "-c", `trap "" TERM INT HUP; for i in 1 2 3 4 5; do (trap "" TERM; while :; do sleep 1000; done) & done; while :; do sleep 1000; done`)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	done := reap(c)
	r.PIDs, r.PIDFD = []int{c.Process.Pid}, -1
	if err := m.Start(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if err := m.Freeze(t.Context(), r.Name); err != nil {
		t.Error(err)
	}
	start := time.Now()
	if err := m.Remove(t.Context(), r.Name); err != nil {
		t.Error(err)
	}
	t.Logf("removed in %v", time.Since(start))
	<-done
}

// PID 1 re-executes itself, dbus-daemon restarts: scopes live on, and the manager works again.
func TestIntegrationSurvival(t *testing.T) {
	for _, what := range [][]string{{"daemon-reload"}, {"daemon-reexec"}, {"restart", "dbus.service"}} {
		t.Run(strings.Join(what, " "), func(t *testing.T) {
			resync := make(chan struct{}, 8)
			m := setupBox(t, Config{OnResync: func() { resync <- struct{}{} }})
			r, c := boxRequest(t, "survivor")
			if err := m.Start(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			gone := make(chan error, 1)
			go func() { gone <- m.WaitRemoved(t.Context(), r.Name) }()
			systemctl(t, what...)
			if what[0] != "daemon-reload" {
				select {
				case <-resync:
				case <-time.After(10 * time.Second):
					t.Fatal("no resync")
				}
			}
			procs, err := m.Processes(t.Context(), r.Name)
			if err != nil || len(procs) != 1 || procs[0].PID != c.Process.Pid {
				t.Errorf("processes %v, %v", procs, err)
			}
			other, _ := boxRequest(t, "other")
			if err := m.Start(t.Context(), other); err != nil {
				t.Error(err)
			}
			done := reap(c)
			if err := errors.Join(m.Remove(t.Context(), other.Name), m.Remove(t.Context(), r.Name), <-gone); err != nil {
				t.Error(err)
			}
			<-done
		})
	}
}

// Starts while dbus-daemon restarts: each succeeds or leaves nothing.
// A scope whose process had ended before it came in, and whose controller has left: systemd hears of no end and asks
// nobody for one.
func TestIntegrationRemoveOfAnEmptyScope(t *testing.T) {
	m := setupBox(t, Config{Controller: ":1.1000000"})
	r, c := boxRequest(t, "empty-1")
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Waitid(unix.P_PID, c.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	r.PIDFD = -1
	r.Properties = append(r.Properties, unit.TimeoutStopUSec(20e6))
	if err := m.Start(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := m.Remove(t.Context(), r.Name); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestIntegrationStartsWhileBusRestarts(t *testing.T) {
	m := setupBox(t, Config{})
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		for range 3 {
			<-time.After(150 * time.Millisecond)
			systemctl(t, "restart", "dbus.service")
		}
	}()
	failed, ok := 0, 0
	for i := 0; ; i++ {
		select {
		case <-stop:
			t.Logf("%d started, %d failed", ok, failed)
			list, err := m.List(t.Context())
			if err != nil || len(list) != 0 {
				t.Errorf("left %v, %v", list, err)
			}
			return
		default:
		}
		r, c := boxRequest(t, fmt.Sprintf("restart-%d", i))
		done := reap(c)
		err := m.Start(t.Context(), r)
		switch {
		case err == nil:
			ok++
			if err := m.Remove(t.Context(), r.Name); err != nil {
				t.Error(err)
			}
		case errors.Is(err, ErrDisconnected):
			failed++
			t.Log(err)
		default:
			t.Error(err)
		}
		_ = c.Process.Kill()
		<-done
	}
}

// 300 at once, and what a start costs over the bare call.
func TestIntegrationMany(t *testing.T) {
	const n = 300
	removed := make(chan string, 4*n) // a call that comes late loads the unit again, and it is removed again
	m := setupBox(t, Config{OnRemoved: func(s string) { removed <- s }})
	var times []time.Duration
	var waits []<-chan error
	var names []string
	for i := range n {
		r, c := boxRequest(t, fmt.Sprintf("many-%d", i))
		start := time.Now()
		if err := m.Start(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		times = append(times, time.Since(start))
		waits, names = append(waits, reap(c)), append(names, r.Name)
	}
	list, err := m.List(t.Context())
	if err != nil || len(list) != n {
		t.Errorf("list has %d, %v", len(list), err)
	}
	early := slices.Sorted(slices.Values(times[:30]))
	late := slices.Sorted(slices.Values(times[n-30:]))
	t.Logf("start: median of the first 30 %v, of the last %v", early[15], late[15])
	for i, name := range names {
		if err := m.Remove(t.Context(), name); err != nil {
			t.Error(err)
		}
		<-waits[i]
	}
	for left := slices.Clone(names); len(left) > 0; {
		gone := <-removed
		left = slices.DeleteFunc(left, func(name string) bool { return name == gone })
	}
	if list, err := m.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("left %v, %v", list, err)
	}
}
