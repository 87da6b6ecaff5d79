package spec

import (
	"os"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestNamespaces(t *testing.T) {
	join := func(i int, path string) func(*specs.Spec) {
		return func(s *specs.Spec) { s.Linux.Namespaces[i].Path = path }
	}
	add := func(typ specs.LinuxNamespaceType) func(*specs.Spec) {
		return func(s *specs.Spec) { s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: typ}) }
	}
	checkRules(t, []rule{
		{"joined", func(s *specs.Spec) {
			for _, i := range []int{0, 1, 2, 3, 5, 6} {
				s.Linux.Namespaces[i].Path = "/run/netns/x"
			}
		}, nil},
		{"relative path", join(1, "run/netns/x"), []string{
			`error linux.namespaces[1].path: "run/netns/x" is not an absolute path`,
		}},
		{"joined mount", join(4, "/proc/1/ns/mnt"), []string{
			"error linux.namespaces[4].path: not supported yet: Berth sets up the root file system",
		}},
		{"twice", add("pid"), []string{`error linux.namespaces[7].type: "pid" is given twice`}},
		{"user", add("user"), []string{
			"error linux.namespaces[7]: not supported yet: Berth makes no user namespaces",
		}},
		{"another", add("net"), []string{
			`error linux.namespaces[7].type: "net" is not a type of namespace`,
		}},
		{"only mount", func(s *specs.Spec) { s.Linux.Namespaces = s.Linux.Namespaces[4:5] }, nil},
		{"no mount", func(s *specs.Spec) { s.Linux.Namespaces = s.Linux.Namespaces[:4] }, []string{
			`error linux.namespaces: have no entry of type "mount"`,
		}},
		{"no linux", func(s *specs.Spec) { s.Linux = nil }, []string{
			`error linux.namespaces: have no entry of type "mount"`,
		}},
	})
	if f, ok := NamespaceFlag(specs.TimeNamespace); !ok || f != unix.CLONE_NEWTIME {
		t.Errorf("time is %#x, %v", f, ok)
	}
}

func TestDevices(t *testing.T) {
	device := func(d ...specs.LinuxDevice) func(*specs.Spec) {
		return func(s *specs.Spec) { s.Linux.Devices = d }
	}
	mode := func(m uint32) *os.FileMode { return ptr(os.FileMode(m)) }
	checkRules(t, []rule{
		{"good", device(
			specs.LinuxDevice{Path: "/dev/fuse", Type: "c", Major: 10, Minor: 229, FileMode: mode(0o666), UID: ptr[uint32](0), GID: ptr[uint32](5)},
			specs.LinuxDevice{Path: "/dev/null", Type: "u", Major: 1, Minor: 3, FileMode: mode(unix.S_IFCHR | 0o666)},
			specs.LinuxDevice{Path: "/srv/sda", Type: "b", Major: 4095, Minor: 1<<20 - 1, FileMode: mode(0o7777)},
			specs.LinuxDevice{Path: "/a", Type: "p"}, specs.LinuxDevice{Path: "/b", Type: "p"}), nil},
		{"paths", device(
			specs.LinuxDevice{Path: "dev/x", Type: "p"}, specs.LinuxDevice{Path: "/dev/../etc/x", Type: "p"},
			specs.LinuxDevice{Path: "/", Type: "p"}, specs.LinuxDevice{Type: "p"}), []string{
			`error linux.devices[0].path: "dev/x" is not an absolute path`,
			`error linux.devices[1].path: "/dev/../etc/x" contains ".."`,
			`error linux.devices[2].path: "/" is the root directory`,
			"error linux.devices[3].path: is empty",
		}},
		{"values", device(specs.LinuxDevice{Path: "/x", Type: "d", Major: -1, Minor: 1 << 20, UID: ptr[uint32](noID), GID: ptr[uint32](noID)}), []string{
			`error linux.devices[0].type: "d" is not "c", "b", "u" or "p"`,
			"error linux.devices[0].major: -1 is not in 0 to 4095",
			"error linux.devices[0].minor: 1048576 is not in 0 to 1048575",
			"error linux.devices[0].uid: 4294967295 is no id",
			"error linux.devices[0].gid: 4294967295",
		}},
		{"modes", device(
			specs.LinuxDevice{Path: "/x", Type: "c", Major: 1, FileMode: mode(unix.S_IFBLK | 0o666)},
			specs.LinuxDevice{Path: "/y", Type: "c", Major: 2, FileMode: mode(1 << 20)}), []string{
			"error linux.devices[0].fileMode: 25014 (octal 60666) is no mode",
			"error linux.devices[1].fileMode: 1048576 (octal 4000000) is no mode",
		}},
		{"twice", device(
			specs.LinuxDevice{Path: "/dev/x", Type: "c", Major: 1, Minor: 3}, specs.LinuxDevice{Path: "/dev//x", Type: "c", Major: 1, Minor: 4},
			specs.LinuxDevice{Path: "/dev/y", Type: "u", Major: 1, Minor: 3}, specs.LinuxDevice{Path: "/dev/z", Type: "b", Major: 1, Minor: 3}), []string{
			`error linux.devices[1].path: "/dev//x" is already made by linux.devices[0]`,
			"warning linux.devices[2]: is the same device as linux.devices[0]",
		}},
	})
}

