package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/journal"
	"github.com/berth-project/berth/runtime/keeper"
	"github.com/berth-project/berth/runtime/kernel"
	"github.com/berth-project/berth/runtime/launch"
	"github.com/berth-project/berth/runtime/plan"
)

// world is the keeper, systemd and journald of a test. It outlives the managers in it, and has real processes, because
// pidfds are real.
type world struct {
	t      *testing.T
	dir    string
	bundle string

	mu      sync.Mutex
	procs   map[string]*process
	scopes  map[string]*fakeScope
	events  []Event
	entries []journal.Entry
	conns   []*conn
	dials   int
	pidfds  []int // handed out
	age     int   // counts crashes; calls of managers of an earlier age do nothing
	steps   int
	crashAt int // the step at which to crash; 0 for never
	crashed chan struct{}
	fail    map[string]error // by step name
	hold    map[string]chan struct{}
	program string // what the payload does: "wait" (for its pipe), or fails to be executed: "no exec"
	failOp  bool   // the plan fails at its first step
}

type process struct {
	rec   keeper.Record
	cmd   *exec.Cmd
	stdin io.WriteCloser
	start *os.File
	done  chan struct{}
	lost  bool // its keeper died
}

type fakeScope struct {
	pid    int
	frozen bool
}

var errCrashed = errors.New("crashed")

func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{
		t: t, dir: filepath.Join(dir, "state0"), bundle: writeBundle(t), procs: map[string]*process{}, scopes: map[string]*fakeScope{},
		fail: map[string]error{}, hold: map[string]chan struct{}{}, crashed: make(chan struct{}),
	}
	if err := os.MkdirAll(filepath.Join(dir, "proc"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.killAll)
	return w
}

func writeBundle(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "rootfs"), 0o755); err != nil {
		t.Fatal(err)
	}
	const config = `{"ociVersion": "1.2.0", "process": {"cwd": "/", "args": ["/bin/true"], "user": {"uid": 0, "gid": 0}},
		"root": {"path": "rootfs"}, "annotations": {"org.example.a": "bundle", "org.example.b": "bundle"},
		"linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]}}`
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// manager makes a manager in the world as it is now.
func (w *world) manager() *Manager {
	w.t.Helper()
	m, err := w.open(Config{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(m.Close)
	return m
}

func (w *world) open(cfg Config) (*Manager, error) {
	w.mu.Lock()
	age := w.age
	cfg.StateDir = w.dir
	w.mu.Unlock()
	cfg.DialKeeper = func(_ context.Context, onRecord func(keeper.Record), onLost func(error)) (Keeper, error) {
		return w.dial(age, onRecord, onLost)
	}
	cfg.Scopes, cfg.Logs = &fakeScopes{w, age}, &fakeLogs{w, age}
	cfg.Facts = facts(w.t)
	cfg.Proc = filepath.Join(filepath.Dir(w.dir), "proc")
	cfg.OnEvent = func(e Event) {
		if w.step(age, "event "+e.Kind.String()) == nil {
			w.mu.Lock()
			w.events = append(w.events, e)
			w.mu.Unlock()
		}
	}
	return New(context.Background(), cfg)
}

// facts are the kernel's, whatever its cgroups are.
func facts(t *testing.T) kernel.Facts {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	f := kernel.Facts{LastCap: 40}
	if _, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &f.Major, &f.Minor); err != nil {
		t.Fatal(err)
	}
	return f
}

// step is called before and after whatever has an effect. It is where a world crashes, fails or holds.
func (w *world) step(age int, name string) error {
	w.mu.Lock()
	if age != w.age {
		w.mu.Unlock()
		return errCrashed
	}
	w.steps++
	if w.steps == w.crashAt {
		w.crash()
		w.mu.Unlock()
		return errCrashed
	}
	hold, err := w.hold[name], w.fail[name]
	w.mu.Unlock()
	if hold != nil {
		<-hold
	}
	return err
}

// crash takes everything out of the hands of the managers so far, as SIGKILL would: their directory, their
// connections, their pidfds. The caller holds mu.
func (w *world) crash() {
	w.age++
	dir := filepath.Join(filepath.Dir(w.dir), "state"+strconv.Itoa(w.age))
	if err := os.Rename(w.dir, dir); err != nil {
		w.t.Error(err)
	}
	if err := os.Remove(filepath.Join(dir, ".lock")); err != nil {
		w.t.Error(err)
	}
	w.dir = dir
	for _, c := range w.conns {
		c.onLost(keeper.ErrLost)
	}
	w.conns = nil
	dead := exec.Command("true")
	pidfd := -1
	dead.SysProcAttr = &syscall.SysProcAttr{PidFD: &pidfd}
	if err := dead.Run(); err != nil {
		w.t.Error(err)
	}
	for _, fd := range w.pidfds {
		link, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
		if err == nil && strings.Contains(link, "pidfd") {
			if err := unix.Dup3(pidfd, fd, unix.O_CLOEXEC); err != nil {
				w.t.Error(err)
			}
		}
	}
	unix.Close(pidfd)
	w.pidfds = nil
	close(w.crashed)
}

func (w *world) killAll() {
	w.mu.Lock()
	var all []*process
	for _, p := range w.procs {
		all = append(all, p)
	}
	w.mu.Unlock()
	for _, p := range all {
		p.cmd.Process.Kill()
		<-p.done
	}
}

func (w *world) kinds() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, e := range w.events {
		out = append(out, e.Kind.String())
	}
	return out
}

