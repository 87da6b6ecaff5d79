package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/keeper"
	"github.com/berth-project/berth/runtime/launch"
	"github.com/berth-project/berth/runtime/plan"
)

const patience = 20 * time.Second

// program is the real binary, as the Makefile builds it.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "berth-keeper-test")
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.version=test", "-o", dir, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return filepath.Join(dir, "berth-keeper"), nil
})

func TestMain(m *testing.M) {
	if pid := os.Getenv(tracee); pid != "" {
		trace(pid)
		return
	}
	status := m.Run()
	if path, err := program(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(status)
}

// host is a running berth-keeper, socket-activated as systemd does it.
type host struct {
	t        testing.TB
	path     string
	listener *os.File
	cmd      *exec.Cmd
	client   *keeper.Client
	records  chan keeper.Record
	lost     chan error
}

func newHost(t testing.TB) *host {
	t.Helper()
	h := &host{t: t, path: filepath.Join(t.TempDir(), "s")}
	fd, err := makeSocket(h.path)
	must(t, err)
	h.listener = os.NewFile(uintptr(fd), "listener")
	t.Cleanup(func() { h.listener.Close() })
	h.start()
	return h
}

// start also waits for READY=1.
func (h *host) start() {
	h.t.Helper()
	path, err := program()
	must(h.t, err)
	notify := filepath.Join(h.t.TempDir(), "notify")
	manager, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(h.t, err)
	defer unix.Close(manager)
	must(h.t, unix.Bind(manager, &unix.SockaddrUnix{Name: notify}))
	must(h.t, unix.SetsockoptTimeval(manager, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 20}))
	h.cmd = exec.Command("/bin/sh", "-c", `trap '' PIPE; export LISTEN_PID=$$; exec "$0"`, path)
	h.cmd.Env = []string{"LISTEN_FDS=1", "LISTEN_FDNAMES=keeper", "NOTIFY_SOCKET=" + notify}
	h.cmd.ExtraFiles = []*os.File{h.listener}
	h.cmd.Stderr = os.Stderr
	must(h.t, h.cmd.Start())
	h.t.Cleanup(func() { h.end(unix.SIGKILL) })
	message := make([]byte, 64)
	n, err := unix.Read(manager, message)
	if string(message[:max(n, 0)]) != "READY=1" || err != nil {
		h.t.Fatalf("notified %q, %v", message[:max(n, 0)], err)
	}
	h.dial()
}

func (h *host) dial() {
	h.t.Helper()
	h.records, h.lost = make(chan keeper.Record, 1000), make(chan error, 1)
	records, lost := h.records, h.lost
	client, err := keeper.Dial(h.t.Context(), keeper.ClientConfig{
		Path: h.path, OnRecord: func(r keeper.Record) { records <- r }, OnLost: func(err error) { lost <- err },
	})
	must(h.t, err)
	h.client = client
	h.t.Cleanup(func() { client.Close() })
}

// end ends the keeper with a signal.
func (h *host) end(sig unix.Signal) *os.ProcessState {
	_ = h.cmd.Process.Signal(sig)
	_ = h.cmd.Wait()
	return h.cmd.ProcessState
}

// wait takes records until one is as wanted.
func (h *host) wait(want func(keeper.Record) bool) keeper.Record {
	h.t.Helper()
	deadline := time.After(patience)
	var r keeper.Record
	for {
		select {
		case r = <-h.records:
			if want(r) {
				return r
			}
		case <-deadline:
			h.t.Fatalf("the last record is %+v", r)
		}
	}
}

func exited(r keeper.Record) bool { return r.Exited }

// memfd is an encoded plan.
func memfd(t testing.TB, seal bool, build func(b *plan.Builder)) *os.File {
	t.Helper()
	var b plan.Builder
	build(&b)
	p, err := b.Program()
	must(t, err)
	fd, err := unix.MemfdCreate("plan", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	must(t, err)
	f := os.NewFile(uintptr(fd), "plan")
	t.Cleanup(func() { f.Close() })
	_, err = f.Write(p.Encode())
	must(t, err)
	if seal {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, launch.Seals)
		must(t, err)
	}
	return f
}

