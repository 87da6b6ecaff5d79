package lifecycle

// Status is where a container is in its life.
type Status string

// The states of a container.
const (
	StatusCreating Status = "creating" // Create is at work; nothing but Info and Wait answers
	StatusCreated  Status = "created"  // everything is set up, the program waits for Start
	StatusRunning  Status = "running"
	StatusPaused   Status = "paused"
	StatusStopped  Status = "stopped" // the leader is gone and its exit is known as well as it ever will be
)

// ExitReason says why a container is stopped; it is empty before.
type ExitReason string

// Why a container is stopped.
const (
	ReasonExit        ExitReason = "exit"         // the leader exited; ExitCode counts
	ReasonSignal      ExitReason = "signal"       // a signal killed the leader; ExitSignal counts
	ReasonOOM         ExitReason = "oom"          // killed for want of memory
	ReasonStopTimeout ExitReason = "stop-timeout" // ignored Stop's signal and was killed
	ReasonWatchdog    ExitReason = "watchdog"     // missed its watchdog
	ReasonUnknown     ExitReason = "unknown"      // nobody saw it exit, or its program could not be executed
)

// Info is an immutable snapshot of a container. Times are CLOCK_REALTIME in microseconds, 0 before the event.
type Info struct {
	ID     string
	Bundle string // absolute
	Status Status

	PID        int // of the leader; 0 once it is gone
	ExitCode   int // the raw code of exit(2); -1 when killed by a signal, unknown, or not exited
	ExitSignal int // the signal that killed the leader, or 0
	ExitReason ExitReason

	CreatedUSec  uint64
	StartedUSec  uint64
	FinishedUSec uint64

	Scope        string // unit name
	ControlGroup string // relative to the cgroup root; empty until known
	InvocationID string // of the scope, 32 hexadecimal digits; empty until known

	Annotations map[string]string // must not be changed
	Terminal    bool
	Log         string // "journald", "none", or "caller" when the caller passed its own stdout and stderr
	OCIVersion  string

	// What was used, once stopped: CPU time and the largest resident set are those of the leader and the children
	// it waited for (getrusage(2)); the peak of memory is that of the control group where it could still be read, and
	// at least the largest resident set.
	CPUTimeUSec, MaxRSSBytes, MemoryPeakBytes uint64
}

// Process is one process of a container.
type Process struct {
	PID     int
	Command string
}

// Stats are measurements keyed with systemd's property names: CPUUsageNSec, MemoryCurrent, MemoryPeak, MemoryMax,
// TasksCurrent, TasksMax, IOReadBytes, IOWriteBytes, IOReadOperations, IOWriteOperations. What the kernel does not tell (a missing
// controller, "max") is absent.
type Stats map[string]uint64
