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

	"github.com/berth-project/berth/runtime/state"
)

// story is a life that is cut off somewhere. It ends early when a step fails.
type story struct {
	name string
	tell func(ctx context.Context, m *Manager, w *world) error
	code int // of the exit, if it gets that far by itself
}

var stories = []story{
	{"whole life", func(ctx context.Context, m *Manager, w *world) error {
		c, err := m.Create(ctx, CreateRequest{ID: "web", Bundle: w.bundle})
		if err != nil {
			return err
		}
		if err := c.Start(ctx); err != nil {
			return err
		}
		w.exit("web", 7)
		if _, err := c.Wait(ctx); err != nil {
			return err
		}
		return c.Delete(ctx, false)
	}, 7},
	{"deleted by force", func(ctx context.Context, m *Manager, w *world) error {
		c, err := m.Create(ctx, CreateRequest{ID: "web", Bundle: w.bundle})
		if err != nil {
			return err
		}
		if err := c.Start(ctx); err != nil {
			return err
		}
		if err := c.Pause(ctx); err != nil {
			return err
		}
		return c.Delete(ctx, true)
	}, -1},
	{"deleted before its start", func(ctx context.Context, m *Manager, w *world) error {
		c, err := m.Create(ctx, CreateRequest{ID: "web", Bundle: w.bundle})
		if err != nil {
			return err
		}
		return c.Delete(ctx, false)
	}, -1},
}

// TestCrashAfterEveryStep kills the service at every step of a life, starts it again, and compares.
func TestCrashAfterEveryStep(t *testing.T) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			for step := 1; ; step++ {
				over := false
				t.Run(fmt.Sprint(step), func(t *testing.T) { over = crashOnce(t, s, step) })
				if over || t.Failed() {
					return
				}
			}
		})
	}
}

func crashOnce(t *testing.T, s story, step int) (over bool) {
	w := newWorld(t)
	w.crashAt = step
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if m, err := w.open(Config{}); err == nil {
		told := make(chan error, 1)
		go func() { told <- s.tell(ctx, m, w) }()
		select {
		case <-w.crashed:
		case err := <-told:
			if err != nil {
				select {
				case <-w.crashed:
				default:
					t.Fatal(err)
				}
			}
		case <-time.After(20 * time.Second):
			t.Fatal("hangs")
		}
		cancel()
		m.Close()
	}
	select {
	case <-w.crashed:
	default:
		wantNothing(t, w)
		wantEvents(t, w, s.code)
		return true
	}
	again := w.manager()
	wantInStep(t, again, w)
	if c, err := again.Get("web"); err == nil {
		if err := c.Delete(t.Context(), true); err != nil {
			t.Error(err)
		}
	}
	wantNothing(t, w)
	wantEvents(t, w, s.code)
	create(t, again, w, "web") // the id is free
	return false
}

// wantInStep compares what the manager says with what there is. The payload may be exiting meanwhile.
func wantInStep(t *testing.T, m *Manager, w *world) {
	t.Helper()
	var diff string
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if diff = outOfStep(m, w); diff == "" {
			return
		}
		<-time.After(time.Millisecond)
	}
	t.Error(diff)
}

func outOfStep(m *Manager, w *world) string {
	list := m.List()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(list) == 0 {
		if len(w.procs)+len(w.scopes) != 0 {
			return fmt.Sprintf("no container, but %d processes and %d scopes", len(w.procs), len(w.scopes))
		}
		return ""
	}
	info, p := list[0], w.procs["web"]
	switch {
	case len(list) != 1 || p == nil:
		return fmt.Sprintf("list %+v, process %v", list, p)
	case info.Status == StatusCreating:
		return "a half-made container is left"
	case (info.Status == StatusStopped) != p.rec.Exited:
		return fmt.Sprintf("container is %s, process exited: %v", info.Status, p.rec.Exited)
	case info.Status == StatusCreated && p.rec.Executed:
		return "container is created, but its program runs"
	case info.Status != StatusStopped && (info.PID != p.rec.PID || w.scopes[info.Scope] == nil):
		return fmt.Sprintf("container %+v, process %d, scopes %v", info, p.rec.PID, w.scopes)
	}
	return ""
}

