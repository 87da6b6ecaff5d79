package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/compile"
	"github.com/berth-project/berth/runtime/kernel"
	"github.com/berth-project/berth/runtime/launch"
	"github.com/berth-project/berth/runtime/plan"
	"github.com/berth-project/berth/runtime/spec"
)

// The tests of plans need root and a kernel, no systemd: they run in the box
// and on the machine itself. A plan is compiled and launched in process; what
// it did is asked of the payload, a shell of busybox.

// planRequireRoot skips where nobody may mount.
func planRequireRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("not root")
		}
		t.Skip("not root")
	}
}

// planRequireCap skips where root has not all capabilities, as in many containers.
func planRequireCap(t testing.TB, number int, name string) {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
	if data[number/32].Effective&(1<<(number%32)) == 0 {
		t.Skipf("root has no %s here", name)
	}
}

// planFacts are the kernel's, also where berthd refuses the host for its hybrid cgroups.
func planFacts(t testing.TB) kernel.Facts {
	t.Helper()
	f, err := kernel.Probe()
	if err != nil && !errors.Is(err, kernel.ErrUnsupported) {
		t.Fatal(err)
	}
	return f
}

// planApplets are the programs of busybox that payloads call by name.
const planApplets = "sh cat ls id stat env mount umount readlink grep sleep true touch mkdir ionice ifconfig hostname head tr dd wc pwd echo rm kill"

// planRootfs makes a file system that lacks nothing: no plan has to add to it.
func planRootfs(t testing.TB, dir string) {
	t.Helper()
	for _, d := range strings.Fields("bin dev dev/pts dev/shm dev/mqueue etc mnt proc run srv sys tmp") {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bin/busybox"), data, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields(planApplets) {
		if err := os.Symlink("busybox", filepath.Join(dir, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range strings.Fields("tmp mnt") {
		if err := os.Chmod(filepath.Join(dir, d), 0o777); err != nil {
			t.Fatal(err)
		}
	}
}

// planBundle is a directory with a rootfs, on a private mount of its own that
// has no attributes: what a payload sees of them is then the plan's doing.
func planBundle(t testing.TB) string {
	t.Helper()
	planRequireRoot(t)
	bundle := t.TempDir()
	if err := unix.Mount("bundle", bundle, "tmpfs", 0, "mode=755"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(bundle, unix.MNT_DETACH) })
	if err := unix.Mount("", bundle, "", unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	planRootfs(t, filepath.Join(bundle, "rootfs"))
	return bundle
}

// planSpec runs a shell script with /proc, a /dev of its own and namespaces of all kinds.
func planSpec(script string) *specs.Spec {
	return &specs.Spec{
		Version: "1.3.0",
		Process: &specs.Process{Args: []string{"sh", "-c", script}, Cwd: "/", Env: []string{"PATH=/bin"}},
		Root:    &specs.Root{Path: "rootfs"},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		},
		Linux: &specs.Linux{Namespaces: []specs.LinuxNamespace{
			{Type: specs.PIDNamespace}, {Type: specs.NetworkNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace},
			{Type: specs.MountNamespace}, {Type: specs.CgroupNamespace},
		}},
	}
}

// planSetNamespace replaces the namespace of a kind; path "" is a new one.
func planSetNamespace(s *specs.Spec, kind specs.LinuxNamespaceType, path string) {
	planDropNamespace(s, kind)
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: kind, Path: path})
}

func planDropNamespace(s *specs.Spec, kind specs.LinuxNamespaceType) {
	var rest []specs.LinuxNamespace
	for _, ns := range s.Linux.Namespaces {
		if ns.Type != kind {
			rest = append(rest, ns)
		}
	}
	s.Linux.Namespaces = rest
}

// planCompile goes the whole way of a configuration: JSON, decoding,
// validation, compiling, and the encoding that the keeper gets.
func planCompile(t testing.TB, bundle string, s *specs.Spec, r compile.Request) *plan.Program {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	decoded, findings := spec.Decode(bytes.NewReader(text))
	if err := append(findings, spec.Validate(decoded)...).Err(); err != nil {
		t.Fatal(err)
	}
	r.Spec, r.Bundle, r.Facts = decoded, bundle, planFacts(t)
	p, err := compile.Container(r)
	if err != nil {
		t.Fatal(err)
	}
	return planDecode(t, p.Encode())
}