// leftovers says what is in the world besides the managers.
func (w *world) leftovers() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for key, p := range w.procs {
		out = append(out, fmt.Sprintf("process %s, exited %v", key, p.rec.Exited))
	}
	for name := range w.scopes {
		out = append(out, "scope "+name)
	}
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		out = append(out, err.Error())
	}
	for _, e := range entries {
		if e.Name() != ".lock" {
			out = append(out, "record "+e.Name())
		}
	}
	slices.Sort(out)
	return out
}

// conn is a connection to the fake keeper.
type conn struct {
	w        *world
	age      int
	onRecord func(keeper.Record)
	onLost   func(error)
	queue    chan keeper.Record
	done     chan struct{}
	once     sync.Once
	closed   chan struct{}
}

func (w *world) dial(age int, onRecord func(keeper.Record), onLost func(error)) (Keeper, error) {
	if err := w.step(age, "dial"); err != nil {
		return nil, err
	}
	c := &conn{w: w, age: age, onRecord: onRecord, onLost: onLost, queue: make(chan keeper.Record, 1024),
		done: make(chan struct{}), closed: make(chan struct{})}
	w.mu.Lock()
	w.conns = append(w.conns, c)
	w.dials++
	w.mu.Unlock()
	go func() {
		defer close(c.done)
		for {
			select {
			case r := <-c.queue:
				c.onRecord(r)
			case <-c.closed:
				return
			}
		}
	}()
	return c, nil
}

func (c *conn) Close() error {
	c.once.Do(func() { close(c.closed) })
	<-c.done
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	c.w.conns = slices.DeleteFunc(c.w.conns, func(o *conn) bool { return o == c })
	return nil
}

// lose ends every connection; with forget the keeper has died and its children have lost their parent.
func (w *world) lose(forget bool) {
	w.mu.Lock()
	conns := w.conns
	w.conns = nil
	if forget {
		for _, p := range w.procs {
			p.lost = true
		}
		w.procs = map[string]*process{}
	}
	w.mu.Unlock()
	for _, c := range conns {
		c.onLost(keeper.ErrLost)
	}
}

// tell sends the newest record to everyone. The caller holds mu.
func (w *world) tell(p *process) {
	for _, c := range w.conns {
		if !p.lost {
			c.queue <- p.rec
		}
	}
}

func (c *conn) Launch(_ context.Context, r keeper.LaunchRequest) (keeper.Launched, error) {
	if err := c.w.step(c.age, "launch"); err != nil {
		return keeper.Launched{}, err
	}
	program, err := launch.Load(int(r.Plan.Fd()))
	if err != nil {
		return keeper.Launched{}, err
	}
	l, err := c.w.launch(r, program)
	if err != nil {
		return l, err
	}
	if err := c.w.step(c.age, "launched"); err != nil {
		return keeper.Launched{}, err
	}
	return l, nil
}

