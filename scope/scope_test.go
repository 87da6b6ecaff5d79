package scope

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/berth-project/berth/unit"
	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

const testUnit = "berth-test.scope"

// setup makes a bus, a fake systemd on it and a manager.
func setup(t *testing.T, cfg Config) (*testBus, *fakeSystemd, *Manager) {
	t.Helper()
	checkGoroutines(t)
	b := newTestBus(t)
	f := newFakeSystemd(t, b)
	cfg.Address = b.address
	m, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return b, f, m
}

func testRequest() StartRequest {
	return StartRequest{Name: testUnit, PIDs: []int{42}, PIDFD: -1, Timeout: 5 * time.Second,
		Properties: []unit.Property{unit.Description("a test"), unit.CPUWeight(7)}}
}

// The fake sends JobRemoved before the reply with the job's path: the result must not be lost.
func TestStart(t *testing.T) {
	_, f, m := setup(t, Config{Controller: "org.berth1"})
	if err := m.Start(t.Context(), testRequest()); err != nil {
		t.Fatal(err)
	}
	if h := f.history(); len(h) != 2 || h[0] != "Subscribe" || h[1] != "StartTransientUnit "+testUnit+" fail" {
		t.Errorf("calls of one start: %q", f.history())
	}
	want := map[string]any{"Description": "a test", "CPUWeight": uint64(7), "PIDs": []uint32{42}, "Controller": "org.berth1"}
	got := map[string]any{}
	for k := range want {
		got[k] = f.prop(k)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("properties (-want +got):\n%s", d)
	}
	if m.Version() != 252 {
		t.Errorf("version %d", m.Version())
	}
}

func TestStartJobEndsAfterReply(t *testing.T) {
	_, f, m := setup(t, Config{})
	f.setStart(func(f *fakeSystemd, name string, job dbus.ObjectPath) *dbus.Error {
		go func() {
			f.jobRemoved(systemdPath+"/job/999", name, JobFailed) // another job of the same unit
			f.jobRemoved(job, "other.service", JobFailed)
			f.jobRemoved(job, name, JobDone)
		}()
		return nil
	})
	if err := m.Start(t.Context(), testRequest()); err != nil {
		t.Error(err)
	}
}

func TestStartManyAtOnce(t *testing.T) {
	_, _, m := setup(t, Config{})
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			r := testRequest()
			r.Name = unit.ScopeName(strings.Repeat("x", i+1))
			if err := m.Start(t.Context(), r); err != nil {
				t.Error(err)
			}
			if err := m.Remove(t.Context(), r.Name); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if list, err := m.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("left: %v, %v", list, err)
	}
	if len(m.waiters.jobs) != 0 || len(m.waiters.removals) != 0 {
		t.Errorf("waiters left: %v, %v", m.waiters.jobs, m.waiters.removals)
	}
}

// The pidfd tells that the leader has ended. What is left is removed, but not a process that has its number.
func TestStartPIDFD(t *testing.T) {
	for _, tt := range []struct {
		name           string
		reap, stranger bool
		killed         bool
	}{
		{"zombie", false, false, true},
		{"reaped", true, false, true},
		{"reaped, its number given away", true, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, f, m := setup(t, Config{})
			child := sleeper(t)
			fd, err := unix.PidfdOpen(child.Process.Pid, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			r := testRequest()
			r.PIDs, r.PIDFD = []int{child.Process.Pid}, fd
			if err := m.Start(t.Context(), r); err != nil {
				t.Errorf("alive: %v", err)
			}
			f.unload(testUnit)
			f.setStart(func(f *fakeSystemd, name string, job dbus.ObjectPath) *dbus.Error {
				if !tt.stranger {
					f.add(name)
				}
				_ = child.Process.Kill()
				if tt.reap {
					_ = child.Wait()
				} else {
					_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
				}
				f.jobRemoved(job, name, JobDone)
				return nil
			})
			for range 2 { // it ends during the start, and it had ended before
				if err := m.Start(t.Context(), r); !errors.Is(err, ErrNoLeader) {
					t.Errorf("got %v, want ErrNoLeader", err)
				}
			}
			if n := f.logged("StartTransientUnit " + testUnit + " fail"); n != 2 {
				t.Errorf("%d starts, want none for the leader that had ended before", n)
			}
			if killed := f.logged("KillUnit "+testUnit+" all 9") > 0; killed != tt.killed || f.loaded(testUnit) != tt.stranger {
				t.Errorf("killed: %v, loaded: %v", killed, f.loaded(testUnit))
			}
		})
	}
}

