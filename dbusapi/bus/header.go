package bus

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/godbus/dbus/v5"
)

// fixedSize is the part of every message that has a fixed size: byte order, type, flags, version, body length,
// serial, and the length of the header fields.
const fixedSize = 16

var errHeader = errors.New("malformed header")

type fixed struct {
	order        binary.ByteOrder
	kind         dbus.Type
	flags        dbus.Flags
	body, fields uint32
	serial       uint32
}

func parseFixed(b []byte) (fixed, error) {
	var f fixed
	switch b[0] {
	case 'l':
		f.order = binary.LittleEndian
	case 'B':
		f.order = binary.BigEndian
	default:
		return f, fmt.Errorf("byte order %q: %w", b[0], errHeader)
	}
	if b[3] != 1 {
		return f, fmt.Errorf("protocol version %d: %w", b[3], errHeader)
	}
	f.kind, f.flags = dbus.Type(b[1]), dbus.Flags(b[2])
	f.body, f.serial, f.fields = f.order.Uint32(b[4:]), f.order.Uint32(b[8:]), f.order.Uint32(b[12:])
	if f.body > maxMessage || f.fields > maxMessage {
		return f, fmt.Errorf("length %d+%d: %w", f.fields, f.body, errHeader)
	}
	return f, nil
}

// parseFields reads the header fields, a(yv), into m and returns how many descriptors the message has. Only the
// four types that fields can have are understood.
func (m *Message) parseFields(b []byte, order binary.ByteOrder) (fds uint32, err error) {
	p := parser{b: b, order: order}
	for p.align(8); len(p.b) > p.at && p.err == nil; p.align(8) {
		code := dbus.HeaderField(p.byte())
		var text string
		var number uint32
		switch sig := p.signature(); sig {
		case "s", "o":
			text = p.take(int(p.uint32()), 1)
		case "g":
			text = p.signature()
		case "u":
			number = p.uint32()
		default:
			return fds, fmt.Errorf("header field %d of type %q: %w", code, sig, errHeader)
		}
		m.setField(code, text, number)
		if code == dbus.FieldUnixFDs {
			fds = number
		}
	}
	return fds, p.err
}

func (m *Message) setField(code dbus.HeaderField, text string, number uint32) {
	switch code {
	case dbus.FieldPath:
		m.Path = text
	case dbus.FieldInterface:
		m.Interface = text
	case dbus.FieldMember:
		m.Member = text
	case dbus.FieldErrorName:
		m.ErrorName = text
	case dbus.FieldSender:
		m.Sender = text
	case dbus.FieldSignature:
		m.Signature = text
	case dbus.FieldReplySerial:
		m.ReplySerial = number
	}
}

// parser reads little pieces of b; after the first error everything is empty.
type parser struct {
	b     []byte
	at    int
	order binary.ByteOrder
	err   error
}

// take reads n bytes and skips a few more.
func (p *parser) take(n, skip int) string {
	if p.err != nil || n < 0 || n+skip > len(p.b)-p.at {
		p.err = errHeader
		return ""
	}
	s := string(p.b[p.at : p.at+n])
	p.at += n + skip
	return s
}

func (p *parser) align(n int) { p.at = min((p.at+n-1)/n*n, len(p.b)) }

func (p *parser) byte() byte {
	if s := p.take(1, 0); s != "" {
		return s[0]
	}
	return 0
}

func (p *parser) uint32() uint32 {
	p.align(4)
	if s := p.take(4, 0); s != "" {
		return p.order.Uint32([]byte(s))
	}
	return 0
}

func (p *parser) signature() string { return p.take(int(p.byte()), 1) }
