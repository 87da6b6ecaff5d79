package compile

import (
	"errors"
	"math/bits"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/plan"
	"github.com/berth-project/berth/runtime/spec"
)

// count tells how many ops make a system call, with a first argument if it is not negative.
func count(p *plan.Program, nr uintptr, first int) int {
	n := 0
	for _, op := range p.Ops {
		if op.Kind == plan.Syscall && op.Nr == uint32(nr) && (first < 0 || op.Args[0] == uint64(first)) {
			n++
		}
	}
	return n
}

// TestLastCap: on every kernel exactly the capabilities it knows are dropped,
// and none that it does not know is asked for.
func TestLastCap(t *testing.T) {
	caps := &specs.LinuxCapabilities{
		Bounding: []string{"CAP_CHOWN", "CAP_SYSLOG", "CAP_CHECKPOINT_RESTORE"}, Permitted: []string{"CAP_CHOWN", "CAP_SYSLOG", "CAP_CHECKPOINT_RESTORE"},
		Effective: []string{"CAP_CHECKPOINT_RESTORE"}, Inheritable: []string{"CAP_SYSLOG", "CAP_CHECKPOINT_RESTORE"}, Ambient: []string{"CAP_SYSLOG", "CAP_CHECKPOINT_RESTORE"},
	}
	for _, tc := range []struct {
		lastCap, drops, raises int
		capset                 string
	}{
		{0, 0, 0, "effective 0x0, permitted 0x1, inheritable 0x0"},
		{33, 33, 0, "effective 0x0, permitted 0x1, inheritable 0x0"},
		{34, 33, 1, "effective 0x0, permitted 0x400000001, inheritable 0x400000000"},
		{37, 36, 1, "effective 0x0, permitted 0x400000001, inheritable 0x400000000"},
		{40, 38, 2, "effective 0x10000000000, permitted 0x10400000001, inheritable 0x10400000000"},
		{63, 61, 2, "effective 0x10000000000, permitted 0x10400000001, inheritable 0x10400000000"},
	} {
		r := request(t, "minimal")
		r.Spec.Process.Capabilities, r.Facts.LastCap = caps, tc.lastCap
		p := compiled(t, r)
		if got := count(p, unix.SYS_PRCTL, unix.PR_CAPBSET_DROP); got != tc.drops {
			t.Errorf("last capability %d: %d are dropped, want %d", tc.lastCap, got, tc.drops)
		}
		if got := count(p, unix.SYS_PRCTL, unix.PR_CAP_AMBIENT) - 1; got != tc.raises {
			t.Errorf("last capability %d: %d are raised, want %d", tc.lastCap, got, tc.raises)
		}
		if text := p.String(); !strings.Contains(text, tc.capset) {
			t.Errorf("last capability %d: no %q in\n%s", tc.lastCap, tc.capset, text)
		}
	}
}

func TestWithoutCapabilitiesAllAreDropped(t *testing.T) {
	for _, lastCap := range []int{37, 40} {
		r := request(t, "minimal")
		r.Facts.LastCap = lastCap
		if got := count(compiled(t, r), unix.SYS_PRCTL, unix.PR_CAPBSET_DROP); got != lastCap+1 {
			t.Errorf("%d of %d capabilities are dropped", got, lastCap+1)
		}
	}
	if bits.OnesCount64(spec.Capabilities(nil).Bounding) != 0 {
		t.Error("no capabilities is not the empty set")
	}
}

