package dbusapi

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/berth-project/berth/dbusapi/wire"
	"github.com/berth-project/berth/runtime/lifecycle"
	"github.com/berth-project/berth/unit"
	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
)

func TestTableAndHandlersAgree(t *testing.T) {
	known := handlers()
	for _, interfaces := range objects() {
		for _, i := range interfaces {
			for _, m := range i.Methods {
				if handlers()[i.Name+"."+m.Name] == nil {
					t.Errorf("method %s.%s has no handler", i.Name, m.Name)
				}
				delete(known, i.Name+"."+m.Name)
			}
		}
	}
	for name := range known {
		t.Errorf("handler %s is not in the table", name)
	}
	for values, i := range map[*map[string]any]wire.Interface{
		ptr(containerValues(lifecycle.Info{})): wire.Container(), ptr((&Server{}).managerValues()): wire.Manager(),
	} {
		for _, p := range i.Properties {
			if have := dbus.SignatureOf((*values)[p.Name]).String(); have != p.Type {
				t.Errorf("property %s.%s has type %q, the table says %q", i.Name, p.Name, have, p.Type)
			}
		}
		if len(*values) != len(i.Properties) {
			t.Errorf("%s has %d values for %d properties", i.Name, len(*values), len(i.Properties))
		}
	}
}

func ptr[T any](v T) *T { return &v }

func TestReading(t *testing.T) {
	r := newRig(t)
	r.fake.add("web")
	r.fake.add("7-z")
	var object dbus.ObjectPath
	if err := r.manager("Get", "7-z").Store(&object); err != nil || object != "/org/berth1/container/_37_2dz" {
		t.Errorf("Get: %q, %v", object, err)
	}
	if err := r.manager("GetByPID", uint32(42)).Store(&object); err != nil {
		t.Errorf("GetByPID: %v", err)
	}
	if text := wantError(t, r.manager("Get", "gone").Err, wire.ErrorNoSuchContainer); !strings.Contains(text, `"gone"`) {
		t.Errorf("text %q does not quote the id", text)
	}
	var all []listed
	if err := r.manager("List").Store(&all); err != nil || len(all) != 2 {
		t.Errorf("List: %v, %v", all, err)
	}
	var state string
	if err := r.container("web", "State").Store(&state); err != nil || !strings.Contains(state, `"ociVersion":"1.3.0"`) {
		t.Errorf("State: %s, %v", state, err)
	}
	var found []process
	if err := r.container("web", "Processes").Store(&found); err != nil || found[0].Command != "bad \uFFFD\uFFFD name" {
		t.Errorf("Processes: %v, %v", found, err)
	}
	var numbers map[string]dbus.Variant
	if err := r.container("web", "Stats").Store(&numbers); err != nil || numbers["MemoryCurrent"].Value() != uint64(4096) {
		t.Errorf("Stats: %v, %v", numbers, err)
	}
}

func TestProperties(t *testing.T) {
	r := newRig(t)
	r.fake.add("web")
	object := r.client.Object(wire.BusName, containerPath("web"))
	for name, want := range containerValues(r.fake.all["web"].info) {
		got, err := object.GetProperty(wire.ContainerInterface + "." + name)
		if err != nil || !cmp.Equal(got.Value(), want) {
			t.Errorf("%s = %v, %v, want %v", name, got, err, want)
		}
	}
	var values map[string]dbus.Variant
	if err := invoke(r.client, wire.ManagerPath, wire.PropertiesInterface+".GetAll", "").Store(&values); err != nil {
		t.Fatal(err)
	}
	if got := values["OCIVersions"].Value(); !cmp.Equal(got, []string{"1.0.0", "1.3.0"}) {
		t.Errorf("OCIVersions = %v", got)
	}
	const get, set = wire.PropertiesInterface + ".Get", wire.PropertiesInterface + ".Set"
	v := dbus.MakeVariant("x")
	for _, tc := range []struct {
		path   dbus.ObjectPath
		method string
		args   []any
		want   string
	}{
		{wire.ManagerPath, set, []any{wire.ManagerInterface, "Version", v}, wire.ErrorPropertyReadOnly},
		{containerPath("web"), set, []any{wire.ContainerInterface, "Status", v}, wire.ErrorPropertyReadOnly},
		{containerPath("web"), set, []any{wire.ContainerInterface, "Colour", v}, wire.ErrorUnknownProperty},
		{containerPath("web"), get, []any{wire.ContainerInterface, "Colour"}, wire.ErrorUnknownProperty},
		{containerPath("web"), get, []any{wire.PeerInterface, "Colour"}, wire.ErrorUnknownProperty},
		{containerPath("web"), get, []any{"org.example", "Status"}, wire.ErrorUnknownInterface},
		{containerPath("gone"), get, []any{wire.ContainerInterface, "Status"}, wire.ErrorNoSuchContainer},
	} {
		wantError(t, invoke(r.client, tc.path, tc.method, tc.args...).Err, tc.want)
	}
}

