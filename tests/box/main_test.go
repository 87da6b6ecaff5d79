package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// programName makes the test binary be the box program.
const programName = "berth-box"

// patience bounds every wait of these tests; it says nothing of how long things take.
const patience = time.Minute

func TestMain(m *testing.M) {
	if strings.HasPrefix(filepath.Base(os.Args[0]), programName) {
		runtime.LockOSThread()
		os.Exit(run(os.Args, os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// requireRoot skips a test that needs to make namespaces and mounts; on CI that is a failure.
func requireRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() == 0 {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatal("needs root")
	}
	t.Skip("needs root")
}

// boxCommand is the box program with the arguments, in its own process group and with no terminal.
func boxCommand(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	requireRoot(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	command := exec.CommandContext(ctx, self, args...)
	command.Args[0] = programName
	command.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	command.WaitDelay = patience
	return command
}

// result is what a box gave.
type result struct {
	status         int
	stdout, stderr string
}

// runCommand runs a box to its end and checks that it left nothing.
func runCommand(t *testing.T, command *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	before := mounts(t)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	group := groupOf(command)
	err := command.Wait()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	checkNothingLeft(t, group, before)
	return result{command.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// startReady starts a box whose command is a shell script, and returns when the script has printed "ready".
func startReady(t *testing.T, script string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	command := boxCommand(t, "--", "sh", "-c", script)
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { command.Process.Kill() })
	lines := bufio.NewReader(output)
	if line, err := lines.ReadString('\n'); line != "ready\n" {
		t.Fatalf("first line is %q (%v), want ready", line, err)
	}
	return command, lines
}

// waitExit waits for the box program, after its output has ended, and gives its state.
func waitExit(t *testing.T, command *exec.Cmd, output io.Reader) *os.ProcessState {
	t.Helper()
	if _, err := io.Copy(io.Discard, output); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil && command.ProcessState == nil {
		t.Fatal(err)
	}
	return command.ProcessState
}

// groupOf is the name of the cgroup of a started box.
func groupOf(command *exec.Cmd) string { return groupName(command.Process.Pid) }

// mounts lists the mounts of the machine.
func mounts(t *testing.T) []string {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(table)), "\n")
	slices.Sort(lines)
	return lines
}

// checkNothingLeft fails the test if a cgroup of the box, and so a process, or a mount more than before is there.
func checkNothingLeft(t *testing.T, group string, before []string) {
	t.Helper()
	tree, err := openHierarchy()
	if err != nil {
		t.Fatal(err)
	}
	defer tree.dir.Close()
	if _, err := os.Stat(tree.path(group)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("cgroup %q is still there (%v)", group, err)
	}
	if after := mounts(t); !slices.Equal(before, after) {
		t.Errorf("mounts were\n%s\nand are\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
}
