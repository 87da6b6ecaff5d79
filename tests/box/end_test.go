package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func inodeOf(info os.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Ino }

// children gives the processes that any thread of a process has forked. See proc(5), /proc/pid/task/tid/children.
func children(t *testing.T, pid int) []int {
	t.Helper()
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, thread := range threads {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, thread.Name()))
		if err != nil {
			continue // a thread that has ended
		}
		for _, field := range strings.Fields(string(text)) {
			child, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, child)
		}
	}
	return pids
}

// child gives the child of a box that has the name.
func child(t *testing.T, box *exec.Cmd, name string) int {
	t.Helper()
	for _, pid := range children(t, box.Process.Pid) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && strings.HasPrefix(string(text), name) {
			return pid
		}
	}
	t.Fatalf("the box has no child %q", name)
	return 0
}

// holdAll opens a pidfd for every descendant of a process.
func holdAll(t *testing.T, pid int) map[int]int {
	t.Helper()
	held := map[int]int{}
	for _, child := range children(t, pid) {
		fd, err := unix.PidfdOpen(child, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		held[child] = fd
		for pid, fd := range holdAll(t, child) {
			held[pid] = fd
		}
	}
	return held
}

// awaitEnd waits until each of the processes has ended.
func awaitEnd(t *testing.T, held map[int]int) {
	t.Helper()
	for pid, fd := range held {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		for {
			n, err := unix.Poll(fds, int(patience.Milliseconds()))
			if err == unix.EINTR {
				continue
			}
			if err != nil || n != 1 {
				t.Errorf("process %d lives on (%v)", pid, err)
			}
			break
		}
	}
}

// busy is a command that has children of its own in and beside its session, all ignoring what can be ignored.
const busy = "trap '' TERM INT HUP; setsid sleep 600 & sleep 600 & systemd-run -q sleep 600; echo ready; wait"

func TestKillLeavesNothing(t *testing.T) {
	before := mounts(t)
	box, output := startReady(t, busy)
	held := holdAll(t, box.Process.Pid)
	if len(held) < 9 {
		t.Fatalf("only %d processes found in the box", len(held))
	}
	if err := box.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	waitExit(t, box, output)
	awaitEnd(t, held)
	checkNothingLeft(t, groupOf(box), before)
}

func TestKillDuringBootLeavesNothing(t *testing.T) {
	before := mounts(t)
	box := boxCommand(t, "-v", "--", "true")
	console, err := box.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := box.Start(); err != nil {
		t.Fatal(err)
	}
	// The first words of PID 1: from here on it is forking.
	if _, err := io.ReadFull(console, make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	held := holdAll(t, box.Process.Pid)
	if err := box.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	waitExit(t, box, console)
	awaitEnd(t, held)
	checkNothingLeft(t, groupOf(box), before)
}

func TestKillWithReaperIsSweptByNext(t *testing.T) {
	before := mounts(t)
	box, output := startReady(t, busy)
	held := holdAll(t, box.Process.Pid)
	if err := unix.Kill(child(t, box, reaperName), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := box.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	waitExit(t, box, output)
	awaitEnd(t, held) // by the parent-death signal
	if got := runCommand(t, boxCommand(t, "--", "true")); got.status != 0 {
		t.Fatalf("the next box: %+v", got)
	}
	checkNothingLeft(t, groupOf(box), before)
}

func TestBoxClearsUpWithoutReaper(t *testing.T) {
	before := mounts(t)
	box, output := startReady(t, "echo ready; exec sleep 600")
	if err := unix.Kill(child(t, box, reaperName), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := box.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := waitExit(t, box, output).ExitCode(); got != 128+15 {
		t.Errorf("status %d, want %d", got, 128+15)
	}
	checkNothingLeft(t, groupOf(box), before)
}

func TestSignalsReachTheCommand(t *testing.T) {
	for _, signal := range []syscall.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT} {
		t.Run(unix.SignalName(signal), func(t *testing.T) {
			before := mounts(t)
			box, output := startReady(t, "echo ready; exec sleep 600")
			if err := box.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			if got := waitExit(t, box, output).ExitCode(); got != 128+int(signal) {
				t.Errorf("status %d, want %d", got, 128+int(signal))
			}
			checkNothingLeft(t, groupOf(box), before)
		})
	}
}

func TestSecondSignalKills(t *testing.T) {
	before := mounts(t)
	box, output := startReady(t, "trap 'echo heard' TERM; echo ready; while :; do sleep 600 & wait; done")
	if err := box.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if line, err := output.ReadString('\n'); line != "heard\n" {
		t.Fatalf("the command says %q (%v), want heard", line, err)
	}
	if err := box.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if got := waitExit(t, box, output).ExitCode(); got != 128+9 {
		t.Errorf("status %d, want %d", got, 128+9)
	}
	checkNothingLeft(t, groupOf(box), before)
}

func TestPowerOffEndsTheBox(t *testing.T) {
	got := runCommand(t, boxCommand(t, "--", "sh", "-c", "systemctl --force --force poweroff; sleep 600"))
	if got.status != 128+9 {
		t.Errorf("status %d, want %d: %s", got.status, 128+9, got.stderr)
	}
}

func TestFailedBootIsExplained(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(root+"/usr/lib/systemd/system-generators", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("usr/lib", root+"/lib"); err != nil {
		t.Fatal(err)
	}
	// A static program that is no systemd, says so on the console and ends.
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root+"/usr/lib/systemd/systemd", busybox, 0o755); err != nil {
		t.Fatal(err)
	}
	got := runCommand(t, boxCommand(t, "-root", root, "--", "true"))
	if got.status != exitBox || !strings.Contains(got.stderr, "its init ended: exit status") {
		t.Errorf("got %+v, want status %d and the end of init", got, exitBox)
	}
}

func TestKeepStaysUntilInterrupted(t *testing.T) {
	before := mounts(t)
	box := boxCommand(t, "-keep", "--", "sh", "-c", "exit 3")
	messages, err := box.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := box.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscanf(messages, "box: kept until interrupted, enter it with: nsenter --target %d --all", &pid); err != nil {
		t.Fatal(err)
	}
	name, err := exec.Command("nsenter", "--target", strconv.Itoa(pid), "--all", "hostname").Output()
	if err != nil || string(name) != hostname+"\n" {
		t.Errorf("host name in the kept box is %q (%v), want %q", name, err, hostname)
	}
	if err := box.Process.Signal(unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	if got := waitExit(t, box, messages).ExitCode(); got != 3 {
		t.Errorf("status %d, want the command's 3", got)
	}
	checkNothingLeft(t, groupOf(box), before)
}

func TestTwoBoxesAtOnce(t *testing.T) {
	before := mounts(t)
	first, output := startReady(t, "echo ready; read line; exit 5")
	second := boxCommand(t, "--", "sh", "-c", "systemctl is-system-running && exit 6")
	if got, err := second.Output(); string(got) != "running\n" || second.ProcessState.ExitCode() != 6 {
		t.Errorf("the second box gave %q (%v), want running and 6", got, err)
	}
	if got := waitExit(t, first, output).ExitCode(); got != 5 {
		t.Errorf("status %d of the first box, want 5", got)
	}
	checkNothingLeft(t, groupOf(first), before)
	checkNothingLeft(t, groupOf(second), before)
}
