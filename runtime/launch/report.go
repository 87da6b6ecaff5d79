package launch

import (
	"encoding/binary"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// The records of the report pipe: {kind, op uint32; value uint64}, written
// atomically by the child.
const (
	kindReached uint32 = 1 + iota // value: the point
	kindFailed                    // op: its index; value: the errno
	kindForked                    // value: the sibling's PID
)

const recordSize = 16

// EventKind tells what a report says.
type EventKind uint8

// The kinds of events.
const (
	// Reached: the child has come to a point of the plan.
	Reached EventKind = iota + 1
	// Failed: an op failed; the child has exited.
	Failed
	// Executed: the report pipe is closed and no failure was told, so the
	// user's program runs (or the child was killed: its exit status tells).
	Executed
)

// Event is one report of the child.
type Event struct {
	Kind  EventKind
	Point uint32
	Op    int // index into the plan's ops
	Errno syscall.Errno
}

// ReadEvent reads the next event from the report pipe. With none there now the
// error is EAGAIN. After Failed and Executed there is no more to come.
func ReadEvent(report int) (Event, error) {
	kind, op, value, err := readRecord(report)
	if err != nil {
		return Event{}, err
	}
	switch kind {
	case 0:
		return Event{Kind: Executed}, nil
	case kindReached:
		return Event{Kind: Reached, Point: uint32(value)}, nil
	case kindFailed:
		return Event{Kind: Failed, Op: int(op), Errno: syscall.Errno(value)}, nil
	}
	return Event{}, fmt.Errorf("read report: %w: record of kind %d", syscall.EBADMSG, kind)
}

// readRecord reads one record; kind 0 is the end of file.
func readRecord(fd int) (kind, op uint32, value uint64, err error) {
	var b [recordSize]byte
	for {
		n, err := unix.Read(fd, b[:])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return 0, 0, 0, err
		case n == 0:
			return 0, 0, 0, nil
		case n != recordSize:
			return 0, 0, 0, fmt.Errorf("read report: %w: record of %d bytes", syscall.EBADMSG, n)
		}
		le := binary.LittleEndian
		return le.Uint32(b[0:]), le.Uint32(b[4:]), le.Uint64(b[8:]), nil
	}
}
