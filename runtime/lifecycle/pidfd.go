package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-project/berth/runtime/keeper"
	"github.com/berth-project/berth/runtime/kernel"
)

// openPIDFD opens a process by number if it is in the scope. The number is looked at after the fd is open: as long
// as the process of the fd is not gone, the number is its own. See pidfd_open(2).
func openPIDFD(pid int, scope string) (*os.File, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	file := os.NewFile(uintptr(fd), "pidfd")
	group, err := controlGroupOf(pid)
	if err == nil {
		if _, ok := scopeGroup(group, scope); !ok {
			err = fmt.Errorf("open process %d: it is in %q, not in %q", pid, group, scope)
		}
	}
	if err == nil {
		err = unix.PidfdSendSignal(fd, 0, nil, 0)
	}
	if err != nil {
		file.Close() //nolint:errcheck // a pidfd has nothing to lose
		return nil, err
	}
	return file, nil
}

// signalLeader signals the leader and nobody else; no error if it is gone.
func (c *Container) signalLeader(sig unix.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pidfd == nil {
		return nil
	}
	err := unix.PidfdSendSignal(int(c.pidfd.Fd()), sig, nil, 0)
	if err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signal process %d: %w", c.rec.PID, err)
	}
	return nil
}

// waitPIDFD returns when the process has ended.
func waitPIDFD(ctx context.Context, pidfd *os.File) error {
	return pollPIDFD(ctx, pidfd, func(int16) bool { return true })
}

// pollPIDFD waits until done is true of what poll(2) says after the end of the process. It waits in the runtime's
// poller, on a file of its own, so that it holds no thread and ctx can end it.
func pollPIDFD(ctx context.Context, pidfd *os.File, done func(revents int16) bool) error {
	fd, err := unix.FcntlInt(pidfd.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return fmt.Errorf("wait for process: duplicate pidfd: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // else os.NewFile keeps it out of the poller
		unix.Close(fd) //nolint:errcheck // nothing was written
		return fmt.Errorf("wait for process: %w", err)
	}
	file := os.NewFile(uintptr(fd), "pidfd")
	defer file.Close() //nolint:errcheck // a pidfd has nothing to lose
	conn, err := file.SyscallConn()
	if err != nil {
		return fmt.Errorf("wait for process: %w", err)
	}
	defer context.AfterFunc(ctx, func() { file.SetReadDeadline(time.Unix(1, 0)) })() //nolint:errcheck // it is in the poller
	err = conn.Read(func(fd uintptr) bool {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 0)
		return err == nil && n > 0 && done(fds[0].Revents)
	})
	switch {
	case ctx.Err() != nil && err != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("wait for process: %w", err)
	}
	return nil
}

// waitStatus waits for the end of a process that the keeper does not know any more, and says what can be known of it:
// since Linux 6.15 a pidfd tells the status after somebody else has reaped the process, as init does here.
// See PIDFD_GET_INFO in include/uapi/linux/pidfd.h.
func waitStatus(ctx context.Context, pidfd *os.File, facts kernel.Facts) (keeper.Record, error) {
	r := keeper.Record{Executed: true, Exited: true, Code: -1}
	err := pollPIDFD(ctx, pidfd, func(revents int16) bool {
		info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
		err := unix.IoctlPidfdInfo(int(pidfd.Fd()), &info)
		if err == nil && info.Mask&unix.PIDFD_INFO_EXIT != 0 {
			status := unix.WaitStatus(info.Exit_code)
			r.Code = status.ExitStatus() // -1 for a signal
			if status.Signaled() {
				r.Signal = int(status.Signal())
			}
			return true
		}
		return revents&unix.POLLHUP != 0 || !facts.AtLeast(6, 15)
	})
	r.FinishedUSec = nowUSec()
	return r, err
}