// What godbus cannot take does not reach it: dbus-daemon has no way to send us file descriptors.
func TestNoFileDescriptors(t *testing.T) {
	b, f, m := setup(t, Config{})
	evil := b.connect()
	for _, n := range f.names(t) {
		if n != evil.Names()[0] {
			evil.Send(signalTo(n, "/", "a.b", "C", []dbus.UnixFD{1}), nil)
		}
	}
	if err := evil.BusObject().Call(busName+".GetId", 0).Err; err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context(), testRequest()); err != nil {
		t.Error(err)
	}
}

func TestSocketOf(t *testing.T) {
	for address, want := range map[string]string{
		"unix:path=/run/x":                   "/run/x",
		"unix:abstract=a%20b,guid=1":         "@a b",
		"tcp:host=h;unix:guid=1,path=/p%2cq": "/p,q",
		"tcp:host=h":                         "",
		"unix:path=%zz":                      "",
		"":                                   "",
		"unix:tmpdir=/tmp;unix:path=/a;unix:path=/b": "/a",
	} {
		if got, err := socketOf(address); got != want || (err != nil) != (want == "") {
			t.Errorf("socketOf(%q) = %q, %v, want %q", address, got, err, want)
		}
	}
}

func TestStartTakenName(t *testing.T) {
	_, f, m := setup(t, Config{})
	f.add(testUnit, 1)
	err := m.Start(t.Context(), testRequest())
	if !errors.Is(err, ErrExists) || !strings.Contains(err.Error(), `"`+testUnit+`"`) {
		t.Errorf("got %v, want ErrExists with the name", err)
	}
	if !f.loaded(testUnit) || f.logged("StopUnit "+testUnit) != 0 || f.logged("KillUnit "+testUnit+" all 9") != 0 {
		t.Errorf("the unit of another was touched: %q", f.history())
	}
}

func TestStartRefused(t *testing.T) {
	_, f, m := setup(t, Config{})
	f.setStart(func(*fakeSystemd, string, dbus.ObjectPath) *dbus.Error {
		return dbus.NewError("org.freedesktop.DBus.Error.InvalidArgs", []any{"Value specified in CPUWeight is out of range"})
	})
	err := m.Start(t.Context(), testRequest())
	var e *RefusedError
	if !errors.As(err, &e) || e.Property != "CPUWeight" || e.Unit != testUnit {
		t.Fatalf("got %v, want a RefusedError about CPUWeight", err)
	}
	var d dbus.Error
	if !errors.As(err, &d) || d.Name != "org.freedesktop.DBus.Error.InvalidArgs" || !strings.Contains(err.Error(), "out of range") {
		t.Errorf("%v: systemd's own error is lost", err)
	}
	if f.logged("StopUnit "+testUnit) != 0 {
		t.Errorf("stopped what was never made: %q", f.history())
	}
}

func TestStartBadArguments(t *testing.T) {
	_, f, m := setup(t, Config{})
	for _, p := range []unit.Property{{Name: "Slice", Value: nil}, {Name: "Slice", Value: func() {}},
		unit.Slice("a\xffb"), unit.Slice("a\x00b")} {
		r := testRequest()
		r.Properties = append(r.Properties, p)
		if err := m.Start(t.Context(), r); err == nil || errors.Is(err, ErrDisconnected) {
			t.Errorf("%#v: got %v", p, err)
		}
	}
	r := testRequest()
	r.PIDs = nil
	if err := m.Start(t.Context(), r); err == nil {
		t.Error("started without a process")
	}
	if f.loaded(testUnit) {
		t.Error("left a unit")
	}
	if err := m.Start(t.Context(), testRequest()); err != nil {
		t.Errorf("a good one afterwards: %v", err)
	}
}

