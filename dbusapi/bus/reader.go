package bus

import (
	"fmt"
	"io"
	"net"

	"golang.org/x/sys/unix"
)

// Limits of a message. maxMessage is the specification's; nothing this service understands comes near the others,
// and the header of a message is not checked for size by the bus.
const (
	maxMessage = 1 << 27
	maxFields  = 64 << 10
	maxBody    = 4 << 20
)

// maxControl has room for SCM_MAX_FD (253) descriptors, more than the kernel passes at once. See unix(7).
const maxControl = 16 + 253*4 + 64

// reader reads whole messages. Descriptors arrive with the first byte of their message but may be read earlier, so
// they queue: a message takes as many from the queue as its header says, as libdbus and sd-bus do.
type reader struct {
	sock    *net.UnixConn
	control [maxControl]byte
	queue   []int
}

// next reads one message. An error means that the stream cannot be read any further.
func (r *reader) next() (*Message, error) {
	var head [fixedSize]byte
	if err := r.fill(head[:]); err != nil {
		return nil, err
	}
	f, err := parseFixed(head[:])
	if err != nil {
		return nil, err
	}
	m := &Message{Type: f.kind, Flags: f.flags, Serial: f.serial}
	size := fixedSize + (int(f.fields)+7)&^7
	if f.fields > maxFields {
		return nil, fmt.Errorf("header of %d bytes: %w", f.fields, errHeader)
	}
	m.raw = make([]byte, size)
	copy(m.raw, head[:])
	if err := r.fill(m.raw[fixedSize:]); err != nil {
		return nil, err
	}
	fds, fieldErr := m.parseFields(m.raw[fixedSize:fixedSize+int(f.fields)], f.order)
	if err := r.body(m, int(f.body)); err != nil {
		return nil, err
	}
	if fieldErr != nil {
		return r.unreadable(m)
	}
	if int64(fds) > int64(len(r.queue)) {
		return nil, fmt.Errorf("%d descriptors announced, %d received: %w", fds, len(r.queue), errHeader)
	}
	m.fds = append(m.fds, r.queue[:fds]...)
	r.queue = append(r.queue[:0], r.queue[fds:]...)
	if m.TooBig {
		m.Release()
	}
	return m, nil
}

// unreadable is a message whose header fields the bus let pass but which we do not understand. How many
// descriptors belong to it is not known: the ones read so far, because descriptors never arrive before the last
// byte of the message before them was read and every read ends with its message.
func (r *reader) unreadable(m *Message) (*Message, error) {
	r.closeFDs()
	*m = Message{Type: m.Type, Sender: m.Sender} // fails check
	return m, nil
}

// body reads the body, or skips it when it is too big.
func (r *reader) body(m *Message, size int) error {
	if size > maxBody {
		m.TooBig = true
		return r.skip(size)
	}
	start := len(m.raw)
	m.raw = append(m.raw, make([]byte, size)...)
	return r.fill(m.raw[start:])
}

func (r *reader) skip(size int) error {
	buf := make([]byte, 64<<10)
	for size > 0 {
		n := min(size, len(buf))
		if err := r.fill(buf[:n]); err != nil {
			return err
		}
		size -= n
	}
	return nil
}

// fill reads len(b) bytes and queues the descriptors that come with them.
func (r *reader) fill(b []byte) error {
	for len(b) > 0 {
		// The net package asks for MSG_CMSG_CLOEXEC.
		n, oobn, flags, _, err := r.sock.ReadMsgUnix(b, r.control[:])
		if qerr := r.enqueue(r.control[:oobn]); qerr != nil {
			return qerr
		}
		switch {
		case err != nil:
			return err
		case flags&unix.MSG_CTRUNC != 0:
			return fmt.Errorf("descriptors lost, is RLIMIT_NOFILE reached? %w", unix.EMFILE)
		case n == 0:
			return io.EOF
		}
		b = b[n:]
	}
	return nil
}

func (r *reader) enqueue(control []byte) error {
	if len(control) == 0 {
		return nil
	}
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return fmt.Errorf("parse control message: %w", err)
	}
	for n := range messages {
		if fds, err := unix.ParseUnixRights(&messages[n]); err == nil {
			r.queue = append(r.queue, fds...)
		}
	}
	return nil
}

// closeFDs closes what nobody took.
func (r *reader) closeFDs() {
	for _, fd := range r.queue {
		_ = unix.Close(fd)
	}
	r.queue = r.queue[:0]
}
