package launch

import (
	"errors"
	"fmt"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/plan"
)

// MaxPlan is the size of the largest encoded plan, in bytes.
const MaxPlan = 16 << 20

// Seals are what a plan's memfd must have: nobody changes it any more.
const Seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE

// Process is a child that runs a plan. Its fds are close-on-exec and belong to
// whoever called Start.
type Process struct {
	PID   int
	PIDFD int
	// Report is the non-blocking read end of the report pipe, for ReadEvent.
	Report int
}

// PlanError is a plan that failed before the process which should run the
// user's program existed.
type PlanError struct {
	Op    int
	Errno syscall.Errno
	Text  string // what plan.Describe says
}

// Error is the sentence that names the step.
func (e *PlanError) Error() string { return e.Text }

// Unwrap gives the errno.
func (e *PlanError) Unwrap() error { return e.Errno }

// Load reads an encoded plan from a sealed memfd. See memfd_create(2).
func Load(memfd int) (*plan.Program, error) {
	seals, err := unix.FcntlInt(uintptr(memfd), unix.F_GET_SEALS, 0)
	if err != nil {
		return nil, fmt.Errorf("load plan: its fd is not a memfd: %w", err)
	}
	if seals&Seals != Seals {
		return nil, fmt.Errorf("load plan: %w: the memfd is not sealed (seals %#x)", plan.ErrInvalid, seals)
	}
	var st unix.Stat_t
	if err := unix.Fstat(memfd, &st); err != nil {
		return nil, fmt.Errorf("load plan: %w", err)
	}
	if st.Size > MaxPlan {
		return nil, fmt.Errorf("load plan: %w: %d bytes, at most %d are taken", plan.ErrInvalid, st.Size, MaxPlan)
	}
	b := make([]byte, st.Size)
	n, err := unix.Pread(memfd, b, 0)
	if err != nil {
		return nil, fmt.Errorf("load plan: %w", err)
	}
	p, err := plan.Decode(b[:n])
	if err != nil {
		return nil, fmt.Errorf("load plan: %w", err)
	}
	return p, nil
}

// Start forks a child that runs p. handles are the fds for p.Handles, in
// order; they stay the caller's, and the child holds no other fd of ours.
// The child's parent is the calling process, also when the plan has a Fork op.
//
// Start runs p's relocations in place: a Program starts once.
func Start(p *plan.Program, handles []int) (Process, error) {
	if len(handles) != len(p.Handles) {
		return Process{}, fmt.Errorf("start plan: %d handles given, it takes %d: %q", len(handles), len(p.Handles), p.Handles)
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return Process{}, fmt.Errorf("start plan: make report pipe: %w", err)
	}
	c := newChild(p, handles, pipe[1])
	pid, errno := c.start(p)
	unix.Close(pipe[1])
	if errno != 0 {
		unix.Close(pipe[0])
		return Process{}, fmt.Errorf("start plan: fork: %w", errno)
	}
	proc := Process{PID: int(pid), PIDFD: int(c.pidfd), Report: pipe[0]}
	if p.Forks() {
		if err := proc.follow(p); err != nil {
			return Process{}, err
		}
	}
	if err := unix.SetNonblock(proc.Report, true); err != nil {
		return Process{}, errors.Join(fmt.Errorf("start plan: %w", err), proc.destroy())
	}
	return proc, nil
}

// gaps are the ranges of fd numbers from 3 on that are not in keep.
func gaps(keep []int) [][2]uint32 {
	slices.Sort(keep)
	var out [][2]uint32
	next := 3
	for _, fd := range keep {
		if fd > next {
			out = append(out, [2]uint32{uint32(next), uint32(fd - 1)})
		}
		next = max(next, fd+1)
	}
	return append(out, [2]uint32{uint32(next), ^uint32(0)})
}

// nofile is the RLIMIT_NOFILE a payload starts with. The Go runtime raises our
// own soft limit to the hard one; programs that use select(2) break when they
// inherit that, so it goes back to the kernel's and systemd's default.
func nofile() unix.Rlimit {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return unix.Rlimit{Cur: 1024, Max: 1024}
	}
	limit.Cur = min(1024, limit.Max)
	return limit
}

// follow waits for the Fork op: proc becomes the sibling, the process that was
// cloned first is reaped.
func (proc *Process) follow(p *plan.Program) error {
	kind, op, value, err := readRecord(proc.Report)
	first := *proc
	reapErr := first.reap()
	switch {
	case err != nil || kind == 0:
		err = errors.Join(err, fmt.Errorf("start plan: the child ended before it forked"))
	case kind == kindFailed:
		errno := syscall.Errno(value)
		err = &PlanError{Op: int(op), Errno: errno, Text: p.Describe(int(op), errno)}
	case kind == kindForked:
		proc.PID = int(value)
		proc.PIDFD, err = unix.PidfdOpen(proc.PID, 0)
		if err == nil {
			unix.CloseOnExec(proc.PIDFD)
			unix.Close(first.PIDFD)
			return nil
		}
		err = fmt.Errorf("start plan: open pidfd of %d: %w", value, err)
	default:
		err = fmt.Errorf("start plan: %w: the child told %d before it forked", syscall.EBADMSG, kind)
	}
	unix.Close(first.PIDFD)
	unix.Close(first.Report)
	return errors.Join(err, reapErr)
}

// reap waits for the end of the process, which is certain and near.
func (proc *Process) reap() error {
	for {
		err := unix.Waitid(unix.P_PIDFD, proc.PIDFD, nil, unix.WEXITED, nil)
		if err != unix.EINTR {
			return err
		}
	}
}

// destroy kills and reaps the process and closes its fds.
func (proc *Process) destroy() error {
	err := unix.PidfdSendSignal(proc.PIDFD, unix.SIGKILL, nil, 0)
	err = errors.Join(err, proc.reap())
	unix.Close(proc.PIDFD)
	unix.Close(proc.Report)
	return err
}
