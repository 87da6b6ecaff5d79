package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/keeper"
)

// tracee makes this test binary a tracer of that process which never waits; see TestMain.
const tracee = "KEEPER_TEST_TRACEE"

// trace holds the process until stdin ends.
func trace(pid string) {
	runtime.LockOSThread() // the thread is the tracer
	n, _ := strconv.Atoi(pid)
	_, _, errno := syscall.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(n), 0, 0, 0, 0)
	fmt.Println(errno == 0)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// TestTracedZombie has a debugger that takes the exit first and keeps it. The keeper waits without spinning, and gets
// the exact status when the debugger is gone.
func TestTracedZombie(t *testing.T) {
	h := newHost(t)
	l, start, _ := h.created("web", "exec sleep 1000")
	_, err := start.Write([]byte{1})
	must(t, err)
	h.wait(func(r keeper.Record) bool { return r.Executed })
	tracer := exec.Command("/proc/self/exe")
	tracer.Env = append(os.Environ(), tracee+"="+strconv.Itoa(l.PID))
	input, err := tracer.StdinPipe()
	must(t, err)
	output, err := tracer.StdoutPipe()
	must(t, err)
	must(t, tracer.Start())
	t.Cleanup(func() { _ = tracer.Process.Kill(); _ = tracer.Wait() })
	var seized bool
	_, err = fmt.Fscan(output, &seized)
	if !seized || err != nil {
		t.Fatalf("the tracer could not seize: %v", err)
	}
	must(t, h.client.Kill(t.Context(), "web", unix.SIGKILL))
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(l.PIDFD.Fd()), Events: unix.POLLIN}}, int(patience.Milliseconds())); n != 1 {
		t.Fatalf("the process did not end: %v", err)
	}
	before := cpuTime(t, h.cmd.Process.Pid)
	<-time.After(300 * time.Millisecond)
	if used := cpuTime(t, h.cmd.Process.Pid) - before; used > 100*time.Millisecond {
		t.Errorf("the keeper used %v of processor while it waited", used)
	}
	all, err := h.client.List(t.Context())
	if len(all) != 1 || all[0].Exited || err != nil {
		t.Errorf("records %+v, %v", all, err)
	}
	must(t, input.Close())
	if r := h.wait(exited); r.Signal != 9 || !r.Executed {
		t.Errorf("record %+v", r)
	}
}

// cpuTime reads schedstat, whose first number is nanoseconds, of all threads.
func cpuTime(t *testing.T, pid int) (sum time.Duration) {
	t.Helper()
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	must(t, err)
	for _, task := range tasks {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, task.Name()))
		must(t, err)
		var ns time.Duration
		_, err = fmt.Sscan(string(text), &ns)
		must(t, err)
		sum += ns
	}
	return sum
}
