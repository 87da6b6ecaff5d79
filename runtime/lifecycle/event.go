package lifecycle

import "context"

// EventKind is what happened.
type EventKind uint8

// What happens to a container; for one container created, started, exited and deleted come in this order.
const (
	EventCreated EventKind = iota + 1
	EventStarted
	EventExited
	EventOOM // comes before EventExited
	EventPaused
	EventResumed
	EventDeleted
)

var eventNames = [...]string{
	EventCreated: "created", EventStarted: "started", EventExited: "exited", EventOOM: "oom",
	EventPaused: "paused", EventResumed: "resumed", EventDeleted: "deleted",
}

// String is the word for k, for example "created".
func (k EventKind) String() string {
	if int(k) < len(eventNames) && eventNames[k] != "" {
		return eventNames[k]
	}
	return "unknown"
}

// Event is one thing that happened, with the container as it was just after.
type Event struct {
	Kind   EventKind
	Info   Info
	Caller Caller // who asked for it; not Known when nobody did
}

// Caller is on whose behalf a call is made.
type Caller struct {
	UID   uint32
	Known bool
}

type callerKey struct{}

// WithCaller makes a context that carries c.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerFrom is the caller that ctx carries; the zero Caller when there is none.
func CallerFrom(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}