// wantEvents wants each kind once and in order; only one next to the crash may come twice, and of a create that
// nobody got an answer to the events may be missing altogether.
func wantEvents(t *testing.T, w *world, code int) {
	t.Helper()
	kinds := slices.Compact(w.kinds())
	got := strings.Join(kinds, " ")
	switch got {
	case "", "created started exited deleted", "created exited deleted", "created started paused exited deleted",
		"exited deleted": // the service died between the record and the event of the creation
	default:
		t.Errorf("events: %s", got)
	}
	for _, e := range w.events {
		if e.Kind == EventExited && code >= 0 && e.Info.ExitReason == ReasonExit && e.Info.ExitCode != code {
			t.Errorf("exited with %d, want %d", e.Info.ExitCode, code)
		}
	}
}

func TestExitWhileAway(t *testing.T) {
	w := newWorld(t)
	m, err := w.open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	started(t, m, w, "web")
	create(t, m, w, "app")
	m.Close()
	p := w.procs["web"]
	w.exit("web", 42)
	<-p.done
	again := w.manager()
	c, err := again.Get("web")
	if err != nil {
		t.Fatal(err)
	}
	if i := c.Info(); i.Status != StatusStopped || i.ExitCode != 42 || i.ExitReason != ReasonExit {
		t.Errorf("%+v", i)
	}
	if got := w.kinds(); got[len(got)-1] != "exited" {
		t.Errorf("events %q: the exit was not published", got)
	}
	app, err := again.Get("app")
	if err != nil {
		t.Fatal(err)
	}
	if err := app.Start(t.Context()); err != nil {
		t.Errorf("start after a restart of the service: %v", err)
	}
}

func TestNothingIsPublishedAgain(t *testing.T) {
	w := newWorld(t)
	m, err := w.open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	started(t, m, w, "web")
	done := started(t, m, w, "done")
	w.exit("done", 0)
	wait(t, done)
	m.Close()
	before := len(w.kinds())
	w.manager()
	if after := w.kinds(); len(after) != before {
		t.Errorf("a restart published %q", after[before:])
	}
}

func TestFrozenMeanwhile(t *testing.T) {
	w := newWorld(t)
	groups := t.TempDir()
	m, err := w.open(Config{ControlGroups: groups})
	if err != nil {
		t.Fatal(err)
	}
	dir := groups + started(t, m, w, "web").Info().ControlGroup
	m.Close()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		frozen string
		want   Status
	}{{"", StatusRunning}, {"frozen 0\n", StatusRunning}, {"frozen 1\n", StatusPaused}, {"frozen 1\n", StatusPaused}, {"frozen 0\n", StatusRunning}} {
		if err := os.WriteFile(dir+"/cgroup.events", []byte("populated 0\n"+tt.frozen), 0o644); err != nil {
			t.Fatal(err)
		}
		m, err := w.open(Config{ControlGroups: groups})
		if err != nil {
			t.Fatal(err)
		}
		if got := m.List()[0].Status; got != tt.want {
			t.Errorf("%q: %s", tt.frozen, got)
		}
		m.Close()
	}
	if got := strings.Join(w.kinds(), " "); got != "created started paused resumed" {
		t.Error(got)
	}
}

func TestStrays(t *testing.T) {
	w := newWorld(t)
	m, err := w.open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	create(t, m, w, "web")
	m.Close()
	if err := os.RemoveAll(filepath.Join(w.dir, "web")); err != nil {
		t.Fatal(err)
	}
	w.scopes["berth-old.scope"] = &fakeScope{}
	w.manager()
	wantNothing(t, w)
}

