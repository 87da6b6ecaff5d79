package keeper

import (
	"context"
	"syscall"
)

// Launcher starts plans.
type Launcher interface {
	// Start starts the plan in the memfd. The handles stay the caller's; Started is the caller's.
	Start(plan int, handles []int) (Started, error)
}

// Started is a process that has been started.
type Started struct {
	PID      int
	PIDFD    int                                             // close-on-exec
	Report   int                                             // read end of the report pipe, non-blocking, close-on-exec
	Describe func(op int, errno syscall.Errno) (text string) // text for a failed op; may be nil
}

// EventKind is the kind of an Event.
type EventKind uint8

// Kinds of events from a report pipe.
const (
	Reached  EventKind = 1 + iota // a named point
	Failed                        // an op
	Executed                      // end of the pipe without failure
)

// Event is what a process reports of its plan.
type Event struct {
	Kind  EventKind
	Point uint32        // Reached
	Op    int           // Failed
	Errno syscall.Errno // Failed
}

// ServerConfig configures Serve.
type ServerConfig struct {
	Listener  int // listening SOCK_SEQPACKET socket; stays the caller's
	Launcher  Launcher
	ReadEvent func(report int) (Event, error) // EAGAIN: nothing now
	// MaxProcesses and MaxConnections are limits; 0 means 4096 and 32.
	MaxProcesses, MaxConnections int
	Ready                        func()       // called once when connections are served; may be nil
	Log                          func(string) // gets what no client can be told; nil discards
}

// Serve serves until ctx ends, which is no error. It leaves the processes alone.
func Serve(ctx context.Context, cfg ServerConfig) error { return syscall.ENOSYS }
