package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/keeper"
	"github.com/berth-project/berth/runtime/state"
)

// TestEveryCreateStepFails fails each step of a create once.
func TestEveryCreateStepFails(t *testing.T) {
	for _, step := range []string{"stream", "launch", "launched", "scope start", "scope started"} {
		t.Run(step, func(t *testing.T) {
			w := newWorld(t)
			m := w.manager()
			boom := errors.New("boom")
			w.fail[step] = boom
			_, err := m.Create(t.Context(), CreateRequest{ID: "web", Bundle: w.bundle})
			if !errors.Is(err, boom) || !strings.HasPrefix(err.Error(), `create container "web": `) {
				t.Errorf("got %v", err)
			}
			if step == "launched" || step == "scope started" { // what a real keeper or systemd undoes by itself
				w.killAll()
				clear(w.scopes)
				clear(w.procs)
			}
			wantNothing(t, w)
			if len(w.events) > 0 {
				t.Errorf("events %q", w.kinds())
			}
			clear(w.fail)
			create(t, m, w, "web")
		})
	}
}

func TestPlanFails(t *testing.T) {
	w := newWorld(t)
	m := w.manager()
	w.failOp = true
	_, err := m.Create(t.Context(), CreateRequest{ID: "web", Bundle: w.bundle})
	want := `create container "web": mount proc on "/proc": permission denied (step 17 of 52)`
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	wantNothing(t, w)
}

// TestPlanFailsWhileSystemdIsBusy: the child's word counts, not what systemd makes of it.
func TestPlanFailsWhileSystemdIsBusy(t *testing.T) {
	w := newWorld(t)
	m := w.manager()
	w.failOp = true
	hold := make(chan struct{})
	w.hold["scope start"] = hold
	go func() {
		w.eventually(func() bool { w.mu.Lock(); defer w.mu.Unlock(); p := w.procs["web"]; return p != nil && p.rec.Exited })
		close(hold)
	}()
	_, err := m.Create(t.Context(), CreateRequest{ID: "web", Bundle: w.bundle})
	if err == nil || !strings.Contains(err.Error(), "step 17") {
		t.Errorf("got %v", err)
	}
	wantNothing(t, w)
}

func TestTakenScopeIsNotTouched(t *testing.T) {
	w := newWorld(t)
	m := w.manager()
	w.scopes["berth-web.scope"] = &fakeScope{}
	begin := time.Now()
	_, err := m.Create(t.Context(), CreateRequest{ID: "web", Bundle: w.bundle})
	if !errors.Is(err, ErrContainerExists) || !strings.Contains(err.Error(), "berth-web.scope") {
		t.Errorf("got %v", err)
	}
	if time.Since(begin) > 500*time.Millisecond {
		t.Error("it waited for a word of the child, which lives")
	}
	if left := fmt.Sprint(w.leftovers()); left != "[scope berth-web.scope]" {
		t.Errorf("left %s", left)
	}
}

// TestCallerLeaves cancels a create at each step.
func TestCallerLeaves(t *testing.T) {
	for _, step := range []string{"stream", "launch", "scope start", "scope started"} {
		t.Run(step, func(t *testing.T) {
			w := newWorld(t)
			m := w.manager()
			ctx, cancel := context.WithCancel(t.Context())
			hold := make(chan struct{})
			w.hold[step] = hold
			result := make(chan error, 1)
			go func() {
				_, err := m.Create(ctx, CreateRequest{ID: "web", Bundle: w.bundle})
				result <- err
			}()
			w.eventually(func() bool { return len(m.List()) == 1 })
			if c, err := m.Get("web"); err != nil || !errors.Is(c.Start(t.Context()), ErrInvalidState) || !errors.Is(c.Delete(t.Context(), true), ErrInvalidState) {
				t.Errorf("while it is created: %v", err)
			}
			cancel()
			close(hold)
			if err := <-result; !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			if step == "scope start" { // it fails by itself
				clear(w.scopes)
			}
			wantNothing(t, w)
			if len(m.List()) != 0 {
				t.Error("it is still listed")
			}
		})
	}
}

