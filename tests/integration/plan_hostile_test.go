package integration

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/compile"
	"github.com/berth-project/berth/runtime/spec"
)

// The host's side of a hostile image: a directory that no container may touch,
// and the container's own directory of the same name.
type planCanary struct {
	dir    string // on the host
	before map[string]string
}

func planNewCanary(t testing.TB) *planCanary {
	t.Helper()
	c := &planCanary{dir: filepath.Join(t.TempDir(), "canary")}
	for _, d := range strings.Fields("sub pts shm mqueue fs/cgroup sys") {
		if err := os.MkdirAll(filepath.Join(c.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(c.dir, "null"), []byte("host's"), 0o644); err != nil {
		t.Fatal(err)
	}
	c.before = planFiles(t, c.dir)
	return c
}

// intact fails the test if anything of the canary has changed.
func (c *planCanary) intact(t testing.TB) {
	t.Helper()
	if diff := cmp.Diff(c.before, planFiles(t, c.dir)); diff != "" {
		t.Errorf("the host was changed (-before +after):\n%s", diff)
	}
}

// planReplace puts a symbolic link in the place of a file of the image.
func planReplace(t testing.TB, root, name, target string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

// planHostileSpec uses every path of the container that a plan resolves, and
// shows what is mounted where.
func planHostileSpec() *specs.Spec {
	s := planSpec("cat /proc/self/mountinfo")
	s.Process.Args, s.Process.Cwd = []string{"/bin/busybox", "cat", "/proc/self/mountinfo"}, "/srv/cwd"
	s.Mounts = append(s.Mounts,
		planMount("/dev/pts", "devpts", "devpts", "newinstance"), planMount("/dev/shm", "tmpfs", "shm"), planMount("/dev/mqueue", "mqueue", "mqueue"),
		planMount("/sys", "sysfs", "sysfs", "ro"), planMount("/sys/fs/cgroup", "cgroup", "cgroup", "ro"),
		planMount("/srv/target/sub", "tmpfs", "target"), planMount("/srv/bind", "bind", "data", "bind"))
	s.Linux.Devices = []specs.LinuxDevice{{Path: "/srv/devices/fuse", Type: "c", Major: 10, Minor: 229}}
	s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = []string{"/srv/masked", "/srv/masked-dir"}, []string{"/srv/readonly"}
	return s
}

// TestPlanHostileRootfs has symbolic links wherever a plan looks: it refuses
// them or they lead to a place of the container.
func TestPlanHostileRootfs(t *testing.T) {
	canary := planNewCanary(t)
	links := map[string]string{
		"absolute":       canary.dir,
		"relative":       strings.Repeat("../", 20) + canary.dir[1:],
		"through root":   "/proc/self/root" + canary.dir,
		"through init":   "/proc/1/root" + canary.dir,
		"through cwd":    "/proc/self/cwd/" + strings.Repeat("../", 20) + canary.dir[1:],
		"through fd":     "/proc/self/fd/3",
		"loop":           "loop",
		"to a proc file": "/proc/self/attr/current",
	}
	cves := map[string]string{
		"dev": "CVE-2026-41579 CVE-2026-47766", "dev/pts": "CVE-2026-41579", "proc": "CVE-2023-27561 CVE-2019-19921 CVE-2023-28642", "sys": "CVE-2026-41579",
		"srv/cwd": "CVE-2024-21626", "srv/target": "CVE-2021-30465 CVE-2019-18837", "srv/devices": "CVE-2026-47766",
	}
	places := strings.Fields("dev dev/pts dev/shm dev/mqueue dev/null proc sys sys/fs srv/cwd srv/target srv/target/sub srv/bind srv/devices srv/masked srv/masked-dir srv/readonly")
	for _, place := range places {
		for how, link := range links {
			for _, inside := range []bool{false, true} {
				name := strings.TrimSpace(fmt.Sprintf("%s %s %s, target there %t", cves[place], place, how, inside))
				t.Run(name, func(t *testing.T) {
					bundle := planBundle(t)
					root := filepath.Join(bundle, "rootfs")
					for _, dir := range []string{"data", "rootfs/srv/masked-dir", "rootfs/srv/readonly", "rootfs/srv/target", "rootfs/sys/fs"} {
						if err := os.MkdirAll(filepath.Join(bundle, dir), 0o755); err != nil {
							t.Fatal(err)
						}
					}
					if inside {
						for _, d := range strings.Fields("sub pts shm mqueue fs/cgroup sys") {
							if err := os.MkdirAll(filepath.Join(root, canary.dir, d), 0o755); err != nil {
								t.Fatal(err)
							}
						}
					}
					planReplace(t, root, place, link)
					s := planHostileSpec()
					if strings.HasPrefix(place, "dev/") { // or a tmpfs would hide it
						s.Mounts = append(s.Mounts[:1], s.Mounts[2:]...)
					}
					planHostileRun(t, bundle, s, canary)
				})
			}
		}
	}
}

// planHostileRun accepts a refusal with a sentence, and a container that has
// nothing of the host.
func planHostileRun(t *testing.T, bundle string, s *specs.Spec, canary *planCanary) {
	t.Helper()
	mounts := planHostMounts(t)
	out, err := planTry(t, bundle, s)
	if err != nil && !strings.Contains(err.Error(), "(step ") {
		t.Errorf("refused without a step: %v", err)
	}
	for _, m := range planParseMounts(t, out) {
		if m.kind == "tmpfs" && m.source == "canary" {
			t.Errorf("the container has a mount of the host: %+v", m)
		}
	}
	canary.intact(t)
	if diff := cmp.Diff(mounts, planHostMounts(t)); diff != "" {
		t.Errorf("mounts of the host changed:\n%s", diff)
	}
}

// planHostMounts are those of this test's directories; others may mount elsewhere meanwhile.
func planHostMounts(t testing.TB) []string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "TestPlan") {
			out = append(out, line)
		}
	}
	return out
}

