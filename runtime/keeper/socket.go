package keeper

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// send sends one packet with descriptors, which stay the caller's. It never blocks (EAGAIN) and never raises SIGPIPE.
func send(socket int, packet []byte, fds []int) error {
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	for {
		err := unix.Sendmsg(socket, packet, rights, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		if err != unix.EINTR {
			return err
		}
	}
}

// receiver has the buffers for receive, which one loop uses again and again.
type receiver struct{ data, control []byte }

func newReceiver(size int) *receiver {
	return &receiver{make([]byte, size), make([]byte, unix.CmsgSpace(maxRights*4))}
}

// receive takes one packet without blocking. The packet is valid until the next call; the descriptors are
// close-on-exec and the caller's. io.EOF tells that the peer has closed; an empty packet looks the same. A packet that
// was cut (MSG_TRUNC, MSG_CTRUNC) or has control messages other than descriptors is errMalformed.
func (r *receiver) receive(socket int) (packet []byte, fds []int, err error) {
	n, cn, flags, err := 0, 0, 0, error(unix.EINTR)
	for err == unix.EINTR {
		n, cn, flags, _, err = unix.Recvmsg(socket, r.data, r.control, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	}
	if err != nil {
		return nil, nil, err
	}
	fds, err = parseRights(r.control[:cn])
	switch {
	case flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0:
		err = errMalformed
	case err == nil && n == 0:
		err = io.EOF
	}
	if err != nil {
		closeAll(fds)
		return nil, nil, err
	}
	return r.data[:n], fds, nil
}

// parseRights returns the descriptors it has found also together with an error.
func parseRights(control []byte) (fds []int, err error) {
	messages, err := unix.ParseSocketControlMessage(control)
	for i := range messages {
		got, rightsErr := unix.ParseUnixRights(&messages[i])
		if rightsErr != nil {
			err = errMalformed
			continue
		}
		fds = append(fds, got...)
	}
	return fds, err
}

func closeAll(fds []int) {
	for _, fd := range fds {
		closeFD(fd)
	}
}

// closeFD closes; on Linux the descriptor is gone whatever close(2) returns.
func closeFD(fd int) {
	if fd >= 0 {
		_ = unix.Close(fd)
	}
}

// retry calls f again as long as a signal interrupts it.
func retry(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
