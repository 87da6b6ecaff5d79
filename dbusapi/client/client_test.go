package client

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/berth-project/berth/dbusapi/wire"
	"github.com/godbus/dbus/v5"
)

func TestWireError(t *testing.T) {
	reply := dbus.Error{Name: wire.ErrorInvalidState, Body: []any{`container "web" is stopped`}}
	for _, err := range []error{reply, &reply, fmt.Errorf("call: %w", reply)} {
		got := wireError(err)
		if !Is(got, wire.ErrorInvalidState) || got.Error() != `container "web" is stopped` {
			t.Errorf("%T became %v", err, got)
		}
		if wrapped := fmt.Errorf("start: %w", got); !Is(wrapped, wire.ErrorInvalidState) {
			t.Errorf("wrapped error is not found: %v", wrapped)
		}
	}
	if got := wireError(dbus.Error{Name: "a.b"}).Error(); got != "a.b" {
		t.Errorf("error without a text says %q", got)
	}
	if got := wireError(os.ErrClosed); !errors.Is(got, os.ErrClosed) || Is(got, "") {
		t.Errorf("an error of ours became %v", got)
	}
	if wireError(nil) != nil {
		t.Error("no error became one")
	}
}

func TestInteractive(t *testing.T) {
	for kind, want := range map[dbus.Type]dbus.Flags{dbus.TypeMethodCall: dbus.FlagAllowInteractiveAuthorization, dbus.TypeSignal: 0} {
		m := &dbus.Message{Type: kind}
		if interactive(m); m.Flags != want {
			t.Errorf("%s has flags %d, want %d", kind, m.Flags, want)
		}
	}
}

// TestForeignSignals: what is not ours, or not as the table says, is no event.
func TestForeignSignals(t *testing.T) {
	for _, s := range []dbus.Signal{
		{Name: "org.freedesktop.DBus.NameAcquired", Body: []any{":1.1"}},
		{Name: wire.ManagerInterface + ".ContainerStarted", Body: []any{"web", dbus.ObjectPath("/x")}},
		{Name: wire.ManagerInterface + ".ContainerExited", Body: []any{"web", dbus.ObjectPath("/x"), "3", "exit", uint32(0)}},
		{Name: wire.PropertiesInterface + ".PropertiesChanged", Body: []any{"org.example", map[string]dbus.Variant{}, []string{}}},
		{Name: wire.PropertiesInterface + ".PropertiesChanged"},
	} {
		if e, ok := decodeEvent(&s, map[dbus.ObjectPath]string{}); ok {
			t.Errorf("%s became %+v", s.Name, e)
		}
	}
}

// TestOptionsHaveTheirTypes compares what encode makes with the table.
func TestOptionsHaveTheirTypes(t *testing.T) {
	file, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	all := CreateOptions{
		Stdin: file, Stdout: file, Stderr: file, ListenFDs: []NamedFile{{"a", file}}, Environment: []string{"A=b"},
		Annotations: map[string]string{"a": "b"}, Slice: "s", ScopeProperties: []Property{{"TasksMax", uint64(1)}}, Log: wire.LogNone,
	}
	options := all.encode()
	for _, want := range wire.CreateOptions() {
		if got := options[want.Name].Signature().String(); got != want.Type {
			t.Errorf("option %s has type %q, want %q", want.Name, got, want.Type)
		}
	}
	if none := (&CreateOptions{}).encode(); len(none) != 0 {
		t.Errorf("no options became %v", none)
	}
}

// TestMissingProperties: an older service may have fewer, a broken one others.
func TestMissingProperties(t *testing.T) {
	p, err := decodeProperties(map[string]dbus.Variant{"Id": dbus.MakeVariant("web"), "New": dbus.MakeVariant(1)})
	if err != nil || p.ID != "web" || p.Status != "" {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := decodeProperties(map[string]dbus.Variant{"Pid": dbus.MakeVariant("x")}); err == nil {
		t.Error("a property of the wrong type was taken")
	}
}
