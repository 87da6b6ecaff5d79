package client

import (
	"context"
	"math"
	"syscall"
	"time"

	"github.com/berth-project/berth/dbusapi/wire"
	"github.com/godbus/dbus/v5"
)

// Container is one container on the bus. It holds nothing but the path; the container may be gone.
type Container struct {
	client *Client
	path   dbus.ObjectPath
}

// Properties are the properties of org.berth1.Container; see docs/dbus-api.md. Times are microseconds of
// CLOCK_REALTIME, 0 for never. ExitCode is -1 until the container has exited by itself.
type Properties struct {
	ID, Bundle, Status                                    string
	PID                                                   uint32
	ExitCode                                              int32
	ExitSignal                                            uint32
	ExitReason                                            string
	CreatedTimestamp, StartedTimestamp, FinishedTimestamp uint64
	Scope, ControlGroup, InvocationID                     string
	Annotations                                           map[string]string
	Terminal                                              bool
	Log                                                   string
}

// Process is one process of a container.
type Process struct {
	PID     uint32
	Command string
}

// Exit is how a container ended. Code is -1 when a signal ended it; Properties has the signal.
type Exit struct {
	Code   int
	Reason string
}

// Path is the object path.
func (c *Container) Path() string { return string(c.path) }

// Start lets the payload of a created container run.
func (c *Container) Start(ctx context.Context) error { return c.call(ctx, "Start", nil) }

// Kill sends a signal to whom: wire.WhomLeader or wire.WhomAll.
func (c *Container) Kill(ctx context.Context, whom string, signal syscall.Signal) error {
	return c.call(ctx, "Kill", []any{whom, int32(signal)})
}

// Stop asks the payload to end and kills it when timeout has passed. A negative timeout means
// the service's default, 0 kills at once.
func (c *Container) Stop(ctx context.Context, timeout time.Duration) error {
	usec := uint64(math.MaxUint64)
	if timeout >= 0 {
		usec = uint64(timeout.Microseconds())
	}
	return c.call(ctx, "Stop", []any{usec})
}

// Pause freezes every process of the container.
func (c *Container) Pause(ctx context.Context) error { return c.call(ctx, "Pause", nil) }

// Resume is the inverse of Pause.
func (c *Container) Resume(ctx context.Context) error { return c.call(ctx, "Resume", nil) }

// Delete removes a stopped container; with force it kills it first.
func (c *Container) Delete(ctx context.Context, force bool) error {
	return c.call(ctx, "Delete", []any{force})
}

// Wait returns when the container has stopped. It survives berthd, as containers do: when berthd stops, Wait goes
// on when it is back, however long that takes, and does not start it.
func (c *Container) Wait(ctx context.Context) (Exit, error) {
	var (
		code   int32
		reason string
	)
	err := c.call(ctx, "Wait", nil, &code, &reason)
	for Is(err, noReply) {
		if err = c.client.awaitService(ctx); err == nil {
			err = c.call(ctx, "Wait", nil, &code, &reason)
		}
	}
	return Exit{Code: int(code), Reason: reason}, err
}

// State returns the OCI state as JSON.
func (c *Container) State(ctx context.Context) (string, error) {
	var state string
	err := c.read(ctx, "State", &state)
	return state, err
}

// Processes lists the processes of the container.
func (c *Container) Processes(ctx context.Context) ([]Process, error) {
	var processes []Process
	err := c.read(ctx, "Processes", &processes)
	return processes, err
}

// Stats returns the numbers systemd has on the scope, by the name of the property. What is not accounted is
// missing.
func (c *Container) Stats(ctx context.Context) (map[string]uint64, error) {
	var values map[string]dbus.Variant
	if err := c.read(ctx, "Stats", &values); err != nil {
		return nil, err
	}
	stats := make(map[string]uint64, len(values))
	for name, value := range values {
		if number, ok := value.Value().(uint64); ok {
			stats[name] = number
		}
	}
	return stats, nil
}

// Properties reads all properties.
func (c *Container) Properties(ctx context.Context) (Properties, error) {
	values, err := c.client.properties(ctx, c.path, wire.ContainerInterface)
	if err != nil {
		return Properties{}, err
	}
	return decodeProperties(values)
}

func decodeProperties(values map[string]dbus.Variant) (Properties, error) {
	var p Properties
	err := store(values, map[string]any{
		"Id": &p.ID, "Bundle": &p.Bundle, "Status": &p.Status, "Pid": &p.PID,
		"ExitCode": &p.ExitCode, "ExitSignal": &p.ExitSignal, "ExitReason": &p.ExitReason,
		"CreatedTimestamp": &p.CreatedTimestamp, "StartedTimestamp": &p.StartedTimestamp,
		"FinishedTimestamp": &p.FinishedTimestamp, "Scope": &p.Scope, "ControlGroup": &p.ControlGroup,
		"InvocationId": &p.InvocationID, "Annotations": &p.Annotations, "Terminal": &p.Terminal, "Log": &p.Log,
	})
	return p, err
}

func (c *Container) call(ctx context.Context, method string, args []any, out ...any) error {
	return c.client.call(ctx, c.path, wire.ContainerInterface+"."+method, args, out...)
}

func (c *Container) read(ctx context.Context, method string, out ...any) error {
	return c.client.read(ctx, c.path, wire.ContainerInterface+"."+method, nil, out...)
}