func TestSysctls(t *testing.T) {
	sysctl := func(pairs ...string) func(*specs.Spec) {
		return func(s *specs.Spec) {
			s.Linux.Sysctl = map[string]string{}
			for i := 0; i < len(pairs); i += 2 {
				s.Linux.Sysctl[pairs[i]] = pairs[i+1]
			}
		}
	}
	host := func(name string) func(*specs.Spec) { return sysctl(name, "1") }
	checkRules(t, []rule{
		{"good", sysctl("net.ipv4.ip_forward", "1", "net/ipv4/conf/eth0.100/forwarding", "1", "kernel.sem", "32000 1024000000 500 32000", "kernel.shm_rmid_forced", "1",
			"fs.mqueue.msg_max", "100", "kernel.hostname", "h", "kernel.domainname", "d+e"), nil},
		{"host's", host("kernel.panic"), []string{
			`error linux.sysctl["kernel.panic"]: is not separate for each namespace`,
		}},
		{"host's with a namespaced beginning", host("kernel.semaphore"), []string{
			`error linux.sysctl["kernel.semaphore"]: is not separate`,
		}},
		{"core pattern (CVE-2022-0811)", sysctl("kernel.shm_rmid_forced", "1+kernel.core_pattern=|/evil #"), nil}, // written to one file, so nothing but a bad value
		{"two names in one (CVE-2022-0811)", host("kernel.sem=1+kernel.core_pattern"), []string{
			`error linux.sysctl["kernel.sem=1+kernel.core_pattern"]: parse sysctl`,
		}},
		{"escape", host("net/../kernel/core_pattern"), []string{
			`error linux.sysctl["net/../kernel/core_pattern"]: parse sysctl`,
		}},
		{"escape with dots", host("net.//.kernel"), []string{
			`error linux.sysctl["net.//.kernel"]: parse sysctl`,
		}},
		{"empty parts", sysctl("", "1", ".net", "1", "net..a", "1"), []string{
			`error linux.sysctl[""]: parse`,
			`error linux.sysctl[".net"]: parse`,
			`error linux.sysctl["net..a"]: parse`,
		}},
		{"same file", sysctl("net.core.somaxconn", "1", "net/core/somaxconn", "2"), []string{
			`error linux.sysctl["net/core/somaxconn"]: is the same as "net.core.somaxconn"`}},
		{"values", sysctl("net.a", "", "net.b", "1\n2", "net.c", strings.Repeat("1", 4096)), []string{
			`error linux.sysctl["net.a"]: is empty`,
			`error linux.sysctl["net.b"]: "1\n2" contains a newline`,
			`error linux.sysctl["net.c"]: has 4096 bytes`,
		}},
		{"joined network", func(s *specs.Spec) { host("net.a")(s); s.Linux.Namespaces[1].Path = "/proc/1/ns/net" }, []string{
			`error linux.sysctl["net.a"]: needs a new namespace of type "network"`}},
		{"no ipc", func(s *specs.Spec) { host("fs.mqueue.msg_max")(s); s.Linux.Namespaces[2].Path = "/x" }, []string{
			`error linux.sysctl["fs.mqueue.msg_max"]: needs a new namespace of type "ipc"`}},
		{"contradiction", func(s *specs.Spec) {
			sysctl("kernel.hostname", "a", "kernel.domainname", "b")(s)
			s.Hostname, s.Domainname = "x", "b"
		}, []string{`error linux.sysctl["kernel.hostname"]: "a" contradicts hostname, which is "x"`}},
	})
}

func TestSysctlPath(t *testing.T) {
	for name, want := range map[string][]string{
		"net.core.somaxconn":         {"net", "core", "somaxconn"},
		"net/core/somaxconn":         {"net", "core", "somaxconn"},
		"net/ipv4/conf/eth0.1/x":     {"net", "ipv4", "conf", "eth0.1", "x"},
		"net.ipv4.conf.eth0/1.x":     {"net", "ipv4", "conf", "eth0.1", "x"},
		"net.ipv6.conf.vlan-A:0.x_y": {"net", "ipv6", "conf", "vlan-A:0", "x_y"},
		"single":                     {"single"},
	} {
		if got, err := SysctlPath(name); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q is %q, %v; want %q", name, got, err, want)
		}
	}
	for _, name := range []string{"", ".", "..", "/", "a/..", "a/../b", "a.//.b", "/a", "a/", "a b", "a\x00", "ä", "a.b=c", "a+b"} {
		if got, err := SysctlPath(name); err == nil {
			t.Errorf("%q is %q", name, got)
		}
	}
}
