package launch

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/plan"
)

// atCWD is AT_FDCWD as a plan's argument.
var atCWD = plan.Lit(unix.AT_FDCWD)

// execve adds the op that ends a plan.
func execve(b *plan.Builder, argv ...string) {
	b.Call("exec", unix.SYS_EXECVE, b.String(argv[0]), b.Pointers(argv), b.Pointers([]string{"PATH=/bin:/usr/bin"}))
}

// program builds a plan as the keeper gets it: encoded and decoded again.
func program(t testing.TB, build func(b *plan.Builder)) *plan.Program {
	t.Helper()
	var b plan.Builder
	build(&b)
	p, err := b.Program()
	if err != nil {
		t.Fatal(err)
	}
	if p, err = plan.Decode(p.Encode()); err != nil {
		t.Fatal(err)
	}
	return p
}

// start starts p and makes sure that nothing is left of it.
func start(t testing.TB, p *plan.Program, handles ...int) Process {
	t.Helper()
	proc, err := Start(p, handles)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.PidfdSendSignal(proc.PIDFD, unix.SIGKILL, nil, 0)
		_ = proc.reap()
		unix.Close(proc.PIDFD)
		unix.Close(proc.Report)
	})
	return proc
}

// next waits for the child's next event.
func next(t testing.TB, proc Process) Event {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(proc.Report), Events: unix.POLLIN}}
	for {
		if n, err := unix.Poll(fds, 20_000); n == 0 || err != nil && err != unix.EINTR {
			t.Fatalf("no event of the child: %v", err)
		}
		ev, err := ReadEvent(proc.Report)
		if err == nil {
			return ev
		}
		if !errors.Is(err, unix.EAGAIN) {
			t.Fatal(err)
		}
	}
}

// wait gives the wait status as a shell would: 128+n for a signal.
func wait(t testing.TB, proc Process) int {
	t.Helper()
	var info unix.Siginfo
	var ws unix.WaitStatus
	if err := unix.Waitid(unix.P_PIDFD, proc.PIDFD, &info, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Wait4(proc.PID, &ws, 0, nil); err != nil {
		t.Fatal(err)
	}
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// capture runs p with its handle "stdout" as fd 1 and returns what comes out.
func capture(t testing.TB, build func(b *plan.Builder)) (string, int) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := program(t, func(b *plan.Builder) {
		out := b.Handle("stdout")
		b.Call("set stdout", unix.SYS_DUP3, out.Arg(), plan.Lit(1), plan.Lit(0))
		build(b)
	})
	proc := start(t, p, int(w.Fd()))
	w.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if ev := next(t, proc); ev.Kind != Executed {
		t.Fatalf("event %+v: %s", ev, p.Describe(ev.Op, ev.Errno))
	}
	return string(text), wait(t, proc)
}

func TestExecAndExitStatus(t *testing.T) {
	out, status := capture(t, func(b *plan.Builder) { execve(b, "/bin/sh", "-c", "echo hello; exit 7") })
	if out != "hello\n" || status != 7 {
		t.Errorf("out %q, status %d", out, status)
	}
}

func TestFailureNamesTheOp(t *testing.T) {
	p := program(t, func(b *plan.Builder) {
		b.Call("first", unix.SYS_UMASK, plan.Lit(0))
		b.Call(`open "/nonexistent"`, unix.SYS_OPENAT, atCWD, b.String("/nonexistent"), plan.Lit(0))
		execve(b, "/bin/true")
	})
	proc := start(t, p)
	ev := next(t, proc)
	if ev.Kind != Failed || ev.Op != 1 || ev.Errno != unix.ENOENT {
		t.Fatalf("event %+v", ev)
	}
	if got, want := p.Describe(ev.Op, ev.Errno), `open "/nonexistent": no such file or directory (step 2 of 3)`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if status := wait(t, proc); status != exitFailed {
		t.Errorf("status %d", status)
	}
}

// TestPlanWithoutExec: the end of the report pipe must not be taken for success.
func TestPlanWithoutExec(t *testing.T) {
	p := program(t, func(b *plan.Builder) {
		b.Call("try", unix.SYS_EXECVE, b.String("/nonexistent"), b.Pointers(nil), b.Pointers(nil)).Tolerate(unix.ENOENT)
	})
	proc := start(t, p)
	if ev := next(t, proc); ev.Kind != Failed || ev.Op != 0 || ev.Errno != unix.ENOEXEC {
		t.Errorf("event %+v", ev)
	}
	if status := wait(t, proc); status != exitFailed {
		t.Errorf("status %d", status)
	}
}

// TestFlags has the flags of ops. An empty eventfd gives EAGAIN however often
// it is asked, so it shows that the retries end.
func TestFlags(t *testing.T) {
	empty, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(empty)
	for _, tc := range []struct {
		name  string
		flags plan.Flags
		nr    uintptr
		want  syscall.Errno
	}{
		{"zero is no result", plan.NonZero, unix.SYS_CLOSE, syscall.ECANCELED},
		{"zero is a result", 0, unix.SYS_CLOSE, unix.ENOEXEC}, // that of a plan without exec
		{"retries end", plan.RetryAgain, unix.SYS_READ, unix.EAGAIN},
		{"no retries", 0, unix.SYS_READ, unix.EAGAIN},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := program(t, func(b *plan.Builder) {
				fd := b.Handle("empty")
				b.Call("call", tc.nr, fd.Arg(), b.Words(0), plan.Lit(8)).With(tc.flags)
			})
			if ev := next(t, start(t, p, empty)); ev.Kind != Failed || ev.Errno != tc.want {
				t.Errorf("event %+v, want %v", ev, tc.want)
			}
		})
	}
}

