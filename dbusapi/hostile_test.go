package dbusapi

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/berth-project/berth/dbusapi/wire"
	"github.com/berth-project/berth/runtime/lifecycle"
	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// weird are arguments no method takes, and some that panic naive decoders: arrays of descriptors, deep variants.
func weird(fd int) [][]any {
	file := dbus.UnixFD(fd)
	deep := dbus.MakeVariant("x")
	for range 20 {
		deep = dbus.MakeVariant(deep)
	}
	return [][]any{
		{int16(1)}, {"a", "b", "c", "d"}, {file}, {[]dbus.UnixFD{file, file}}, {map[string]dbus.UnixFD{"a": file}},
		{deep, file}, {dbus.ObjectPath("/")}, {[]byte{1, 2}}, {1.5, "x", []string{}, file},
		{"a", "b", map[string]string{}}, {struct{ A []dbus.UnixFD }{[]dbus.UnixFD{file}}},
	}
}

// TestWrongSignatures calls every method with every odd argument, as nobody where it can. See CVE-2026-29111, where
// an unprivileged call made systemd fail an assertion.
func TestWrongSignatures(t *testing.T) {
	r := newRig(t)
	c := r.fake.add("web")
	uid := os.Getuid()
	if uid == 0 {
		uid = nobody
	}
	stranger := connect(t, r.address, uid)
	null := openNull(t)
	for kind, path := range map[kind]dbus.ObjectPath{kindManager: wire.ManagerPath, kindContainer: containerPath("web")} {
		for _, i := range objects()[kind] {
			for _, m := range i.Methods {
				for _, args := range weird(int(null.Fd())) {
					err := invoke(stranger, path, i.Name+"."+m.Name, args...).Err
					if text := wantError(t, err, wire.ErrorInvalidArgs); !strings.Contains(text, m.Name) {
						t.Errorf("text %q does not name the method", text)
					}
				}
			}
		}
	}
	if calls := c.calls(); len(calls) != 0 {
		t.Errorf("the domain was called: %q", calls)
	}
}

func openNull(t *testing.T) *os.File {
	t.Helper()
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = null.Close() })
	return null
}

func openFDs(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// TestNoDescriptorLeaks sends descriptors where they do not belong, a thousand times.
func TestNoDescriptorLeaks(t *testing.T) {
	r := newRig(t)
	r.fake.add("web")
	fd := int(openNull(t).Fd())
	file := dbus.UnixFD(fd)
	fds := []namedFD{{"a", file}, {"b", file}}
	bad := []func() error{
		func() error { return invoke(r.client, "/elsewhere", "org.example.X", file).Err },
		func() error { return invoke(r.client, wire.ManagerPath, "org.example.X", file).Err },
		func() error { return r.manager("Exec", []dbus.UnixFD{file, file}).Err },
		func() error { return r.container("web", "Start", file).Err },
		func() error {
			return r.manager("Create", "web", "/b", map[string]dbus.Variant{"Stdout": dbus.MakeVariant(file), "ListenFDs": dbus.MakeVariant(fds)}).Err
		},
		func() error {
			return r.manager("Create", "x", "/b", map[string]dbus.Variant{"Stdin": dbus.MakeVariant(file), "Zzz": dbus.MakeVariant(fds)}).Err
		},
		func() error {
			return r.manager("Create", "x", "/b", map[string]dbus.Variant{"Stdin": dbus.MakeVariant([]dbus.UnixFD{file})}).Err
		},
		func() error {
			return invoke(r.client, wire.ManagerPath, wire.PropertiesInterface+".Set", wire.ManagerInterface, "Version", dbus.MakeVariant([]dbus.UnixFD{file})).Err
		},
	}
	before := openFDs(t)
	for n := range 1000 {
		if err := bad[n%len(bad)](); err == nil {
			t.Fatalf("bad call %d succeeded", n%len(bad))
		}
		// Signals may carry descriptors too.
		if err := sendSignal(r.client, r.server.conn.Name(), file); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "descriptors to be closed", func() bool { return openFDs(t) <= before })
}

func sendSignal(conn *dbus.Conn, destination string, args ...any) error {
	m := &dbus.Message{Type: dbus.TypeSignal, Body: args, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant(destination), dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath("/x")),
		dbus.FieldInterface: dbus.MakeVariant("org.example"), dbus.FieldMember: dbus.MakeVariant("X"),
		dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(args...)),
	}}
	return conn.Send(m, nil).Err
}

func TestOptions(t *testing.T) {
	r := newRig(t)
	dir := t.TempDir()
	open := func(name string, flags int) dbus.UnixFD {
		fd, err := unix.Open(name, flags|unix.O_CLOEXEC, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Close(fd) })
		return dbus.UnixFD(fd)
	}
	path, directory := open("/dev/null", unix.O_PATH), open(dir, unix.O_RDONLY)
	written := open(filepath.Join(dir, "f"), unix.O_WRONLY|unix.O_CREAT)
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(epoll)
	type pair struct {
		Name  string
		Value dbus.Variant
	}
	for _, tc := range []struct {
		option string
		value  any
		want   string
	}{
		{"Stdout", path, "descriptor 0 of the message is an O_PATH descriptor"},
		{"Stdout", directory, "descriptor 0 of the message is a directory"},
		{"Stderr", dbus.UnixFD(epoll), "an anonymous inode"},
		{"Stdin", written, "open for the other direction"},
		{"ListenFDs", []namedFD{{"a", written}, {"b", directory}}, "descriptor 1 of the message is a directory"},
		{"ListenFDs", []namedFD{{"a:b", written}}, `"a:b"`},
		{"Stdout", uint32(1), `option "Stdout" has type "u", must be "h"`},
		{"Stdout", dbus.UnixFDIndex(9), "descriptor 9: no such descriptor"},
		{"stdout", written, `unknown option "stdout", known are Stdin`},
		{"Environment", "A=b", `must be "as"`},
		{"ScopeProperties", []pair{{"X", dbus.MakeVariant(written)}}, `property "X": type "h" is not supported`},
		{"ScopeProperties", []pair{{"X", dbus.MakeVariant(dbus.MakeVariant(1))}}, `property "X": type "v" is not supported`},
	} {
		options := map[string]dbus.Variant{tc.option: dbus.MakeVariant(tc.value)}
		text := wantError(t, r.manager("Create", "web", "/b", options).Err, wire.ErrorInvalidArgs)
		if !strings.Contains(text, tc.want) || !strings.Contains(text, tc.option) {
			t.Errorf("%s: text %q does not say %q", tc.option, text, tc.want)
		}
	}
}

