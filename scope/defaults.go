package scope

import (
	"time"

	"github.com/berth-project/berth/unit"
)

// DefaultSlice is where containers live unless told otherwise.
const DefaultSlice = "machine.slice"

// DefaultsConfig is what differs between containers in Defaults.
type DefaultsConfig struct {
	Description string
	Slice       string        // empty means DefaultSlice
	StopTimeout time.Duration // between the request to stop and SIGKILL; 0 means systemd's default
	After       []string      // units to start after and stop before, usually berthd.service
}

// Defaults are the properties every container's scope gets: the cgroups below it are the container's
// (Delegate), a failed scope does not keep its name (CollectMode), everything left is killed when it stops
// (KillMode), and CPU, memory, tasks and I/O are counted.
//
// A scope waits for the pending start jobs of the units in After: a service that is itself starting must not
// name itself there and wait for the scope.
func Defaults(c DefaultsConfig) []unit.Property {
	if c.Slice == "" {
		c.Slice = DefaultSlice
	}
	props := []unit.Property{
		unit.Description(c.Description),
		unit.Slice(c.Slice),
		unit.Delegate(true),
		unit.CollectMode("inactive-or-failed"),
		unit.KillMode("control-group"),
		unit.OOMPolicy("continue"),
		unit.CPUAccounting(true),
		unit.MemoryAccounting(true),
		unit.TasksAccounting(true),
		unit.IOAccounting(true),
	}
	if c.StopTimeout > 0 {
		props = append(props, unit.TimeoutStopUSec(uint64(c.StopTimeout.Microseconds())))
	}
	if len(c.After) > 0 {
		props = append(props, unit.After(c.After...))
	}
	return props
}
