package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/unit"
)

func create(t *testing.T, m *Manager, w *world, id string) *Container {
	t.Helper()
	c, err := m.Create(t.Context(), CreateRequest{ID: id, Bundle: w.bundle})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func started(t *testing.T, m *Manager, w *world, id string) *Container {
	t.Helper()
	c := create(t, m, w, id)
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func wait(t *testing.T, c *Container) Info {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	info, err := c.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func wantNothing(t *testing.T, w *world) {
	t.Helper()
	if left := w.leftovers(); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestWholeLife(t *testing.T) {
	w := newWorld(t)
	m := w.manager()
	ctx := WithCaller(t.Context(), Caller{UID: 1000, Known: true})
	c, err := m.Create(ctx, CreateRequest{
		ID: "web", Bundle: w.bundle, Annotations: map[string]string{"org.example.b": "caller"},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := c.Info()
	if got.PID == 0 || got.CreatedUSec == 0 {
		t.Errorf("created: %+v", got)
	}
	want := Info{
		ID: "web", Bundle: w.bundle, Status: StatusCreated, PID: got.PID, ExitCode: -1, CreatedUSec: got.CreatedUSec,
		Scope: "berth-web.scope", ControlGroup: "/machine.slice/berth-web.scope", InvocationID: got.InvocationID,
		Annotations: map[string]string{"org.example.a": "bundle", "org.example.b": "caller"}, Log: LogJournald, OCIVersion: "1.2.0",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if s := c.State(); s.Status != "running" || s.Pid != got.PID || s.ID != "web" {
		t.Errorf("state %+v", s)
	}
	w.exit("web", 7)
	if info := wait(t, c); info.ExitCode != 7 || info.ExitReason != ReasonExit || info.PID != 0 || info.FinishedUSec < info.StartedUSec || info.CPUTimeUSec != 1234 {
		t.Errorf("stopped: %+v", info)
	}
	if err := c.Delete(ctx, false); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Get("web"); !errors.Is(err, ErrNoSuchContainer) {
		t.Errorf("after Delete: %v", err)
	}
	if diff := cmp.Diff([]string{"created", "started", "exited", "deleted"}, w.kinds()); diff != "" {
		t.Error(diff)
	}
	for i, known := range []bool{true, true, false, true} {
		if w.events[i].Caller.Known != known {
			t.Errorf("event %v has the caller %+v", w.events[i].Kind, w.events[i].Caller)
		}
	}
	wantNothing(t, w)
}

func TestIDIsFreeAfterDelete(t *testing.T) {
	w := newWorld(t)
	m := w.manager()
	for range 3 {
		c := create(t, m, w, "web")
		if _, err := m.Create(t.Context(), CreateRequest{ID: "web", Bundle: w.bundle}); !errors.Is(err, ErrContainerExists) {
			t.Errorf("taken id: %v", err)
		}
		if err := c.Delete(t.Context(), false); err != nil {
			t.Fatal(err)
		}
	}
	wantNothing(t, w)
}

func TestKill(t *testing.T) {
	w := newWorld(t)
	m := w.manager()
	for _, whom := range []string{"", WhomLeader, WhomAll} {
		c := started(t, m, w, "web")
		for _, bad := range []error{c.Kill(t.Context(), "some", 9), c.Kill(t.Context(), whom, 0), c.Kill(t.Context(), whom, 65)} {
			if !errors.Is(bad, ErrInvalidArgs) {
				t.Errorf("got %v", bad)
			}
		}
		if err := c.Kill(t.Context(), whom, int(unix.SIGUSR1)); err != nil {
			t.Fatal(err)
		}
		if info := wait(t, c); info.ExitReason != ReasonSignal || info.ExitSignal != int(unix.SIGUSR1) || info.ExitCode != -1 {
			t.Errorf("whom %q: %+v", whom, info)
		}
		if err := c.Kill(t.Context(), whom, 9); !errors.Is(err, ErrInvalidState) {
			t.Errorf("stopped: %v", err)
		}
		if err := c.Delete(t.Context(), false); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKillBeforeStart(t *testing.T) {
	w := newWorld(t)
	c := create(t, w.manager(), w, "web")
	if err := c.Kill(t.Context(), WhomLeader, int(unix.SIGKILL)); err != nil {
		t.Fatal(err)
	}
	if info := wait(t, c); info.StartedUSec != 0 || info.ExitSignal != 9 {
		t.Errorf("%+v", info)
	}
	if err := c.Start(t.Context()); !errors.Is(err, ErrInvalidState) {
		t.Errorf("start: %v", err)
	}
	if diff := cmp.Diff([]string{"created", "exited"}, w.kinds()); diff != "" {
		t.Error(diff)
	}
}

func TestStop(t *testing.T) {
	tests := map[string]struct {
		prepare func(t *testing.T, w *world, c *Container)
		timeout time.Duration
		want    Info
	}{
		"obeys":       {nil, time.Minute, Info{ExitReason: ReasonSignal, ExitSignal: 15, ExitCode: -1}},
		"ignores":     {stubborn, 20 * time.Millisecond, Info{ExitReason: ReasonStopTimeout, ExitSignal: 9, ExitCode: -1}},
		"at once":     {nil, 0, Info{ExitReason: ReasonSignal, ExitSignal: 9, ExitCode: -1}},
		"paused":      {pause, time.Minute, Info{ExitReason: ReasonSignal, ExitSignal: 15, ExitCode: -1}},
		"is stopped":  {func(t *testing.T, w *world, c *Container) { w.exit("web", 3); wait(t, c) }, time.Minute, Info{ExitReason: ReasonExit, ExitCode: 3}},
		"the default": {nil, -1, Info{ExitReason: ReasonSignal, ExitSignal: 15, ExitCode: -1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c := started(t, w.manager(), w, "web")
			if tt.prepare != nil {
				tt.prepare(t, w, c)
			}
			if err := c.Stop(t.Context(), tt.timeout); err != nil {
				t.Fatal(err)
			}
			i := c.Info()
			if diff := cmp.Diff(tt.want, Info{ExitReason: i.ExitReason, ExitSignal: i.ExitSignal, ExitCode: i.ExitCode}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func pause(t *testing.T, _ *world, c *Container) {
	if err := c.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// stubborn makes the payload deaf for signals but SIGKILL: stopped processes are.
func stubborn(t *testing.T, w *world, c *Container) {
	if err := unix.Kill(c.Info().PID, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	w.eventually(func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.Info().PID))
		return err == nil && strings.Contains(string(stat), ") T ")
	})
}

func TestStopIsNotHeldUpByItsCaller(t *testing.T) {
	w := newWorld(t)
	c := started(t, w.manager(), w, "web")
	stubborn(t, w, c)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Stop(ctx, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if got := c.Info().Status; got != StatusRunning {
		t.Errorf("the container of a caller who left is %s", got)
	}
}

func TestPauseResume(t *testing.T) {
	w := newWorld(t)
	c := create(t, w.manager(), w, "web")
	if err := c.Pause(t.Context()); !errors.Is(err, ErrInvalidState) {
		t.Errorf("created: %v", err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Resume(t.Context()); !errors.Is(err, ErrInvalidState) {
		t.Errorf("running: %v", err)
	}
	pause(t, w, c)
	if !w.scopes["berth-web.scope"].frozen || c.Info().Status != StatusPaused {
		t.Error("not paused")
	}
	if err := c.Pause(t.Context()); !errors.Is(err, ErrInvalidState) {
		t.Errorf("paused: %v", err)
	}
	if err := c.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if w.scopes["berth-web.scope"].frozen || c.Info().Status != StatusRunning {
		t.Error("not resumed")
	}
	if diff := cmp.Diff([]string{"created", "started", "paused", "resumed"}, w.kinds()); diff != "" {
		t.Error(diff)
	}
}

func TestDeleteStates(t *testing.T) {
	w := newWorld(t)
	m := w.manager()
	c := started(t, m, w, "web")
	if err := c.Delete(t.Context(), false); !errors.Is(err, ErrInvalidState) {
		t.Errorf("running: %v", err)
	}
	pause(t, w, c)
	if err := c.Delete(t.Context(), false); !errors.Is(err, ErrInvalidState) {
		t.Errorf("paused: %v", err)
	}
	if err := c.Delete(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(t.Context(), true); !errors.Is(err, ErrNoSuchContainer) {
		t.Errorf("deleted: %v", err)
	}
	if err := create(t, m, w, "web").Delete(t.Context(), false); err != nil {
		t.Errorf("created: %v", err)
	}
	want := []string{"created", "started", "paused", "exited", "deleted", "created", "exited", "deleted"}
	if diff := cmp.Diff(want, w.kinds()); diff != "" {
		t.Error(diff)
	}
	wantNothing(t, w)
}

func TestStartTwice(t *testing.T) {
	w := newWorld(t)
	c := started(t, w.manager(), w, "web")
	if err := c.Start(t.Context()); !errors.Is(err, ErrInvalidState) {
		t.Errorf("got %v", err)
	}
	w.exit("web", 0)
	wait(t, c)
	if err := c.Start(t.Context()); !errors.Is(err, ErrInvalidState) {
		t.Errorf("stopped: %v", err)
	}
}

func TestExecFails(t *testing.T) {
	w := newWorld(t)
	w.program = "no exec"
	c := create(t, w.manager(), w, "web")
	err := c.Start(t.Context())
	if err == nil || err.Error() != `start container "web": execute "/bin/true": no such file or directory (step 52 of 52)` {
		t.Errorf("got %v", err)
	}
	if i := c.Info(); i.Status != StatusStopped || i.StartedUSec != 0 {
		t.Errorf("%+v", i)
	}
	if diff := cmp.Diff([]string{"created", "exited"}, w.kinds()); diff != "" {
		t.Error(diff)
	}
}

func TestReading(t *testing.T) {
	w := newWorld(t)
	m := w.manager()
	c := started(t, m, w, "web")
	create(t, m, w, "app")
	if l := m.List(); len(l) != 2 || l[0].ID != "app" || l[1].ID != "web" {
		t.Errorf("list %+v", l)
	}
	if got, err := m.GetByPID(t.Context(), c.Info().PID); err != nil || got != c {
		t.Errorf("by pid: %v, %v", got, err)
	}
	for pid, want := range map[int]error{0: ErrInvalidArgs, -1: ErrInvalidArgs, maxPID + 1: ErrInvalidArgs, maxPID: ErrNoSuchContainer} {
		if _, err := m.GetByPID(t.Context(), pid); !errors.Is(err, want) {
			t.Errorf("pid %d: %v", pid, err)
		}
	}
	if p, err := c.Processes(t.Context()); err != nil || len(p) != 1 || p[0].PID != c.Info().PID {
		t.Errorf("processes %v, %v", p, err)
	}
	w.exit("web", 0)
	wait(t, c)
	if p, err := c.Processes(t.Context()); err != nil || p != nil {
		t.Errorf("processes of a stopped one: %v, %v", p, err)
	}
	if s, err := c.Stats(t.Context()); err != nil || s["CPUUsageNSec"] != 1234000 || s["MemoryPeak"] != 4096 {
		t.Errorf("stats of a stopped one: %v, %v", s, err)
	}
}

func TestGetByPIDIsNotFooledByNames(t *testing.T) {
	w := newWorld(t)
	m := w.manager()
	create(t, m, w, "web")
	dir := filepath.Join(filepath.Dir(w.dir), "proc", "4000000")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for group, found := range map[string]bool{
		"/machine.slice/berth-web.scope":                true,
		"/machine.slice/berth-web.scope/payload/a b":    true,
		"/machine.slice/berth-web.scope2":               false,
		"/user.slice/user-1.slice/x/berth-web.scope":    false,
		"/machine.slice/berth-no.scope/berth-web.scope": false,
		"/machine.slice/berth-web.scope (deleted)":      true,
		"/": false,
	} {
		if err := os.WriteFile(filepath.Join(dir, "cgroup"), []byte("4:pids:/x\n0::"+group+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := m.GetByPID(t.Context(), 4000000); (err == nil) != found {
			t.Errorf("%q: %v", group, err)
		}
	}
}

func TestRequestsRefused(t *testing.T) {
	w := newWorld(t)
	m := w.manager()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	dir := open(t, "/")
	handle, err := os.OpenFile("/dev/null", unix.O_PATH, 0)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		request CreateRequest
		want    error
	}{
		"no id":             {CreateRequest{}, ErrInvalidArgs},
		"id":                {CreateRequest{ID: "../x"}, ErrInvalidArgs},
		"relative bundle":   {CreateRequest{Bundle: "x"}, ErrInvalidArgs},
		"unclean bundle":    {CreateRequest{Bundle: "/a/../b"}, ErrInvalidArgs},
		"no bundle":         {CreateRequest{Bundle: "/nowhere"}, ErrInvalidConfig},
		"log":               {CreateRequest{Log: "syslog"}, ErrInvalidArgs},
		"slice":             {CreateRequest{Slice: "machine"}, ErrInvalidArgs},
		"slice with path":   {CreateRequest{Slice: "a/b.slice"}, ErrInvalidArgs},
		"environment":       {CreateRequest{Environment: []string{"A"}}, ErrInvalidArgs},
		"property":          {CreateRequest{ScopeProperties: []unit.Property{{Name: "TasksMax"}, {Name: "PIDs"}, {Name: "Delegate"}}}, ErrNotSupported},
		"directory":         {CreateRequest{Stdout: dir}, ErrInvalidArgs},
		"O_PATH":            {CreateRequest{Stdin: handle}, ErrInvalidArgs},
		"wrong end out":     {CreateRequest{Stdout: dupFile(t, read)}, ErrInvalidArgs},
		"wrong end in":      {CreateRequest{Stdin: dupFile(t, write)}, ErrInvalidArgs},
		"socket name":       {CreateRequest{ListenFDs: []NamedFile{{"a:b", dupFile(t, read)}}}, ErrInvalidArgs},
		"socket no file":    {CreateRequest{ListenFDs: []NamedFile{{"a", nil}}}, ErrInvalidArgs},
		"socket directory":  {CreateRequest{ListenFDs: []NamedFile{{"stdin", open(t, "/")}}}, ErrInvalidArgs},
		"too many sockets":  {CreateRequest{ListenFDs: make([]NamedFile, maxListenFDs+1)}, ErrLimitsExceeded},
		"not yet supported": {CreateRequest{Bundle: bundleWith(t, `"hooks": {"poststop": [{"path": "/x"}]}`)}, ErrNotSupported},
		"broken config":     {CreateRequest{Bundle: bundleWith(t, `"hostname": 7`)}, ErrInvalidConfig},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := tt.request
			if r.ID == "" && name != "no id" {
				r.ID = "web"
			}
			if r.Bundle == "" {
				r.Bundle = w.bundle
			}
			_, err := m.Create(t.Context(), r)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want the kind %q", err, tt.want)
			}
			for _, f := range []*os.File{r.Stdin, r.Stdout, r.Stderr} {
				if f != nil && f.Close() == nil {
					t.Error("a file was left open")
				}
			}
			wantNothing(t, w)
		})
	}
	if w.procs["web"] != nil || len(w.events) != 0 {
		t.Error("something happened")
	}
}

func open(t *testing.T, path string) *os.File {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func dupFile(t *testing.T, f *os.File) *os.File {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), f.Name())
}

func bundleWith(t *testing.T, more string) string {
	dir := writeBundle(t)
	path := filepath.Join(dir, "config.json")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, slices.Concat(data[:len(data)-1], []byte(", "+more+"}")), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}