func (w *world) launch(r keeper.LaunchRequest, program *plan.Program) (keeper.Launched, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.procs[r.Key] != nil {
		return keeper.Launched{}, keeper.ErrExists
	}
	pidfd := -1
	cmd := exec.Command("sh", "-c", "read code; exit $code")
	cmd.SysProcAttr = &syscall.SysProcAttr{PidFD: &pidfd}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return keeper.Launched{}, err
	}
	if err := cmd.Start(); err != nil {
		return keeper.Launched{}, err
	}
	p := &process{rec: keeper.Record{Key: r.Key, PID: cmd.Process.Pid}, cmd: cmd, stdin: stdin, done: make(chan struct{})}
	w.procs[r.Key] = p
	p.start = dup(w.t, r.Handles[slices.Index(program.Handles, "start")])
	placed := dup(w.t, r.Handles[slices.Index(program.Handles, "placed")])
	go w.child(p, placed)
	go w.reap(p)
	w.pidfds = append(w.pidfds, pidfd)
	return keeper.Launched{PID: p.rec.PID, PIDFD: os.NewFile(uintptr(pidfd), "pidfd")}, nil
}

func dup(t *testing.T, f *os.File) *os.File {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Error(err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Error(err)
	}
	return os.NewFile(uintptr(fd), f.Name())
}

// child plays the plan: it waits to be placed, is created, waits for its start, is executed.
func (w *world) child(p *process, placed *os.File) {
	defer placed.Close()
	if w.failOp {
		w.update(p, func(r *keeper.Record) {
			r.Failed, r.Text, r.Errno = true, `mount proc on "/proc": permission denied (step 17 of 52)`, unix.EACCES
		})
		p.cmd.Process.Kill()
		return
	}
	var b [1]byte
	if n, _ := placed.Read(b[:]); n != 1 {
		p.cmd.Process.Kill() // the brain has given up
		return
	}
	w.update(p, func(r *keeper.Record) { r.Point = plan.PointCreated })
	if n, _ := p.start.Read(b[:]); n != 1 {
		return
	}
	if w.program == "no exec" {
		w.update(p, func(r *keeper.Record) {
			r.Failed, r.Text = true, `execute "/bin/true": no such file or directory (step 52 of 52)`
		})
		p.cmd.Process.Kill()
		return
	}
	w.update(p, func(r *keeper.Record) { r.Executed, r.StartedUSec = true, nowUSec() })
}

func (w *world) update(p *process, change func(*keeper.Record)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !p.rec.Exited {
		change(&p.rec)
		w.tell(p)
	}
}

func (w *world) reap(p *process) {
	defer close(p.done)
	if err := p.cmd.Wait(); p.cmd.ProcessState == nil {
		w.t.Errorf("wait: %v", err)
		return
	}
	p.start.Close()
	status := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	w.mu.Lock()
	defer w.mu.Unlock()
	p.rec.Exited, p.rec.Code, p.rec.FinishedUSec, p.rec.CPUTimeUSec, p.rec.MaxRSSBytes = true, status.ExitStatus(), nowUSec(), 1234, 4096
	if status.Signaled() {
		p.rec.Signal = int(status.Signal())
	}
	for name, s := range w.scopes {
		if s.pid == p.rec.PID { // systemd unloads what is empty
			delete(w.scopes, name)
		}
	}
	w.tell(p)
}

// exit makes the payload exit with a code.
func (w *world) exit(id string, code int) {
	w.mu.Lock()
	p := w.procs[id]
	w.mu.Unlock()
	fmt.Fprintln(p.stdin, code)
}

func (c *conn) List(context.Context) ([]keeper.Record, error) {
	if err := c.w.step(c.age, "list"); err != nil {
		return nil, err
	}
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	var out []keeper.Record
	for _, p := range c.w.procs {
		out = append(out, p.rec)
	}
	return out, nil
}

func (c *conn) Forget(_ context.Context, key string) error {
	if err := c.w.step(c.age, "forget"); err != nil {
		return err
	}
	c.w.mu.Lock()
	p := c.w.procs[key]
	switch {
	case p == nil:
		c.w.mu.Unlock()
		return keeper.ErrNoSuchProcess
	case !p.rec.Exited:
		c.w.mu.Unlock()
		return unix.EBUSY
	}
	delete(c.w.procs, key)
	c.w.mu.Unlock()
	return c.w.step(c.age, "forgotten")
}

func (c *conn) find(name, key string) (*process, error) {
	if err := c.w.step(c.age, name); err != nil {
		return nil, err
	}
	c.w.mu.Lock()
	defer c.w.mu.Unlock()
	p := c.w.procs[key]
	if p == nil || p.rec.Exited {
		return nil, keeper.ErrNoSuchProcess
	}
	return p, nil
}

func (c *conn) Kill(_ context.Context, key string, sig syscall.Signal) error {
	p, err := c.find("kill", key)
	if err != nil {
		return err
	}
	if p.cmd.Process.Signal(sig) != nil {
		return keeper.ErrNoSuchProcess
	}
	return nil
}