func planDecode(t testing.TB, b []byte) *plan.Program {
	t.Helper()
	p, err := plan.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// planProcess is a launched plan. It is killed and reaped at the test's end.
type planProcess struct {
	launch.Process
	program *plan.Program
	out     *os.File // what the payload writes to stdout and stderr
	start   *os.File // a byte here starts the payload
	placed  *os.File // a byte here says that the scope is there
	reap    sync.Once
	cleanup sync.Once
	status  unix.WaitStatus
}

// planLaunch launches p, with extra as the fds of its listen handles.
func planLaunch(t testing.TB, p *plan.Program, extra ...int) (*planProcess, error) {
	t.Helper()
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	proc := &planProcess{program: p}
	var ends [3]int // stdout, start, placed: the child's
	proc.out, ends[0] = planPipe(t, false)
	proc.start, ends[1] = planPipe(t, true)
	proc.placed, ends[2] = planPipe(t, true)
	handles := append([]int{int(null.Fd()), ends[0], ends[0], ends[1], ends[2]}, extra...)
	proc.Process, err = launch.Start(p, handles)
	for _, fd := range ends {
		unix.Close(fd)
	}
	if err != nil {
		proc.closePipes()
		return nil, err
	}
	t.Cleanup(proc.end)
	return proc, nil
}

// planPipe gives our end and the child's; ours is the one to write to if write is set.
func planPipe(t testing.TB, write bool) (ours *os.File, childs int) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	mine, other := fds[0], fds[1]
	if write {
		mine, other = other, mine
	}
	if err := unix.SetNonblock(mine, true); err != nil {
		t.Fatal(err)
	}
	ours = os.NewFile(uintptr(mine), "pipe")
	deadline := time.Now().Add(30 * time.Second)
	if err := ours.SetDeadline(deadline); err != nil {
		t.Fatal(err)
	}
	return ours, other
}

func (p *planProcess) closePipes() {
	for _, f := range []*os.File{p.out, p.start, p.placed} {
		f.Close()
	}
}

// wait reaps the process, once.
func (p *planProcess) wait() unix.WaitStatus {
	p.reap.Do(func() {
		for {
			if _, err := unix.Wait4(p.PID, &p.status, 0, nil); err != unix.EINTR {
				return
			}
		}
	})
	return p.status
}

// end kills and reaps the process and closes all that is of it, once.
func (p *planProcess) end() {
	p.cleanup.Do(func() {
		_ = unix.PidfdSendSignal(p.PIDFD, unix.SIGKILL, nil, 0)
		p.wait()
		unix.Close(p.PIDFD)
		unix.Close(p.Report)
		p.closePipes()
	})
}

// next waits for an event of the child.
func (p *planProcess) next(t testing.TB) launch.Event {
	t.Helper()
	for {
		fds := []unix.PollFd{{Fd: int32(p.Report), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, 30_000); n == 0 || err != nil && err != unix.EINTR {
			t.Fatalf("no event of the child: %v", err)
		}
		ev, err := launch.ReadEvent(p.Report)
		if err == nil {
			return ev
		}
		if !errors.Is(err, unix.EAGAIN) {
			t.Fatal(err)
		}
	}
}

// free lets the child go on at a barrier.
func planFree(t testing.TB, barrier *os.File) {
	t.Helper()
	if _, err := barrier.Write([]byte{1}); err != nil && !errors.Is(err, unix.EPIPE) {
		t.Fatal(err)
	}
}

// created brings the child to the point where only the start is missing. The
// error is the sentence of the op that failed.
func (p *planProcess) created(t testing.TB) error {
	t.Helper()
	planFree(t, p.placed)
	switch ev := p.next(t); ev.Kind {
	case launch.Reached:
		return nil
	case launch.Failed:
		return fmt.Errorf("%s", p.program.Describe(ev.Op, ev.Errno))
	default:
		return fmt.Errorf("the child ended with status %#x before it was created", p.wait())
	}
}

// finish starts the payload, and gives what it wrote and its status as a shell would.
func (p *planProcess) finish(t testing.TB) (string, int) {
	t.Helper()
	planFree(t, p.start)
	if ev := p.next(t); ev.Kind != launch.Executed {
		t.Fatalf("start: %s", p.program.Describe(ev.Op, ev.Errno))
	}
	text, err := io.ReadAll(p.out)
	if err != nil {
		t.Fatalf("read output: %v; so far %q", err, text)
	}
	status := p.wait()
	if status.Signaled() {
		return string(text), 128 + int(status.Signal())
	}
	return string(text), status.ExitStatus()
}

// planRun runs a container to its end; its payload must succeed.
func planRun(t testing.TB, bundle string, s *specs.Spec) string {
	t.Helper()
	out, err := planTry(t, bundle, s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// planTry is planRun for a container whose creation may fail.
func planTry(t testing.TB, bundle string, s *specs.Spec) (string, error) {
	t.Helper()
	proc, err := planLaunch(t, planCompile(t, bundle, s, compile.Request{}))
	if err != nil {
		return "", err
	}
	if err := proc.created(t); err != nil {
		return "", err
	}
	out, status := proc.finish(t)
	if status != 0 {
		t.Errorf("payload: status %d, output:\n%s", status, out)
	}
	return strings.TrimSuffix(out, "\n"), nil
}
