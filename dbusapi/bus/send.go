package bus

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"
)

// Method names a method of an object of somebody else.
type Method struct {
	Destination, Path, Interface, Member string
	// Flags are the header flags, for example dbus.FlagNoAutoStart.
	Flags dbus.Flags
}

// Call calls a method and returns the values of its reply. The error of an error reply is a dbus.Error, of a lost
// connection what Err says, of a context its cause.
func (c *Conn) Call(ctx context.Context, method Method, args ...any) ([]any, error) {
	answer := make(chan *Message, 1)
	serial, err := c.expect(answer)
	if err != nil {
		return nil, err
	}
	defer c.take(serial)
	err = c.send(serial, dbus.TypeMethodCall, method.Flags, fields{
		dbus.FieldDestination: method.Destination,
		dbus.FieldPath:        dbus.ObjectPath(method.Path),
		dbus.FieldInterface:   method.Interface,
		dbus.FieldMember:      method.Member,
	}, args)
	if err != nil {
		return nil, err
	}
	select {
	case m := <-answer:
		return m.result()
	case <-c.done:
		return nil, c.Err()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// CallBus calls a method of the bus daemon.
func (c *Conn) CallBus(ctx context.Context, member string, args ...any) ([]any, error) {
	return c.Call(ctx, Method{Destination: daemon, Path: daemonPath, Interface: daemon, Member: member}, args...)
}

// Post calls a method and wants no reply.
func (c *Conn) Post(method Method, args ...any) error {
	return c.send(c.next(), dbus.TypeMethodCall, method.Flags|dbus.FlagNoReplyExpected, fields{
		dbus.FieldDestination: method.Destination,
		dbus.FieldPath:        dbus.ObjectPath(method.Path),
		dbus.FieldInterface:   method.Interface,
		dbus.FieldMember:      method.Member,
	}, args)
}

// Emit sends a signal to whom it interests.
func (c *Conn) Emit(path, iface, member string, args ...any) error {
	return c.send(c.next(), dbus.TypeSignal, 0, fields{
		dbus.FieldPath:      dbus.ObjectPath(path),
		dbus.FieldInterface: iface,
		dbus.FieldMember:    member,
	}, args)
}

// Reply answers the call m with values. A call that wants no reply gets none.
func (c *Conn) Reply(m *Message, values ...any) error {
	return c.answer(m, dbus.TypeMethodReply, fields{}, values)
}

// ReplyError answers the call m with an error.
func (c *Conn) ReplyError(m *Message, name, text string) error {
	return c.answer(m, dbus.TypeError, fields{dbus.FieldErrorName: name}, []any{text})
}

func (c *Conn) answer(m *Message, kind dbus.Type, header fields, values []any) error {
	if m.Flags&dbus.FlagNoReplyExpected != 0 {
		return nil
	}
	header[dbus.FieldReplySerial] = m.Serial
	if m.Sender != "" {
		header[dbus.FieldDestination] = m.Sender
	}
	return c.send(c.next(), kind, dbus.FlagNoReplyExpected, header, values)
}

type fields map[dbus.HeaderField]any

// expect registers a caller and returns the serial its call must have.
func (c *Conn) expect(answer chan *Message) (uint32, error) {
	serial := c.next()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	c.calls[serial] = answer
	return serial, nil
}

// next is the next serial, which must not be 0.
func (c *Conn) next() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.serial++; c.serial == 0 {
		c.serial = 1
	}
	return c.serial
}

// serialOffset is where the serial is in a message. godbus keeps the field to itself and writes 0 there.
const serialOffset = 8

func (c *Conn) send(serial uint32, kind dbus.Type, flags dbus.Flags, header fields, args []any) error {
	m := dbus.Message{Type: kind, Flags: flags, Headers: make(map[dbus.HeaderField]dbus.Variant, len(header)+1), Body: args}
	for field, value := range header {
		m.Headers[field] = dbus.MakeVariant(value)
	}
	if len(args) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(args...))
	}
	var data bytes.Buffer
	if _, err := m.EncodeToWithFDs(&data, binary.LittleEndian); err != nil {
		return fmt.Errorf("encode message: %w", err)
	}
	binary.LittleEndian.PutUint32(data.Bytes()[serialOffset:], serial)

	c.write.Lock()
	defer c.write.Unlock()
	if err := c.sock.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return c.lost(err)
	}
	if _, err := c.sock.Write(data.Bytes()); err != nil {
		return c.lost(err)
	}
	return nil
}

// lost ends the connection after a write error: half a message cannot be taken back.
func (c *Conn) lost(err error) error {
	c.fail(fmt.Errorf("write to bus: %w", err))
	return c.Err()
}
