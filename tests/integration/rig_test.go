package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/dbusapi/client"
)

// patience bounds what a test waits for; it is no measure of speed.
const patience = 30 * time.Second

// rig is one test's view of the service.
type rig struct {
	*testing.T
	ctx    context.Context
	client *client.Client
	before host
}

// newRig connects to the service and makes sure, at the end of the test, that
// the host is as it was: no unit, cgroup, mount, process, file or fd more.
func newRig(t *testing.T) *rig {
	t.Helper()
	requireBox(t)
	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
	t.Cleanup(cancel)
	c, err := client.Connect(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{T: t, ctx: ctx, client: c}
	if _, err := c.List(ctx); err != nil {
		t.Fatalf("the service does not answer: %v\n%s", err, serviceLog())
	}
	r.before = r.look()
	t.Cleanup(func() {
		r.removeAll()
		r.same(r.before)
		r.client.Close()
	})
	return r
}

func serviceLog() string {
	out, _ := exec.Command("journalctl", "--no-pager", "--lines=40", "--unit=berthd.service", "--unit=berth-keeper.service").CombinedOutput()
	return string(out)
}

// removeAll deletes the containers that the test has left.
func (r *rig) removeAll() {
	list, err := r.client.List(r.ctx)
	if err != nil {
		r.Errorf("list containers: %v", err)
	}
	for _, l := range list {
		c, err := r.client.Get(r.ctx, l.ID)
		if err == nil {
			err = c.Delete(r.ctx, true)
		}
		if err != nil {
			r.Errorf("delete container %q: %v", l.ID, err)
		}
	}
}

// host is what containers may leave behind.
type host struct {
	Units, Cgroups, Mounts, Files, Children []string
	KeeperFDs                               int
}

func (r *rig) look() host {
	r.Helper()
	h := host{
		Units:    fields(outputOf("systemctl", "list-units", "--all", "--plain", "--no-legend", "--full", "berth-*.scope")),
		Cgroups:  dirs("/sys/fs/cgroup", "berth-", ".scope"),
		Mounts:   mounts(r.T),
		Files:    dirs("/run/berth", "", ""),
		Children: children(keeperPID(r.T)),
	}
	h.KeeperFDs = openFDs(keeperPID(r.T))
	return h
}

// openFDs counts the descriptors of a process, without the two that the Go
// runtime opens when it first needs a timer.
func openFDs(pid string) int {
	n := 0
	for _, fd := range entries("/proc/" + pid + "/fd") {
		if link, _ := os.Readlink("/proc/" + pid + "/fd/" + fd); link != "anon_inode:[eventpoll]" && link != "anon_inode:[eventfd]" {
			n++
		}
	}
	return n
}

// same waits until the host is as it was: systemd collects units in its own time.
func (r *rig) same(want host) {
	r.Helper()
	var got host
	eventually(r.T, func() bool {
		got = r.look()
		a, _ := json.Marshal(want)
		b, _ := json.Marshal(got)
		return string(a) == string(b)
	}, func() string { return fmt.Sprintf("the host is not as it was\nbefore %+v\nafter  %+v", want, got) })
}

// eventually polls until ok says so; what has no event to wait for ends here.
func eventually(t *testing.T, ok func() bool, message func() string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		if ok() {
			return
		}
	}
	t.Error(message())
}

func fields(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 0 {
			out = append(out, f[0])
		}
	}
	slices.Sort(out)
	return out
}

func dirs(root, prefix, suffix string) []string {
	var out []string
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), prefix) && strings.HasSuffix(d.Name(), suffix) {
			out = append(out, path)
		}
		return nil
	})
	return out
}

func mounts(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("/proc/1/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		out = append(out, strings.Fields(line)[4])
	}
	slices.Sort(out)
	return out
}

func entries(dir string) []string {
	list, _ := os.ReadDir(dir)
	var out []string
	for _, e := range list {
		out = append(out, e.Name())
	}
	return out
}

func keeperPID(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(outputOf("systemctl", "show", "--property=MainPID", "--value", "berth-keeper.service"))
}

// pipe makes a pipe whose ends block: a payload inherits the mode with the
// descriptor, and those of os.Pipe do not.
func (r *rig) pipe() (read, write *os.File) {
	r.Helper()
	var fds [2]int
	r.must(unix.Pipe2(fds[:], unix.O_CLOEXEC))
	return os.NewFile(uintptr(fds[0]), "pipe"), os.NewFile(uintptr(fds[1]), "pipe")
}

