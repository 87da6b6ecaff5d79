package client

import (
	"errors"

	"github.com/godbus/dbus/v5"
)

// Error is an error berthd or the bus sent: one of the names in package wire or of the D-Bus specification.
type Error struct {
	Name    string
	Message string
}

// Error returns the message, which is one sentence for people; without one, the name.
func (e *Error) Error() string {
	if e.Message == "" {
		return e.Name
	}
	return e.Message
}

// Is reports whether err is, or wraps, an Error with this name (wire.ErrorNoSuchContainer ...).
func Is(err error, name string) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Name == name
}

// wireError makes an *Error of what godbus returns for an error reply; other errors stay as they are.
func wireError(err error) error {
	reply, ok := errors.AsType[dbus.Error](err)
	if !ok {
		pointer, ok := errors.AsType[*dbus.Error](err)
		if !ok {
			return err
		}
		reply = *pointer
	}
	e := &Error{Name: reply.Name}
	if len(reply.Body) > 0 {
		e.Message, _ = reply.Body[0].(string)
	}
	return e
}
