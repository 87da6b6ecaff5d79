package keeper

import (
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is a process the keeper has started, until it is forgotten.
type process struct {
	record   Record
	serial   uint64
	pidfd    int // -1 after the exit
	report   int // -1 after its end
	describe func(int, syscall.Errno) string
	discard  bool // forget when reaped
}

// ready takes the report and, if the process has ended, its status. It serves both descriptors.
func (p *process) ready(s *server) {
	before := p.record
	p.readReport(s)
	p.reap(s) // after the report, so that a failure is known when the exit is
	if p.record == before {
		return
	}
	if p.record.Exited && p.discard {
		s.remove(p)
		return
	}
	s.publish(p)
}

// readReport takes all events that are there.
func (p *process) readReport(s *server) {
	for p.report >= 0 {
		event, err := s.cfg.ReadEvent(p.report)
		switch {
		case err == unix.EAGAIN:
			return
		case err == unix.EINTR:
		case err != nil:
			p.failed(0, errnoOf(err), "read report of plan: "+err.Error())
			p.endReport(s)
		case event.Kind == Reached:
			p.record.Point = event.Point
		case event.Kind == Failed:
			p.failed(event.Op, event.Errno, p.text(event.Op, event.Errno))
			p.endReport(s)
		default:
			p.executed()
			p.endReport(s)
		}
	}
}

func (p *process) endReport(s *server) {
	s.drop(p.report)
	p.report = -1
	p.describe = nil // with it the plan is let go
}

func (p *process) failed(op int, errno syscall.Errno, text string) {
	p.record.Failed, p.record.FailedOp, p.record.Errno = true, op, errno
	p.record.Text = text[:min(len(text), maxText)]
}

func (p *process) text(op int, errno syscall.Errno) string {
	if p.describe == nil {
		return "step " + strconv.Itoa(op) + ": " + errno.Error()
	}
	return p.describe(op, errno)
}

// executed is called at the end of the report. A process killed before its exec closes the pipe too, so the kernel is
// asked.
func (p *process) executed() {
	if hasExecuted(p.record.PID) {
		p.record.Executed = true
		p.record.StartedUSec = now()
	}
}

// reap takes the status if the process has ended. The process is ours and not waited for, so its PID cannot belong to
// another one; __WALL because a plan may fork without SIGCHLD. See wait4(2).
func (p *process) reap(s *server) {
	if p.pidfd < 0 {
		return
	}
	var status unix.WaitStatus
	var usage unix.Rusage
	if !p.ended() {
		return
	}
	if p.report >= 0 { // whoever else holds the pipe, the leader's own story is over
		p.readReport(s)
		if p.report >= 0 {
			p.executed()
			p.endReport(s)
		}
	}
	pid := 0
	err := retry(func() (err error) {
		pid, err = unix.Wait4(p.record.PID, &status, unix.WNOHANG|unix.WALL, &usage)
		return err
	})
	if err == nil && pid == 0 {
		return // a tracer has it first; the pidfd wakes us again (edge-triggered, see launch)
	}
	s.drop(p.pidfd)
	p.pidfd = -1
	p.record.exit(status, &usage, err == nil)
}

// ended asks whether the process is a zombie, without taking its status.
func (p *process) ended() bool {
	fds := []unix.PollFd{{Fd: int32(p.pidfd), Events: unix.POLLIN}}
	n := 0
	err := retry(func() (err error) { n, err = unix.Poll(fds, 0); return err })
	return err == nil && n > 0
}

// exit notes the end. Without status (ECHILD) somebody else has reaped, which is a mistake of somebody else.
func (r *Record) exit(status unix.WaitStatus, usage *unix.Rusage, known bool) {
	r.Exited, r.Code, r.FinishedUSec = true, -1, now()
	if !known {
		return
	}
	if status.Exited() {
		r.Code = status.ExitStatus()
	}
	if status.Signaled() {
		r.Signal, r.CoreDumped = int(status.Signal()), status.CoreDump()
	}
	r.CPUTimeUSec = uint64(usage.Utime.Nano()+usage.Stime.Nano()) / 1000
	r.MaxRSSBytes = uint64(usage.Maxrss) << 10
}

func now() uint64 { return uint64(time.Now().UnixMicro()) }

// hasExecuted reads the flags of a process, which may be a zombie, from proc_pid_stat(5). PF_FORKNOEXEC is taken away
// by execve(2) before it closes the close-on-exec descriptors (begin_new_exec in fs/exec.c), and only by it.
func hasExecuted(pid int) bool {
	const forkNoExec = 0x40 // include/linux/sched.h
	text, err := readStat(pid)
	if err != nil {
		return true // reaped by somebody else: then the plan's own word, no failure, counts
	}
	// The command, in parentheses, may contain anything; state, ppid, pgrp, session, tty, tpgid and flags follow it.
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 7 {
		return true
	}
	flags, err := strconv.ParseUint(fields[6], 10, 64)
	return err != nil || flags&forkNoExec == 0
}

// readStat reads the first part of /proc/PID/stat. os.ReadFile would start the runtime's poller.
func readStat(pid int) (string, error) {
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/stat", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer closeFD(fd)
	var b [512]byte
	n, err := unix.Read(fd, b[:])
	return string(b[:max(n, 0)]), err
}
