package integration

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/compile"
)

// planMountInfo is a line of /proc/self/mountinfo, see proc_pid_mountinfo(5).
type planMountInfo struct {
	point, options, tags, kind, source, super string
}

func planParseMounts(t testing.TB, text string) []planMountInfo {
	t.Helper()
	var out []planMountInfo
	for line := range strings.Lines(text) {
		left, right, ok := strings.Cut(strings.TrimSpace(line), " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if !ok || len(l) < 6 || len(r) < 3 {
			t.Fatalf("mountinfo line %q", line)
		}
		out = append(out, planMountInfo{l[4], l[5], strings.Join(l[6:], " "), r[0], r[1], r[2]})
	}
	return out
}

// planMounts runs a container and gives its mounts by mount point, the last one on each.
func planMounts(t testing.TB, bundle string, s *specs.Spec) map[string]planMountInfo {
	t.Helper()
	s.Process.Args = []string{"cat", "/proc/self/mountinfo"}
	out := map[string]planMountInfo{}
	for _, m := range planParseMounts(t, planRun(t, bundle, s)) {
		out[m.point] = m
	}
	return out
}

func planMount(dst, kind, src string, options ...string) specs.Mount {
	return specs.Mount{Destination: dst, Type: kind, Source: src, Options: options}
}

