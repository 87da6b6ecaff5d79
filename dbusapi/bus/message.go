package bus

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// Message is one message from the bus. Whoever has it calls Release when its descriptors are not needed any
// more; everything else stays valid.
type Message struct {
	Type                    dbus.Type
	Flags                   dbus.Flags
	Serial, ReplySerial     uint32
	Sender                  string // set by the bus, so it can be trusted
	Path, Interface, Member string
	ErrorName, Signature    string

	// TooBig is set when the body was larger than a service has use for. It was skipped, descriptors too.
	TooBig bool

	raw []byte
	fds []int
}

// ErrNoDescriptor is the cause when a body refers to a descriptor that did not come with the message.
var ErrNoDescriptor = errors.New("no such descriptor in the message")

// Body decodes the arguments. A descriptor is a dbus.UnixFDIndex, an argument for File. Arrays of structures are
// [][]any, see Typed.
func (m *Message) Body() (values []any, err error) {
	if m.Signature == "" {
		return nil, nil
	}
	defer func() {
		// godbus panics with a string where reflection refuses a type, and what comes here is a stranger's.
		if p := recover(); p != nil {
			err = fmt.Errorf("decode message: %v", p)
		}
	}()
	decoded, err := dbus.DecodeMessage(bytes.NewReader(m.raw))
	if err != nil {
		return nil, fmt.Errorf("decode message: %w", err)
	}
	return decoded.Body, nil
}

// File returns a file for a descriptor of the message. Every call makes a new one, close-on-exec, which the
// caller owns.
func (m *Message) File(index dbus.UnixFDIndex, name string) (*os.File, error) {
	if int64(index) >= int64(len(m.fds)) {
		return nil, fmt.Errorf("descriptor %d: %w", index, ErrNoDescriptor)
	}
	fd, err := unix.FcntlInt(uintptr(m.fds[index]), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicate descriptor %d: %w", index, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// Release closes the descriptors.
func (m *Message) Release() {
	for _, fd := range m.fds {
		_ = unix.Close(fd)
	}
	m.fds = nil
}

// result is the reply as Call returns it.
func (m *Message) result() ([]any, error) {
	body, err := m.Body()
	if err != nil {
		return nil, err
	}
	if m.Type == dbus.TypeError {
		return nil, dbus.Error{Name: m.ErrorName, Body: body}
	}
	return body, nil
}

// check says what the header fields lack. See the D-Bus specification, "Message Format".
func (m *Message) check() error {
	switch {
	case m.Type == dbus.TypeMethodCall && (m.Path == "" || m.Member == ""),
		m.Type == dbus.TypeSignal && (m.Path == "" || m.Interface == "" || m.Member == ""),
		m.Type == dbus.TypeMethodReply && m.ReplySerial == 0,
		m.Type == dbus.TypeError && (m.ReplySerial == 0 || m.ErrorName == ""):
		return fmt.Errorf("%s without its header fields", m.Type)
	}
	return nil
}
