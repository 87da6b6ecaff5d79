package integration

import (
	"fmt"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-project/berth/dbusapi/client"
	"github.com/berth-project/berth/dbusapi/wire"
)

// bind adds a bind mount to a bundle.
func bind(source, destination string) func(*specs.Spec) {
	return func(s *specs.Spec) {
		s.Mounts = append(s.Mounts, specs.Mount{Destination: destination, Source: source, Type: "bind", Options: []string{"rbind"}})
	}
}

func ptr[T any](v T) *T { return &v }

// shown is systemctl show of a unit.
func shown(t *testing.T, unit string) map[string]string {
	t.Helper()
	values := map[string]string{}
	for line := range strings.Lines(output(t, "systemctl", "show", unit)) {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\n"), "=")
		values[key] = value
	}
	return values
}

func TestLimitsAreUnitProperties(t *testing.T) {
	r := newRig(t)
	bundle := r.bundle(func(s *specs.Spec) {
		s.Linux.Resources = &specs.LinuxResources{
			Memory:  &specs.LinuxMemory{Limit: ptr(int64(64 << 20)), Reservation: ptr(int64(32 << 20)), Swap: ptr(int64(96 << 20))},
			CPU:     &specs.LinuxCPU{Quota: ptr(int64(50000)), Period: ptr(uint64(100000)), Cpus: "0-1", Mems: "0"},
			Pids:    &specs.LinuxPids{Limit: ptr(int64(77))},
			Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}, {Allow: true, Type: "c", Major: ptr(int64(10)), Minor: ptr(int64(229)), Access: "rw"}},
		}
	}, "/bin/sleep", "1000")
	r.run("limits", bundle, client.CreateOptions{ScopeProperties: []client.Property{{Name: "MemoryHigh", Value: uint64(48 << 20)}}})
	got := shown(t, "berth-limits.scope")
	for key, want := range map[string]string{
		"MemoryMax": fmt.Sprint(64 << 20), "MemoryLow": fmt.Sprint(32 << 20), "MemorySwapMax": fmt.Sprint(32 << 20), "MemoryHigh": fmt.Sprint(48 << 20),
		"CPUQuotaPerSecUSec": "500ms", "AllowedCPUs": "0-1", "AllowedMemoryNodes": "0", "TasksMax": "77", "DevicePolicy": "strict",
		"Slice": "machine.slice", "Delegate": "yes", "CollectMode": "inactive-or-failed", "Transient": "yes",
		"MemoryAccounting": "yes", "CPUAccounting": "yes", "TasksAccounting": "yes", "IOAccounting": "yes",
	} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
	}
	if !strings.Contains(got["DeviceAllow"], "/dev/char/10:229 rw") {
		t.Errorf("DeviceAllow is %q", got["DeviceAllow"])
	}
	if !strings.HasPrefix(got["Controller"], ":") {
		t.Errorf("Controller is %q, want a connection of berthd", got["Controller"])
	}
	if !strings.Contains(got["Description"], "limits") {
		t.Errorf("Description is %q", got["Description"])
	}
}

func TestDevicesAreLimitedBySystemd(t *testing.T) {
	r := newRig(t)
	out, _ := r.out(r.bundle(func(s *specs.Spec) {
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: []string{"CAP_MKNOD"}, Permitted: []string{"CAP_MKNOD"}, Effective: []string{"CAP_MKNOD"}}
		s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/kmsg", Type: "c", Major: 1, Minor: 11}}
		s.Linux.Resources = &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}}
	}, "/bin/sh", "-c", "echo x > /dev/null && echo null works; head -c 1 /dev/zero | wc -c; cat /dev/kmsg > /dev/null"))
	if !strings.Contains(out, "null works") || !strings.Contains(out, "not permitted") {
		t.Errorf("payload says %q", out)
	}
}

func TestTakenScopeName(t *testing.T) {
	r := newRig(t)
	output(t, "systemd-run", "--quiet", "--unit=berth-taken.scope", "--scope", "--", "sh", "-c", "sleep 1000 >/dev/null 2>&1 &")
	defer output(t, "systemctl", "kill", "--signal=KILL", "berth-taken.scope")
	_, err := r.client.Create(r.ctx, "taken", r.bundle(nil, "/bin/true"), client.CreateOptions{})
	if err == nil || !strings.Contains(err.Error(), "berth-taken.scope") {
		t.Errorf("error %v", err)
	}
	if state := output(t, "systemctl", "is-active", "berth-taken.scope"); state != "active" {
		t.Errorf("the stranger's scope is %s", state)
	}
}

func TestRefusedPropertyLeavesNothing(t *testing.T) {
	r := newRig(t)
	_, err := r.client.Create(r.ctx, "refused", r.bundle(nil, "/bin/true"), client.CreateOptions{
		ScopeProperties: []client.Property{{Name: "CPUWeight", Value: uint64(1 << 40)}},
	})
	if err == nil || !strings.Contains(err.Error(), "CPUWeight") {
		t.Errorf("error %v", err)
	}
	r.same(r.before)
}

func TestPayloadSeesOnlyItsCgroup(t *testing.T) {
	r := newRig(t)
	out, _ := r.out(r.bundle(func(s *specs.Spec) {
		s.Mounts = append(s.Mounts, specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"ro", "nosuid", "noexec", "nodev"}})
	}, "/bin/sh", "-c", "cat /proc/self/cgroup; ls -d /sys/fs/cgroup/*.slice; cat /sys/fs/cgroup/cgroup.procs"))
	if !strings.Contains("\n"+out, "\n0::/\n") || strings.Contains(out, "\n/sys/fs/cgroup/machine.slice") {
		t.Errorf("payload sees %q", out)
	}
}

func TestManyContainers(t *testing.T) {
	r := newRig(t)
	const count = 300
	bundle := r.bundle(nil, "/bin/sleep", "1000")
	for i := range count {
		r.run(fmt.Sprintf("many-%d", i), bundle, client.CreateOptions{Log: wire.LogNone})
	}
	list, err := r.client.List(r.ctx)
	r.must(err)
	if len(list) != count {
		t.Errorf("%d containers listed, want %d", len(list), count)
	}
	events, err := r.client.Events(r.ctx)
	r.must(err)
	go func() {
		for i := range count {
			if c, err := r.client.Get(r.ctx, fmt.Sprintf("many-%d", i)); err == nil {
				_ = c.Delete(r.ctx, true)
			}
		}
	}()
	deleted := 0
	for e := range events {
		if e.Kind == client.Deleted {
			if deleted++; deleted == count {
				break
			}
		}
	}
	if left, err := r.client.List(r.ctx); err != nil || len(left) != 0 {
		t.Errorf("%d left, %v", len(left), err)
	}
}