// A job that ends otherwise: the unit that this start made is removed.
func TestStartJobResults(t *testing.T) {
	for _, result := range []JobResult{JobFailed, JobTimeout, JobCanceled, JobDependency, JobSkipped, "of-tomorrow"} {
		t.Run(string(result), func(t *testing.T) {
			_, f, m := setup(t, Config{})
			f.setStart(func(f *fakeSystemd, name string, job dbus.ObjectPath) *dbus.Error {
				f.jobRemoved(job, name, result)
				return nil
			})
			err := m.Start(t.Context(), testRequest())
			var e *JobError
			if !errors.As(err, &e) || e.Result != result || e.Unit != testUnit {
				t.Errorf("got %v, want a JobError with %q", err, result)
			}
			if f.loaded(testUnit) || f.logged("KillUnit "+testUnit+" all 9") == 0 {
				t.Errorf("not cleaned up: %q", f.history())
			}
		})
	}
}

// The job never ends.
func TestStartTimeout(t *testing.T) {
	_, f, m := setup(t, Config{})
	f.setStart(func(*fakeSystemd, string, dbus.ObjectPath) *dbus.Error { return nil })
	r := testRequest()
	r.Timeout = 50 * time.Millisecond
	if err := m.Start(t.Context(), r); !errors.Is(err, ErrTimeout) {
		t.Errorf("got %v, want ErrTimeout", err)
	}
	// The start job may run between the first kill and the stop: what it brought in is killed, too.
	want := "KillUnit " + testUnit + " all 9|StopUnit " + testUnit + "|KillUnit " + testUnit + " all 9"
	if f.loaded(testUnit) || !strings.Contains(strings.Join(f.history(), "|"), want) {
		t.Errorf("not cleaned up: %q", f.history())
	}
}

