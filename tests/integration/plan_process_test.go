package integration

import (
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/compile"
)

// planPtr is for the optional numbers of a configuration.
func planPtr[T any](v T) *T { return &v }

// planCase is one container: a change to planSpec, a script, and its output.
type planCase struct {
	name    string
	change  func(s *specs.Spec)
	script  string
	want    string
	require func(t testing.TB)
}

func planCases(t *testing.T, cases []planCase) {
	planRequireRoot(t)
	bundle := planBundle(t)
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if tc.require != nil {
				tc.require(t)
			}
			s := planSpec(tc.script)
			if tc.change != nil {
				tc.change(s)
			}
			if diff := cmp.Diff(tc.want, planRun(t, bundle, s)); diff != "" {
				t.Errorf("payload (-want +got):\n%s", diff)
			}
		})
	}
}

// planCaps builds the sets; the bounding set is not to hinder what a test looks at.
func planCaps(bounding, effective, permitted, inheritable, ambient string) *specs.LinuxCapabilities {
	return &specs.LinuxCapabilities{Bounding: strings.Fields(bounding), Effective: strings.Fields(effective), Permitted: strings.Fields(permitted),
		Inheritable: strings.Fields(inheritable), Ambient: strings.Fields(ambient)}
}

// planNeedsResource is for what many containers of CI machines may not do.
func planNeedsResource(t testing.TB) { planRequireCap(t, unix.CAP_SYS_RESOURCE, "CAP_SYS_RESOURCE") }