// TestPlanCwd is CVE-2024-21626: a working directory that is a magic link, or
// an fd that the runtime left open.
func TestPlanCwd(t *testing.T) {
	bundle := planBundle(t)
	host, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY, 0) // not close-on-exec, on purpose
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(host)
	var cwds []string
	for fd := range 24 {
		cwds = append(cwds, fmt.Sprintf("/proc/self/fd/%d", fd), fmt.Sprintf("/proc/1/fd/%d", fd))
	}
	cwds = append(cwds, "/proc/self/cwd", "/proc/self/root", "/proc/self/task/1/cwd", "/proc/thread-self/root", "/proc/self/ns", "/dev/fd/3")
	for _, cwd := range cwds {
		s := planSpec("pwd -P; ls /bin/busybox")
		s.Process.Cwd = cwd
		out, err := planTry(t, bundle, s)
		if err == nil && (!strings.HasPrefix(out, "/proc/") || !strings.HasSuffix(out, "\n/bin/busybox")) {
			t.Errorf("cwd %q leads to %q", cwd, out)
		}
		if err != nil && !strings.HasPrefix(err.Error(), `enter cwd "`) {
			t.Errorf("cwd %q: error %v", cwd, err)
		}
	}
}

// TestPlanMaskIsTheHostsNull is CVE-2025-31133: the image's /dev/null must not
// become what hides a masked path.
func TestPlanMaskIsTheHostsNull(t *testing.T) {
	for name, link := range map[string]string{"link": "/proc/sys/kernel/core_pattern", "file": ""} {
		t.Run(name, func(t *testing.T) {
			bundle := planBundle(t)
			root := filepath.Join(bundle, "rootfs")
			if err := os.WriteFile(filepath.Join(root, "etc/secret"), []byte("secret"), 0o644); err != nil {
				t.Fatal(err)
			}
			if link != "" {
				planReplace(t, root, "dev/null", link)
			} else if err := os.WriteFile(filepath.Join(root, "dev/null"), []byte("image's"), 0o666); err != nil {
				t.Fatal(err)
			}
			s := planSpec("stat -c %F:%t:%T /etc/secret; cat /etc/secret")
			s.Mounts = s.Mounts[:1]
			s.Linux.MaskedPaths = []string{"/etc/secret"}
			if got := planRun(t, bundle, s); got != "character special file:1:3" {
				t.Errorf("payload %q", got)
			}
		})
	}
}

