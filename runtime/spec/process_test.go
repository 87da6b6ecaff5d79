package spec

import (
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestProcess(t *testing.T) {
	checkRules(t, []rule{
		{"no args", func(s *specs.Spec) { s.Process.Args = nil }, []string{
			"error process.args: is empty; at least the program",
		}},
		{"empty program", func(s *specs.Spec) { s.Process.Args = []string{"", ""} }, []string{
			"error process.args[0]: is empty; it names the program",
		}},
		{"long arg", func(s *specs.Spec) { s.Process.Args = append(s.Process.Args, strings.Repeat("x", 131072)) }, []string{
			"error process.args[1]: has 131072 bytes; execve(2) takes at most 131071"}},
		{"longest arg", func(s *specs.Spec) { s.Process.Args = append(s.Process.Args, strings.Repeat("x", 131071)) }, nil},
		{"env", func(s *specs.Spec) { s.Process.Env = []string{"A=1", "B", "=x", "", "C=", "A=2", "A=3", "D=a=b"} }, []string{
			`error process.env[1]: "B" has no "="`,
			`error process.env[2]: "=x" has no name`,
			`error process.env[3]: "" has no "="`,
			`warning process.env[5]: "A" is already set by process.env[0]`,
			`warning process.env[6]: "A" is already set by process.env[0]`,
		}},
		{"long env", func(s *specs.Spec) { s.Process.Env = []string{"A=" + strings.Repeat("x", 131072)} }, []string{
			"error process.env[0]: has 131074 bytes",
		}},
		{"no cwd", func(s *specs.Spec) { s.Process.Cwd = "" }, []string{"error process.cwd: is empty"}},
		{"relative cwd", func(s *specs.Spec) { s.Process.Cwd = "a" }, []string{
			`error process.cwd: "a" is not an absolute path`,
		}},
		{"cwd with dots stays inside", func(s *specs.Spec) { s.Process.Cwd = "/a/../../b" }, nil},
		{"console size alone", func(s *specs.Spec) { s.Process.ConsoleSize = &specs.Box{} }, []string{
			"warning process.consoleSize: is ignored",
		}},
		{"terminal", func(s *specs.Spec) { s.Process.Terminal, s.Process.ConsoleSize = true, &specs.Box{} }, []string{
			"error process.terminal: not supported yet: Berth cannot make a pseudoterminal"}},
		{"commandLine", func(s *specs.Spec) { s.Process.CommandLine = "x" }, []string{
			"error process.commandLine: it is for Windows",
		}},
		{"oomScoreAdj", func(s *specs.Spec) { s.Process.OOMScoreAdj = ptr(-1001) }, []string{
			"error process.oomScoreAdj: -1001 is not in -1000 to 1000",
		}},
		{"oomScoreAdj high", func(s *specs.Spec) { s.Process.OOMScoreAdj = ptr(1001) }, []string{
			"error process.oomScoreAdj: 1001",
		}},
		{"oomScoreAdj edge", func(s *specs.Spec) { s.Process.OOMScoreAdj = ptr(-1000) }, nil},
	})
}

func TestUser(t *testing.T) {
	const none = 4294967295
	checkRules(t, []rule{
		{"good", func(s *specs.Spec) {
			s.Process.User = specs.User{UID: none - 1, GID: 1 << 31, Umask: ptr[uint32](0o777), AdditionalGids: []uint32{0, none - 1}}
		}, nil},
		{"bad", func(s *specs.Spec) {
			s.Process.User = specs.User{UID: none, GID: none, Umask: ptr[uint32](0o1000), AdditionalGids: []uint32{1, none}, Username: "nobody"}
		}, []string{
			"error process.user.username: it is for Windows; on Linux give uid and gid",
			"error process.user.uid: 4294967295 is no id",
			"error process.user.gid: 4294967295 is no id",
			"error process.user.additionalGids[1]: 4294967295 is no id",
			"error process.user.umask: 512 is not in 0 to 511 (octal 777)"}},
		{"too many groups", func(s *specs.Spec) { s.Process.User.AdditionalGids = make([]uint32, 65537) }, []string{
			"error process.user.additionalGids: has 65537 groups; setgroups(2) takes at most 65536"}},
	})
}

func TestRlimits(t *testing.T) {
	checkRules(t, []rule{
		{"good", func(s *specs.Spec) {
			s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 1, Hard: 1}, {Type: "RLIMIT_CORE", Hard: ^uint64(0)}}
		}, nil},
		{"bad", func(s *specs.Spec) {
			s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 2, Hard: 1}, {Type: "RLIMIT_NOFILE"}, {Type: "NOFILE"}, {Type: "NOFILE"}}
		}, []string{
			"error process.rlimits[0].soft: 2 is above the hard limit of 1",
			`error process.rlimits[1].type: "RLIMIT_NOFILE" is given twice`,
			`error process.rlimits[2].type: "NOFILE" is not a resource`,
			`error process.rlimits[3].type: "NOFILE" is not a resource`,
		}},
	})
	// The kernel knows 16 (RLIM_NLIMITS), and each number once.
	seen := map[int]string{}
	for name := range rlimits {
		n, ok := Rlimit(name)
		if other := seen[n]; !ok || other != "" || n < 0 || n > 15 {
			t.Errorf("%s is number %d, like %q", name, n, other)
		}
		seen[n] = name
	}
	if len(seen) != 16 {
		t.Errorf("%d resources are known, not 16", len(seen))
	}
}

