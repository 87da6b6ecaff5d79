package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

// reaperName is the process that outlives the box program, whatever kills that, and clears up after it.
const reaperName = "berth-box-reaper"

// reaper is the handle of that process.
type reaper struct {
	command  *exec.Cmd
	lifeline *os.File // held by the box program alone: its end is the reaper's signal
}

// startReaper starts the reaper for a cgroup that need not exist yet, so that no instant is uncovered.
func startReaper(tree *hierarchy, group string) (*reaper, error) {
	end, lifeline, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make lifeline: %w", err)
	}
	defer end.Close()
	command := &exec.Cmd{
		Path:       "/proc/self/exe",
		Args:       []string{reaperName, group},
		Dir:        "/",
		ExtraFiles: []*os.File{end, tree.dir},
		// Its own session: a ctrl-C at the terminal is not for it.
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if err := command.Start(); err != nil {
		lifeline.Close()
		return nil, fmt.Errorf("start reaper: %w", err)
	}
	return &reaper{command, lifeline}, nil
}

// finish has the reaper do its work now and waits for it.
func (r *reaper) finish() error {
	if err := r.lifeline.Close(); err != nil {
		return fmt.Errorf("close lifeline: %w", err)
	}
	if err := r.command.Wait(); err != nil {
		return fmt.Errorf("clear up: %s: %w", reaperName, err)
	}
	return nil
}

// runReaper is the reaper: fd 3 is its end of the lifeline, fd 4 the cgroup2 tree.
func runReaper(group string) error {
	signal.Ignore(syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP)
	end, tree := os.NewFile(3, "lifeline"), &hierarchy{os.NewFile(4, "cgroup2")}
	if _, err := io.Copy(io.Discard, end); err != nil {
		return fmt.Errorf("wait for end of box: %w", err)
	}
	return tree.remove(group)
}