func TestRivals(t *testing.T) {
	w := newWorld(t)
	m := w.manager()
	var wg sync.WaitGroup
	var mu sync.Mutex
	count := map[string]int{}
	add := func(what string) { mu.Lock(); count[what]++; mu.Unlock() }
	for range 8 {
		wg.Go(func() {
			c, err := m.Create(t.Context(), CreateRequest{ID: "web", Bundle: w.bundle})
			if err != nil {
				if !errors.Is(err, ErrContainerExists) {
					t.Error(err)
				}
				return
			}
			add("created")
			var starts sync.WaitGroup
			for range 4 {
				starts.Go(func() {
					if err := c.Start(t.Context()); err == nil {
						add("started")
					} else if !errors.Is(err, ErrInvalidState) {
						t.Error(err)
					}
				})
			}
			starts.Wait()
			for range 4 {
				starts.Go(func() {
					if err := c.Delete(t.Context(), true); err == nil {
						add("deleted")
					} else if !errors.Is(err, ErrNoSuchContainer) {
						t.Error(err)
					}
				})
			}
			starts.Wait()
		})
	}
	wg.Wait()
	if n := count["created"]; n == 0 || count["started"] != n || count["deleted"] != n {
		t.Errorf("%v", count)
	}
	wantNothing(t, w)
}

func TestManyAtOnce(t *testing.T) {
	w := newWorld(t)
	m := w.manager()
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			id := fmt.Sprintf("c%d", i)
			c, err := m.Create(t.Context(), CreateRequest{ID: id, Bundle: w.bundle})
			if err == nil {
				err = c.Start(t.Context())
			}
			if err != nil {
				t.Error(err)
				return
			}
			w.exit(id, i)
			if info, err := c.Wait(t.Context()); err != nil || info.ExitCode != i {
				t.Errorf("%s: %+v, %v", id, info, err)
			}
			if err := c.Delete(t.Context(), false); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	wantNothing(t, w)
	order := map[string]EventKind{}
	for _, e := range w.events {
		if e.Kind <= order[e.Info.ID] {
			t.Errorf("%s of %s after %s", e.Kind, e.Info.ID, order[e.Info.ID])
		}
		order[e.Info.ID] = e.Kind
	}
}

