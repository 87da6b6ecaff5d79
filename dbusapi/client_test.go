package dbusapi

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/berth-project/berth/dbusapi/client"
	"github.com/berth-project/berth/dbusapi/wire"
	"github.com/berth-project/berth/runtime/lifecycle"
	"github.com/google/go-cmp/cmp"
)

func newClient(t *testing.T, r *rig) *client.Client {
	t.Helper()
	c, err := client.Connect(t.Context(), r.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestClient calls everything of the client on the real server.
func TestClient(t *testing.T) {
	r := newRig(t)
	c := newClient(t, r)
	ctx := t.Context()
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	r.fake.onCreate(func(_ context.Context, q lifecycle.CreateRequest) error {
		_, err := io.WriteString(q.ListenFDs[0].File, "hello")
		return err
	})
	web, err := c.Create(ctx, "web", "/b", client.CreateOptions{
		Stdout: in, ListenFDs: []client.NamedFile{{Name: "x", File: in}}, Environment: []string{"A=b"}, Slice: "s.slice",
		Annotations: map[string]string{"k": "v"}, Log: wire.LogNone, ScopeProperties: []client.Property{{Name: "TasksMax", Value: uint64(5)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = in.Close()
	if got, err := io.ReadAll(out); string(got) != "hello" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	if q, _ := r.fake.requested(); q.Slice != "s.slice" || q.Log != "none" || q.ScopeProperties[0].Value != uint64(5) || q.Environment[0] != "A=b" || q.Annotations["k"] != "v" {
		t.Errorf("request %+v", q)
	}
	for _, err := range []error{
		web.Start(ctx), web.Kill(ctx, wire.WhomLeader, syscall.SIGTERM), web.Stop(ctx, time.Second), web.Stop(ctx, -1),
		web.Pause(ctx), web.Resume(ctx), web.Delete(ctx, true),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	fake := r.fake.all["web"]
	want := []string{"start", "kill leader 15", "stop 1s", "stop -1ns", "pause", "resume", "delete true"}
	if diff := cmp.Diff(want, fake.calls()); diff != "" {
		t.Error(diff)
	}
	close(fake.stopped)
	if exit, err := web.Wait(ctx); err != nil || exit != (client.Exit{Code: 3, Reason: "exit"}) {
		t.Errorf("Wait: %v, %v", exit, err)
	}
	checkReading(t, c, web)
}

func checkReading(t *testing.T, c *client.Client, web *client.Container) {
	t.Helper()
	ctx := t.Context()
	if p, err := web.Properties(ctx); err != nil || p.ID != "web" || p.PID != 42 || p.ExitCode != -1 || p.Annotations["a"] != "b" || p.Scope != "berth-web.scope" {
		t.Errorf("properties %+v, %v", p, err)
	}
	if all, err := c.Containers(ctx); err != nil || len(all) != 1 || all[0].ID != "web" {
		t.Errorf("containers %+v, %v", all, err)
	}
	if all, err := c.List(ctx); err != nil || len(all) != 1 || all[0] != (client.Listed{ID: "web", Status: "running", PID: 42, Object: web.Path()}) {
		t.Errorf("list %+v, %v", all, err)
	}
	if stats, err := web.Stats(ctx); err != nil || stats["MemoryCurrent"] != 4096 {
		t.Errorf("stats %v, %v", stats, err)
	}
	if all, err := web.Processes(ctx); err != nil || len(all) != 1 || all[0].PID != 42 {
		t.Errorf("processes %v, %v", all, err)
	}
	if state, err := web.State(ctx); err != nil || state == "" {
		t.Errorf("state %q, %v", state, err)
	}
	if m, err := c.Manager(ctx); err != nil || m.Version != "1.2.3" || len(m.OCIVersions) != 2 {
		t.Errorf("manager %+v, %v", m, err)
	}
	if found, err := c.GetByPID(ctx, 42); err != nil || found.Path() != web.Path() {
		t.Errorf("GetByPID: %v, %v", found, err)
	}
	_, err := c.Get(ctx, "gone")
	var e *client.Error
	if !client.Is(err, wire.ErrorNoSuchContainer) || client.Is(err, wire.ErrorFailed) || !errors.As(err, &e) || e.Error() != `container "gone": no such container` {
		t.Errorf("Get: %v", err)
	}
}

func TestClientEvents(t *testing.T) {
	r := newRig(t)
	c := newClient(t, r)
	r.fake.add("old")
	ctx, cancel := context.WithCancel(t.Context())
	events, err := c.Events(ctx)
	if err != nil {
		t.Fatal(err)
	}
	i := lifecycle.Info{ID: "web", Status: lifecycle.StatusCreated, PID: 42, ExitCode: -1}
	notify := func(kind lifecycle.EventKind) { r.server.Notify(lifecycle.Event{Kind: kind, Info: i}) }
	notify(lifecycle.EventCreated)
	i.Status = lifecycle.StatusRunning
	notify(lifecycle.EventStarted)
	i.ExitReason, i.ExitSignal = lifecycle.ReasonSignal, 9
	notify(lifecycle.EventExited)
	notify(lifecycle.EventOOM)
	notify(lifecycle.EventDeleted)
	object := string(containerPath("web"))
	for _, want := range []client.Event{
		{Kind: client.Created}, {Kind: client.Changed, Changes: map[string]any{"Status": "running"}}, {Kind: client.Started, PID: 42},
		{Kind: client.Changed, Changes: map[string]any{"ExitReason": "signal", "ExitSignal": uint32(9)}},
		{Kind: client.Exited, ExitCode: -1, Reason: "signal", Signal: 9}, {Kind: client.OOM}, {Kind: client.Deleted},
	} {
		want.ID, want.Object = "web", object
		if diff := cmp.Diff(want, <-events); diff != "" {
			t.Error(diff)
		}
	}
	cancel()
	if e, ok := <-events; ok {
		t.Errorf("after the end: %+v", e)
	}
	// The connection lives on, and a second subscription works.
	events, err = c.Events(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	notify(lifecycle.EventCreated)
	if e := <-events; e.Kind != client.Created {
		t.Errorf("second subscription: %+v", e)
	}
	_ = c.Close()
	for range events { // ends, or the test does not
	}
}

// TestClientWaitSurvivesRestart stops the server under a waiting client and starts another.
func TestClientWaitSurvivesRestart(t *testing.T) {
	r := newRig(t)
	fake := r.fake.add("web")
	web, err := newClient(t, r).Get(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	r.server.Close()
	if _, err := web.Wait(t.Context()); !client.Is(err, "org.freedesktop.DBus.Error.ServiceUnknown") {
		t.Errorf("without a server: %v", err)
	}
	first, err := start(t.Context(), Config{Address: r.address}, r.fake, defaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	type result struct {
		exit client.Exit
		err  error
	}
	done := make(chan result)
	go func() {
		exit, err := web.Wait(t.Context())
		done <- result{exit, err}
	}()
	eventually(t, "the wait to begin", func() bool { return len(fake.calls()) == 1 })
	// Between the two nobody has the name, and the client must not ask the bus to start somebody.
	first.Close()
	successor := connect(t, r.address, os.Getuid())
	select {
	case got := <-done:
		t.Fatalf("without a server: %v", got.err)
	case <-time.After(50 * time.Millisecond):
	}
	if _, err := successor.RequestName(wire.BusName, 0); err != nil {
		t.Fatal(err)
	}
	if got := <-done; got.err == nil {
		t.Errorf("the successor has no containers, yet %v", got.exit)
	} else if client.Is(got.err, "org.freedesktop.DBus.Error.NoReply") {
		t.Errorf("did not call again: %v", got.err)
	}
}

func TestClientConnect(t *testing.T) {
	if _, err := client.Connect(t.Context(), "unix:path=/nonexistent"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no bus: %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.Connect(cancelled, startBus(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestClientLetsPolkitAsk: the flag arrives where it matters.
func TestClientLetsPolkitAsk(t *testing.T) {
	r := newRig(t)
	c := newClient(t, r)
	r.fake.add("web")
	web, err := c.Get(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	r.server.peers.mu.Lock()
	for _, p := range r.server.peers.all {
		p.lookup.Lock()
		p.uid, p.known = nobody, true
		p.lookup.Unlock()
	}
	r.server.peers.mu.Unlock()
	polkit := startPolkit(t, r, nil)
	polkit.say(answer{Authorized: true})
	if err := web.Start(t.Context()); err != nil || polkit.asked().Flags != polkitAllowInteraction {
		t.Errorf("Start: %v, asked %+v", err, polkit.asked())
	}
}
