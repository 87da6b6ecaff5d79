package scope

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>custom</type><listen>unix:path=%s</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy></busconfig>`

// testBus is a dbus-daemon of the test's own, that can be killed and started again.
type testBus struct {
	t       *testing.T
	config  string
	address string
	cmd     *exec.Cmd
}

func newTestBus(t *testing.T) *testBus {
	t.Helper()
	dir, err := os.MkdirTemp("", "bus") // not t.TempDir: its name may be too long for a socket, or need escapes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	b := &testBus{t: t, config: filepath.Join(dir, "bus.conf"), address: "unix:path=" + filepath.Join(dir, "bus")}
	if err := os.WriteFile(b.config, fmt.Appendf(nil, busConfig, filepath.Join(dir, "bus")), 0o600); err != nil {
		t.Fatal(err)
	}
	b.start()
	t.Cleanup(b.kill)
	return b
}

func (b *testBus) start() {
	b.t.Helper()
	b.cmd = exec.Command("dbus-daemon", "--nofork", "--print-address", "--config-file="+b.config)
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil { // it listens now
		b.t.Fatal(err)
	}
}

func (b *testBus) kill() {
	if b.cmd != nil {
		_ = b.cmd.Process.Kill()
		_ = b.cmd.Wait()
		b.cmd = nil
	}
}

// connect makes a connection of the test's own.
func (b *testBus) connect() *dbus.Conn {
	b.t.Helper()
	c, err := dbus.Connect(b.address)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	return c
}

// fakeSystemd answers as systemd's manager does, as far as the package asks.
type fakeSystemd struct {
	t    *testing.T
	conn *dbus.Conn

	mu      sync.Mutex
	units   map[string][]uint32 // loaded units and their processes
	calls   []string            // "Method arg"
	props   map[string]dbus.Variant
	nextJob uint32

	// onStart decides about a StartTransientUnit; nil: the unit is made, the job done.
	onStart func(f *fakeSystemd, name string, job dbus.ObjectPath) *dbus.Error
	version string
}

func newFakeSystemd(t *testing.T, b *testBus) *fakeSystemd {
	t.Helper()
	f := &fakeSystemd{t: t, units: map[string][]uint32{}, version: "252.38-1~deb12u1"}
	f.attach(b)
	return f
}

// attach puts the fake on a bus, with the name of systemd.
func (f *fakeSystemd) attach(b *testBus) {
	f.t.Helper()
	conn := b.connect()
	f.mu.Lock()
	f.conn = conn
	f.mu.Unlock()
	for _, err := range []error{
		conn.Export(f, systemdPath, managerIface),
		conn.ExportSubtree(fakeProperties{f}, systemdPath, "org.freedesktop.DBus.Properties"),
	} {
		if err != nil {
			f.t.Fatal(err)
		}
	}
	if r, err := conn.RequestName(systemdName, dbus.NameFlagReplaceExisting|dbus.NameFlagAllowReplacement); err != nil || r != dbus.RequestNameReplyPrimaryOwner {
		f.t.Fatalf("request name: %v, %v", r, err)
	}
}

type fakeProperties struct{ f *fakeSystemd }

// Get implements org.freedesktop.DBus.Properties.
func (p fakeProperties) Get(msg dbus.Message, iface, name string) (dbus.Variant, *dbus.Error) {
	path := msg.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
	if name == "Version" {
		return dbus.MakeVariant(p.f.version), nil
	}
	unit, _ := unitOfPath(path)
	p.f.mu.Lock()
	defer p.f.mu.Unlock()
	if _, ok := p.f.units[unit]; ok && iface == scopeIface && name == "ControlGroup" {
		return dbus.MakeVariant("/machine.slice/" + unit), nil
	}
	return dbus.MakeVariant(""), nil
}

func (f *fakeSystemd) log(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
}

// logged tells how often a call was made.
func (f *fakeSystemd) logged(call string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.calls {
		if c == call {
			n++
		}
	}
	return n
}

// history is all calls made.
func (f *fakeSystemd) history() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// prop is a property of the last StartTransientUnit.
func (f *fakeSystemd) prop(name string) any {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.props[name].Value()
}

// setStart sets what decides about a StartTransientUnit.
func (f *fakeSystemd) setStart(on func(f *fakeSystemd, name string, job dbus.ObjectPath) *dbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.onStart = on
}

// leave leaves the bus.
func (f *fakeSystemd) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conn.Close()
}

func (f *fakeSystemd) loaded(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.units[name]
	return ok
}

func (f *fakeSystemd) add(name string, pids ...uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.units[name] = pids
}

func (f *fakeSystemd) emit(member string, args ...any) {
	f.mu.Lock()
	conn := f.conn
	f.mu.Unlock()
	_ = conn.Emit(systemdPath, managerIface+"."+member, args...)
}

func (f *fakeSystemd) jobRemoved(job dbus.ObjectPath, unit string, result JobResult) {
	f.emit("JobRemoved", uint32(1), job, unit, string(result))
}

// unload forgets a unit.
func (f *fakeSystemd) unload(name string) {
	f.mu.Lock()
	delete(f.units, name)
	f.mu.Unlock()
	f.emit("UnitRemoved", name, pathOfUnit(name))
}

func (f *fakeSystemd) job() dbus.ObjectPath {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nextJob++
	return dbus.ObjectPath(fmt.Sprintf("%s/job/%d", systemdPath, f.nextJob))
}

// Subscribe implements the manager.
func (f *fakeSystemd) Subscribe() *dbus.Error {
	f.log("Subscribe")
	return nil
}

// StartTransientUnit implements the manager.
func (f *fakeSystemd) StartTransientUnit(name, mode string, props []wireProperty, aux []auxUnit) (dbus.ObjectPath, *dbus.Error) {
	f.log("StartTransientUnit %s %s", name, mode)
	if f.loaded(name) {
		return "", dbus.NewError(busUnitExists, []any{"Unit " + name + " was already loaded or has a fragment file."})
	}
	job := f.job()
	var pids []uint32
	f.mu.Lock()
	f.props = map[string]dbus.Variant{}
	for _, p := range props {
		f.props[p.Name] = p.Value
		if p.Name == "PIDs" {
			pids = p.Value.Value().([]uint32)
		}
	}
	onStart := f.onStart
	f.mu.Unlock()
	if onStart != nil {
		f.add(name, pids...)
		err := onStart(f, name, job)
		if err != nil {
			f.unload(name)
		}
		return job, err
	}
	f.add(name, pids...)
	f.jobRemoved(job, name, JobDone) // before the reply, as a real systemd never does but a bus may look like
	return job, nil
}

// StopUnit implements the manager.
func (f *fakeSystemd) StopUnit(name, mode string) (dbus.ObjectPath, *dbus.Error) {
	f.log("StopUnit %s", name)
	if !f.loaded(name) {
		return "", dbus.NewError(busNoSuchUnit, []any{"Unit " + name + " not loaded."})
	}
	job := f.job()
	go func() {
		f.jobRemoved(job, name, JobDone)
		f.unload(name)
	}()
	return job, nil
}

// KillUnit implements the manager.
func (f *fakeSystemd) KillUnit(name, whom string, sig int32) *dbus.Error {
	f.log("KillUnit %s %s %d", name, whom, sig)
	return f.known(name)
}

// ResetFailedUnit implements the manager.
func (f *fakeSystemd) ResetFailedUnit(name string) *dbus.Error { return f.known(name) }

// FreezeUnit implements the manager.
func (f *fakeSystemd) FreezeUnit(name string) *dbus.Error { return f.known(name) }

// ThawUnit implements the manager.
func (f *fakeSystemd) ThawUnit(name string) *dbus.Error { return f.known(name) }

func (f *fakeSystemd) known(name string) *dbus.Error {
	if f.loaded(name) {
		return nil
	}
	return dbus.NewError(busNoSuchUnit, []any{"Unit " + name + " not loaded."})
}

// GetUnit implements the manager.
func (f *fakeSystemd) GetUnit(name string) (dbus.ObjectPath, *dbus.Error) {
	f.log("GetUnit %s", name)
	return pathOfUnit(name), f.known(name)
}

// GetUnitByPID implements the manager.
func (f *fakeSystemd) GetUnitByPID(pid uint32) (dbus.ObjectPath, *dbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, pids := range f.units {
		for _, p := range pids {
			if p == pid {
				return pathOfUnit(name), nil
			}
		}
	}
	return "", dbus.NewError("org.freedesktop.systemd1.NoUnitForPID", []any{"PID does not belong to any loaded unit."})
}

// SetUnitProperties implements the manager.
func (f *fakeSystemd) SetUnitProperties(name string, runtime bool, props []wireProperty) *dbus.Error {
	for _, p := range props {
		if p.Name == "CPUWeight" {
			return dbus.NewError("org.freedesktop.DBus.Error.InvalidArgs", []any{"Value specified in CPUWeight is out of range"})
		}
	}
	return f.known(name)
}

// fakeListed is an entry of ListUnitsByPatterns, D-Bus type (ssssssouso).
type fakeListed struct {
	Name, Description, Load, Active, Sub, Following string
	Path                                            dbus.ObjectPath
	JobID                                           uint32
	JobType                                         string
	JobPath                                         dbus.ObjectPath
}

// ListUnitsByPatterns implements the manager.
func (f *fakeSystemd) ListUnitsByPatterns(states, patterns []string) ([]fakeListed, *dbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []fakeListed
	for name := range f.units {
		out = append(out, fakeListed{name, "text", "loaded", "active", "running", "", pathOfUnit(name), 0, "", "/"})
	}
	return out, nil
}

// fakeProcess is an entry of GetUnitProcesses, D-Bus type (sus).
type fakeProcess struct {
	Group   string
	PID     uint32
	Command string
}

// GetUnitProcesses implements the manager.
func (f *fakeSystemd) GetUnitProcesses(name string) ([]fakeProcess, *dbus.Error) {
	f.mu.Lock()
	var out []fakeProcess
	for _, p := range f.units[name] {
		out = append(out, fakeProcess{"/machine.slice/" + name, p, "sleep 1"})
	}
	f.mu.Unlock()
	return out, f.known(name)
}

// checkGoroutines fails the test if goroutines of ours or of godbus are left when everything else is cleaned up.
func checkGoroutines(t *testing.T) {
	t.Helper()
	count := func() int {
		buf := make([]byte, 1<<20)
		stacks := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
		n := 0
		for _, s := range stacks {
			if strings.Contains(s, "berth/scope.(") || strings.Contains(s, "godbus/dbus") {
				n++
			}
		}
		return n
	}
	before := count()
	t.Cleanup(func() {
		eventually(t, "goroutines are gone", func() bool { return count() <= before })
	})
}

// eventually waits until ok, which nothing announces.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	end := time.After(5 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			buf := make([]byte, 1<<20)
			t.Fatalf("not so after 5 s: %s\n%s", what, buf[:runtime.Stack(buf, true)])
		}
	}
}