func TestToleratedFailureAndSkips(t *testing.T) {
	out, _ := capture(t, func(b *plan.Builder) {
		s := b.Slot("maybe")
		write := func(text string) plan.Ref {
			return b.Call("write", unix.SYS_WRITE, plan.Lit(1), b.String(text), plan.Lit(len(text)))
		}
		open := b.Call("open", unix.SYS_OPENAT, atCWD, b.String("/nonexistent"), plan.Lit(0)).Tolerate(unix.ENOENT).Into(s)
		write("not this ")
		open.JumpFailed()
		unless := b.Unless("", s)
		write("nor this ")
		unless.JumpFailed()
		done := write("but this ")
		write("and not that ")
		done.JumpDone()
		write("at last")
		execve(b, "/bin/true")
	})
	if out != "but this at last" {
		t.Errorf("out %q", out)
	}
}

func TestPointThenBarrier(t *testing.T) {
	for _, tc := range []struct {
		name string
		free func(w *os.File)
		want EventKind
	}{
		{"byte", func(w *os.File) { w.Write([]byte{1}); w.Close() }, Executed},
		{"creator gone", func(w *os.File) { w.Close() }, Failed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			p := program(t, func(b *plan.Builder) {
				start := b.Handle("start")
				b.Point("created", plan.PointCreated)
				b.Call("wait for start", unix.SYS_READ, start.Arg(), b.Bytes(make([]byte, 8)), plan.Lit(1)).With(plan.NonZero)
				execve(b, "/bin/true")
			})
			proc := start(t, p, int(r.Fd()))
			r.Close()
			if ev := next(t, proc); ev.Kind != Reached || ev.Point != plan.PointCreated {
				t.Fatalf("event %+v", ev)
			}
			if _, err := ReadEvent(proc.Report); !errors.Is(err, unix.EAGAIN) {
				t.Errorf("a waiting child reports %v", err)
			}
			tc.free(w)
			if ev := next(t, proc); ev.Kind != tc.want || tc.want == Failed && ev.Errno != syscall.ECANCELED {
				t.Errorf("event %+v", ev)
			}
		})
	}
}