func TestPlanProcess(t *testing.T) {
	const capLines = "grep Cap /proc/self/status"
	caps := func(inh, prm, eff, bnd, amb string) string {
		return "CapInh:\t" + inh + "\nCapPrm:\t" + prm + "\nCapEff:\t" + eff + "\nCapBnd:\t" + bnd + "\nCapAmb:\t" + amb
	}
	none, kill, killChown := "0000000000000000", "0000000000000020", "0000000000000021"
	user := func(uid uint32) func(s *specs.Spec) { return func(s *specs.Spec) { s.Process.User.UID = uid } }
	planCases(t, []planCase{
		{name: "args", change: func(s *specs.Spec) {
			s.Process.Args = []string{"/bin/sh", "-c", `echo "$0|$1|$2|$#"`, "zero", "", "two words"}
		}, want: "zero||two words|2"},
		{name: "env", change: func(s *specs.Spec) { s.Process.Env = []string{"PATH=/bin", "EMPTY=", "A=b=c d"} }, script: `tr '\0' '\n' < /proc/1/environ; true`, want: "PATH=/bin\nEMPTY=\nA=b=c d"},
		{name: "path lookup", change: func(s *specs.Spec) {
			s.Process.Args[0], s.Process.Env = "sh", []string{"PATH=/nothing:relative:/etc:/bin"}
		}, script: "echo found", want: "found"},
		{name: "default path", change: func(s *specs.Spec) { s.Process.Env = nil }, script: "echo found", want: "found"},
		{name: "cwd", change: func(s *specs.Spec) { s.Process.Cwd = "/srv" }, script: "pwd; readlink /proc/self/cwd", want: "/srv\n/srv"},
		{name: "ids", change: func(s *specs.Spec) { s.Process.User = specs.User{UID: 1000, GID: 100, AdditionalGids: []uint32{5, 10}} },
			script: "grep -E '^(Uid|Gid|Groups):' /proc/self/status", want: "Uid:\t1000\t1000\t1000\t1000\nGid:\t100\t100\t100\t100\nGroups:\t5 10 "},
		{name: "CVE-2022-36109 groups of root", script: "grep ^Groups: /proc/self/status", want: "Groups:\t "},
		{name: "umask", change: func(s *specs.Spec) { s.Process.User.Umask = planPtr[uint32](0o027) }, script: "umask", want: "0027"},
		{name: "default umask", script: "umask", want: "0022"},
		{name: "no capabilities", script: capLines, want: caps(none, none, none, none, none)},
		{name: "no capabilities, user", change: user(1000), script: capLines, want: caps(none, none, none, none, none)},
		{name: "root has its bounding set", change: func(s *specs.Spec) {
			s.Process.Capabilities = planCaps("CAP_KILL CAP_CHOWN", "CAP_KILL", "CAP_KILL", "", "")
		}, script: capLines, want: caps(none, killChown, killChown, killChown, none)},
		{name: "CVE-2022-29162 CVE-2022-24769 CVE-2022-27650 CVE-2022-27649 inheritable is empty", change: func(s *specs.Spec) {
			s.Process.Capabilities = planCaps("CAP_KILL CAP_CHOWN", "CAP_KILL CAP_CHOWN", "CAP_KILL CAP_CHOWN", "", "")
			s.Process.User.UID = 1000
		}, script: capLines, want: caps(none, none, none, killChown, none)},
		{name: "inheritable if asked for", change: func(s *specs.Spec) {
			s.Process.Capabilities = planCaps("CAP_KILL", "CAP_KILL", "CAP_KILL", "CAP_KILL", "")
			s.Process.User.UID = 1000
		}, script: capLines, want: caps(kill, none, none, kill, none)},
		{name: "ambient", change: func(s *specs.Spec) {
			s.Process.Capabilities = planCaps("CAP_KILL CAP_CHOWN", "CAP_KILL", "CAP_KILL", "CAP_KILL", "CAP_KILL")
			s.Process.User.UID = 1000
		}, script: capLines, want: caps(kill, kill, kill, killChown, kill)},
		{name: "rlimits", change: func(s *specs.Spec) {
			s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 64, Hard: 128}, {Type: "RLIMIT_CORE", Soft: 0, Hard: 4096}, {Type: "RLIMIT_CPU", Soft: 30, Hard: 60}}
		}, script: "grep -E '^Max (open files|core|cpu)' /proc/self/limits | while read l; do echo $l; done",
			want: "Max cpu time 30 60 seconds\nMax core file size 0 4096 bytes\nMax open files 64 128 files"},
		{name: "raised rlimit", require: planNeedsResource, change: func(s *specs.Spec) {
			s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_MSGQUEUE", Soft: 1 << 30, Hard: 1 << 30}}
		}, script: "grep -c 1073741824 /proc/self/limits", want: "1"},
		{name: "default RLIMIT_NOFILE", script: "ulimit -Sn", want: "1024"},
		{name: "noNewPrivileges", change: func(s *specs.Spec) { s.Process.NoNewPrivileges = true }, script: "grep NoNewPrivs /proc/self/status", want: "NoNewPrivs:\t1"},
		{name: "new privileges", script: "grep NoNewPrivs /proc/self/status", want: "NoNewPrivs:\t0"},
		{name: "oomScoreAdj", change: func(s *specs.Spec) { s.Process.OOMScoreAdj = planPtr(543) }, script: "cat /proc/self/oom_score_adj", want: "543"},
		{name: "oomScoreAdj without a proc mount", change: func(s *specs.Spec) {
			s.Process.OOMScoreAdj, s.Mounts = planPtr(543), append(s.Mounts[1:], specs.Mount{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"ro"}})
		}, script: "cat /proc/self/oom_score_adj", want: "543"},
		{name: "lowered oomScoreAdj", require: planNeedsResource, change: func(s *specs.Spec) { s.Process.OOMScoreAdj = planPtr(-500) }, script: "cat /proc/self/oom_score_adj", want: "-500"},
		// proc_pid_stat(5): field 19 is nice, 40 the real-time priority, 41 the policy.
		{name: "scheduler other", change: func(s *specs.Spec) { s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedOther, Nice: 7} }, script: planStat, want: "7 0 0"},
		{name: "scheduler batch", change: func(s *specs.Spec) { s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedBatch, Nice: 3} }, script: planStat, want: "3 0 3"},
		{name: "scheduler idle", change: func(s *specs.Spec) { s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedIdle} }, script: planStat, want: "0 0 5"},
		{name: "scheduler fifo", change: func(s *specs.Spec) { s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedFIFO, Priority: 5} }, script: planStat, want: "0 5 1"},
		{name: "scheduler rr, reset on fork", change: func(s *specs.Spec) {
			s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedRR, Priority: 6, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagResetOnFork}}
		}, script: planStat, want: "0 6 2"},
		{name: "ioPriority best effort", change: func(s *specs.Spec) {
			s.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 6}
		}, script: "ionice -p 1", want: "best-effort: prio 6"},
		{name: "ioPriority idle", change: func(s *specs.Spec) { s.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_IDLE} }, script: "ionice -p 1", want: "idle"},
		{name: "process 1, its own session", script: "echo $$; while read a b c d e f g; do echo $d $e $f; done < /proc/1/stat", want: "1\n0 1 1"},
		{name: "signals", change: func(s *specs.Spec) { s.Process.Args = []string{"grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"} }, want: "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000"},
	})
}

