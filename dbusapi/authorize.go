package dbusapi

import (
	"context"
	"fmt"
	"time"

	"github.com/berth-project/berth/dbusapi/bus"
	"github.com/berth-project/berth/dbusapi/wire"
	"github.com/berth-project/berth/runtime/lifecycle"
	"github.com/godbus/dbus/v5"
)

// The authority. See polkit(8) and its D-Bus reference, org.freedesktop.PolicyKit1.Authority.
const (
	polkitName      = "org.freedesktop.PolicyKit1"
	polkitPath      = "/org/freedesktop/PolicyKit1/Authority"
	polkitInterface = "org.freedesktop.PolicyKit1.Authority"

	polkitAllowInteraction = 1

	// polkitTimeout bounds an answer that no user has to think about.
	polkitTimeout = 30 * time.Second
)

// polkitSubject names the caller by its bus name: a process id could have become somebody else's by now.
type polkitSubject struct {
	Kind    string
	Details map[string]dbus.Variant
}

// authorize asks whether the caller may do what the method does to this container. asked tells that time has passed:
// what was looked up before must be looked up again.
func (s *Server) authorize(ctx context.Context, c *call, id, bundle string) (caller lifecycle.Caller, asked bool, err error) {
	uid, err := c.uid(ctx)
	if err != nil {
		return caller, false, err
	}
	caller = lifecycle.Caller{UID: uid, Known: true}
	if uid == 0 { // as bus_verify_polkit of systemd
		return caller, false, nil
	}
	if err := s.peers.occupy(c.peer, slotCheck); err != nil {
		return caller, false, err
	}
	defer s.peers.leave(c.peer, slotCheck)
	return caller, true, s.askPolkit(ctx, c, map[string]string{
		"container": id, "bundle": bundle,
		"polkit.message":        "Authentication is required to " + verb(c) + " container '$(container)'.",
		"polkit.gettext_domain": "berth",
	})
}

// uid asks the bus for the caller's user, once per caller.
func (c *call) uid(ctx context.Context) (uint32, error) {
	p := c.peer
	p.lookup.Lock()
	defer p.lookup.Unlock()
	if p.known {
		return p.uid, nil
	}
	reply, err := c.conn.CallBus(ctx, "GetConnectionUnixUser", p.name)
	if err == nil {
		err = dbus.Store(reply, &p.uid)
	}
	switch {
	case ctx.Err() != nil:
		return 0, fmt.Errorf("ask the bus for the user of %q: %w", p.name, context.Cause(ctx))
	case err != nil: // it has left, most likely
		return 0, refusal(wire.ErrorAccessDenied, "ask the bus for the user of %q: %v", p.name, err)
	}
	p.known = true
	return p.uid, nil
}

func (s *Server) askPolkit(ctx context.Context, c *call, details map[string]string) error {
	var flags uint32
	if c.msg.Flags&dbus.FlagAllowInteractiveAuthorization != 0 {
		flags = polkitAllowInteraction
	} else {
		limited, cancel := context.WithTimeout(ctx, polkitTimeout)
		defer cancel()
		ctx = limited
	}
	subject := polkitSubject{"system-bus-name", map[string]dbus.Variant{"name": dbus.MakeVariant(c.peer.name)}}
	cancellation := fmt.Sprintf("%s-%d", c.peer.name, c.msg.Serial)
	var answer struct {
		Authorized, Challenge bool
		Details               map[string]string
	}
	reply, err := c.conn.Call(ctx, polkit("CheckAuthorization"), subject, c.method.Action, details, flags, cancellation)
	if ctx.Err() != nil {
		// Nobody wants the answer any more, so take the question off the user's screen.
		_ = c.conn.Post(polkit("CancelCheckAuthorization"), cancellation)
		return fmt.Errorf("wait for polkit: %w", context.Cause(ctx))
	}
	if err == nil {
		err = dbus.Store(reply, &answer)
	}
	switch {
	case err != nil:
		s.cfg.Logger.Warn("polkit does not answer, so only root may change containers", "error", err)
		return refusal(wire.ErrorAccessDenied, "%s container %q: polkit does not answer, so only root may: %v", verb(c), details["container"], err)
	case answer.Authorized:
		return nil
	case answer.Challenge && flags == 0:
		return refusal(wire.ErrorInteractiveRequired, "%s container %q: action %q needs interactive authorisation",
			verb(c), details["container"], c.method.Action)
	}
	return refusal(wire.ErrorAccessDenied, "%s container %q: action %q is not authorised", verb(c), details["container"], c.method.Action)
}

func polkit(member string) bus.Method {
	return bus.Method{Destination: polkitName, Path: polkitPath, Interface: polkitInterface, Member: member}
}

// verb is the last element of the action's name.
func verb(c *call) string { return c.method.Action[len(wire.BusName)+1:] }
