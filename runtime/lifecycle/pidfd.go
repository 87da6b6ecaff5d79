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
func (m *Manager) openPIDFD(pid int, scope string) (*os.File, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", pid, err)
	}
	file := os.NewFile(uintptr(fd), "pidfd")
	group, err := m.controlGroupOf(pid)
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

// ended tells whether the process has ended by now.
func ended(pidfd *os.File) bool {
	return readable(int32(pidfd.Fd())) != 0
}

// readable is what poll(2) says of a pidfd, 0 while the process lives.
func readable(pidfd int32) int16 {
	fds := []unix.PollFd{{Fd: pidfd, Events: unix.POLLIN}}
	n, err := unix.Poll(fds, 0)
	for err == unix.EINTR { // the runtime's own signals do that, even to a poll that does not wait
		n, err = unix.Poll(fds, 0)
	}
	if err != nil || n == 0 {
		return 0
	}
	return fds[0].Revents
}

// waitPIDFD returns when the process has ended. The file stays the caller's.
func waitPIDFD(ctx context.Context, pidfd *os.File) error {
	w, err := newWaiter(pidfd)
	if err != nil {
		return err
	}
	return w.wait(ctx, func(int16) bool { return true })
}

// waiter waits for the end of a process without holding a thread. The runtime's poller takes non-blocking files only,
// and a pidfd must not be made one: that is a flag of the open file, which the keeper shares, whose waitid(2) would
// fail. So an epoll instance of our own stands in for it.
type waiter struct {
	pidfd *os.File // a duplicate
	epoll *os.File
}

func newWaiter(pidfd *os.File) (*waiter, error) {
	fd, err := unix.FcntlInt(pidfd.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("wait for process: duplicate pidfd: %w", err)
	}
	w := &waiter{pidfd: os.NewFile(uintptr(fd), "pidfd")}
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		w.close()
		return nil, fmt.Errorf("wait for process: epoll: %w", err)
	}
	err = errors.Join(
		unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN}),
		unix.SetNonblock(ep, true),
	)
	w.epoll = os.NewFile(uintptr(ep), "epoll")
	if err != nil {
		w.close()
		return nil, fmt.Errorf("wait for process: epoll: %w", err)
	}
	return w, nil
}

func (w *waiter) close() {
	w.pidfd.Close() //nolint:errcheck // a pidfd has nothing to lose
	w.epoll.Close() //nolint:errcheck // nor has an epoll; of nil it is an error
}

// wait waits until done is true of what poll(2) says after the end of the process, and closes the waiter.
func (w *waiter) wait(ctx context.Context, done func(revents int16) bool) error {
	defer w.close()
	conn, err := w.epoll.SyscallConn()
	if err != nil {
		return fmt.Errorf("wait for process: %w", err)
	}
	defer context.AfterFunc(ctx, func() { w.epoll.SetReadDeadline(time.Unix(1, 0)) })() //nolint:errcheck // it is in the poller
	pidfd := int32(w.pidfd.Fd())
	err = conn.Read(func(uintptr) bool {
		revents := readable(pidfd)
		return revents != 0 && done(revents)
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
// since Linux 6.15 a pidfd tells the status after somebody else has reaped the process, as init does here. See
// PIDFD_GET_INFO in include/uapi/linux/pidfd.h. A kernel that does not wake us for the reaping does not tell the
// status either.
func (w *waiter) waitStatus(ctx context.Context, facts kernel.Facts) (keeper.Record, error) {
	r := keeper.Record{Executed: true, Exited: true, Code: -1}
	err := w.wait(ctx, func(revents int16) bool {
		info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
		err := unix.IoctlPidfdInfo(int(w.pidfd.Fd()), &info)
		if err != nil || info.Mask&unix.PIDFD_INFO_EXIT == 0 {
			return revents&unix.POLLHUP != 0 || !facts.AtLeast(6, 15)
		}
		status := unix.WaitStatus(info.Exit_code)
		r.Code = status.ExitStatus() // -1 for a signal
		if status.Signaled() {
			r.Signal = int(status.Signal())
		}
		return true
	})
	r.FinishedUSec = nowUSec()
	return r, err
}