// TestCallerLeaves: Create and Wait end with their caller, nothing else does.
func TestCallerLeaves(t *testing.T) {
	r := newRig(t)
	c := r.fake.add("web")
	began, ended := make(chan struct{}), make(chan error, 1)
	r.fake.onCreate(func(ctx context.Context, _ lifecycle.CreateRequest) error {
		close(began)
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	})
	caller := connect(t, r.address, os.Getuid())
	pending := caller.Object(wire.BusName, wire.ManagerPath).Go(wire.ManagerInterface+".Create", 0, nil, "x", "/b", map[string]dbus.Variant{})
	caller.Object(wire.BusName, containerPath("web")).Go(wire.ContainerInterface+".Wait", 0, nil)
	<-began
	eventually(t, "the wait to begin", func() bool { return len(c.calls()) == 1 })
	_ = caller.Close()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("create ended with %v", err)
	}
	eventually(t, "the wait to end", func() bool { return len(c.calls()) == 2 })
	<-pending.Done
	eventually(t, "the caller to be forgotten", func() bool {
		r.server.peers.mu.Lock()
		defer r.server.peers.mu.Unlock()
		return r.server.peers.all[caller.Names()[0]] == nil && r.server.peers.used == [slots]int{}
	})
}

func TestCloseEndsCalls(t *testing.T) {
	r := newRig(t)
	c := r.fake.add("web")
	before := runtime.NumGoroutine()
	waits := make(chan *dbus.Call, 10)
	for range cap(waits) {
		r.client.Object(wire.BusName, containerPath("web")).Go(wire.ContainerInterface+".Wait", 0, waits)
	}
	eventually(t, "the waits to begin", func() bool { return len(c.calls()) == cap(waits) })
	r.server.Close()
	for range cap(waits) {
		wantError(t, (<-waits).Err, "org.freedesktop.DBus.Error.NoReply")
	}
	// godbus has one for each call of the client, and ends it in its own time.
	eventually(t, "goroutines to end", func() bool { return runtime.NumGoroutine() < before })
}

func TestLimits(t *testing.T) {
	r := newLimitedRig(t, limits{slotCall: {2, 1}, slotWait: {3, 2}, slotCheck: {1, 1}})
	c := r.fake.add("web")
	release := make(chan struct{})
	r.fake.onCreate(func(context.Context, lifecycle.CreateRequest) error {
		_ = c.note(t.Context(), "create")
		<-release
		return nil
	})
	busy := func(conn *dbus.Conn, id string, already int) *dbus.Call {
		pending := conn.Object(wire.BusName, wire.ManagerPath).Go(wire.ManagerInterface+".Create", 0, nil, id, "/b", map[string]dbus.Variant{})
		eventually(t, "the create to begin", func() bool { return len(c.calls()) == already+1 })
		return pending
	}
	second, third := connect(t, r.address, os.Getuid()), connect(t, r.address, os.Getuid())
	one := busy(r.client, "one", 0)
	if text := wantError(t, r.manager("List").Err, wire.ErrorLimitsExceeded); !strings.Contains(text, "1 calls of") {
		t.Errorf("text %q", text)
	}
	two := busy(second, "two", 1)
	wantError(t, invoke(third, wire.ManagerPath, wire.ManagerInterface+".List").Err, wire.ErrorLimitsExceeded)
	// A wait does not count, but there is an end to them too.
	waits := make(chan *dbus.Call, 3)
	for range cap(waits) {
		r.client.Object(wire.BusName, containerPath("web")).Go(wire.ContainerInterface+".Wait", 0, waits)
	}
	wantError(t, (<-waits).Err, wire.ErrorLimitsExceeded)
	close(release)
	<-one.Done
	<-two.Done
	if err := invoke(third, wire.ManagerPath, wire.ManagerInterface+".List").Err; err != nil {
		t.Errorf("when all is done: %v", err)
	}
}

func TestPeersForgetIdle(t *testing.T) {
	p := newPeers(t.Context(), defaultLimits())
	busy, err := p.enter("busy", slotCall)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 2 * maxIdlePeers {
		idle, err := p.enter(string(rune('a'+n%26))+strings.Repeat("x", n/26), slotCall)
		if err != nil {
			t.Fatal(err)
		}
		p.leave(idle, slotCall)
	}
	if len(p.all) > maxIdlePeers || busy.ctx.Err() != nil {
		t.Errorf("%d callers remembered, busy one: %v", len(p.all), busy.ctx.Err())
	}
}