// The caller gives up before systemd answers; what the late answer makes is removed.
func TestStartCancelledBeforeReply(t *testing.T) {
	_, f, m := setup(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	f.setStart(func(*fakeSystemd, string, dbus.ObjectPath) *dbus.Error {
		cancel()
		<-time.After(50 * time.Millisecond)
		return nil
	})
	if err := m.Start(ctx, testRequest()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if f.loaded(testUnit) {
		t.Errorf("not cleaned up: %q", f.history())
	}
}

// The same, and the late answer is that the name is taken: then it is not ours to remove.
func TestStartCancelledTakenName(t *testing.T) {
	_, f, m := setup(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	f.setStart(func(f *fakeSystemd, name string, _ dbus.ObjectPath) *dbus.Error {
		cancel()
		<-time.After(50 * time.Millisecond)
		return dbus.NewError(busUnitExists, []any{"taken"})
	})
	if err := m.Start(ctx, testRequest()); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if f.logged("KillUnit "+testUnit+" all 9") != 0 {
		t.Errorf("touched: %q", f.history())
	}
}

// The bus dies in the middle of a start. When it is back, the unit made meanwhile is found by its process and
// removed; one of the same name with other processes is left alone.
func TestStartBusLost(t *testing.T) {
	for _, tt := range []struct {
		name   string
		pid    uint32
		reply  bool // the request was answered before
		remove bool
	}{
		{"ours, answered", 42, true, true},
		{"ours, not answered", 42, false, true},
		{"of another, not answered", 7, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, f, m := setup(t, Config{})
			hold := make(chan struct{})
			defer close(hold)
			f.setStart(func(f *fakeSystemd, name string, job dbus.ObjectPath) *dbus.Error {
				f.add(name, tt.pid)
				restart := func() {
					b.kill()
					b.start()
					f.attach(b)
				}
				if tt.reply {
					time.AfterFunc(30*time.Millisecond, restart)
					return nil
				}
				restart()
				<-hold
				return nil
			})
			if err := m.Start(t.Context(), testRequest()); !errors.Is(err, ErrDisconnected) {
				t.Errorf("got %v, want ErrDisconnected", err)
			}
			if f.loaded(testUnit) == tt.remove {
				t.Errorf("loaded: %v; calls %q", f.loaded(testUnit), f.history())
			}
		})
	}
}

// systemd leaves the bus and comes back as another connection (daemon-reexec).
func TestSystemdReexecutes(t *testing.T) {
	resync := make(chan struct{}, 8)
	b, f, m := setup(t, Config{OnResync: func() { resync <- struct{}{} }})
	if err := m.Start(t.Context(), testRequest()); err != nil {
		t.Fatal(err)
	}
	removed := make(chan error, 1)
	go func() { removed <- m.WaitRemoved(t.Context(), testUnit) }()
	eventually(t, "WaitRemoved waits", func() bool { return f.logged("GetUnit "+testUnit) == 1 })
	f.leave()
	freed := make(chan error, 1)
	go func() { freed <- m.Freeze(t.Context(), testUnit) }() // asked while systemd is away
	f.attach(b)
	<-resync
	if n := f.logged("Subscribe"); n < 2 {
		t.Errorf("subscribed %d times", n)
	}
	if err := <-freed; err != nil {
		t.Errorf("a call made meanwhile: %v", err)
	}
	select {
	case err := <-removed:
		t.Fatalf("WaitRemoved ended with %v though the unit is there", err)
	case <-time.After(20 * time.Millisecond):
	}
	f.unload(testUnit)
	if err := <-removed; err != nil {
		t.Error(err)
	}
}

func TestReconnect(t *testing.T) {
	resync := make(chan struct{}, 8)
	b, f, m := setup(t, Config{OnResync: func() { resync <- struct{}{} }})
	b.kill()
	eventually(t, "the loss is noticed", func() bool { return m.Version() == 0 })
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := m.Kill(short, testUnit, "all", unix.SIGTERM); !errors.Is(err, ErrDisconnected) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without a bus: got %v", err)
	}
	b.start()
	f.attach(b)
	<-resync
	if err := m.Start(t.Context(), testRequest()); err != nil {
		t.Error(err)
	}
	if err := m.Remove(t.Context(), testUnit); err != nil {
		t.Error(err)
	}
}

// A callback sees the events in order; a signal of anybody but systemd is no event.
func TestEvents(t *testing.T) {
	got := make(chan string, 8)
	b, f, _ := setup(t, Config{
		OnRemoved:     func(s string) { got <- "removed " + s },
		OnRequestStop: func(s string) { got <- "stop " + s },
	})
	evil := b.connect()
	names := f.names(t)
	_ = evil.Emit(pathOfUnit(testUnit), scopeIface+".RequestStop")
	for _, n := range names { // a directed signal needs no match rule
		for _, msg := range []*dbus.Message{
			signalTo(n, pathOfUnit(testUnit), scopeIface, "RequestStop"),
			signalTo(n, systemdPath, managerIface, "UnitRemoved", "berth-evil.scope", pathOfUnit("berth-evil.scope")),
			signalTo(n, "/org/freedesktop/DBus", busName, "NameOwnerChanged", systemdName, "", evil.Names()[0]),
		} {
			evil.Send(msg, nil)
		}
	}
	if err := evil.BusObject().Call(busName+".GetId", 0).Err; err != nil { // all of it is delivered
		t.Fatal(err)
	}
	f.emit("UnitRemoved", "init.scope", pathOfUnit("init.scope"))
	f.emit("UnitRemoved", "berth-a.scope", pathOfUnit("berth-a.scope"))
	for _, n := range names {
		f.conn.Send(signalTo(n, pathOfUnit("berth-b.scope"), scopeIface, "RequestStop"), nil)
	}
	f.emit("UnitRemoved", "berth-c.scope", pathOfUnit("berth-c.scope"))
	for _, want := range []string{"removed berth-a.scope", "stop berth-b.scope", "removed berth-c.scope"} {
		if g := <-got; g != want {
			t.Errorf("got %q, want %q", g, want)
		}
	}
}

// names are the unique names on the bus but the fake's own.
func (f *fakeSystemd) names(t *testing.T) (out []string) {
	t.Helper()
	var all []string
	if err := f.conn.BusObject().Call(busName+".ListNames", 0).Store(&all); err != nil {
		t.Fatal(err)
	}
	for _, n := range all {
		if strings.HasPrefix(n, ":") && n != f.conn.Names()[0] {
			out = append(out, n)
		}
	}
	return out
}

func signalTo(dest string, path dbus.ObjectPath, iface, member string, body ...any) *dbus.Message {
	m := &dbus.Message{Type: dbus.TypeSignal, Body: body, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant(dest), dbus.FieldPath: dbus.MakeVariant(path),
		dbus.FieldInterface: dbus.MakeVariant(iface), dbus.FieldMember: dbus.MakeVariant(member),
	}}
	if len(body) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
	}
	return m
}

