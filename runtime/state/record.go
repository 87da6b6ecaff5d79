package state

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Version of the records written. Those of a newer version are not read.
const Version = 1

// ErrDamaged is for a record that cannot be understood; the atomic replacement leaves none behind by itself.
var ErrDamaged = errors.New("damaged record")

// Phase is how far a container's life is known to have come.
type Phase string

// The phases. A restart undoes Creating.
const (
	Creating Phase = "creating"
	Created  Phase = "created"
	Starting Phase = "starting" // the start byte was written, or is about to be
	Running  Phase = "running"
	Stopped  Phase = "stopped"
)

// Record is one container. Times are CLOCK_REALTIME in microseconds.
type Record struct {
	Version     int               `json:"version"`
	ID          string            `json:"id"`
	Phase       Phase             `json:"phase"`
	Paused      bool              `json:"paused,omitempty"`
	Deleting    bool              `json:"deleting,omitempty"` // Delete has begun; a restart finishes it
	Bundle      string            `json:"bundle"`
	OCIVersion  string            `json:"ociVersion"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Terminal    bool              `json:"terminal,omitempty"`
	Log         string            `json:"log"`

	PID          int    `json:"pid,omitempty"`
	Scope        string `json:"scope"`
	ControlGroup string `json:"controlGroup,omitempty"`
	InvocationID string `json:"invocationId,omitempty"`

	CreatedUSec  uint64 `json:"createdUSec,omitempty"`
	StartedUSec  uint64 `json:"startedUSec,omitempty"`
	FinishedUSec uint64 `json:"finishedUSec,omitempty"`

	ExitCode    int    `json:"exitCode"`
	ExitSignal  int    `json:"exitSignal,omitempty"`
	ExitReason  string `json:"exitReason,omitempty"`
	CPUTimeUSec uint64 `json:"cpuTimeUSec,omitempty"`
	MaxRSSBytes uint64 `json:"maxRSSBytes,omitempty"`

	MemoryPeakBytes uint64 `json:"memoryPeakBytes,omitempty"`
}

func decode(id string, data []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(data, &r); err != nil {
		return Record{}, fmt.Errorf("read record of %q: %w: %w", id, ErrDamaged, err)
	}
	if r.Version < 1 || r.Version > Version {
		return Record{}, fmt.Errorf("read record of %q: %w: its version is %d, known are 1 to %d", id, ErrDamaged, r.Version, Version)
	}
	if r.ID != id {
		return Record{}, fmt.Errorf("read record of %q: %w: it is of %q", id, ErrDamaged, r.ID)
	}
	switch r.Phase {
	case Creating, Created, Starting, Running, Stopped:
		return r, nil
	}
	return Record{}, fmt.Errorf("read record of %q: %w: phase %q", id, ErrDamaged, r.Phase)
}