// TestForkKeepsParent joins nothing, but forks as a plan that joins a PID
// namespace must: the payload is still our child.
func TestForkKeepsParent(t *testing.T) {
	p := program(t, func(b *plan.Builder) {
		b.Call("unshare", unix.SYS_UNSHARE, plan.Lit(unix.CLONE_NEWPID))
		b.Fork("enter pid namespace")
		execve(b, "/bin/sh", "-c", "exit $$")
	})
	proc := start(t, p)
	if ev := next(t, proc); ev.Kind != Executed {
		t.Fatalf("event %+v", ev)
	}
	if status := wait(t, proc); status != 1 {
		t.Errorf("the payload is PID %d of its namespace, want 1", status)
	}
}

// TestForkIsToldFirst: however fast the sibling fails, Start knows it already.
func TestForkIsToldFirst(t *testing.T) {
	for range 300 {
		p := program(t, func(b *plan.Builder) {
			b.Fork("fork")
			b.Fail("fail at once", unix.EIO)
		})
		proc := start(t, p)
		if ev := next(t, proc); ev.Kind != Failed || ev.Op != 1 || ev.Errno != unix.EIO {
			t.Fatalf("event %+v", ev)
		}
		if status := wait(t, proc); status != exitFailed {
			t.Fatalf("status %d", status)
		}
	}
}

func TestFailureBeforeForkIsAnError(t *testing.T) {
	p := program(t, func(b *plan.Builder) {
		b.Call("close", unix.SYS_CLOSE, plan.Lit(-1))
		b.Fork("fork")
		execve(b, "/bin/true")
	})
	before := openFDs(t)
	_, err := Start(p, nil)
	var failed *PlanError
	if !errors.As(err, &failed) || !errors.Is(err, unix.EBADF) || failed.Op != 0 {
		t.Errorf("error %v", err)
	}
	if after := openFDs(t); after != before {
		t.Errorf("%d fds open before, %d after", before, after)
	}
}

// TestNothingOfOursReachesThePayload opens fds that are not close-on-exec and
// looks at what the payload has of them and of the parent's limits.
func TestNothingOfOursReachesThePayload(t *testing.T) {
	signal.Ignore(unix.SIGUSR2)
	defer signal.Reset(unix.SIGUSR2)
	for range 8 {
		fd, err := unix.Open("/dev/null", unix.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
	}
	out, _ := capture(t, func(b *plan.Builder) {
		execve(b, "/bin/sh", "-c", "ls /proc/$$/fd; ulimit -n; grep SigIgn /proc/self/status")
	})
	fields := strings.Fields(out)
	if len(fields) < 4 || strings.Join(fields[:3], " ") != "0 1 2" || fields[3] != "1024" || !strings.Contains(out, "SigIgn:\t0000000000000000") {
		t.Errorf("payload sees %q", out)
	}
}

func TestReportPipeIsClosedByExec(t *testing.T) {
	proc := start(t, program(t, func(b *plan.Builder) { execve(b, "/bin/sleep", "1000") }))
	if ev := next(t, proc); ev.Kind != Executed {
		t.Errorf("event %+v while the payload runs", ev)
	}
}

func TestLoadRefusesUnsealed(t *testing.T) {
	p := program(t, func(b *plan.Builder) { execve(b, "/bin/true") })
	fd, err := unix.MemfdCreate("plan", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, p.Encode()); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(fd); !errors.Is(err, plan.ErrInvalid) {
		t.Errorf("unsealed: %v", err)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, Seals); err != nil {
		t.Fatal(err)
	}
	got, err := Load(fd)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Encode(), p.Encode()) {
		t.Error("the loaded plan differs")
	}
	if _, err := Load(0); err == nil {
		t.Error("loaded a plan from something that is no memfd")
	}
}

func TestWrongNumberOfHandles(t *testing.T) {
	p := program(t, func(b *plan.Builder) { b.Handle("stdin"); execve(b, "/bin/true") })
	if _, err := Start(p, nil); err == nil || !strings.Contains(err.Error(), "stdin") {
		t.Errorf("error %v", err)
	}
}

func openFDs(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		p := program(b, func(b *plan.Builder) { execve(b, "/bin/true") })
		proc, err := Start(p, nil)
		if err != nil {
			b.Fatal(err)
		}
		wait(b, proc)
		unix.Close(proc.PIDFD)
		unix.Close(proc.Report)
	}
}