// TestRecoveryIsNotStuck: a scope that cannot be removed, because a process in it cannot be killed, is the trouble of one
// container and of nobody else.
func TestRecoveryIsNotStuck(t *testing.T) {
	w := newWorld(t)
	m, err := w.open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	deleting, other := create(t, m, w, "deleting"), started(t, m, w, "other")
	deleting.markDeleting()
	if err := m.store.Reserve(state.Record{ID: "undone", Phase: state.Creating}); err != nil {
		t.Fatal(err)
	}
	m.Close()
	w.mu.Lock()
	hold := make(chan struct{})
	w.hold["scope remove"] = hold
	w.scopes["berth-undone.scope"], w.scopes["berth-stray.scope"] = &fakeScope{}, &fakeScope{}
	w.mu.Unlock()
	opened := make(chan error, 1)
	var again *Manager
	go func() {
		var err error
		again, err = w.open(Config{stuckTimeout: 200 * time.Millisecond})
		opened <- err
	}()
	select {
	case err := <-opened:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(5 * time.Second):
		close(hold)
		t.Fatal("one scope holds up all")
	}
	if _, err := again.Create(t.Context(), CreateRequest{ID: "undone", Bundle: w.bundle}); !errors.Is(err, ErrContainerExists) {
		t.Errorf("the id is free although its scope is there: %v", err)
	}
	w.exit("other", 3)
	if c, err := again.Get("other"); err != nil || wait(t, c).ExitCode != 3 {
		t.Errorf("the other container: %v, %+v", err, other.Info())
	}
	close(hold)
	w.eventually(func() bool { _, err := again.Get("deleting"); return errors.Is(err, ErrNoSuchContainer) })
	again.Close()
	again = w.manager()
	create(t, again, w, "undone")
}

func TestDamagedRecordIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	m, err := w.open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	started(t, m, w, "web")
	m.Close()
	path := filepath.Join(w.dir, "web", "state.json")
	if err := os.WriteFile(path, []byte(`{"version": 99}`), 0o600); err != nil {
		t.Fatal(err)
	}
	again := w.manager()
	if _, err := again.Create(t.Context(), CreateRequest{ID: "web", Bundle: w.bundle}); err == nil {
		t.Error("the id was taken over")
	}
	if len(w.leftovers()) != 3 || w.procs["web"].rec.Exited {
		t.Errorf("the container was touched: %q", w.leftovers())
	}
}

func TestKeeperLost(t *testing.T) {
	w := newWorld(t)
	m := w.manager()
	c := started(t, m, w, "web")
	w.mu.Lock()
	p := w.procs["web"]
	w.hold["dial"] = make(chan struct{})
	w.mu.Unlock()
	w.lose(false)
	w.exit("web", 5)
	<-p.done // while the connection is away
	close(w.hold["dial"])
	if i := wait(t, c); i.ExitCode != 5 || i.ExitReason != ReasonExit {
		t.Errorf("%+v", i)
	}
	if err := c.Delete(t.Context(), false); err != nil {
		t.Error(err)
	}
	w.eventually(func() bool { _, err := m.hands.get(); return err == nil })
	create(t, m, w, "web")
}

func TestKeeperLostDuringCreate(t *testing.T) {
	w := newWorld(t)
	m := w.manager()
	hold := make(chan struct{})
	w.hold["scope started"] = hold
	result := make(chan error, 1)
	go func() {
		_, err := m.Create(t.Context(), CreateRequest{ID: "web", Bundle: w.bundle})
		result <- err
	}()
	w.eventually(func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.scopes["berth-web.scope"] != nil })
	w.lose(false)
	w.eventually(func() bool { _, err := m.hands.get(); return err != nil })
	close(hold)
	if err := <-result; err == nil || !strings.Contains(err.Error(), "the keeper went away") {
		t.Errorf("got %v", err)
	}
	w.eventually(func() bool { _, err := m.hands.get(); return err == nil })
	wantNothing(t, w)
}