func TestUnknown(t *testing.T) {
	r := newRig(t)
	for _, tc := range []struct {
		path   dbus.ObjectPath
		method string
		want   string
	}{
		{"/elsewhere", wire.ManagerInterface + ".List", wire.ErrorUnknownObject},
		{"/org/berth1/container/_", wire.ContainerInterface + ".State", wire.ErrorNoSuchContainer},
		{"/org/berth1/container/a_zz", wire.ContainerInterface + ".State", wire.ErrorUnknownObject},
		{"/org/berth1/container/a/b", wire.ContainerInterface + ".State", wire.ErrorUnknownObject},
		{wire.ManagerPath, "org.example.List", wire.ErrorUnknownInterface},
		{wire.ManagerPath, wire.ManagerInterface + ".Exec", wire.ErrorUnknownMethod},
		{"/org", wire.ManagerInterface + ".List", wire.ErrorUnknownInterface},
		{containerPath("gone"), wire.ContainerInterface + ".Start", wire.ErrorNoSuchContainer},
		{containerPath("gone"), wire.IntrospectableInterface + ".Introspect", wire.ErrorNoSuchContainer},
	} {
		wantError(t, invoke(r.client, tc.path, tc.method).Err, tc.want)
	}
	for _, path := range []dbus.ObjectPath{"/", "/elsewhere", wire.ManagerPath} {
		if err := invoke(r.client, path, wire.PeerInterface+".Ping").Err; err != nil {
			t.Errorf("ping %s: %v", path, err)
		}
	}
}

func TestChanging(t *testing.T) {
	r := newRig(t)
	c := r.fake.add("web")
	for member, args := range map[string][]any{
		"Start": nil, "Pause": nil, "Resume": nil, "Kill": {"all", int32(9)}, "Delete": {true}, "Stop": {uint64(1500000)},
	} {
		if err := r.container("web", member, args...).Err; err != nil {
			t.Errorf("%s: %v", member, err)
		}
	}
	got := slices.Sorted(slices.Values(c.calls()))
	if want := []string{"delete true", "kill all 9", "pause", "resume", "start", "stop 1.5s"}; !cmp.Equal(got, want) {
		t.Errorf("called %q, want %q", got, want)
	}
	if want := (lifecycle.Caller{UID: uint32(os.Getuid()), Known: true}); c.calledBy() != want {
		t.Errorf("caller %v, want %v", c.calledBy(), want)
	}
}

func TestTimeout(t *testing.T) {
	for usec, want := range map[uint64]time.Duration{0: 0, 5: 5000, 1<<64 - 1: -1, 1<<64 - 2: 1<<63 - 1} {
		if got := timeout(usec); got != want {
			t.Errorf("timeout(%d) = %d, want %d", usec, got, want)
		}
	}
}

func TestErrorNames(t *testing.T) {
	r := newRig(t)
	c := r.fake.add("web")
	for _, e := range errorNames() {
		c.fail(fmt.Errorf("do it to %q: %w", "web", e.err))
		if text := wantError(t, r.container("web", "Start").Err, e.name); !strings.Contains(text, `"web"`) {
			t.Errorf("text %q lost the value", text)
		}
	}
	c.fail(errors.New("odd \xff error"))
	if text := wantError(t, r.container("web", "Start").Err, wire.ErrorFailed); text != "odd \uFFFD error" {
		t.Errorf("text %q", text)
	}
}

