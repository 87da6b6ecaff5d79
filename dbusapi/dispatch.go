package dbusapi

import (
	"context"
	"errors"
	"strings"

	"github.com/berth-project/berth/dbusapi/bus"
	"github.com/berth-project/berth/dbusapi/wire"
)

// call is one method call on its way.
type call struct {
	conn   *bus.Conn
	msg    *bus.Message
	object object
	iface  *wire.Interface
	method *wire.Method
	handle handler
	args   []any
	peer   *peer
}

// handler does what a method does and returns the values of the reply.
type handler func(ctx context.Context, s *Server, c *call) ([]any, error)

// onCall is called by the connection's reader. It refuses what can be refused without decoding anything, and hands
// the rest to a goroutine of its own, as many as the limits allow.
func (s *Server) onCall(conn *bus.Conn, m *bus.Message) {
	c := &call{conn: conn, msg: m, object: parsePath(m.Path)}
	if err := s.admit(c); err != nil {
		s.refuse(c, err)
		m.Release()
		return
	}
	if !c.takesFiles() {
		m.Release()
	}
	slot := c.slot()
	if !s.spawn(func() {
		defer s.peers.leave(c.peer, slot)
		defer m.Release()
		s.serve(c)
	}) {
		s.peers.leave(c.peer, slot)
		m.Release()
	}
}

func (s *Server) admit(c *call) error {
	if err := s.lookup(c); err != nil {
		return err
	}
	if c.msg.TooBig {
		return refusal(wire.ErrorLimitsExceeded, "call %s: the message is too big", c.method.Name)
	}
	if want := wire.Signature(c.method.In); c.msg.Signature != want {
		return refusal(wire.ErrorInvalidArgs, "call %s: arguments of type %q, must be %q (%s)",
			c.method.Name, c.msg.Signature, want, argNames(c.method.In))
	}
	var err error
	c.peer, err = s.peers.enter(c.msg.Sender, c.slot())
	return err
}

func argNames(args []wire.Arg) string {
	names := make([]string, len(args))
	for n, a := range args {
		names[n] = a.Name
	}
	return strings.Join(names, ", ")
}

// lookup finds the method in the table. A call without an interface gets the first that has the method.
func (s *Server) lookup(c *call) error {
	interfaces, m := s.objects[c.object.kind], c.msg
	known := m.Interface == ""
	for n := range interfaces {
		i := &interfaces[n]
		if m.Interface != "" && m.Interface != i.Name {
			continue
		}
		known = true
		if method := i.Method(m.Member); method != nil {
			c.iface, c.method, c.handle = i, method, s.handlers[i.Name+"."+method.Name]
			return nil
		}
	}
	switch {
	case c.object.kind == kindNothing:
		return refusal(wire.ErrorUnknownObject, "no object at %q", m.Path)
	case !known:
		return refusal(wire.ErrorUnknownInterface, "object %q has no interface %q", m.Path, m.Interface)
	}
	return refusal(wire.ErrorUnknownMethod, "object %q has no method %q in interface %q", m.Path, m.Member, m.Interface)
}

// slot is what the call occupies while it runs.
func (c *call) slot() slot {
	if c.is("Wait") {
		return slotWait
	}
	return slotCall
}

// takesFiles reports whether descriptors of the message can be of use.
func (c *call) takesFiles() bool { return c.is("Create") }

func (c *call) is(method string) bool {
	return c.method.Name == method && (c.iface.Name == wire.ManagerInterface || c.iface.Name == wire.ContainerInterface)
}

func (s *Server) serve(c *call) {
	var err error
	if c.args, err = c.msg.Body(); err != nil {
		s.refuse(c, refusal(wire.ErrorInvalidArgs, "call %s: %v", c.method.Name, err))
		return
	}
	values, err := c.handle(c.peer.ctx, s, c)
	if err != nil {
		s.refuse(c, err)
		return
	}
	s.sent(c, c.conn.Reply(c.msg, values...))
}

func (s *Server) refuse(c *call, err error) {
	if errors.Is(err, context.Canceled) && (c.peer == nil || c.peer.ctx.Err() != nil) {
		return // the caller left, or we do; see Close
	}
	name, known := errorName(err)
	if !known {
		s.cfg.Logger.Error("call failed", "method", c.msg.Interface+"."+c.msg.Member, "path", c.msg.Path, "error", err)
	}
	s.sent(c, c.conn.ReplyError(c.msg, name, text(err.Error())))
}

// sent notes an answer that could not be encoded; a lost connection is reported by Done.
func (s *Server) sent(c *call, err error) {
	if err != nil && c.conn.Err() == nil {
		s.cfg.Logger.Error("answer not sent", "method", c.msg.Interface+"."+c.msg.Member, "error", err)
	}
}

// text makes s a string that D-Bus accepts: what comes from a process or a file may be any bytes.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// arg is argument n, which admit has checked to be of that type.
func arg[T any](c *call, n int) T {
	value, _ := c.args[n].(T)
	return value
}