// TestCreateWhileKeeperIsAway: a keeper that does not answer, or is just being started, holds no caller up.
func TestCreateWhileKeeperIsAway(t *testing.T) {
	w := newWorld(t)
	m := w.manager()
	hold := make(chan struct{})
	w.mu.Lock()
	w.hold["dial"] = hold
	before := w.steps
	w.mu.Unlock()
	w.lose(false)
	w.eventually(func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.steps > before }) // it dials
	created := make(chan error, 1)
	go func() {
		_, err := m.Create(t.Context(), CreateRequest{ID: "web", Bundle: w.bundle})
		created <- err
	}()
	select {
	case err := <-created:
		if !errors.Is(err, ErrUnavailable) {
			t.Errorf("got %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("it waits for the keeper")
	}
	close(hold)
	w.eventually(func() bool { _, err := m.hands.get(); return err == nil })
	create(t, m, w, "other")
}

// TestReconcileLeavesCreatesAlone: a create that waits for the reconciliation has no process yet, which is no exit.
func TestReconcileLeavesCreatesAlone(t *testing.T) {
	w := newWorld(t)
	m := w.manager()
	c := newContainer(m, state.Record{ID: "web", Phase: state.Creating, Scope: "berth-web.scope"})
	c.abort = func(err error) { t.Errorf("aborted: %v", err) }
	if err := m.claim(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	defer m.wg.Done()
	defer m.unclaim(c)
	defer m.createOver()
	conn, err := m.hands.get()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.reconcile(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	c.step(t.Context())
}

func TestKeeperDied(t *testing.T) {
	w := newWorld(t)
	m, err := w.open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	facts := m.cfg.Facts
	c := started(t, m, w, "web")
	app := create(t, m, w, "app")
	p, q := w.procs["web"], w.procs["app"]
	w.lose(true)
	w.eventually(func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.dials == 2 })
	w.eventually(func() bool { _, err := m.hands.get(); return err == nil })
	if i := c.Info(); i.Status != StatusRunning {
		t.Errorf("without its keeper the container is %s", i.Status)
	}
	if err := app.Start(t.Context()); err == nil {
		t.Error("started without anyone to tell the outcome")
	}
	fmt.Fprintln(p.stdin, 3)
	want := Info{ExitReason: ReasonUnknown, ExitCode: -1}
	if facts.AtLeast(6, 15) { // then a pidfd tells
		want = Info{ExitReason: ReasonExit, ExitCode: 3}
	}
	if i := wait(t, c); i.ExitReason != want.ExitReason || i.ExitCode != want.ExitCode {
		t.Errorf("%+v", i)
	}
	for _, c := range []*Container{c, app} {
		if err := c.Delete(t.Context(), false); err != nil {
			t.Error(err)
		}
	}
	<-p.done
	<-q.done
	wantNothing(t, w)
}

// TestBothDiedBeforeTheByte: the intent to start was saved, then service and keeper died. What is shown as running runs.
func TestBothDiedBeforeTheByte(t *testing.T) {
	w := newWorld(t)
	m, err := w.open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	create(t, m, w, "web")
	rec, err := m.store.Load("web")
	if err != nil {
		t.Fatal(err)
	}
	rec.Phase = state.Starting
	if err := m.store.Save(rec); err != nil {
		t.Fatal(err)
	}
	m.Close()
	p := w.procs["web"]
	t.Cleanup(func() { p.cmd.Process.Kill(); <-p.done })
	w.lose(true)
	c, err := w.manager().Get("web")
	if err != nil || c.Info().Status != StatusRunning {
		t.Fatalf("%v, %+v", err, c.Info())
	}
	w.eventually(func() bool { w.mu.Lock(); defer w.mu.Unlock(); return p.rec.Executed })
}

func (w *world) eventually(cond func() bool) {
	w.t.Helper()
	for end := time.Now().Add(10 * time.Second); !cond(); {
		if time.Now().After(end) {
			w.t.Fatal("it does not come to that")
		}
		<-time.After(time.Millisecond)
	}
}
