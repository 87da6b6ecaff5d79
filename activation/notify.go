package activation

import (
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// maxRights is how many descriptors one message carries (SCM_MAX_FD, unix(7)).
const maxRights = 253

// Notifier sends messages to the service manager. A nil Notifier does nothing: the service runs without a manager.
// Its methods may be called from any goroutine.
type Notifier struct{ address unix.SockaddrUnix }

// NewNotifier takes the value of NOTIFY_SOCKET. If it is empty the Notifier is nil and the error os.ErrNotExist,
// which most callers ignore. Other addresses than a path or an abstract socket ("@...") are refused.
func NewNotifier(socket string) (*Notifier, error) {
	if socket == "" {
		return nil, os.ErrNotExist
	}
	if socket[0] != '/' && socket[0] != '@' || len(socket) < 2 {
		return nil, wrap("notify socket "+strconv.Quote(socket), errors.ErrUnsupported)
	}
	return &Notifier{unix.SockaddrUnix{Name: socket}}, nil
}

// Notify sends assignments such as "READY=1" or "STATUS=..." as one message. A newline in one of them is an error.
func (n *Notifier) Notify(assignments ...string) error {
	for _, a := range assignments {
		if strings.IndexByte(a, '\n') >= 0 || strings.IndexByte(a, '=') < 1 {
			return wrap("notify "+strconv.Quote(a), unix.EINVAL)
		}
	}
	return wrap("notify", n.send(strings.Join(assignments, "\n"), nil))
}

// Store puts descriptors into the fd store under a name; they stay the caller's. After a restart they are passed
// with that name. The unit needs FileDescriptorStoreMax=, else systemd closes them silently.
// A name has 1 to 255 printable characters and no colon (fdname_is_valid in systemd's src/basic/fd-util.c).
func (n *Notifier) Store(name string, fds ...int) error {
	if !validName(name) {
		return wrap("store fd under name "+strconv.Quote(name), unix.EINVAL)
	}
	for len(fds) > 0 {
		chunk := fds[:min(len(fds), maxRights)]
		if err := n.send("FDSTORE=1\nFDNAME="+name, chunk); err != nil {
			return wrap("store fd "+strconv.Quote(name), err)
		}
		fds = fds[len(chunk):]
	}
	return nil
}

// Remove takes all descriptors of the name out of the fd store.
func (n *Notifier) Remove(name string) error {
	if !validName(name) {
		return wrap("remove stored fd "+strconv.Quote(name), unix.EINVAL)
	}
	return wrap("remove stored fd "+strconv.Quote(name), n.send("FDSTOREREMOVE=1\nFDNAME="+name, nil))
}

// Barrier returns when the manager has processed all earlier messages, or ctx ends. See sd_notify_barrier(3); systemd
// 246. It travels alone, with the write end of a pipe which the manager closes.
func (n *Notifier) Barrier(ctx context.Context) error {
	if n == nil {
		return nil
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return wrap("notify barrier", err)
	}
	defer reader.Close()
	err = n.sendFile("BARRIER=1", writer)
	err = errors.Join(err, writer.Close())
	if err != nil {
		return wrap("notify barrier", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = reader.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	switch _, err := reader.Read(make([]byte, 1)); {
	case errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return wrap("notify barrier", ctx.Err())
	default:
		return wrap("notify barrier", err)
	}
}

func (n *Notifier) sendFile(message string, file *os.File) error {
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	controlErr := conn.Control(func(fd uintptr) { err = n.send(message, []int{int(fd)}) })
	return errors.Join(controlErr, err)
}

// send opens a socket for each message: they are rare, and nothing is kept that a restart of the manager breaks.
func (n *Notifier) send(message string, fds []int) error {
	if n == nil {
		return nil
	}
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return wrap("socket", err)
	}
	defer unix.Close(socket)
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	for {
		err := unix.Sendmsg(socket, []byte(message), rights, &n.address, unix.MSG_NOSIGNAL)
		if err != unix.EINTR {
			return wrap("send to "+strconv.Quote(n.address.Name), err)
		}
	}
}

// validName is fdname_is_valid of systemd.
func validName(name string) bool {
	if len(name) == 0 || len(name) > 255 {
		return false
	}
	for _, c := range []byte(name) {
		if c < ' ' || c >= 127 || c == ':' {
			return false
		}
	}
	return true
}
