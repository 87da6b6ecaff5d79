package integration

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/compile"
	"github.com/berth-project/berth/runtime/launch"
	"github.com/berth-project/berth/runtime/plan"
)

// planLeaks is all that a failed plan may not change.
type planLeaks struct {
	Mounts, FDs, Children []string
	Files                 map[string]string
}

// planLook looks at the calling thread's world and at the files below a directory.
func planLook(t testing.TB, dir string) planLeaks {
	t.Helper()
	mounts, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return planLeaks{Mounts: strings.Split(string(mounts), "\n"), FDs: planFDs(t), Children: planChildren(t), Files: planFiles(t, dir)}
}

func planFDs(t testing.TB) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		link, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil { // the directory that was just read is gone
			out = append(out, e.Name()+" "+link)
		}
	}
	return out
}

func planChildren(t testing.TB) []string {
	t.Helper()
	var out []string
	files, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		text, _ := os.ReadFile(f) // of a thread that may have ended
		out = append(out, strings.Fields(string(text))...)
	}
	slices.Sort(out)
	return out
}

// planFiles describes every file below dir, as far as anyone could have changed it.
func planFiles(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		target, _ := os.Readlink(path)
		out[path] = fmt.Sprintf("%o %d:%d %d bytes, %d links, device %x, modified %d.%09d %s", st.Mode, st.Uid, st.Gid, st.Size, st.Nlink, st.Rdev, st.Mtim.Sec, st.Mtim.Nsec, target)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// planPrivateMounts gives the calling goroutine, for good, a thread with a
// mount namespace of its own: what others mount on the host is no concern.
func planPrivateMounts(t testing.TB) {
	t.Helper()
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
}

// planFullSpec asks for something of everything that a plan can do, in a
// rootfs that has all the places for it.
func planFullSpec(t testing.TB, bundle string) *specs.Spec {
	t.Helper()
	for _, dir := range []string{"data/sub", "rootfs/srv/data", "rootfs/srv/masked", "rootfs/srv/ro", "rootfs/srv/cwd", "rootfs/dev/disk"} {
		if err := os.MkdirAll(filepath.Join(bundle, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"data/file", "rootfs/etc/file", "rootfs/etc/masked"} {
		if err := os.WriteFile(filepath.Join(bundle, file), []byte(file), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := planSpec("true")
	s.Hostname, s.Domainname, s.Root.Readonly = "full", "full.example", true
	s.Mounts = append(s.Mounts,
		planMount("/dev/pts", "devpts", "devpts", "newinstance", "ptmxmode=0666"), planMount("/dev/shm", "tmpfs", "shm", "size=64k"),
		planMount("/dev/mqueue", "mqueue", "mqueue"), planMount("/sys", "sysfs", "sysfs", "ro"), planMount("/sys/fs/cgroup", "cgroup", "cgroup", "ro"),
		planMount("/srv/data", "bind", "data", "rbind", "rro", "nosuid", "rslave"), planMount("/etc/file", "bind", "data/file", "bind"))
	s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/disk/loop", Type: "b", Major: 7, Minor: 300, GID: planPtr[uint32](6)}}
	s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = []string{"/srv/masked", "/etc/masked", "/nonexistent"}, []string{"/srv/ro", "/proc/sys", "/nonexistent"}
	s.Linux.RootfsPropagation = "rslave"
	s.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1", "kernel.shmmax": "65536"}
	p := s.Process
	p.Cwd, p.NoNewPrivileges, p.OOMScoreAdj = "/srv/cwd", true, planPtr(500)
	p.User = specs.User{UID: 1000, GID: 1000, AdditionalGids: []uint32{5}}
	p.Capabilities = planCaps("CAP_KILL CAP_CHOWN", "CAP_KILL", "CAP_KILL", "CAP_KILL", "CAP_KILL")
	p.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 64, Hard: 128}}
	p.Scheduler = &specs.Scheduler{Policy: specs.SchedBatch, Nice: 3}
	p.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 6}
	return s
}

// TestPlanEveryOpFailedOnce is the promise of docs/plan.md: whichever op
// fails, nothing is left, and the error tells which one it was.
func TestPlanEveryOpFailedOnce(t *testing.T) {
	for name, change := range map[string]func(s *specs.Spec){
		"new namespaces": func(*specs.Spec) {},
		"with a fork":    func(s *specs.Spec) { planSetNamespace(s, specs.TimeNamespace, "") },
	} {
		bundle := planBundle(t)
		s := planFullSpec(t, bundle)
		change(s)
		encoded := planCompile(t, bundle, s, compile.Request{}).Encode()
		done := make(chan struct{})
		go func() {
			defer close(done)
			planPrivateMounts(t)
			planFailEach(t, name, bundle, encoded)
		}()
		<-done
	}
}

func planFailEach(t *testing.T, name, bundle string, encoded []byte) {
	planRunFull(t, encoded) // the first time, Go opens fds of its own
	before := planLook(t, bundle)
	reached := 0
	total := len(planDecode(t, encoded).Ops)
	for i := range total {
		p := planDecode(t, encoded)
		op := &p.Ops[i]
		want := fmt.Sprintf("%s: input/output error (step %d of %d)", op.Label, i+1, total)
		*op = plan.Op{Kind: plan.Fail, Slot: plan.NoSlot, Label: op.Label, Args: [6]uint64{uint64(unix.EIO)}}
		got := planFailure(t, p)
		switch {
		case got == want:
			reached++
		case got != "":
			t.Errorf("%s: op %d failed: error %q, want %q", name, i+1, got, want)
		}
		if diff := cmp.Diff(before, planLook(t, bundle)); diff != "" {
			t.Errorf("%s: op %d (%s) failed; left behind (-before +after):\n%s", name, i+1, p.Ops[i].Label, diff)
			return
		}
	}
	// The rest makes what this rootfs has, or is the other arm of a branch.
	t.Logf("%s: %d of %d ops reached", name, reached, total)
	if reached < total*3/5 {
		t.Errorf("%s: only %d of %d ops were reached", name, reached, total)
	}
}

func planRunFull(t *testing.T, encoded []byte) {
	if got := planFailure(t, planDecode(t, encoded)); got != "" {
		t.Fatal(got)
	}
}

// planFailure runs p to its end and cleans up at once. It gives the failure's
// sentence, "" if there was none.
func planFailure(t *testing.T, p *plan.Program) string {
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer null.Close()
	barrier := func() int {
		var fds [2]int
		if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
			t.Error(err)
		}
		if _, err := unix.Write(fds[1], []byte{1}); err != nil {
			t.Error(err)
		}
		unix.Close(fds[1])
		return fds[0]
	}
	start, placed := barrier(), barrier()
	proc, err := launch.Start(p, []int{int(null.Fd()), int(null.Fd()), int(null.Fd()), start, placed})
	unix.Close(start)
	unix.Close(placed)
	if err != nil {
		return err.Error()
	}
	run := planProcess{Process: proc, program: p}
	defer unix.Close(proc.PIDFD)
	defer unix.Close(proc.Report)
	defer run.wait()
	for {
		switch ev := run.next(t); ev.Kind {
		case launch.Failed:
			return p.Describe(ev.Op, ev.Errno)
		case launch.Executed:
			return ""
		}
	}
}