func children(pid string) []string {
	var out []string
	for _, tid := range entries("/proc/" + pid + "/task") {
		text, _ := os.ReadFile("/proc/" + pid + "/task/" + tid + "/children")
		out = append(out, strings.Fields(string(text))...)
	}
	slices.Sort(out)
	return out
}

// bundle makes a bundle of Debian's static busybox; change edits the usual
// configuration.
func (r *rig) bundle(change func(s *specs.Spec), args ...string) string {
	r.Helper()
	dir := r.bundleDir()
	s := usualSpec(args)
	if change != nil {
		change(s)
	}
	text, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		r.Fatal(err)
	}
	r.write(filepath.Join(dir, "config.json"), string(text))
	return dir
}

// bundleDir makes the tree of a bundle, without config.json.
func (r *rig) bundleDir() string {
	r.Helper()
	dir := r.TempDir()
	for _, name := range []string{"bin", "dev", "proc", "sys", "etc", "tmp", "run"} {
		if err := os.MkdirAll(filepath.Join(dir, "rootfs", name), 0o755); err != nil {
			r.Fatal(err)
		}
	}
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		r.Fatal(err)
	}
	r.write(filepath.Join(dir, "rootfs/bin/busybox"), string(busybox))
	if err := os.Chmod(filepath.Join(dir, "rootfs/bin/busybox"), 0o755); err != nil {
		r.Fatal(err)
	}
	for _, applet := range []string{"sh", "true", "false", "sleep", "cat", "echo", "id", "kill", "ls", "mount", "grep", "readlink", "ps", "touch", "wc", "dd", "stat", "hostname", "seq"} {
		if err := os.Symlink("busybox", filepath.Join(dir, "rootfs/bin", applet)); err != nil {
			r.Fatal(err)
		}
	}
	return dir
}

func (r *rig) write(path, text string) {
	r.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		r.Fatal(err)
	}
}

func usualSpec(args []string) *specs.Spec {
	return &specs.Spec{
		Version: "1.2.0",
		Process: &specs.Process{Args: args, Cwd: "/", Env: []string{"PATH=/bin"}, NoNewPrivileges: true},
		Root:    &specs.Root{Path: "rootfs"},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "mode=755"}},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
		},
		Linux: &specs.Linux{Namespaces: []specs.LinuxNamespace{
			{Type: "pid"}, {Type: "mount"}, {Type: "ipc"}, {Type: "uts"}, {Type: "network"}, {Type: "cgroup"},
		}},
	}
}

// sh is a bundle that runs a shell script.
func (r *rig) sh(script string) string { return r.bundle(nil, "/bin/sh", "-c", script) }

func (r *rig) create(id, bundle string, o client.CreateOptions) *client.Container {
	r.Helper()
	c, err := r.client.Create(r.ctx, id, bundle, o)
	if err != nil {
		r.Fatalf("create %q: %v\n%s", id, err, serviceLog())
	}
	return c
}

// run creates and starts a container.
func (r *rig) run(id, bundle string, o client.CreateOptions) *client.Container {
	r.Helper()
	c := r.create(id, bundle, o)
	r.must(c.Start(r.ctx))
	return c
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) properties(c *client.Container) client.Properties {
	r.Helper()
	p, err := c.Properties(r.ctx)
	r.must(err)
	return p
}

func (r *rig) wait(c *client.Container) client.Exit {
	r.Helper()
	e, err := c.Wait(r.ctx)
	r.must(err)
	return e
}

// wantError checks the D-Bus name and parts of the sentence.
func (r *rig) wantError(err error, name string, parts ...string) {
	r.Helper()
	if !client.Is(err, name) {
		r.Errorf("error %v, want %s", err, name)
		return
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			r.Errorf("error %q does not say %q", err, p)
		}
	}
}

// out runs a payload to its end with a pipe as its output.
func (r *rig) out(bundle string) (string, client.Exit) {
	r.Helper()
	read, write := r.pipe()
	defer read.Close()
	c := r.create("out", bundle, client.CreateOptions{Stdout: write, Stderr: write})
	write.Close()
	r.must(c.Start(r.ctx))
	exit := r.wait(c)
	var text strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := read.Read(buf)
		text.Write(buf[:n])
		if err != nil {
			break
		}
	}
	r.must(c.Delete(r.ctx, false))
	return text.String(), exit
}
