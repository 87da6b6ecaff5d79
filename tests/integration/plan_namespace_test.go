package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/berth-project/berth/runtime/compile"
)

// planNamespaceFiles are the links in /proc/PID/ns by type.
var planNamespaceFiles = map[specs.LinuxNamespaceType]string{
	specs.PIDNamespace: "pid", specs.NetworkNamespace: "net", specs.IPCNamespace: "ipc", specs.UTSNamespace: "uts",
	specs.CgroupNamespace: "cgroup", specs.TimeNamespace: "time",
}

// planHolder is a container that only holds namespaces for others to join.
func planHolder(t *testing.T, bundle string) *planProcess {
	t.Helper()
	s := planSpec("exec sleep 1000")
	planSetNamespace(s, specs.TimeNamespace, "")
	s.Hostname = "holder"
	proc, err := planLaunch(t, planCompile(t, bundle, s, compile.Request{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := proc.created(t); err != nil {
		t.Fatal(err)
	}
	return proc
}

func planNamespaceOf(t *testing.T, pid int, kind specs.LinuxNamespaceType) string {
	t.Helper()
	link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, planNamespaceFiles[kind]))
	if err != nil {
		t.Fatal(err)
	}
	return link
}

// TestPlanNamespaces has each kind new, joined and left out. Everyone is
// looked at from the outside: a payload cannot tell where it is.
func TestPlanNamespaces(t *testing.T) {
	bundle := planBundle(t)
	holder := planHolder(t, bundle)
	for kind, file := range planNamespaceFiles {
		for how, change := range map[string]func(s *specs.Spec){
			"new":    func(s *specs.Spec) { planSetNamespace(s, kind, "") },
			"joined": func(s *specs.Spec) { planSetNamespace(s, kind, fmt.Sprintf("/proc/%d/ns/%s", holder.PID, file)) },
			"host's": func(s *specs.Spec) { planDropNamespace(s, kind) },
		} {
			t.Run(string(kind)+" "+how, func(t *testing.T) {
				s := planSpec("exec true")
				change(s)
				proc, err := planLaunch(t, planCompile(t, bundle, s, compile.Request{}))
				if err != nil {
					t.Fatal(err)
				}
				if err := proc.created(t); err != nil {
					t.Fatal(err)
				}
				got := planNamespaceOf(t, proc.PID, kind)
				want := map[string]bool{
					"holder": got == planNamespaceOf(t, holder.PID, kind),
					"host":   got == planNamespaceOf(t, os.Getpid(), kind),
				}
				if diff := cmp.Diff(map[string]bool{"holder": how == "joined", "host": how == "host's"}, want); diff != "" {
					t.Errorf("is in the namespace of (-want +got):\n%s", diff)
				}
				if _, status := proc.finish(t); status != 0 {
					t.Errorf("status %d", status)
				}
			})
		}
	}
}

// TestPlanJoinsEverything: all kinds at once; the payload stays our child and gets its exit status to us.
func TestPlanJoinsEverything(t *testing.T) {
	bundle := planBundle(t)
	holder := planHolder(t, bundle)
	s := planSpec("hostname; test $$ -gt 1 && echo not process 1; exit 3")
	for kind, file := range planNamespaceFiles {
		planSetNamespace(s, kind, fmt.Sprintf("/proc/%d/ns/%s", holder.PID, file))
	}
	proc, err := planLaunch(t, planCompile(t, bundle, s, compile.Request{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := proc.created(t); err != nil {
		t.Fatal(err)
	}
	if out, status := proc.finish(t); out != "holder\nnot process 1\n" || status != 3 {
		t.Errorf("payload %q, status %d", out, status)
	}
}

func TestPlanJoinRefuses(t *testing.T) {
	bundle := planBundle(t)
	file := filepath.Join(bundle, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/nonexistent":      `open uts namespace "/nonexistent": no such file or directory (step `,
		"/proc/self/ns/net": `join uts namespace "/proc/self/ns/net": invalid argument (step `,
		file:                `join uts namespace "` + file + `": invalid argument (step `,
	} {
		s := planSpec("true")
		planSetNamespace(s, specs.UTSNamespace, path)
		if _, err := planTry(t, bundle, s); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", path, err, want)
		}
	}
}

func TestPlanNamesAndSysctls(t *testing.T) {
	before, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	sysctl := func(proc ...string) func(*specs.Spec) {
		return func(s *specs.Spec) {
			s.Linux.Sysctl = map[string]string{"kernel.shmmax": "65536", "net.ipv4.ip_forward": "1", "fs.mqueue.msg_max": "12", "net/ipv4/conf/lo/forwarding": "0", "kernel.domainname": "d.example"}
			s.Mounts[0].Options = proc
		}
	}
	const read = "cd /proc/sys; cat kernel/shmmax net/ipv4/ip_forward fs/mqueue/msg_max net/ipv4/conf/lo/forwarding kernel/domainname"
	const values = "65536\n1\n12\n0\nd.example"
	planCases(t, []planCase{
		{name: "hostname", change: func(s *specs.Spec) { s.Hostname = "box-1.example" }, script: "hostname", want: "box-1.example"},
		{name: "domainname", change: func(s *specs.Spec) { s.Domainname = "nis.example" }, script: "cat /proc/sys/kernel/domainname", want: "nis.example"},
		{name: "sysctl", change: sysctl(), script: read, want: values},
		{name: "sysctl, procfs with options", change: sysctl("nosuid", "noexec", "nodev"), script: read, want: values},
		{name: "sysctl, read-only procfs", change: sysctl("ro"), script: read, want: values},
		{name: "sysctl, procfs without /proc/sys", change: sysctl("subset=pid"), script: "ls /proc/sys 2>/dev/null || echo hidden", want: "hidden"},
		{name: "sysctl without procfs", change: func(s *specs.Spec) { sysctl()(s); s.Mounts = s.Mounts[1:] }, script: "ls /proc", want: ""},
		{name: "sysctl and read-only path", change: func(s *specs.Spec) { sysctl()(s); s.Linux.ReadonlyPaths = []string{"/proc/sys"} },
			script: read + "; echo 1 2>/dev/null > kernel/shmmax || echo read-only", want: values + "\nread-only"},
		{name: "loopback", script: "ifconfig lo | grep -o UP; ifconfig lo | grep -o 127.0.0.1", want: "UP\n127.0.0.1"},
	})
	if after, _ := os.Hostname(); after != before {
		t.Errorf("the host is now called %q", after)
	}
}

func TestPlanSysctlRefusedByTheKernel(t *testing.T) {
	bundle := planBundle(t)
	for name, want := range map[string]string{
		"net.ipv4.nonexistent": `set sysctl "net.ipv4.nonexistent" to "x": no such file or directory (step `,
		"net.ipv4.ip_forward":  `set sysctl "net.ipv4.ip_forward" to "x": invalid argument (step `,
	} {
		s := planSpec("true")
		s.Linux.Sysctl = map[string]string{name: "x"}
		if _, err := planTry(t, bundle, s); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", name, err, want)
		}
	}
}

// TestPlanCgroupNamespace: the namespace is made where the child is when it is placed.
func TestPlanCgroupNamespace(t *testing.T) {
	bundle := planBundle(t)
	s := planSpec("grep -E '^0::' /proc/self/cgroup")
	if got := planRun(t, bundle, s); got != "0::/" {
		t.Errorf("cgroup %q", got)
	}
}

func TestPlanMissingProgram(t *testing.T) {
	bundle := planBundle(t)
	if err := os.WriteFile(filepath.Join(bundle, "rootfs/bin/data"), []byte("no program"), 0o644); err != nil {
		t.Fatal(err)
	}
	for program, want := range map[string]string{
		"nonexistent":  `find program "nonexistent" in $PATH: no such file or directory (step `,
		"/nonexistent": `find program "/nonexistent": no such file or directory (step `,
		"/bin/data":    `find program "/bin/data": permission denied (step `,
		"/bin/sh/x":    `find program "/bin/sh/x": not a directory (step `,
	} {
		s := planSpec("")
		s.Process.Args = []string{program}
		if _, err := planTry(t, bundle, s); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", program, err, want)
		}
	}
}