func TestCheck(t *testing.T) {
	cgroup := func(options ...string) func(*Request) {
		return func(r *Request) {
			r.Spec.Mounts = append(r.Spec.Mounts, specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: options})
		}
	}
	namespace := func(kind specs.LinuxNamespaceType, path string) func(*Request) {
		return func(r *Request) {
			r.Spec.Linux.Namespaces = append(r.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: kind, Path: path})
		}
	}
	newPID := namespace(specs.PIDNamespace, "")
	listen := func(names ...string) func(*Request) { return func(r *Request) { r.ListenFDs = names } }
	env := func(entries ...string) func(*Request) { return func(r *Request) { r.Environment = entries } }
	for _, tc := range []struct {
		name   string
		change []func(*Request)
		want   []string // the beginnings of the findings
	}{
		{name: "nothing"},
		{"relative bundle", []func(*Request){func(r *Request) { r.Bundle = "bundle" }}, []string{`bundle: "bundle" is not an absolute path`}},
		{"environment", []func(*Request){env("A=1", "B=")}, nil},
		{"bad environment", []func(*Request){env("A=1", "B", "=1", "", "C=\x00")}, []string{
			`environment[1]: "B" is not NAME=value`, `environment[2]: "=1"`, `environment[3]: ""`, `environment[4]: "C=\x00"`}},
		{"sockets", []func(*Request){newPID, listen("http", "a b", strings.Repeat("x", 255))}, nil},
		{"bad socket names", []func(*Request){newPID, listen("", "a:b", "a\n", "é", strings.Repeat("x", 256))}, []string{
			"ListenFDs[0]: ", "ListenFDs[1]: ", "ListenFDs[2]: ", "ListenFDs[3]: ", "ListenFDs[4]: "}},
		{"sockets without PID namespace", []func(*Request){listen("http")}, []string{"ListenFDs: sockets can only be passed into a new PID namespace"}},
		{"sockets into a joined one", []func(*Request){namespace(specs.PIDNamespace, "/proc/7/ns/pid"), listen("http")}, []string{"ListenFDs: sockets can only"}},
		{"as many sockets as possible", []func(*Request){newPID, listen(slices.Repeat([]string{"s"}, maxListenFDs)...)}, nil},
		{"too many sockets", []func(*Request){newPID, listen(slices.Repeat([]string{"s"}, maxListenFDs+1)...)}, []string{"ListenFDs: 121 sockets"}},
		{"CVE-2023-25809 cgroup mount without namespace", []func(*Request){cgroup("nosuid")}, []string{"mounts[0]: a writable cgroup mount needs a new cgroup namespace"}},
		{"cgroup mount in a joined one", []func(*Request){cgroup(), namespace(specs.CgroupNamespace, "/proc/7/ns/cgroup")}, []string{"mounts[0]: "}},
		{"read-only cgroup mount", []func(*Request){cgroup("ro")}, nil},
		{"cgroup mount in a new namespace", []func(*Request){cgroup(), namespace(specs.CgroupNamespace, "")}, nil},
		{"all at once", []func(*Request){cgroup(), listen(""), env("B")}, []string{"environment[0]: ", "ListenFDs: ", "ListenFDs[0]: ", "mounts[0]: "}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := request(t, "minimal")
			for _, change := range tc.change {
				change(&r)
			}
			p, err := Container(r)
			var invalid *spec.InvalidError
			if errors.As(err, &invalid) != (len(tc.want) > 0) || (p == nil) != (err != nil) {
				t.Fatalf("program %v, error %v, want findings %q", p != nil, err, tc.want)
			}
			if len(tc.want) == 0 {
				return
			}
			var got []string
			for i, f := range invalid.Findings {
				text := f.String()
				if i < len(tc.want) && strings.HasPrefix(text, tc.want[i]) {
					text = tc.want[i]
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPrograms(t *testing.T) {
	for _, tc := range []struct {
		name string
		env  []string
		want []string
	}{
		{"/bin/sh", nil, []string{"/bin/sh"}},
		{"./sh", []string{"PATH=/bin"}, []string{"./sh"}},
		{"sh", []string{"PATH=/a:/b/"}, []string{"/a/sh", "/b/sh"}},
		{"sh", []string{"PATH=:.:bin:/a::"}, []string{"/a/sh"}},
		{"sh", []string{"PATH="}, nil},
		{"sh", []string{"XPATH=/a"}, []string{"/usr/local/sbin/sh", "/usr/local/bin/sh", "/usr/sbin/sh", "/usr/bin/sh", "/sbin/sh", "/bin/sh"}},
	} {
		if diff := cmp.Diff(tc.want, programs(tc.name, tc.env)); diff != "" {
			t.Errorf("programs(%q, %q) (-want +got):\n%s", tc.name, tc.env, diff)
		}
	}
}

func TestEnvironment(t *testing.T) {
	for _, tc := range []struct {
		own, added, listen, want []string
	}{
		{},
		{own: []string{"A=1", "B=2", "A=3"}, want: []string{"A=3", "B=2"}},
		{own: []string{"A=1", "AB=2"}, added: []string{"A=x=y", "C="}, want: []string{"A=x=y", "AB=2", "C="}},
		{own: []string{"LISTEN_PID=7"}, added: []string{"LISTEN_FDS=9"}, listen: []string{"a", "b"}, want: []string{"LISTEN_PID=1", "LISTEN_FDS=2", "LISTEN_FDNAMES=a:b"}},
		{own: []string{"LISTEN_FDS=1"}, want: []string{"LISTEN_FDS=1"}},
	} {
		c := &compiler{Request: Request{Spec: &specs.Spec{Process: &specs.Process{Env: tc.own}}, Environment: tc.added, ListenFDs: tc.listen}}
		if diff := cmp.Diff(tc.want, c.environment()); diff != "" {
			t.Errorf("environment of %q and %q (-want +got):\n%s", tc.own, tc.added, diff)
		}
	}
}

func TestBelow(t *testing.T) {
	for name, want := range map[string]string{
		"/": ".", "": ".", "/a/b": "a/b", "a": "a", "//a//b/": "a/b", "/../../etc": "etc", "/a/../..": ".", "/./a": "a",
	} {
		if got := below(name); got != want {
			t.Errorf("below(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestRelated(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want bool
	}{
		{"/sys/fs/cgroup", "/sys/fs/cgroup", true}, {"/sys/fs/cgroup", "/sys/fs/cgroup/misc", true}, {"/sys/fs/cgroup", "/sys", true}, {"/sys/fs/cgroup", "/", false},
		{"/sys/fs/cgroup", "/sys/fs/cgroups", false}, {"/sys/fs/cgroup", "/sys/firmware", false}, {"//sys/fs/./cgroup/", "/sys/fs/cgroup/a", true},
	} {
		if got := related(tc.a, tc.b); got != tc.want || related(tc.b, tc.a) != tc.want {
			t.Errorf("related(%q, %q) = %t", tc.a, tc.b, got)
		}
	}
}

func TestPropagationOf(t *testing.T) {
	for flags, want := range map[uint64][2]uint64{
		0: {0, 0}, unix.MS_SLAVE: {unix.MS_SLAVE, 0}, unix.MS_SLAVE | unix.MS_REC: {0, unix.MS_SLAVE}, unix.MS_SHARED | unix.MS_REC: {0, unix.MS_SHARED},
	} {
		if top, all := propagationOf(flags); top != want[0] || all != want[1] {
			t.Errorf("propagationOf(%#x) = %#x, %#x", flags, top, all)
		}
	}
}

// TestFinding: a bad value of the request is told like one of the configuration.
func TestFinding(t *testing.T) {
	r := request(t, "minimal")
	r.Bundle = "relative"
	_, err := Container(r)
	var invalid *spec.InvalidError
	if !errors.As(err, &invalid) || invalid.NotSupported() || !strings.HasPrefix(err.Error(), "refuse config.json: bundle: ") {
		t.Errorf("error %v", err)
	}
}
