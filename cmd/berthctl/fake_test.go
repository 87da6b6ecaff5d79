package main

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"

	"github.com/berth-project/berth/dbusapi/wire"
	"github.com/berth-project/berth/unit"
)

// startBus starts a bus for one test and returns its address.
func startBus(t testing.TB, dir string) string {
	t.Helper()
	config := filepath.Join(dir, "bus.conf")
	text := fmt.Sprintf(`<busconfig><type>system</type><listen>unix:path=%s/bus</listen><auth>EXTERNAL</auth>
<policy context="default"><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>`, dir)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	daemon := exec.Command("dbus-daemon", "--nofork", "--nosyslog", "--print-address", "--config-file="+config)
	out, err := daemon.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = daemon.Process.Kill()
		_ = daemon.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(address)
}

// fakeService is org.berth1 without any container behind it. What a fake container does depends on the name of
// its bundle: "exitN" exits with N, "cat" copies stdin to stdout, "lost" ends and nobody sees how, any other runs
// until a signal comes. Every container first writes "hello from ID" to the stdout it was given.
type fakeService struct {
	conn *dbus.Conn

	mu         sync.Mutex
	changed    *sync.Cond // on mu
	containers map[string]*fakeContainer
	lists      int
}

// fakeContainer is guarded by the service's mutex.
type fakeContainer struct {
	service *fakeService
	path    dbus.ObjectPath
	options map[string]dbus.Variant
	files   map[string]*os.File // the options that are descriptors, until it ends
	props   map[string]any
}

