package integration

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/dbusapi/client"
	"github.com/berth-project/berth/dbusapi/wire"
)

// The tests here are a local user who means no good. The bus forwards what its
// policy allows (packaging/dbus/org.berth1.conf) and the rest never arrives:
// together they must be enough.

// nobody is the uid and gid of the stranger.
const nobody = 65534

// stranger connects to the bus as nobody, by a thread that has given up all
// else: the bus asks the kernel who connected (SO_PEERCRED in unix(7)).
func (r *rig) stranger() *dbus.Conn {
	r.Helper()
	var conn *dbus.Conn
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		for _, call := range []uintptr{unix.SYS_SETRESGID, unix.SYS_SETRESUID} {
			// Of this thread alone, where the wrappers change all.
			if _, _, errno := unix.RawSyscall(call, nobody, nobody, nobody); errno != 0 {
				err = errno
				return
			}
		}
		conn, err = dbus.Dial(client.SystemBus)
	}()
	<-done
	r.must(err)
	r.Cleanup(func() { conn.Close() })
	r.must(conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(nobody))}))
	r.must(conn.Hello())
	return conn
}

// target is one method of one of the service's objects.
type target struct {
	path   dbus.ObjectPath
	method string
}

// targets are all methods, and some that are none.
func targets(container dbus.ObjectPath) []target {
	out := []target{{wire.ManagerPath, wire.ManagerInterface + ".Exec"}, {"/", "org.example.Nothing"}}
	standard := []wire.Interface{wire.Properties(), wire.Introspectable(), wire.Peer(), wire.ObjectManager()}
	for path, own := range map[dbus.ObjectPath]wire.Interface{wire.ManagerPath: wire.Manager(), container: wire.Container()} {
		for _, i := range append([]wire.Interface{own}, standard...) {
			for _, m := range i.Methods {
				out = append(out, target{path, i.Name + "." + m.Name})
			}
		}
	}
	return out
}

// oddArguments fit no method.
func oddArguments(fd dbus.UnixFD) [][]any {
	deep := dbus.MakeVariant("x")
	for range 20 {
		deep = dbus.MakeVariant(deep)
	}
	fds := make([]dbus.UnixFD, 16)
	for i := range fds {
		fds[i] = fd
	}
	huge := strings.Repeat("x", 1<<20)
	return [][]any{
		{int16(1)}, {"a", "b", "c", "d"}, {deep}, {1.5, []byte{1}}, {huge}, {huge, huge, map[string]dbus.Variant{huge: deep}},
		{fds}, {map[string]dbus.UnixFD{"a": fd}}, {struct{ A []dbus.UnixFD }{fds}}, {dbus.MakeVariant(fds)},
	}
}

// TestAbuse is everything odd to every method, descriptors to those that take
// none, and signals that nobody asked for. The service neither dies nor keeps
// a descriptor, and does nothing.
func TestAbuse(t *testing.T) {
	r := newRig(t)
	c := r.run("abused", r.bundle(nil, "/bin/sleep", "1000"), client.CreateOptions{})
	conn := r.stranger()
	null, err := os.Open("/dev/null")
	r.must(err)
	defer null.Close()
	fd := dbus.UnixFD(null.Fd())
	pid := mainPID(t, "berthd.service")
	connections := r.connectionsOf(conn, pid)
	before := openFDs(strconv.Itoa(pid))

	for _, target := range targets(dbus.ObjectPath(c.Path())) {
		for n, args := range oddArguments(fd) {
			err := conn.Object(wire.BusName, target.path).CallWithContext(r.ctx, target.method, dbus.FlagNoAutoStart, args...).Err
			if err == nil {
				t.Errorf("%s took the odd arguments %d", target.method, n)
			}
			r.must(r.ctx.Err())
		}
	}
	fds := oddArguments(fd)[6]
	free := []string{wire.ManagerInterface + ".List", wire.ManagerInterface + ".Create", "org.freedesktop.DBus.Properties.GetAll", "org.freedesktop.DBus.Peer.Ping"}
	for n := range 1000 {
		if err := conn.Object(wire.BusName, wire.ManagerPath).CallWithContext(r.ctx, free[n%len(free)], 0, fds...).Err; err == nil {
			t.Errorf("%s took 16 descriptors", free[n%len(free)])
		}
		for _, name := range connections {
			r.must(conn.Send(forged(name, "UnitRemoved", "berth-abused.scope", dbus.ObjectPath("/x")), nil).Err)
			r.must(conn.Send(forged(name, "JobRemoved", fds...), nil).Err)
		}
	}
	options := map[string]dbus.Variant{wire.OptionStdout: dbus.MakeVariant(fd), wire.OptionStdin: dbus.MakeVariant(fd)}
	for range 100 {
		err := conn.Object(wire.BusName, wire.ManagerPath).CallWithContext(r.ctx, wire.ManagerInterface+".Create", 0, "abused", "/", options).Err
		if err == nil {
			t.Error("nobody may create")
		}
	}

	if now := mainPID(t, "berthd.service"); now != pid {
		t.Errorf("the service was PID %d and is %d\n%s", pid, now, serviceLog())
	}
	var after int
	eventually(t, func() bool { after = openFDs(strconv.Itoa(pid)); return after <= before }, func() string {
		return "descriptors: " + strconv.Itoa(before) + " before, " + strconv.Itoa(after) + " after"
	})
	if p := r.properties(c); p.Status != "running" {
		t.Errorf("status %q", p.Status)
	}
}

// connectionsOf are the unique names of a process: it is no secret which they are.
func (r *rig) connectionsOf(conn *dbus.Conn, pid int) []string {
	r.Helper()
	const daemon = "org.freedesktop.DBus"
	var names, out []string
	r.must(conn.BusObject().CallWithContext(r.ctx, daemon+".ListNames", 0).Store(&names))
	for _, name := range names {
		var owner uint32
		err := conn.BusObject().CallWithContext(r.ctx, daemon+".GetConnectionUnixProcessID", 0, name).Store(&owner)
		if err == nil && int(owner) == pid && strings.HasPrefix(name, ":") {
			out = append(out, name)
		}
	}
	if len(out) == 0 {
		r.Fatalf("process %d is not on the bus", pid)
	}
	return out
}

// forged is a signal as systemd would send it, with a destination, for which
// nobody needs to have asked.
func forged(destination, member string, args ...any) *dbus.Message {
	return &dbus.Message{Type: dbus.TypeSignal, Body: args, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant(destination), dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath("/org/freedesktop/systemd1")),
		dbus.FieldInterface: dbus.MakeVariant("org.freedesktop.systemd1.Manager"), dbus.FieldMember: dbus.MakeVariant(member),
		dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(args...)),
	}}
}