// With a handler and no other name the manager's own connection is the controller.
// TestEventsComeBeforeTheNameIsFree: else what is told of a scope would be taken for news of the next of its name.
func TestEventsComeBeforeTheNameIsFree(t *testing.T) {
	var removed atomic.Int32
	_, f, m := setup(t, Config{OnRemoved: func(string) {
		for range 1000 {
			runtime.Gosched() // whoever could overtake does
		}
		removed.Add(1)
	}})
	for i := range int32(100) {
		f.add(testUnit)
		if err := m.Release(t.Context(), testUnit); err != nil {
			t.Fatal(err)
		}
		if n := removed.Load(); n != i+1 {
			t.Fatalf("the name is free after %d of %d events", n, i+1)
		}
	}
}

func TestOwnController(t *testing.T) {
	_, f, m := setup(t, Config{OnRequestStop: func(string) {}})
	if err := m.Start(t.Context(), testRequest()); err != nil {
		t.Fatal(err)
	}
	if c, _ := f.prop("Controller").(string); !strings.HasPrefix(c, ":1.") {
		t.Errorf("controller %q", c)
	}
}

func TestOperations(t *testing.T) {
	_, f, m := setup(t, Config{})
	f.add(testUnit, 42)
	f.add("berth-no\\x2Fscope.scope") // matches the pattern, but no container has this name
	ctx := t.Context()
	if g, err := m.ControlGroup(ctx, testUnit); g != "/machine.slice/"+testUnit || err != nil {
		t.Errorf("ControlGroup: %q, %v", g, err)
	}
	list, err := m.List(ctx)
	if d := cmp.Diff([]Info{{testUnit, "text", "loaded", "active", "running"}}, list); d != "" || err != nil {
		t.Errorf("List: %v (-want +got):\n%s", err, d)
	}
	procs, err := m.Processes(ctx, testUnit)
	if d := cmp.Diff([]Process{{"/machine.slice/" + testUnit, 42, "sleep 1"}}, procs); d != "" || err != nil {
		t.Errorf("Processes: %v (-want +got):\n%s", err, d)
	}
	var e *RefusedError
	err = m.SetProperties(ctx, testUnit, []unit.Property{unit.MemoryMax(1), unit.CPUWeight(0)})
	if !errors.As(err, &e) || e.Property != "CPUWeight" {
		t.Errorf("SetProperties: %v", err)
	}
	for what, err := range map[string]error{
		"Kill": m.Kill(ctx, testUnit, "all", unix.SIGTERM), "Freeze": m.Freeze(ctx, testUnit), "Thaw": m.Thaw(ctx, testUnit),
		"SetProperties": m.SetProperties(ctx, testUnit, []unit.Property{unit.MemoryMax(1)}),
		"Stop":          m.Stop(ctx, testUnit), "WaitRemoved": m.WaitRemoved(ctx, testUnit), "Remove": m.Remove(ctx, testUnit),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestNoSuchUnit(t *testing.T) {
	_, _, m := setup(t, Config{})
	ctx := t.Context()
	_, groupErr := m.ControlGroup(ctx, testUnit)
	_, procErr := m.Processes(ctx, testUnit)
	for what, err := range map[string]error{
		"ControlGroup": groupErr, "Processes": procErr, "Stop": m.Stop(ctx, testUnit), "Freeze": m.Freeze(ctx, testUnit),
		"Thaw": m.Thaw(ctx, testUnit), "Kill": m.Kill(ctx, testUnit, "all", unix.SIGTERM),
	} {
		if !errors.Is(err, ErrNoSuchUnit) {
			t.Errorf("%s: %v, want ErrNoSuchUnit", what, err)
		}
	}
	if err := errors.Join(m.WaitRemoved(ctx, testUnit), m.Remove(ctx, testUnit)); err != nil {
		t.Error(err)
	}
}

// Two who stop a unit get the same job of systemd, and both its end.
func TestOneJobTwoWaiters(t *testing.T) {
	w := newWaiters()
	a, b := w.watchJob("u"), w.watchJob("u")
	w.expect(a, "/job/1")
	w.jobRemoved(jobRemoved{"/job/1", "u", JobDone})
	w.expect(b, "/job/1")
	if x, y := <-a.done, <-b.done; x != JobDone || y != JobDone || len(w.jobs) != 0 {
		t.Errorf("got %q, %q, left %v", x, y, w.jobs)
	}
}

// TestReleaseEndsWithContext: a systemd that reads calls but does not answer holds nobody up, neither a delete nor the
// end of the service that waits for it.
func TestReleaseEndsWithContext(t *testing.T) {
	_, f, m := setup(t, Config{})
	f.add("berth-web.scope", 42)
	f.mu.Lock() // every method of the fake needs it
	defer f.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	released := make(chan error, 1)
	go func() { released <- m.Release(ctx, "berth-web.scope") }()
	select {
	case err := <-released:
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("it waits for ever")
	}
}

func TestWaitRemovedEndsWithContext(t *testing.T) {
	_, f, m := setup(t, Config{})
	f.add(testUnit, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := m.WaitRemoved(ctx, testUnit); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestClose(t *testing.T) {
	_, f, m := setup(t, Config{})
	f.add(testUnit, 1)
	f.setStart(func(*fakeSystemd, string, dbus.ObjectPath) *dbus.Error { go m.Close(); return nil })
	waits := make(chan error, 1)
	go func() { waits <- m.WaitRemoved(t.Context(), testUnit) }()
	eventually(t, "WaitRemoved waits", func() bool { return f.logged("GetUnit "+testUnit) == 1 })
	r := testRequest()
	r.Name = "berth-other.scope"
	if err := m.Start(t.Context(), r); !errors.Is(err, ErrClosed) {
		t.Errorf("Start: %v, want ErrClosed", err)
	}
	if err := <-waits; !errors.Is(err, ErrClosed) {
		t.Errorf("WaitRemoved: %v, want ErrClosed", err)
	}
	if err := m.Thaw(t.Context(), testUnit); !errors.Is(err, ErrClosed) {
		t.Errorf("Thaw: %v, want ErrClosed", err)
	}
	if err := m.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestNewErrors(t *testing.T) {
	checkGoroutines(t)
	if _, err := New(t.Context(), Config{Address: "unix:path=/nonexistent"}); err == nil || !strings.Contains(err.Error(), "/nonexistent") {
		t.Errorf("no bus: %v", err)
	}
	b := newTestBus(t)
	if _, err := New(t.Context(), Config{Address: b.address}); err == nil || !strings.Contains(err.Error(), "systemd") {
		t.Errorf("no systemd: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := New(ctx, Config{Address: b.address}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestParseVersion(t *testing.T) {
	for s, want := range map[string]int{"252.38-1~deb12u1": 252, "v257": 257, "254~rc3": 254, "": 0, "git": 0} {
		if got := parseVersion(s); got != want {
			t.Errorf("parseVersion(%q) = %d, want %d", s, got, want)
		}
	}
}

func TestRefusedProperty(t *testing.T) {
	props := []unit.Property{unit.MemoryMax(1), unit.CPUWeight(1), unit.Slice("a"), {Name: "Memory"}}
	for text, want := range map[string]string{
		"Value specified in MemoryMax is out of range":        "MemoryMax",
		"Cannot set property CPUWeight, or unknown property.": "CPUWeight",
		"Invalid MemoryMaximum":                               "",
		"Slice=: no":                                          "Slice",
		"":                                                    "",
	} {
		if got := refusedProperty(errors.New(text), props); got != want {
			t.Errorf("%q is about %q, want %q", text, got, want)
		}
	}
}

func TestDefaults(t *testing.T) {
	got := map[string]any{}
	for _, p := range Defaults(DefaultsConfig{Description: "d", StopTimeout: time.Second, After: []string{"berthd.service"}}) {
		if _, twice := got[p.Name]; twice {
			t.Errorf("%s twice", p.Name)
		}
		got[p.Name] = p.Value
	}
	want := map[string]any{"Description": "d", "Slice": "machine.slice", "Delegate": true, "CollectMode": "inactive-or-failed",
		"KillMode": "control-group", "OOMPolicy": "continue", "CPUAccounting": true, "MemoryAccounting": true, "TasksAccounting": true,
		"IOAccounting": true, "TimeoutStopUSec": uint64(1000000), "After": []string{"berthd.service"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("defaults (-want +got):\n%s", d)
	}
}