// TestPlanWritesToNoOtherProc is CVE-2025-52881, CVE-2019-19921 and
// CVE-2023-27561: writes to procfs go to one that the image cannot replace.
func TestPlanWritesToNoOtherProc(t *testing.T) {
	bundle := planBundle(t)
	root := filepath.Join(bundle, "rootfs")
	for _, name := range []string{"sys/kernel/shmmax", "self/oom_score_adj", "sys/net/ipv4/ip_forward"} {
		path := filepath.Join(root, "proc", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("image's\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := planSpec("cat /proc/sys/kernel/shmmax /proc/self/oom_score_adj")
	s.Mounts = s.Mounts[1:]
	s.Linux.Sysctl, s.Process.OOMScoreAdj = map[string]string{"kernel.shmmax": "65536", "net.ipv4.ip_forward": "1"}, planPtr(400)
	if got := planRun(t, bundle, s); got != "image's\nimage's" {
		t.Errorf("files of the image: %q", got)
	}
}

// TestPlanMountsOnProcAreRefused is CVE-2019-16884, CVE-2019-19921 and
// CVE-2023-28642: nothing but procfs on /proc, nothing but known files below.
func TestPlanMountsOnProcAreRefused(t *testing.T) {
	for _, m := range []specs.Mount{
		planMount("/proc", "bind", "/srv", "bind"), planMount("/proc", "tmpfs", "x"), planMount("/proc/", "bind", "/srv", "rbind"), planMount("/proc/self/attr", "bind", "/srv", "bind"),
		planMount("//proc/sys", "tmpfs", "x"), planMount("/proc/./self", "bind", "/srv", "bind"), planMount("/proc/self/exe", "bind", "/srv", "bind"),
	} {
		s := planSpec("true")
		s.Mounts = append(s.Mounts, m)
		if err := spec.Validate(s).Err(); err == nil {
			t.Errorf("a mount on %q is allowed", m.Destination)
		}
	}
}

// TestPlanChildIsShut is CVE-2016-9962 and CVE-2019-5736: root of a container,
// with no capability over others, that shares its PID namespace with one that
// is being made must not reach the maker's fds or program. (It may list the
// fds' numbers, as procfs asks no more than the uid for that.)
func TestPlanChildIsShut(t *testing.T) {
	bundle := planBundle(t)
	first := planSpec(`cd /proc; for p in [0-9]*; do test $p = 1 || test $p = $$ || echo "other $p"; done
		for f in exe cwd root fd/0 fd/1 fd/3 fd/9; do readlink 2/$f && echo leak $f; done; : < 2/fd/0 && echo leak; : > 2/exe && echo leak; : > 2/mem && echo leak; true`)
	first.Process.Args[2] = "exec 2>/dev/null\n" + first.Process.Args[2]
	attacker, err := planLaunch(t, planCompile(t, bundle, first, compile.Request{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := attacker.created(t); err != nil {
		t.Fatal(err)
	}
	second := planSpec("true")
	planSetNamespace(second, specs.PIDNamespace, fmt.Sprintf("/proc/%d/ns/pid", attacker.PID))
	victim, err := planLaunch(t, planCompile(t, bundle, second, compile.Request{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.created(t); err != nil {
		t.Fatal(err)
	}
	planFree(t, attacker.start)
	out, err := io.ReadAll(attacker.out)
	if err != nil || !strings.HasPrefix(string(out), "other 2\n") || strings.Contains(string(out), "leak") {
		t.Errorf("the container sees %q of a process that is being made, %v", out, err)
	}
	// Process 1 of a PID namespace ends last: pid_namespaces(7).
	_ = unix.PidfdSendSignal(victim.PIDFD, unix.SIGKILL, nil, 0)
	victim.wait()
}

// TestPlanNoHostCgroup is CVE-2023-25809: without a cgroup namespace the
// host's cgroups are not writable.
func TestPlanNoHostCgroup(t *testing.T) {
	bundle := planBundle(t)
	s := planSpec("mkdir /sys/fs/cgroup/leak 2>/dev/null || echo refused")
	s.Mounts = append(s.Mounts, planMount("/sys", "sysfs", "sysfs", "ro"), planMount("/sys/fs/cgroup", "cgroup", "cgroup", "ro"))
	planDropNamespace(s, specs.CgroupNamespace)
	if got := planRun(t, bundle, s); got != "refused" {
		t.Errorf("payload %q", got)
	}
}