func TestLimits(t *testing.T) {
	w := newWorld(t)
	m, err := w.open(Config{MaxContainers: 2, MaxCreates: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	hold := make(chan struct{})
	w.hold["launch"] = hold
	done := make(chan error, 1)
	go func() {
		_, err := m.Create(t.Context(), CreateRequest{ID: "a", Bundle: w.bundle})
		done <- err
	}()
	w.eventually(func() bool { return len(m.List()) == 1 })
	if _, err := m.Create(t.Context(), CreateRequest{ID: "b", Bundle: w.bundle}); !errors.Is(err, ErrLimitsExceeded) {
		t.Errorf("two creates: %v", err)
	}
	close(hold)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	create(t, m, w, "b")
	if _, err := m.Create(t.Context(), CreateRequest{ID: "c", Bundle: w.bundle}); !errors.Is(err, ErrLimitsExceeded) || !strings.Contains(err.Error(), "delete one first") {
		t.Errorf("three containers: %v", err)
	}
}

// TestReadersAreNotHeldUp: whoever is slow, Info and List answer.
func TestReadersAreNotHeldUp(t *testing.T) {
	w := newWorld(t)
	m := w.manager()
	c := create(t, m, w, "web")
	hold := make(chan struct{})
	w.mu.Lock()
	w.hold["event started"] = hold
	w.mu.Unlock()
	started := make(chan error, 1)
	go func() { started <- c.Start(t.Context()) }()
	w.eventually(func() bool { return c.Info().Status == StatusRunning && len(m.List()) == 1 })
	close(hold)
	if err := <-started; err != nil {
		t.Error(err)
	}
}

func TestCloseUndoesCreatesAndLeavesContainers(t *testing.T) {
	w := newWorld(t)
	m, err := w.open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	c := started(t, m, w, "web")
	hold := make(chan struct{})
	w.mu.Lock()
	w.hold["stream"] = hold
	w.mu.Unlock()
	result := make(chan error, 1)
	go func() {
		_, err := m.Create(t.Context(), CreateRequest{ID: "app", Bundle: w.bundle})
		result <- err
	}()
	w.eventually(func() bool { return len(m.List()) == 2 })
	closed := make(chan struct{})
	go func() { m.Close(); close(closed) }()
	<-m.closing.Done()
	close(hold)
	if err := <-result; !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	<-closed
	if _, err := m.Create(t.Context(), CreateRequest{ID: "late", Bundle: w.bundle}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("after Close: %v", err)
	}
	if err := c.Delete(t.Context(), true); !errors.Is(err, ErrUnavailable) {
		t.Errorf("delete after Close: %v", err)
	}
	if w.procs["web"].rec.Exited || w.scopes["berth-web.scope"] == nil || len(w.leftovers()) != 3 {
		t.Errorf("the container was touched: %q", w.leftovers())
	}
}

// TestHandles: what the child gets, and that nobody else keeps it.
func TestHandles(t *testing.T) {
	w := newWorld(t)
	m := w.manager()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	before := openFiles(t)
	c, err := m.Create(t.Context(), CreateRequest{
		ID: "web", Bundle: w.bundle, Stdout: write, Log: LogNone,
		ListenFDs: []NamedFile{{"http", open(t, "/dev/null")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := read.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("somebody holds the caller's pipe: %d, %v", n, err)
	}
	if err := c.Delete(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	w.eventually(func() bool { return openFiles(t) <= before })
}

func openFiles(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestLeftoversDieWithTheLeader(t *testing.T) {
	w := newWorld(t)
	groups := t.TempDir()
	m, err := w.open(Config{ControlGroups: groups})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	c := started(t, m, w, "web")
	dir := groups + c.Info().ControlGroup
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"cgroup.events": "populated 1\nfrozen 0\n", "memory.events": "low 0\noom 2\noom_kill 1\n", "memory.peak": "1048576\n",
		"memory.max": "max\n", "cpu.stat": "usage_usec 5\nuser_usec 4\n", "io.stat": "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n8:16 rbytes=10\n",
	} {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stats, err := c.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(stats); got != "map[CPUUsageNSec:5000 IOReadBytes:11 IOReadOperations:3 IOWriteBytes:2 IOWriteOperations:4 MemoryPeak:1048576]" {
		t.Error(got)
	}
	steps := func() int { w.mu.Lock(); defer w.mu.Unlock(); return w.steps }
	before := steps()
	if err := c.Kill(t.Context(), WhomLeader, int(unix.SIGKILL)); err != nil {
		t.Fatal(err)
	}
	if i := wait(t, c); i.ExitReason != ReasonOOM || i.MemoryPeakBytes != 1048576 {
		t.Errorf("%+v", i)
	}
	if steps() < before+2 {
		t.Error("what the leader left was not removed")
	}
	w.eventually(func() bool { return strings.HasSuffix(strings.Join(w.kinds(), " "), "started oom exited") })
}

func TestScopeRemoved(t *testing.T) {
	w := newWorld(t)
	m := w.manager()
	c := started(t, m, w, "web")
	w.exit("web", 0)
	wait(t, c)
	m.ScopeRemoved("berth-web.scope")
	m.ScopeRemoved("berth-other.scope")
	m.ScopeRemoved("nonsense")
	w.mu.Lock() // the exit is still being published
	w.fail["scope release"] = errors.New("asked")
	w.fail["scope remove"] = errors.New("asked")
	w.mu.Unlock()
	if err := c.Delete(t.Context(), false); err != nil {
		t.Errorf("systemd was asked what it had told: %v", err)
	}
}

// TestNewsOfScopesDoesNotWait: it is told on the goroutine that reads the bus, while a container may be busy for long.
func TestNewsOfScopesDoesNotWait(t *testing.T) {
	w := newWorld(t)
	m := w.manager()
	c := started(t, m, w, "web")
	c.mu.Lock()
	told := make(chan struct{})
	go func() {
		m.ScopeRemoved("berth-web.scope")
		m.StopScope("berth-web.scope")
		close(told)
	}()
	select {
	case <-told:
	case <-time.After(5 * time.Second):
		t.Error("it waits for the container")
	}
	c.mu.Unlock()
	wait(t, c)
}

func TestStopScope(t *testing.T) {
	w := newWorld(t)
	m := w.manager()
	c := started(t, m, w, "web")
	m.StopScope("berth-none.scope")
	m.StopScope("berth-web.scope")
	if i := wait(t, c); i.ExitSignal != int(unix.SIGTERM) {
		t.Errorf("%+v", i)
	}
}

func TestDeleteFailsAndGoesOn(t *testing.T) {
	w := newWorld(t)
	m, err := w.open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	c := started(t, m, w, "web")
	w.mu.Lock()
	w.fail["scope remove"] = faultf(ErrUnavailable, "systemd is away")
	w.mu.Unlock()
	if err := c.Delete(t.Context(), true); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if rec, err := m.store.Load("web"); err != nil || !rec.Deleting || rec.Phase == state.Creating {
		t.Errorf("%+v, %v", rec, err)
	}
	m.Close()
	w.mu.Lock()
	clear(w.fail)
	w.mu.Unlock()
	again := w.manager()
	if _, err := again.Get("web"); !errors.Is(err, ErrNoSuchContainer) {
		t.Errorf("the next start did not finish it: %v", err)
	}
	wantNothing(t, w)
}

// TestDeleteWithoutRoom: on a full state directory a container can be stopped and deleted, which makes room.
func TestDeleteWithoutRoom(t *testing.T) {
	w := newWorld(t)
	m := w.manager()
	c := started(t, m, w, "web")
	w.eventually(func() bool { rec, err := m.store.Load("web"); return err == nil && rec.Phase == state.Running })
	if err := os.Mkdir(filepath.Join(m.store.Path("web"), "state.json.new"), 0o700); err != nil { // no record can be written
		t.Fatal(err)
	}
	if err := m.store.Save(state.Record{ID: "web"}); err == nil {
		t.Fatal("a record was written")
	}
	if err := c.Delete(t.Context(), true); err != nil {
		t.Error(err)
	}
	wantNothing(t, w)
	wantEvents(t, w, -1)
	create(t, m, w, "web")
}

// TestOldNewsIsNoNews: the answer to a list may be delivered after a change that is newer.
func TestOldNewsIsNoNews(t *testing.T) {
	w := newWorld(t)
	c := newContainer(w.manager(), state.Record{ID: "web"})
	for _, r := range []keeper.Record{{PID: 5}, {PID: 5, Point: 1}, {PID: 5, Executed: true}, {PID: 5, Exited: true, Code: 3}} {
		c.deliver(r)
		if got := *c.latest.Load(); got != r {
			t.Errorf("%+v is kept, want %+v", got, r)
		}
	}
	c.deliver(keeper.Record{PID: 5, Executed: true})
	if got := c.latest.Load(); !got.Exited {
		t.Errorf("the exit is lost: %+v", got)
	}
	c.deliver(keeper.Record{PID: 6}) // another process with the same key
	if got := c.latest.Load(); got.PID != 6 {
		t.Errorf("%+v is kept", got)
	}
}

// TestDeletedIsNotListed: who hears of a deletion finds the container nowhere.
func TestDeletedIsNotListed(t *testing.T) {
	w := newWorld(t)
	m := w.manager()
	create(t, m, w, "web")
	c, err := m.Get("web")
	if err != nil {
		t.Fatal(err)
	}
	c.leaving.Store(true) // as leave does before it publishes
	defer c.leaving.Store(false)
	if _, err := m.Get("web"); !errors.Is(err, ErrNoSuchContainer) {
		t.Errorf("get: %v", err)
	}
	if list := m.List(); len(list) != 0 {
		t.Errorf("list: %+v", list)
	}
}