// planShared makes dir a mount of its own, shared, as most of a systemd machine is.
func planShared(t testing.TB, dir string) {
	t.Helper()
	if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	if err := unix.Mount("", dir, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
}

func TestPlanRootIsItsOwnTree(t *testing.T) {
	bundle := planBundle(t)
	got := planMounts(t, bundle, planSpec(""))
	var points []string
	for p := range got {
		points = append(points, p)
	}
	slices.Sort(points)
	if diff := cmp.Diff([]string{"/", "/dev", "/proc"}, points); diff != "" {
		t.Errorf("mounts of the container (-want +got):\n%s", diff)
	}
	if got["/"].tags != "" || strings.HasPrefix(got["/"].options, "ro") {
		t.Errorf("root %+v, want private and writable", got["/"])
	}
}

func TestPlanRootReadonly(t *testing.T) {
	bundle := planBundle(t)
	s := planSpec("")
	s.Root.Readonly = true
	if got := planMounts(t, bundle, s)["/"].options; !strings.HasPrefix(got, "ro,") {
		t.Errorf("options %q", got)
	}
	s = planSpec("touch /tmp/x 2>&1; touch /dev/x && echo writable; touch /etc/x")
	s.Process.Args[2] += " || true"
	s.Root.Readonly = true
	if got, want := planRun(t, bundle, s), "touch: /tmp/x: Read-only file system\nwritable\ntouch: /etc/x: Read-only file system"; got != want {
		t.Errorf("payload %q", got)
	}
	if _, err := os.Stat(filepath.Join(bundle, "rootfs/tmp/x")); err == nil {
		t.Error("a read-only root was written to")
	}
}

func TestPlanRootAbsolute(t *testing.T) {
	bundle := planBundle(t)
	s := planSpec("ls /bin/busybox")
	s.Root.Path = filepath.Join(bundle, "rootfs")
	if got := planRun(t, "/nonexistent", s); got != "/bin/busybox" {
		t.Errorf("payload %q", got)
	}
}

// TestPlanNewMounts has every file system that Berth mounts, by what the kernel shows of it.
func TestPlanNewMounts(t *testing.T) {
	bundle := planBundle(t)
	for _, tc := range []struct {
		mount specs.Mount
		want  planMountInfo // super: words that must be among the options
	}{
		{planMount("/proc", "proc", "proc", "nosuid", "noexec", "nodev"), planMountInfo{options: "rw,nosuid,nodev,noexec,relatime", kind: "proc", source: "proc"}},
		{planMount("/proc", "proc", "p", "hidepid=2"), planMountInfo{options: "rw,relatime", kind: "proc", source: "p", super: "hidepid=invisible"}},
		{planMount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro"), planMountInfo{options: "ro,nosuid,nodev,noexec,relatime", kind: "sysfs", source: "sysfs"}},
		{planMount("/mnt", "tmpfs", "tmpfs"), planMountInfo{options: "rw,relatime", kind: "tmpfs", source: "tmpfs", super: "rw"}},
		{planMount("/mnt", "tmpfs", ""), planMountInfo{options: "rw,relatime", kind: "tmpfs", source: "none", super: "rw"}},
		{planMount("/mnt", "tmpfs", "none", "ro"), planMountInfo{options: "ro,relatime", kind: "tmpfs", source: "none", super: "rw"}},
		{planMount("/mnt/deep/er", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=751", "size=64k", "nr_inodes=17", "uid=5", "gid=6"),
			planMountInfo{options: "rw,nosuid,nodev,noexec,relatime", kind: "tmpfs", source: "shm", super: "size=64k,nr_inodes=17,mode=751,uid=5,gid=6"}},
		{planMount("/mnt", "tmpfs", "t", "sync", "lazytime", "dirsync"), planMountInfo{options: "rw,relatime", kind: "tmpfs", source: "t", super: "sync,dirsync,lazytime"}},
		{planMount("/mnt", "tmpfs", "t", "noatime", "nodiratime", "nosymfollow"), planMountInfo{options: "rw,noatime,nodiratime,nosymfollow", kind: "tmpfs", source: "t"}},
		{planMount("/mnt", "tmpfs", "t", "strictatime"), planMountInfo{options: "rw", kind: "tmpfs", source: "t"}},
		{planMount("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
			planMountInfo{options: "rw,nosuid,noexec,relatime", kind: "devpts", source: "devpts", super: "gid=5,mode=620,ptmxmode=666"}},
		{planMount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"), planMountInfo{options: "rw,nosuid,nodev,noexec,relatime", kind: "mqueue", source: "mqueue"}},
		{planMount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro"), planMountInfo{options: "ro,nosuid,nodev,noexec,relatime", kind: "cgroup2", source: "cgroup"}},
		{planMount("/mnt", "tmpfs", "t", "shared"), planMountInfo{options: "rw,relatime", tags: "shared:N", kind: "tmpfs", source: "t"}},
		{planMount("/mnt", "tmpfs", "t", "unbindable"), planMountInfo{options: "rw,relatime", tags: "unbindable", kind: "tmpfs", source: "t"}},
		{planMount("/mnt", "tmpfs", "t", "rslave"), planMountInfo{options: "rw,relatime", kind: "tmpfs", source: "t"}},
	} {
		t.Run(tc.mount.Type+" "+strings.Join(tc.mount.Options, ","), func(t *testing.T) {
			s := planSpec("")
			if tc.mount.Destination == "/proc" {
				s.Mounts = s.Mounts[1:]
			}
			s.Mounts = append(s.Mounts, tc.mount)
			got := planMounts(t, bundle, s)[tc.mount.Destination]
			for word := range strings.SplitSeq(tc.want.super, ",") {
				if word != "" && !slices.Contains(strings.Split(got.super, ","), word) {
					t.Errorf("option %q is not among %q", word, got.super)
				}
			}
			tc.want.point, tc.want.super, got.super = tc.mount.Destination, "", ""
			got.tags = planNoNumbers(got.tags)
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(planMountInfo{})); diff != "" {
				t.Errorf("mount (-want +got):\n%s", diff)
			}
		})
	}
}

// planNoNumbers makes "shared:7 master:8" comparable.
func planNoNumbers(tags string) string {
	fields := strings.Fields(tags)
	for i, f := range fields {
		if name, _, ok := strings.Cut(f, ":"); ok {
			fields[i] = name + ":N"
		}
	}
	return strings.Join(fields, " ")
}

// TestPlanBindMounts binds a shared host mount with another one below it.
func TestPlanBindMounts(t *testing.T) {
	bundle := planBundle(t)
	src := filepath.Join(bundle, "data")
	if err := os.MkdirAll(filepath.Join(src, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	planShared(t, src)
	if err := unix.Mount("sub", filepath.Join(src, "sub"), "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	const plainTop, plainSub = "rw,relatime", "rw,relatime"
	for _, tc := range []struct {
		options          string
		top, topTags     string
		sub, subTags     string // sub "" is: not there
		sourceIsRelative bool
	}{
		{options: "bind", top: plainTop},
		{options: "rbind", top: plainTop, sub: plainSub, sourceIsRelative: true},
		{options: "bind ro nosuid nodev noexec nosymfollow noatime nodiratime", top: "ro,nosuid,nodev,noexec,noatime,nodiratime,nosymfollow"},
		{options: "bind ro rw nosuid suid nodev dev noexec exec nosymfollow symfollow nodiratime diratime", top: plainTop},
		{options: "bind strictatime", top: "rw"},
		{options: "bind noatime atime", top: plainTop},
		{options: "rbind ro noexec", top: "ro,noexec,relatime", sub: plainSub},
		{options: "rbind rro rnosuid rnodev rnoexec", top: "ro,nosuid,nodev,noexec,relatime", sub: "ro,nosuid,nodev,noexec,relatime"},
		{options: "rbind rnosymfollow rnodiratime rnoatime", top: "rw,noatime,nodiratime,nosymfollow", sub: "rw,noatime,nodiratime,nosymfollow"},
		{options: "rbind rro rw", top: plainTop, sub: "ro,relatime"},
		{options: "rbind ro rrw", top: "ro,relatime", sub: plainSub},
		{options: "rbind rstrictatime", top: "rw", sub: "rw"},
		{options: "bind private", top: plainTop},
		{options: "rbind rprivate", top: plainTop, sub: plainSub},
		{options: "bind slave", top: plainTop, topTags: "master:N"},
		{options: "rbind slave", top: plainTop, topTags: "master:N", sub: plainSub, subTags: "master:N"},
		{options: "rbind rslave", top: plainTop, topTags: "master:N", sub: plainSub, subTags: "master:N"},
		{options: "bind shared", top: plainTop, topTags: "shared:N"},
		{options: "rbind rshared", top: plainTop, topTags: "shared:N", sub: plainSub, subTags: "shared:N"},
		{options: "bind unbindable", top: plainTop, topTags: "unbindable"},
		{options: "rbind runbindable", top: plainTop, topTags: "unbindable", sub: plainSub, subTags: "unbindable"},
	} {
		t.Run(tc.options, func(t *testing.T) {
			s := planSpec("")
			m := planMount("/mnt/new", "bind", src, strings.Fields(tc.options)...)
			if tc.sourceIsRelative {
				m.Source = "data"
			}
			s.Mounts = append(s.Mounts, m)
			got := planMounts(t, bundle, s)
			top, sub := got["/mnt/new"], got["/mnt/new/sub"]
			if top.options != tc.top || planNoNumbers(top.tags) != tc.topTags {
				t.Errorf("mount has %q %q, want %q %q", top.options, top.tags, tc.top, tc.topTags)
			}
			if sub.options != tc.sub || planNoNumbers(sub.tags) != tc.subTags {
				t.Errorf("mount below has %q %q, want %q %q", sub.options, sub.tags, tc.sub, tc.subTags)
			}
		})
	}
}

func TestPlanBindFiles(t *testing.T) {
	bundle := planBundle(t)
	if err := os.WriteFile(filepath.Join(bundle, "file"), []byte("host's\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := planSpec("cat /etc/deep/new; cat /proc/meminfo; echo x 2>/dev/null > /etc/deep/new; cat /etc/deep/new; stat -c %A /etc/deep")
	s.Mounts = append(s.Mounts, planMount("/etc/deep/new", "bind", "file", "bind", "ro"), planMount("/proc/meminfo", "bind", "file", "bind"))
	if got, want := planRun(t, bundle, s), "host's\nhost's\nhost's\ndrwxr-xr-x"; got != want {
		t.Errorf("payload %q, want %q", got, want)
	}
	info, err := os.Stat(filepath.Join(bundle, "rootfs/etc/deep/new"))
	if err != nil || info.Size() != 0 || info.Mode() != 0o644 {
		t.Errorf("mount point %v, %v, want an empty file", info, err)
	}
}

// TestPlanPropagationIntoContainer mounts on the host while a container waits for its start.
func TestPlanPropagationIntoContainer(t *testing.T) {
	for _, tc := range []struct {
		word, option string
		want         string
	}{
		{"", "bind", "root 0\nbind 0\n"},
		{"", "rslave", "root 0\nbind 1\n"},
		{"slave", "rslave", "root 1\nbind 1\n"},
		{"rslave", "bind", "root 1\nbind 0\n"},
		{"private", "rshared", "root 0\nbind 1\n"},
		{"", "shared", "root 0\nbind 1\n"},
		{"shared", "slave", "root 0\nbind 1\n"},
	} {
		t.Run(tc.word+" "+tc.option, func(t *testing.T) {
			bundle := planBundle(t)
			planShared(t, bundle)
			if err := os.Mkdir(filepath.Join(bundle, "data"), 0o755); err != nil {
				t.Fatal(err)
			}
			s := planSpec("echo root $(grep -c ' /srv ' /proc/self/mountinfo); echo bind $(grep -c ' /mnt/sub ' /proc/self/mountinfo)")
			s.Linux.RootfsPropagation = tc.word
			s.Mounts = append(s.Mounts, planMount("/mnt", "bind", "data", "rbind", tc.option))
			if err := os.Mkdir(filepath.Join(bundle, "data/sub"), 0o755); err != nil {
				t.Fatal(err)
			}
			proc, err := planLaunch(t, planCompile(t, bundle, s, compile.Request{}))
			if err != nil {
				t.Fatal(err)
			}
			if err := proc.created(t); err != nil {
				t.Fatal(err)
			}
			for _, dir := range []string{"rootfs/srv", "data/sub"} {
				if err := unix.Mount("late", filepath.Join(bundle, dir), "tmpfs", 0, "size=64k"); err != nil {
					t.Fatal(err)
				}
			}
			if got, _ := proc.finish(t); got != tc.want {
				t.Errorf("payload %q, want %q", got, tc.want)
			}
		})
	}
}

func TestPlanRootfsPropagation(t *testing.T) {
	for word, want := range map[string]string{
		"": "", "private": "", "rprivate": "", "shared": "shared:N", "rshared": "shared:N", "slave": "master:N", "rslave": "master:N",
		"unbindable": "unbindable", "runbindable": "unbindable",
	} {
		t.Run(word, func(t *testing.T) {
			bundle := planBundle(t)
			planShared(t, bundle)
			s := planSpec("")
			s.Linux.RootfsPropagation = word
			got := planMounts(t, bundle, s)
			if tags := planNoNumbers(got["/"].tags); tags != want {
				t.Errorf("root is %q, want %q", tags, want)
			}
			rec := ""
			if strings.HasPrefix(word, "r") && want != "master:N" {
				rec = want
			}
			if tags := planNoNumbers(got["/proc"].tags); tags != rec {
				t.Errorf("/proc is %q, want %q", tags, rec)
			}
		})
	}
}

func TestPlanMaskedAndReadonlyPaths(t *testing.T) {
	bundle := planBundle(t)
	root := filepath.Join(bundle, "rootfs")
	for _, name := range []string{"etc/secret", "srv/dir/file", "srv/ro/file"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte("content"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := planSpec(`wc -c < /etc/secret; stat -c %t:%T /etc/secret; ls -A /srv/dir; touch /srv/dir/x || echo masked
		touch /srv/ro/x || echo read-only; cat /srv/ro/file; echo; touch /srv/y && echo writable; touch /proc/sys/kernel/shmmax || echo read-only`)
	s.Linux.MaskedPaths = []string{"/etc/secret", "/srv/dir", "/nonexistent", "/proc/cmdline"}
	s.Linux.ReadonlyPaths = []string{"/srv/ro", "/proc/sys", "/nonexistent"}
	s.Process.Args[2] = "exec 2>/dev/null; " + s.Process.Args[2]
	if got, want := planRun(t, bundle, s), "0\n1:3\nmasked\nread-only\ncontent\nwritable\nread-only"; got != want {
		t.Errorf("payload %q, want %q", got, want)
	}
	// touch of an existing file of procfs changes no time, so ask for the mounts too.
	got := planMounts(t, bundle, s)
	for point, want := range map[string]string{
		"/etc/secret": "ro,", "/srv/dir": "ro,nosuid,nodev,noexec,relatime", "/proc/cmdline": "ro,", "/srv/ro": "ro,relatime", "/proc/sys": "ro,relatime",
	} {
		if m := got[point]; !strings.HasPrefix(m.options, want) || m.tags != "" {
			t.Errorf("%s is %+v, want %q", point, m, want)
		}
	}
}

func TestPlanDevices(t *testing.T) {
	bundle := planBundle(t)
	list := "cd /dev; stat -c '%n %F %a %u:%g %t:%T' null zero full random urandom tty fuse disk/loop fifo; for l in fd stdin stdout stderr ptmx; do echo $l $(readlink $l); done"
	s := planSpec(list)
	s.Linux.Devices = []specs.LinuxDevice{
		{Path: "/dev/fuse", Type: "c", Major: 10, Minor: 229, FileMode: planPtr(os.FileMode(0o640)), UID: planPtr[uint32](5), GID: planPtr[uint32](6)},
		{Path: "/dev/disk/loop", Type: "b", Major: 7, Minor: 300},
		{Path: "/dev/fifo", Type: "p", FileMode: planPtr(os.FileMode(0o600))},
		{Path: "/dev/zero", Type: "c", Major: 1, Minor: 5, FileMode: planPtr(os.FileMode(0o600))},
	}
	want := `null character special file 666 0:0 1:3
zero character special file 600 0:0 1:5
full character special file 666 0:0 1:7
random character special file 666 0:0 1:8
urandom character special file 666 0:0 1:9
tty character special file 666 0:0 5:0
fuse character special file 640 5:6 a:e5
disk/loop block special file 666 0:0 7:12c
fifo fifo 600 0:0 0:0
fd /proc/self/fd
stdin /proc/self/fd/0
stdout /proc/self/fd/1
stderr /proc/self/fd/2
ptmx pts/ptmx`
	if diff := cmp.Diff(want, planRun(t, bundle, s)); diff != "" {
		t.Errorf("payload (-want +got):\n%s", diff)
	}
}

// TestPlanDevicesWork: they are on a mount that lets them be opened, by anyone.
func TestPlanDevicesWork(t *testing.T) {
	bundle := planBundle(t)
	s := planSpec(`head -c 4 /dev/zero | wc -c; echo gone > /dev/null; head -c 4 /dev/urandom | wc -c
		echo x 2>/dev/null > /dev/full || echo full; exec 3<>/dev/ptmx && ls /dev/pts`)
	s.Process.User = specs.User{UID: 1000, GID: 1000}
	s.Mounts = append(s.Mounts, planMount("/dev/pts", "devpts", "devpts", "newinstance", "ptmxmode=0666"))
	if got, want := planRun(t, bundle, s), "4\n4\nfull\n0\nptmx"; got != want {
		t.Errorf("payload %q, want %q", got, want)
	}
}

// TestPlanDevOfTheHost: a bind-mounted /dev stays as it is.
func TestPlanDevOfTheHost(t *testing.T) {
	bundle := planBundle(t)
	dev := filepath.Join(bundle, "dev")
	if err := os.Mkdir(dev, 0o755); err != nil {
		t.Fatal(err)
	}
	s := planSpec("ls /dev")
	s.Mounts[1] = planMount("/dev", "bind", dev, "rbind")
	if got := planRun(t, bundle, s); got != "" {
		t.Errorf("payload finds %q in a /dev that is not its own", got)
	}
}

func TestPlanMountOrder(t *testing.T) {
	bundle := planBundle(t)
	s := planSpec("ls /mnt /mnt/b")
	s.Mounts = append(s.Mounts, planMount("/mnt/hidden", "tmpfs", "1"), planMount("/mnt", "tmpfs", "2"), planMount("/mnt/b/c", "tmpfs", "3"))
	if got, want := planRun(t, bundle, s), "/mnt:\nb\n\n/mnt/b:\nc"; got != want {
		t.Errorf("payload %q, want %q", got, want)
	}
}

func TestPlanRemount(t *testing.T) {
	bundle := planBundle(t)
	if err := os.Mkdir(filepath.Join(bundle, "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := planSpec("")
	s.Mounts = append(s.Mounts, planMount("/mnt", "tmpfs", "t", "size=64k"), planMount("/mnt", "tmpfs", "t", "remount", "size=128k", "noexec"),
		planMount("/srv", "bind", "data", "bind"), planMount("/srv", "bind", "", "remount", "bind", "ro", "nosuid"))
	got := planMounts(t, bundle, s)
	if m := got["/mnt"]; m.options != "rw,noexec,relatime" || !strings.Contains(m.super, "size=128k") {
		t.Errorf("tmpfs is %+v", m)
	}
	if m := got["/srv"]; m.options != "ro,nosuid,relatime" || !strings.HasPrefix(m.super, "rw") {
		t.Errorf("bind mount is %+v", m)
	}
}

func TestPlanMissingCwdIsMade(t *testing.T) {
	bundle := planBundle(t)
	s := planSpec("pwd; stat -c %a:%u .")
	s.Process.Cwd, s.Process.User.UID = "/srv/a/b c", 1000
	if got := planRun(t, bundle, s); got != "/srv/a/b c\n755:0" {
		t.Errorf("payload %q", got)
	}
}
