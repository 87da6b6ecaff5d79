package dbusapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/berth-project/berth/dbusapi/wire"
	"github.com/berth-project/berth/runtime/lifecycle"
	"github.com/godbus/dbus/v5"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=%s</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    %s
  </policy>
</busconfig>
`

const openRules = `<allow user="*"/><allow own="*"/><allow send_destination="*"/><allow send_type="*"/><allow receive_type="*"/>`

// startBus runs a bus daemon of the test's own that allows everything, and returns its address.
func startBus(t testing.TB) string {
	t.Helper()
	return startBusWith(t, openRules)
}

func startBusWith(t testing.TB, rules string, args ...any) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} { // other users connect too
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	socket, config := filepath.Join(dir, "bus"), filepath.Join(dir, "bus.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, busConfig, socket, fmt.Sprintf(rules, args...)), 0o644); err != nil {
		t.Fatal(err)
	}
	daemon := exec.Command("dbus-daemon", "--config-file="+config, "--nofork", "--nopidfile", "--nosyslog")
	daemon.Stderr = os.Stderr
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = daemon.Process.Kill()
		_ = daemon.Wait()
	})
	eventually(t, "the bus to listen", func() bool {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	return "unix:path=" + socket
}

// eventually polls, because the bus does not tell when everything it forwards has arrived.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func requireRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to connect as another user")
	}
}

// connect connects to the bus as uid.
func connect(t testing.TB, address string, uid int) *dbus.Conn {
	t.Helper()
	// The bus sees the credentials of the thread that connects.
	runtime.LockOSThread()
	setEUID(t, uid)
	conn, err := dbus.Dial(address, dbus.WithSignalHandler(dbus.NewSequentialSignalHandler()))
	setEUID(t, os.Getuid())
	runtime.UnlockOSThread()
	if err == nil {
		err = conn.Auth([]dbus.Auth{dbus.AuthExternal(fmt.Sprint(uid))})
	}
	if err == nil {
		err = conn.Hello()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// setEUID changes the thread alone, which package syscall's own functions do not.
func setEUID(t testing.TB, uid int) {
	t.Helper()
	if uid == os.Geteuid() && uid == os.Getuid() && uid != 0 {
		return
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
		t.Fatal(errno)
	}
}

const nobody = 65534

// rig is a server on a bus of its own, with a fake domain behind it.
type rig struct {
	address string
	fake    *fakeManager
	server  *Server
	client  *dbus.Conn // as root, or whoever runs the test
}

func newRig(t testing.TB) *rig { return newLimitedRig(t, defaultLimits()) }

func newLimitedRig(t testing.TB, l limits) *rig {
	t.Helper()
	return newRigOn(t, startBus(t), l)
}

func newRigOn(t testing.TB, address string, l limits) *rig {
	t.Helper()
	r := &rig{address: address, fake: newFakeManager()}
	cfg := Config{
		Address: r.address, Version: "1.2.3", OCIVersions: []string{"1.0.0", "1.3.0"}, Features: []string{"freeze"},
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	var err error
	if r.server, err = start(t.Context(), cfg, r.fake, l); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.server.Close)
	r.client = connect(t, r.address, os.Getuid())
	return r
}

// invoke calls a method as conn; the member has its interface in front.
func invoke(conn *dbus.Conn, path dbus.ObjectPath, method string, args ...any) *dbus.Call {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return conn.Object(wire.BusName, path).CallWithContext(ctx, method, 0, args...)
}

func (r *rig) manager(member string, args ...any) *dbus.Call {
	return invoke(r.client, wire.ManagerPath, wire.ManagerInterface+"."+member, args...)
}

func (r *rig) container(id, member string, args ...any) *dbus.Call {
	return invoke(r.client, containerPath(id), wire.ContainerInterface+"."+member, args...)
}

// wantError checks name of the error and returns its text.
func wantError(t *testing.T, err error, name string) string {
	t.Helper()
	var e dbus.Error
	if !errors.As(err, &e) {
		t.Fatalf("got error %v, want %s", err, name)
	}
	if e.Name != name {
		t.Fatalf("got error %s: %s, want %s", e.Name, e.Error(), name)
	}
	return e.Error()
}

type fakeManager struct {
	mu      sync.Mutex
	all     map[string]*fakeContainer
	create  func(ctx context.Context, r lifecycle.CreateRequest) error // may be nil
	request lifecycle.CreateRequest
	caller  lifecycle.Caller
}

func newFakeManager() *fakeManager { return &fakeManager{all: map[string]*fakeContainer{}} }

// add puts a running container there.
func (m *fakeManager) add(id string) *fakeContainer { return m.addAt(id, 7) }

func (m *fakeManager) addAt(id string, created uint64) *fakeContainer {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &fakeContainer{stopped: make(chan struct{}), info: lifecycle.Info{
		ID: id, Bundle: "/bundle/" + id, Status: lifecycle.StatusRunning, PID: 42, ExitCode: -1, CreatedUSec: created, StartedUSec: 8,
		Scope: "berth-" + id + ".scope", ControlGroup: "/machine.slice/berth-" + id + ".scope",
		Annotations: map[string]string{"a": "b"}, Log: "journald",
	}}
	m.all[id] = c
	return c
}

func (m *fakeManager) remove(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.all, id)
}

// onCreate is what Create does from now on.
func (m *fakeManager) onCreate(do func(context.Context, lifecycle.CreateRequest) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.create = do
}

func (m *fakeManager) requested() (lifecycle.CreateRequest, lifecycle.Caller) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.request, m.caller
}

func (m *fakeManager) Create(ctx context.Context, r lifecycle.CreateRequest) (container, error) {
	defer closeFiles(r)
	m.mu.Lock()
	m.request, m.caller = r, lifecycle.CallerFrom(ctx)
	create := m.create
	_, taken := m.all[r.ID]
	m.mu.Unlock()
	if taken {
		return nil, fmt.Errorf("create container %q: %w", r.ID, lifecycle.ErrContainerExists)
	}
	if create != nil {
		if err := create(ctx, r); err != nil {
			return nil, err
		}
	}
	return m.add(r.ID), nil
}

func (m *fakeManager) Get(id string) (container, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := m.all[id]; c != nil {
		return c, nil
	}
	return nil, fmt.Errorf("container %q: %w", id, lifecycle.ErrNoSuchContainer)
}

func (m *fakeManager) GetByPID(_ context.Context, pid int) (container, error) {
	for _, info := range m.List() {
		if info.PID == pid {
			return m.Get(info.ID)
		}
	}
	return nil, fmt.Errorf("process %d: %w", pid, lifecycle.ErrNoSuchContainer)
}

func (m *fakeManager) List() []lifecycle.Info {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []lifecycle.Info
	for _, c := range m.all {
		all = append(all, c.info)
	}
	return all
}

// fakeContainer notes what was called; err is what the next call fails with.
type fakeContainer struct {
	info    lifecycle.Info
	stopped chan struct{}

	mu     sync.Mutex
	log    []string
	caller lifecycle.Caller
	err    error
}

func (c *fakeContainer) note(ctx context.Context, format string, args ...any) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log = append(c.log, fmt.Sprintf(format, args...))
	c.caller = lifecycle.CallerFrom(ctx)
	return c.err
}

// fail makes the next calls fail.
func (c *fakeContainer) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
}

func (c *fakeContainer) calledBy() lifecycle.Caller {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.caller
}

func (c *fakeContainer) calls() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.log)
}

func (c *fakeContainer) Info() lifecycle.Info             { return c.info }
func (c *fakeContainer) Start(ctx context.Context) error  { return c.note(ctx, "start") }
func (c *fakeContainer) Pause(ctx context.Context) error  { return c.note(ctx, "pause") }
func (c *fakeContainer) Resume(ctx context.Context) error { return c.note(ctx, "resume") }
func (c *fakeContainer) State() specs.State               { return specs.State{Version: "1.3.0", ID: c.info.ID} }

func (c *fakeContainer) Kill(ctx context.Context, whom string, sig int) error {
	return c.note(ctx, "kill %s %d", whom, sig)
}

func (c *fakeContainer) Stop(ctx context.Context, timeout time.Duration) error {
	return c.note(ctx, "stop %s", timeout)
}

func (c *fakeContainer) Delete(ctx context.Context, force bool) error {
	return c.note(ctx, "delete %t", force)
}

func (c *fakeContainer) Wait(ctx context.Context) (lifecycle.Info, error) {
	if err := c.note(ctx, "wait"); err != nil {
		return lifecycle.Info{}, err
	}
	select {
	case <-c.stopped:
		return lifecycle.Info{ExitCode: 3, ExitReason: lifecycle.ReasonExit}, nil
	case <-ctx.Done():
		_ = c.note(ctx, "wait ended")
		return lifecycle.Info{}, ctx.Err()
	}
}

func (c *fakeContainer) Processes(context.Context) ([]lifecycle.Process, error) {
	return []lifecycle.Process{{PID: 42, Command: "bad \xff\x00 name"}}, nil
}

func (c *fakeContainer) Stats(context.Context) (lifecycle.Stats, error) {
	return lifecycle.Stats{"MemoryCurrent": 4096}, nil
}

type namedFD struct {
	Name string
	FD   dbus.UnixFD
}
