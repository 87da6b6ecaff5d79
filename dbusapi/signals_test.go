package dbusapi

import (
	"testing"

	"github.com/berth-project/berth/dbusapi/wire"
	"github.com/berth-project/berth/runtime/lifecycle"
	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
)

// TestSignals lives through a life and expects every signal, its arguments as the table says, in order.
func TestSignals(t *testing.T) {
	r := newRig(t)
	signals := make(chan *dbus.Signal, 100)
	r.client.Signal(signals)
	if err := r.client.AddMatchSignal(dbus.WithMatchSender(wire.BusName)); err != nil {
		t.Fatal(err)
	}
	i := lifecycle.Info{ID: "web", Bundle: "/b", Status: lifecycle.StatusCreated, PID: 42, ExitCode: -1}
	publish := func(kind lifecycle.EventKind, change func()) {
		change()
		r.server.Notify(lifecycle.Event{Kind: kind, Info: i})
	}
	publish(lifecycle.EventCreated, func() {})
	publish(lifecycle.EventStarted, func() { i.Status, i.StartedUSec = lifecycle.StatusRunning, 5 })
	publish(lifecycle.EventPaused, func() { i.Status = lifecycle.StatusPaused })
	publish(lifecycle.EventResumed, func() { i.Status = lifecycle.StatusRunning })
	publish(lifecycle.EventOOM, func() {})
	publish(lifecycle.EventExited, func() {
		i.Status, i.PID, i.ExitSignal, i.ExitReason, i.FinishedUSec = lifecycle.StatusStopped, 0, 9, lifecycle.ReasonOOM, 6
	})
	publish(lifecycle.EventDeleted, func() {})

	path := containerPath("web")
	changed := func(values map[string]any) []any { return []any{wire.ContainerInterface, values, []string{}} }
	for _, want := range []struct {
		name string
		body []any
	}{
		{wire.ObjectManagerInterface + ".InterfacesAdded", nil},
		{wire.ManagerInterface + ".ContainerCreated", []any{"web", path}},
		{wire.PropertiesInterface + ".PropertiesChanged", changed(map[string]any{"Status": "running", "StartedTimestamp": uint64(5)})},
		{wire.ManagerInterface + ".ContainerStarted", []any{"web", path, uint32(42)}},
		{wire.PropertiesInterface + ".PropertiesChanged", changed(map[string]any{"Status": "paused"})},
		{wire.PropertiesInterface + ".PropertiesChanged", changed(map[string]any{"Status": "running"})},
		{wire.ManagerInterface + ".ContainerOOM", []any{"web", path}},
		{wire.PropertiesInterface + ".PropertiesChanged", changed(map[string]any{
			"Status": "stopped", "Pid": uint32(0), "ExitSignal": uint32(9), "ExitReason": "oom", "FinishedTimestamp": uint64(6),
		})},
		{wire.ManagerInterface + ".ContainerExited", []any{"web", path, int32(-1), "oom", uint32(9)}},
		{wire.ManagerInterface + ".ContainerDeleted", []any{"web", path}},
		{wire.ObjectManagerInterface + ".InterfacesRemoved", []any{path, []string{wire.ContainerInterface}}},
	} {
		got := <-signals
		for got.Name == "org.freedesktop.DBus.NameAcquired" {
			got = <-signals
		}
		if got.Name != want.name {
			t.Fatalf("signal %s %v, want %s", got.Name, got.Body, want.name)
		}
		checkSignature(t, got)
		if body := plain(got.Body); want.body != nil && !cmp.Equal(body, want.body) {
			t.Errorf("%s%s", want.name, cmp.Diff(want.body, body))
		}
	}
}

func checkSignature(t *testing.T, got *dbus.Signal) {
	t.Helper()
	for _, i := range []wire.Interface{wire.Manager(), wire.ObjectManager(), wire.Properties()} {
		for _, s := range i.Signals {
			if have := dbus.SignatureOf(got.Body...).String(); i.Name+"."+s.Name == got.Name && have != wire.Signature(s.Args) {
				t.Errorf("%s has signature %q, the table says %q", got.Name, have, wire.Signature(s.Args))
			}
		}
	}
}

// plain takes the variants out of a{sv}.
func plain(body []any) []any {
	out := make([]any, len(body))
	for n, v := range body {
		out[n] = v
		if values, ok := v.(map[string]dbus.Variant); ok {
			plain := map[string]any{}
			for name, value := range values {
				plain[name] = value.Value()
			}
			out[n] = plain
		}
	}
	return out
}

// TestSignalOfUnknown: an event of a container never published still carries everything that can change.
func TestSignalOfUnknown(t *testing.T) {
	var want []string
	for _, p := range wire.Container().Properties {
		if p.Emits == wire.EmitsTrue {
			want = append(want, p.Name)
		}
	}
	if got := changes(lifecycle.Info{}, lifecycle.Info{}, false); len(got) != len(want) {
		t.Errorf("changed %v, want %v", got, want)
	}
	if got := changes(lifecycle.Info{}, lifecycle.Info{}, true); len(got) != 0 {
		t.Errorf("changed %v, want nothing", got)
	}
}