func TestCreate(t *testing.T) {
	r := newRig(t)
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	r.fake.onCreate(func(_ context.Context, q lifecycle.CreateRequest) error {
		_, err := io.WriteString(q.Stdout, "hello")
		return err
	})
	type pair struct {
		Name  string
		Value dbus.Variant
	}
	type device struct{ Path, Access string }
	options := map[string]dbus.Variant{
		"Stdout": dbus.MakeVariant(dbus.UnixFD(in.Fd())), "Slice": dbus.MakeVariant("a.slice"), "Log": dbus.MakeVariant("none"),
		"Environment": dbus.MakeVariant([]string{"A=b"}), "Annotations": dbus.MakeVariant(map[string]string{"k": "v"}),
		"ListenFDs": dbus.MakeVariant([]namedFD{{"http", dbus.UnixFD(out.Fd())}, {"again", dbus.UnixFD(out.Fd())}}),
		"ScopeProperties": dbus.MakeVariant([]pair{
			{"TasksMax", dbus.MakeVariant(uint64(9))}, {"DeviceAllow", dbus.MakeVariant([]device{{"/dev/null", "rw"}})},
		}),
	}
	var object dbus.ObjectPath
	if err := r.manager("Create", "web", "/b", options).Store(&object); err != nil || object != containerPath("web") {
		t.Fatalf("Create: %q, %v", object, err)
	}
	in.Close()
	if got, err := io.ReadAll(out); string(got) != "hello" || err != nil {
		t.Errorf("the payload wrote %q, %v", got, err)
	}
	q, _ := r.fake.requested()
	if q.Slice != "a.slice" || q.Log != "none" || q.Environment[0] != "A=b" || q.Annotations["k"] != "v" || len(q.ListenFDs) != 2 || q.ListenFDs[1].Name != "again" {
		t.Errorf("request %+v", q)
	}
	if got := q.ScopeProperties[0]; got != (unit.Property{Name: "TasksMax", Value: uint64(9)}) {
		t.Errorf("property %v", got)
	}
	if got := dbus.SignatureOf(q.ScopeProperties[1].Value).String(); got != "a(ss)" {
		t.Errorf("DeviceAllow would be sent as %q", got)
	}
	wantError(t, r.manager("Create", "web", "/b", map[string]dbus.Variant{}).Err, wire.ErrorContainerExists)
}

// xmlNode is what the tests need of introspection data.
type xmlNode struct {
	Children []struct {
		Name string `xml:"name,attr"`
	} `xml:"node"`
	Interfaces []struct {
		Name    string `xml:"name,attr"`
		Methods []struct {
			Name string `xml:"name,attr"`
			Args []struct {
				Name, Type, Direction string
			} `xml:"arg"`
		} `xml:"method"`
	} `xml:"interface"`
}

func TestIntrospection(t *testing.T) {
	r := newRig(t)
	r.fake.add("web-1")
	var text string
	if err := invoke(r.client, wire.ContainersPath, wire.IntrospectableInterface+".Introspect").Store(&text); err != nil {
		t.Fatal(err)
	}
	var node xmlNode
	if err := xml.Unmarshal([]byte(text), &node); err != nil {
		t.Fatal(err)
	}
	if len(node.Children) != 1 || node.Children[0].Name != "web_2d1" {
		t.Errorf("children %v", node.Children)
	}
	for path, count := range map[dbus.ObjectPath]int{"/": 2, wire.ManagerPath: 5, containerPath("web-1"): 4} {
		if err := invoke(r.client, path, wire.IntrospectableInterface+".Introspect").Store(&text); err != nil {
			t.Fatal(err)
		}
		node = xmlNode{}
		if err := xml.Unmarshal([]byte(text), &node); err != nil || len(node.Interfaces) != count {
			t.Errorf("%s: %d interfaces, %v", path, len(node.Interfaces), err)
		}
	}
}

func TestManagedObjects(t *testing.T) {
	r := newRig(t)
	r.fake.add("web")
	var all map[dbus.ObjectPath]map[string]map[string]dbus.Variant
	if err := invoke(r.client, wire.ManagerPath, wire.ObjectManagerInterface+".GetManagedObjects").Store(&all); err != nil {
		t.Fatal(err)
	}
	if got := all[containerPath("web")][wire.ContainerInterface]["Id"].Value(); got != "web" {
		t.Errorf("managed objects %v", all)
	}
}

func TestNameTaken(t *testing.T) {
	r := newRig(t)
	_, err := start(t.Context(), Config{Address: r.address}, r.fake, defaultLimits())
	if !errors.Is(err, errNameTaken) {
		t.Errorf("second server: %v", err)
	}
}

func TestNoBus(t *testing.T) {
	if _, err := start(t.Context(), Config{Address: "unix:path=/nonexistent"}, newFakeManager(), defaultLimits()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no bus: %v", err)
	}
}

func TestBusLost(t *testing.T) {
	r := newRig(t)
	if r.server.Err() != nil {
		t.Errorf("lost already: %v", r.server.Err())
	}
	var pid int
	if err := r.client.BusObject().Call("org.freedesktop.DBus.GetConnectionUnixProcessID", 0, "org.freedesktop.DBus").Store(&pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-r.server.Done()
	if err := r.server.Err(); !errors.Is(err, io.EOF) {
		t.Errorf("the bus was lost because of %v", err)
	}
	r.server.Notify(lifecycle.Event{Kind: lifecycle.EventCreated}) // does nothing
	r.server.Close()
}

// BenchmarkCall measures a call of root that changes something: one message in, one out.
func BenchmarkCall(b *testing.B) {
	r := newRig(b)
	r.fake.add("web")
	for b.Loop() {
		if err := r.container("web", "Start").Err; err != nil {
			b.Fatal(err)
		}
	}
}
