package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// enterName is the process that becomes the command in the box.
const enterName = "berth-box-enter"

// commandGroup is the cgroup of the command, beside systemd's own units. Its name is no unit name, so systemd
// lets it be (cg_path_get_unit in src/basic/cgroup-util.c).
const commandGroup = "command"

// exec runs the command of the box and gives its exit status, 128+n if signal n ended it.
func (b *box) exec(signals <-chan os.Signal) (int, error) {
	command, err := b.startCommand()
	if err != nil {
		return 0, fmt.Errorf("start %q: %w", b.opts.command[0], err)
	}
	done := make(chan error, 1)
	go func() { done <- command.Wait() }()
	for seen := map[os.Signal]bool{}; ; {
		select {
		case sig := <-signals:
			if terminalSignal(sig) {
				continue // the terminal has sent it to the command as well
			}
			if seen[sig] {
				sig = os.Kill // asked twice: it does not listen
			}
			seen[sig] = true
			if err := command.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
				return 0, fmt.Errorf("pass signal on: %w", err)
			}
		case err := <-done:
			return exitStatus(command, err)
		}
	}
}

func exitStatus(command *exec.Cmd, err error) (int, error) {
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		return 0, fmt.Errorf("wait for command: %w", err)
	}
	status := command.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}

// terminalSignal tells whether the signal is one that a terminal sends to all of its foreground process group,
// which the command shares with the box program.
func terminalSignal(sig os.Signal) bool {
	if sig != syscall.SIGINT && sig != syscall.SIGQUIT {
		return false
	}
	terminal, err := os.OpenFile("/dev/tty", os.O_RDONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer terminal.Close()
	foreground, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPGRP)
	return err == nil && foreground == unix.Getpgrp()
}

// startCommand forks the command into the pid namespace and a cgroup of the box; in its other namespaces it
// enters itself (see runEnter). It is a child of the box program, which so has its stdio, terminal and exact status.
func (b *box) startCommand() (*exec.Cmd, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("find working directory: %w", err)
	}
	path := b.tree.path(groupName(os.Getpid())) + "/" + commandGroup
	if err := os.Mkdir(path, 0o755); err != nil {
		return nil, err
	}
	group, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer group.Close()
	pidfd := os.NewFile(uintptr(b.pidfd), "init")
	command := &exec.Cmd{
		Path:       "/proc/self/exe",
		Args:       append([]string{enterName, dir}, b.opts.command...),
		Dir:        "/",
		Env:        environment(),
		Stdin:      b.opts.stdin,
		Stdout:     b.opts.stdout,
		Stderr:     b.opts.stderr,
		ExtraFiles: []*os.File{pidfd},
		// No Pdeathsig: Go checks it with getppid(2), which is 0 here. The command dies with its init.
		SysProcAttr: &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd())},
	}
	started := make(chan error, 1)
	go func() {
		// This thread forks into the box from now on: it stays locked, so that Go ends it with the goroutine.
		runtime.LockOSThread()
		if err := unix.Setns(b.pidfd, unix.CLONE_NEWPID); err != nil {
			started <- fmt.Errorf("enter pid namespace: %w", err)
			return
		}
		started <- command.Start()
	}()
	return command, <-started
}

// environment is that of the command: none of the machine's but what a terminal needs, what tests are told by,
// and Berth's own.
func environment() []string {
	env := []string{"PATH=" + searchPath, "HOME=/root", "LANG=C.UTF-8", "BERTH_BOX=1"}
	for _, name := range []string{"TERM", "CI", "BERTH_TEST_UPDATE"} {
		if value, found := os.LookupEnv(name); found {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// runEnter enters the namespaces of the box's init, of which fd 3 is a pidfd, and becomes the command.
func runEnter(args []string, stderr *os.File) int {
	dir, command := args[0], args[1:]
	if err := enterBox(dir); err != nil {
		return report(stderr, err)
	}
	path, err := exec.LookPath(command[0])
	if err == nil {
		err = syscall.Exec(path, command, os.Environ())
	}
	fmt.Fprintf(stderr, "box: execute %q: %v\n", command[0], err)
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return exitNotFound
	}
	return exitCannotRun
}

func enterBox(dir string) error {
	runtime.LockOSThread() // until execve(2), which keeps the namespaces of the calling thread
	unix.CloseOnExec(3)
	// setns(2) into a mount namespace wants a working directory and root of this thread alone.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare working directory: %w", err)
	}
	const spaces = unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET | unix.CLONE_NEWCGROUP
	if err := unix.Setns(3, spaces); err != nil {
		return fmt.Errorf("enter box: %w", err)
	}
	// See protectKernel: PID 1 is past its start, and what runs from now on shall see an ordinary /proc.
	if err := unix.Unmount(protected, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %q: %w", protected, err)
	}
	if err := unix.Chdir(dir); err != nil {
		return fmt.Errorf("enter directory %q: %w (make it visible with -bind)", dir, err)
	}
	return nil
}