func (c *conn) PIDFD(_ context.Context, key string) (*os.File, error) {
	p, err := c.find("pidfd", key)
	if err != nil {
		return nil, err
	}
	fd, err := unix.PidfdOpen(p.rec.PID, 0)
	if err != nil {
		return nil, keeper.ErrNoSuchProcess
	}
	c.w.mu.Lock()
	c.w.pidfds = append(c.w.pidfds, fd)
	c.w.mu.Unlock()
	return os.NewFile(uintptr(fd), "pidfd"), nil
}

// fakeScopes is systemd.
type fakeScopes struct {
	w   *world
	age int
}

func (f *fakeScopes) Start(ctx context.Context, r ScopeRequest) error {
	if err := f.w.step(f.age, "scope start"); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	f.w.mu.Lock()
	if f.w.scopes[r.Name] != nil {
		f.w.mu.Unlock()
		return faultf(ErrContainerExists, "unit %q is loaded", r.Name)
	}
	if unix.Kill(r.PID, 0) != nil {
		f.w.mu.Unlock()
		return fmt.Errorf("process %d is gone", r.PID)
	}
	f.w.scopes[r.Name] = &fakeScope{pid: r.PID}
	f.w.mu.Unlock()
	dir := filepath.Join(filepath.Dir(f.w.dir), "proc", strconv.Itoa(r.PID))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "cgroup"), []byte("0::/"+r.Slice+"/"+r.Name+"\n"), 0o644); err != nil {
		return err
	}
	return f.w.step(f.age, "scope started")
}

func (f *fakeScopes) scope(name string) *fakeScope {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	return f.w.scopes[name]
}

func (f *fakeScopes) Kill(_ context.Context, name string, sig unix.Signal) error {
	if err := f.w.step(f.age, "scope kill"); err != nil {
		return err
	}
	s := f.scope(name)
	if s == nil {
		return ErrNoSuchScope
	}
	return unix.Kill(s.pid, sig)
}

func (f *fakeScopes) freeze(name, step string, frozen bool) error {
	if err := f.w.step(f.age, step); err != nil {
		return err
	}
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	s := f.w.scopes[name]
	if s == nil {
		return ErrNoSuchScope
	}
	s.frozen = frozen
	return nil
}

func (f *fakeScopes) Freeze(_ context.Context, name string) error {
	return f.freeze(name, "scope freeze", true)
}

func (f *fakeScopes) Thaw(_ context.Context, name string) error {
	return f.freeze(name, "scope thaw", false)
}

func (f *fakeScopes) Release(ctx context.Context, name string) error {
	if err := f.w.step(f.age, "scope release"); err != nil {
		return err
	}
	if f.scope(name) != nil {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (f *fakeScopes) Remove(ctx context.Context, name string) error {
	f.w.mu.Lock()
	hold := f.w.hold["scope remove"]
	f.w.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := f.w.step(f.age, "scope remove"); err != nil {
		return err
	}
	if s := f.scope(name); s != nil {
		if s.pid != 0 {
			unix.Kill(s.pid, unix.SIGKILL)
		}
		f.w.mu.Lock()
		delete(f.w.scopes, name)
		f.w.mu.Unlock()
	}
	return f.w.step(f.age, "scope removed")
}

func (f *fakeScopes) List(ctx context.Context) ([]string, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err := f.w.step(f.age, "scope list"); err != nil {
		return nil, err
	}
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	var names []string
	for name := range f.w.scopes {
		names = append(names, name)
	}
	return names, nil
}

func (f *fakeScopes) Processes(_ context.Context, name string) ([]Process, error) {
	s := f.scope(name)
	if s == nil {
		return nil, ErrNoSuchScope
	}
	return []Process{{PID: s.pid, Command: "sh"}}, nil
}

func (f *fakeScopes) InvocationID(string) string { return "0123456789abcdef0123456789abcdef" }

// fakeLogs is journald.
type fakeLogs struct {
	w   *world
	age int
}

func (f *fakeLogs) Stream(journal.StreamConfig) (*os.File, error) {
	if err := f.w.step(f.age, "stream"); err != nil {
		return nil, err
	}
	return os.OpenFile("/dev/null", os.O_WRONLY, 0)
}

func (f *fakeLogs) Send(e journal.Entry) error {
	if err := f.w.step(f.age, "send"); err != nil {
		return err
	}
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	f.w.entries = append(f.w.entries, e)
	return nil
}