func TestCapabilities(t *testing.T) {
	caps := func(names ...string) []string { return names }
	c := &specs.LinuxCapabilities{
		Bounding:    caps("CAP_CHOWN", "CAP_KILL", "CAP_FUTURE"),
		Permitted:   caps("CAP_CHOWN", "CAP_SYS_ADMIN"),
		Effective:   caps("CAP_CHOWN", "CAP_KILL"),
		Inheritable: caps("CAP_CHOWN", "CAP_BPF"),
		Ambient:     caps("CAP_CHOWN", "CAP_SYS_ADMIN", "chown"),
	}
	checkRules(t, []rule{{"partly granted", func(s *specs.Spec) { s.Process.Capabilities = c }, []string{
		`warning process.capabilities.bounding[2]: "CAP_FUTURE" is no capability that Berth knows; it is left out`,
		"warning process.capabilities.effective[1]: CAP_KILL is not also permitted",
		"warning process.capabilities.inheritable[1]: CAP_BPF is not also bounding",
		"warning process.capabilities.ambient[1]: CAP_SYS_ADMIN is not also permitted and inheritable",
		`warning process.capabilities.ambient[2]: "chown" is no capability`,
	}}})
	want := CapabilitySets{
		Bounding: 1<<unix.CAP_CHOWN | 1<<unix.CAP_KILL, Permitted: 1<<unix.CAP_CHOWN | 1<<unix.CAP_SYS_ADMIN,
		Effective: 1 << unix.CAP_CHOWN, Inheritable: 1 << unix.CAP_CHOWN, Ambient: 1 << unix.CAP_CHOWN,
	}
	if got := Capabilities(c); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := Capabilities(nil); got != (CapabilitySets{}) {
		t.Errorf("without capabilities there are some: %+v", got)
	}
}

func TestCapabilityNumbers(t *testing.T) {
	for name, want := range map[string]int{
		"CAP_CHOWN": unix.CAP_CHOWN, "CAP_KILL": unix.CAP_KILL, "CAP_SETPCAP": unix.CAP_SETPCAP, "CAP_NET_RAW": unix.CAP_NET_RAW,
		"CAP_SYS_MODULE": unix.CAP_SYS_MODULE, "CAP_SYS_ADMIN": unix.CAP_SYS_ADMIN, "CAP_MKNOD": unix.CAP_MKNOD, "CAP_SETFCAP": unix.CAP_SETFCAP,
		"CAP_AUDIT_READ": unix.CAP_AUDIT_READ, "CAP_PERFMON": unix.CAP_PERFMON, "CAP_BPF": unix.CAP_BPF, "CAP_CHECKPOINT_RESTORE": unix.CAP_LAST_CAP,
	} {
		if got, ok := Capability(name); !ok || got != want {
			t.Errorf("%s is %d, not %d", name, got, want)
		}
	}
	if _, ok := Capability(""); ok {
		t.Error("the empty name is a capability: the table has a gap")
	}
}