// container waits at PointCreated for a byte, then runs a script with its handle as stdout.
func container(script string) func(b *plan.Builder) {
	return func(b *plan.Builder) {
		start, out := b.Handle("start"), b.Handle("stdout")
		b.Call("set stdout", unix.SYS_DUP3, out.Arg(), plan.Lit(1), plan.Lit(0))
		b.Point("created", plan.PointCreated)
		b.Call("wait for start", unix.SYS_READ, start.Arg(), b.Bytes(make([]byte, 8)), plan.Lit(1)).With(plan.NonZero)
		b.Call("exec", unix.SYS_EXECVE, b.String("/bin/sh"), b.Pointers([]string{"sh", "-c", script}), b.Pointers([]string{"PATH=/bin:/usr/bin"}))
	}
}

// created launches a container and waits until it is created.
func (h *host) created(key, script string) (l keeper.Launched, start, stdout *os.File) {
	h.t.Helper()
	startReader, start := pipe(h.t)
	stdout, stdoutWriter := pipe(h.t)
	l, err := h.client.Launch(h.t.Context(), keeper.LaunchRequest{
		Key: key, Plan: memfd(h.t, true, container(script)), Handles: []*os.File{startReader, stdoutWriter},
	})
	must(h.t, err)
	h.t.Cleanup(func() {
		_ = unix.PidfdSendSignal(int(l.PIDFD.Fd()), unix.SIGKILL, nil, 0)
		l.PIDFD.Close()
	})
	must(h.t, startReader.Close())
	must(h.t, stdoutWriter.Close())
	r := h.wait(func(r keeper.Record) bool { return r.Key == key })
	if r.Point != plan.PointCreated || r.Executed || r.Exited || r.PID != l.PID {
		h.t.Fatalf("record %+v", r)
	}
	return l, start, stdout
}

func pipe(t testing.TB) (reader, writer *os.File) {
	t.Helper()
	var fds [2]int
	must(t, unix.Pipe2(fds[:], unix.O_CLOEXEC))
	reader, writer = os.NewFile(uintptr(fds[0]), "reader"), os.NewFile(uintptr(fds[1]), "writer")
	t.Cleanup(func() { reader.Close(); writer.Close() })
	return reader, writer
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestContainer(t *testing.T) {
	h := newHost(t)
	_, start, stdout := h.created("web", `ls /proc/self/fd | tr '\n' ' '; grep SigIgn /proc/self/status; exit 42`)
	_, err := start.Write([]byte{1})
	must(t, err)
	text, err := io.ReadAll(stdout)
	must(t, err)
	if want := "0 1 2 3 SigIgn:\t0000000000000000\n"; string(text) != want { // 3 is the directory that ls reads
		t.Errorf("payload sees %q, want %q", text, want)
	}
	r := h.wait(exited)
	if r.Code != 42 || !r.Executed || r.Failed || r.StartedUSec == 0 || r.FinishedUSec < r.StartedUSec || r.MaxRSSBytes == 0 {
		t.Errorf("record %+v", r)
	}
	must(t, h.client.Forget(t.Context(), "web"))
}

func TestKilledBeforeStart(t *testing.T) {
	h := newHost(t)
	h.created("web", "exit 0")
	must(t, h.client.Kill(t.Context(), "web", unix.SIGKILL))
	if r := h.wait(exited); r.Signal != 9 || r.Code != -1 || r.Executed || r.Failed || r.StartedUSec != 0 {
		t.Errorf("record %+v", r)
	}
}

func TestFailedStep(t *testing.T) {
	h := newHost(t)
	_, err := h.client.Launch(t.Context(), keeper.LaunchRequest{Key: "web", Plan: memfd(t, true, func(b *plan.Builder) {
		b.Call(`chdir "/nonexistent"`, unix.SYS_CHDIR, b.String("/nonexistent"))
		b.Call("exec", unix.SYS_EXECVE, b.String("/bin/true"), b.Pointers([]string{"true"}), b.Pointers(nil))
	})})
	must(t, err)
	r := h.wait(exited)
	if !r.Failed || r.FailedOp != 0 || r.Errno != unix.ENOENT || r.Text != `chdir "/nonexistent": no such file or directory (step 1 of 2)` || r.Executed {
		t.Errorf("record %+v", r)
	}
}

func TestRefusedPlans(t *testing.T) {
	h := newHost(t)
	notPlan, _ := pipe(t)
	for name, test := range map[string]struct {
		plan *os.File
		text string
	}{
		"not sealed":  {memfd(t, false, container("exit")), "not sealed"},
		"no handles":  {memfd(t, true, container("exit")), "0 handles given, it takes 2"},
		"not a memfd": {notPlan, "not a memfd"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.client.Launch(t.Context(), keeper.LaunchRequest{Key: "web", Plan: test.plan})
			var remote *keeper.RemoteError
			if !errors.As(err, &remote) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("error %v, want %q", err, test.text)
			}
		})
	}
	if all, err := h.client.List(t.Context()); len(all) != 0 || err != nil {
		t.Errorf("records %+v, %v", all, err)
	}
}