// planStat prints nice, real-time priority and policy of the payload itself.
const planStat = `read stat < /proc/1/stat; set -- ${stat##*) }; shift 16; nice=$1; shift 21; echo $nice $1 $2`

// TestPlanSessionAfterFork: with a PID namespace to join, too, the payload leads its session.
func TestPlanSessionAfterFork(t *testing.T) {
	bundle := planBundle(t)
	s := planSpec(`read stat < /proc/$$/stat; set -- ${stat##*) }; test $$ = $4 && echo leader`)
	planSetNamespace(s, specs.TimeNamespace, "")
	if got := planRun(t, bundle, s); got != "leader" {
		t.Errorf("payload: %q", got)
	}
}

// TestPlanFDs: fds 0, 1, 2 and nothing else, whatever the launcher has open.
func TestPlanFDs(t *testing.T) {
	bundle := planBundle(t)
	for range 20 {
		fd, err := unix.Open(bundle, unix.O_RDONLY|unix.O_DIRECTORY, 0) // not close-on-exec, on purpose
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
	}
	if got := planRun(t, bundle, planSpec("ls /proc/1/fd; true")); got != "0\n1\n2" {
		t.Errorf("fds %q", got)
	}
}

func TestPlanListenFDs(t *testing.T) {
	bundle := planBundle(t)
	var fds []int
	for range 2 {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: "@" + bundle + strconv.Itoa(len(fds)), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		f, err := l.File()
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		defer f.Close()
		fds = append(fds, int(f.Fd()))
	}
	script := "tr '\\0' '\\n' < /proc/1/environ; cd /proc/1/fd; ls; readlink 3; readlink 4"
	s := planSpec(script)
	s.Process.Env = append(s.Process.Env, "LISTEN_FDS=9")
	p := planCompile(t, bundle, s, compile.Request{ListenFDs: []string{"http", "control"}})
	proc, err := planLaunch(t, p, fds...)
	if err != nil {
		t.Fatal(err)
	}
	if err := proc.created(t); err != nil {
		t.Fatal(err)
	}
	out, _ := proc.finish(t)
	var sockets []string
	for _, fd := range fds {
		link, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
		if err != nil {
			t.Fatal(err)
		}
		sockets = append(sockets, link)
	}
	want := "PATH=/bin\nLISTEN_FDS=2\nLISTEN_FDNAMES=http:control\nLISTEN_PID=1\n0\n1\n2\n3\n4\n" + strings.Join(sockets, "\n") + "\n"
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("payload (-want +got):\n%s", diff)
	}
}

// TestPlanBarriers: each barrier stops the child, and its end without a byte makes it give up.
func TestPlanBarriers(t *testing.T) {
	bundle := planBundle(t)
	for _, name := range []string{"placed", "start"} {
		t.Run(name, func(t *testing.T) {
			p := planCompile(t, bundle, planSpec("true"), compile.Request{})
			proc, err := planLaunch(t, p)
			if err != nil {
				t.Fatal(err)
			}
			barrier := proc.placed
			if name == "start" {
				barrier = proc.start
				if err := proc.created(t); err != nil {
					t.Fatal(err)
				}
			}
			barrier.Close()
			ev := proc.next(t)
			if got := p.Describe(ev.Op, ev.Errno); !strings.Contains(got, "given up because the creator has gone") {
				t.Errorf("event %+v: %s", ev, got)
			}
			if status := proc.wait(); status.ExitStatus() != 127 {
				t.Errorf("status %#x", status)
			}
		})
	}
}