func startFake(t testing.TB, address string) *fakeService {
	t.Helper()
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	s := &fakeService{conn: conn, containers: map[string]*fakeContainer{}}
	s.changed = sync.NewCond(&s.mu)
	for _, iface := range []string{wire.ManagerInterface, wire.ObjectManagerInterface, wire.PropertiesInterface} {
		if err := conn.Export(s, wire.ManagerPath, iface); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.RequestName(wire.BusName, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	return s
}

func refuse(name, format string, args ...any) *dbus.Error {
	return dbus.NewError(name, []any{fmt.Sprintf(format, args...)})
}

// await blocks until ready, which is called with the mutex held, says so.
func (s *fakeService) await(ready func() bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !ready() {
		s.changed.Wait()
	}
}

func (s *fakeService) refusal(id, bundle string) *dbus.Error {
	switch {
	case id == "secret":
		return refuse(wire.ErrorAccessDenied, "not authorised for %q", wire.ActionCreate)
	case s.containers[id] != nil:
		return refuse(wire.ErrorContainerExists, "the id %q is in use", id)
	case filepath.Base(bundle) == "broken":
		return refuse(wire.ErrorInvalidConfig, "refuse config.json: %s", "root.path: it is empty")
	}
	return nil
}

// Create is the method of the API; so are all exported ones.
func (s *fakeService) Create(id, bundle string, options map[string]dbus.Variant) (dbus.ObjectPath, *dbus.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &fakeContainer{service: s, path: dbus.ObjectPath(wire.ContainersPath + "/" + unit.BusPathEscape(id)), options: options}
	c.takeFiles()
	if err := s.refusal(id, bundle); err != nil {
		c.closeFiles()
		return "", err
	}
	c.props = map[string]any{
		"Id": id, "Bundle": bundle, "Status": "created", "Pid": uint32(4242), "ExitCode": int32(-1), "ExitSignal": uint32(0),
		"ExitReason": "", "CreatedTimestamp": uint64(1700000000000000), "StartedTimestamp": uint64(0), "FinishedTimestamp": uint64(0),
		"Scope": unit.ScopeName(id), "ControlGroup": "/machine.slice/" + unit.ScopeName(id), "InvocationId": strings.Repeat("0", 32),
		"Annotations": map[string]string{}, "Terminal": false, "Log": "journald",
	}
	if v, ok := options[wire.OptionAnnotations]; ok {
		c.props["Annotations"] = v.Value()
	}
	for _, iface := range []string{wire.ContainerInterface, wire.PropertiesInterface} {
		_ = s.conn.Export(c, c.path, iface)
	}
	s.containers[id] = c
	s.emit("ContainerCreated", id, c.path)
	return c.path, nil
}

func (s *fakeService) Get(id string) (dbus.ObjectPath, *dbus.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.containers[id]; c != nil {
		return c.path, nil
	}
	return "", refuse(wire.ErrorNoSuchContainer, "no container has the id %q", id)
}

type fakeListed struct {
	ID, Status string
	PID        uint32
	Object     dbus.ObjectPath
}

func (s *fakeService) List() ([]fakeListed, *dbus.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists++
	s.changed.Broadcast()
	listed := []fakeListed{}
	for id, c := range s.containers {
		listed = append(listed, fakeListed{id, c.props["Status"].(string), c.props["Pid"].(uint32), c.path})
	}
	slices.SortFunc(listed, func(a, b fakeListed) int { return strings.Compare(a.ID, b.ID) })
	return listed, nil
}

func (s *fakeService) GetManagedObjects() (map[dbus.ObjectPath]map[string]map[string]dbus.Variant, *dbus.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	objects := map[dbus.ObjectPath]map[string]map[string]dbus.Variant{}
	for _, c := range s.containers {
		objects[c.path] = map[string]map[string]dbus.Variant{wire.ContainerInterface: variants(c.props)}
	}
	return objects, nil
}

func (s *fakeService) GetAll(string) (map[string]dbus.Variant, *dbus.Error) {
	return variants(map[string]any{"Version": "1.2.3", "OCIVersions": []string{"1.0.0", "1.3.0"}, "Features": []string{"pidfd"}}), nil
}

func variants(values map[string]any) map[string]dbus.Variant {
	v := make(map[string]dbus.Variant, len(values))
	for name, value := range values {
		v[name] = dbus.MakeVariant(value)
	}
	return v
}

func (s *fakeService) emit(name string, args ...any) {
	_ = s.conn.Emit(wire.ManagerPath, wire.ManagerInterface+"."+name, args...)
}

func (c *fakeContainer) id() string { return c.props["Id"].(string) }

// set changes the status with the mutex held.
func (c *fakeContainer) set(changes map[string]any) {
	for name, value := range changes {
		c.props[name] = value
	}
	_ = c.service.conn.Emit(c.path, wire.PropertiesInterface+".PropertiesChanged", wire.ContainerInterface, variants(changes), []string{})
	c.service.changed.Broadcast()
}

func (c *fakeContainer) is(statuses ...string) bool {
	return slices.Contains(statuses, c.props["Status"].(string))
}

func (c *fakeContainer) invalid(verb string) *dbus.Error {
	return refuse(wire.ErrorInvalidState, "cannot %s %q, it is %s", verb, c.id(), c.props["Status"])
}

func (c *fakeContainer) Start() *dbus.Error {
	c.service.mu.Lock()
	defer c.service.mu.Unlock()
	if !c.is("created") {
		return c.invalid("start")
	}
	bundle := filepath.Base(c.props["Bundle"].(string))
	if bundle == "noexec" {
		return refuse(wire.ErrorFailed, "execute %q: no such file or directory (step 9 of 9)", "/bin/nosuch")
	}
	c.set(map[string]any{"Status": "running", "StartedTimestamp": uint64(1700000001000000)})
	c.service.emit("ContainerStarted", c.id(), c.path, uint32(4242))
	if out := c.files[wire.OptionStdout]; out != nil {
		fmt.Fprintln(out, "hello from", c.id())
		if bundle == "cat" {
			_, _ = io.Copy(out, c.files[wire.OptionStdin])
		}
	}
	var code int32
	switch _, err := fmt.Sscanf(bundle, "exit%d", &code); {
	case err == nil || bundle == "cat":
		c.end(code, 0, "exit")
	case bundle == "lost":
		c.end(-1, 0, "unknown")
	}
	return nil
}

func (c *fakeContainer) takeFiles() {
	c.files = map[string]*os.File{}
	for name, v := range c.options {
		if fd, ok := v.Value().(dbus.UnixFD); ok {
			c.files[name] = os.NewFile(uintptr(fd), name)
		}
	}
}

func (c *fakeContainer) closeFiles() {
	for _, f := range c.files {
		_ = f.Close()
	}
	c.files = nil
}

func (c *fakeContainer) end(code int32, signal uint32, reason string) {
	c.closeFiles()
	c.set(map[string]any{
		"Status": "stopped", "Pid": uint32(0), "ExitCode": code, "ExitSignal": signal, "ExitReason": reason,
		"FinishedTimestamp": uint64(1700000002000000),
	})
	c.service.emit("ContainerExited", c.id(), c.path, code, reason, signal)
}

func (c *fakeContainer) Kill(whom string, signal int32) *dbus.Error {
	c.service.mu.Lock()
	defer c.service.mu.Unlock()
	switch {
	case c.is("stopped"):
		return c.invalid("kill")
	case whom == wire.WhomAll:
		c.end(-1, uint32(signal), "oom")
	default:
		c.end(-1, uint32(signal), "signal")
	}
	return nil
}

func (c *fakeContainer) Stop(timeout uint64) *dbus.Error {
	c.service.mu.Lock()
	defer c.service.mu.Unlock()
	if c.is("created", "running", "paused") {
		if timeout == math.MaxUint64 {
			timeout = 10e6
		}
		c.end(int32(timeout/1e6), 0, "exit") // so that a script can see the timeout
	}
	return nil
}

func (c *fakeContainer) Pause() *dbus.Error  { return c.freeze("pause", "running", "paused") }
func (c *fakeContainer) Resume() *dbus.Error { return c.freeze("resume", "paused", "running") }

func (c *fakeContainer) freeze(verb, from, to string) *dbus.Error {
	c.service.mu.Lock()
	defer c.service.mu.Unlock()
	if !c.is(from) {
		return c.invalid(verb)
	}
	c.set(map[string]any{"Status": to})
	return nil
}

func (c *fakeContainer) Delete(force bool) *dbus.Error {
	c.service.mu.Lock()
	defer c.service.mu.Unlock()
	if !force && c.is("running", "paused") {
		return c.invalid("delete")
	}
	c.closeFiles()
	delete(c.service.containers, c.id())
	c.service.emit("ContainerDeleted", c.id(), c.path)
	for _, iface := range []string{wire.ContainerInterface, wire.PropertiesInterface} {
		_ = c.service.conn.Export(nil, c.path, iface)
	}
	return nil
}

func (c *fakeContainer) Wait() (int32, string, *dbus.Error) {
	c.service.await(func() bool { return c.is("stopped") })
	c.service.mu.Lock()
	defer c.service.mu.Unlock()
	return c.props["ExitCode"].(int32), c.props["ExitReason"].(string), nil
}

func (c *fakeContainer) State() (string, *dbus.Error) {
	c.service.mu.Lock()
	defer c.service.mu.Unlock()
	return fmt.Sprintf(`{"ociVersion":"1.3.0","id":%q,"status":%q}`, c.id(), c.props["Status"]), nil
}

type fakeProcess struct {
	PID     uint32
	Command string
}

func (c *fakeContainer) Processes() ([]fakeProcess, *dbus.Error) {
	return []fakeProcess{{4242, "/bin/payload --flag"}, {4243, "evil \x1b[2J"}}, nil
}

func (c *fakeContainer) Stats() (map[string]dbus.Variant, *dbus.Error) {
	return variants(map[string]any{
		"CPUUsageNSec": uint64(1500000000), "MemoryCurrent": uint64(3 << 20), "MemoryMax": uint64(64 << 20), "TasksCurrent": uint64(2),
	}), nil
}

func (c *fakeContainer) GetAll(string) (map[string]dbus.Variant, *dbus.Error) {
	c.service.mu.Lock()
	defer c.service.mu.Unlock()
	return variants(c.props), nil
}