// TestKeeperEnds ends the keeper while one container waits for its start and one runs. The client is told although
// children of the keeper live, the containers do not notice, and the next keeper knows nothing of them.
func TestKeeperEnds(t *testing.T) {
	for name, sig := range map[string]unix.Signal{"killed": unix.SIGKILL, "terminated": unix.SIGTERM} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			_, start, stdout := h.created("waits", "echo started")
			running, startRunning, _ := h.created("runs", "exec sleep 1000")
			_, err := startRunning.Write([]byte{1})
			must(t, err)
			h.wait(func(r keeper.Record) bool { return r.Key == "runs" && r.Executed })
			h.end(sig)
			select {
			case err := <-h.lost:
				if !errors.Is(err, keeper.ErrLost) {
					t.Errorf("OnLost(%v)", err)
				}
			case <-time.After(patience):
				t.Fatal("the client was not told")
			}
			must(t, unix.PidfdSendSignal(int(running.PIDFD.Fd()), 0, nil, 0))
			_, err = start.Write([]byte{1})
			must(t, err)
			if text, err := io.ReadAll(stdout); string(text) != "started\n" || err != nil {
				t.Errorf("read %q, %v", text, err)
			}
			h.start()
			if all, err := h.client.List(t.Context()); len(all) != 0 || err != nil {
				t.Errorf("records %+v, %v", all, err)
			}
		})
	}
}

// TestMemory measures the real binary: idle, and after many containers.
func TestMemory(t *testing.T) {
	const budget = 6 << 20
	h := newHost(t)
	idle := resident(t, h.cmd.Process.Pid)
	const n = 300
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	exit := memfd(t, true, func(b *plan.Builder) {
		b.Call("exit", unix.SYS_EXIT, plan.Lit(3))
	})
	for i := range n {
		l, err := h.client.Launch(ctx, keeper.LaunchRequest{Key: strconv.Itoa(i), Plan: exit})
		must(t, err)
		l.PIDFD.Close()
	}
	for range n {
		if r := h.wait(exited); r.Code != 3 || r.Executed {
			t.Fatalf("record %+v", r)
		}
	}
	after := resident(t, h.cmd.Process.Pid)
	t.Logf("resident: idle %d KiB, after %d processes %d KiB", idle>>10, n, after>>10)
	if idle > budget || after > budget {
		t.Errorf("the budget is %d KiB", budget>>10)
	}
}

func resident(t testing.TB, pid int) (bytes int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	must(t, err)
	_, rest, _ := strings.Cut(string(text), "Rss:")
	_, err = fmt.Sscan(rest, &bytes)
	must(t, err)
	return bytes << 10
}

// BenchmarkLaunch is a whole process: launch of /bin/true, its exit, forget.
func BenchmarkLaunch(b *testing.B) {
	h := newHost(b)
	script := memfd(b, true, func(p *plan.Builder) {
		p.Call("exec", unix.SYS_EXECVE, p.String("/bin/true"), p.Pointers([]string{"true"}), p.Pointers(nil))
	})
	for b.Loop() {
		l, err := h.client.Launch(b.Context(), keeper.LaunchRequest{Key: "a", Plan: script})
		must(b, err)
		must(b, l.PIDFD.Close())
		h.wait(exited)
		must(b, h.client.Forget(b.Context(), "a"))
	}
}
