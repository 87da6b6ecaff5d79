package scope

import "errors"

// Errors of a Manager, to be tested with errors.Is.
var (
	ErrExists       = errors.New("unit name is taken")
	ErrNoSuchUnit   = errors.New("no such unit")
	ErrTimeout      = errors.New("timed out")
	ErrDisconnected = errors.New("bus connection lost")
)

// JobResult is the result of a systemd job.
type JobResult string

// JobError tells that a job ended with another result than "done".
type JobError struct {
	Unit   string
	Result JobResult
}

func (e *JobError) Error() string { return e.Unit + ": job " + string(e.Result) }

// RefusedError tells that systemd refused a request.
type RefusedError struct {
	Unit     string
	Property string // empty when systemd did not say which
	Err      error  // the D-Bus error
}

func (e *RefusedError) Error() string { return e.Unit + ": " + e.Err.Error() }

// Unwrap returns the D-Bus error.
func (e *RefusedError) Unwrap() error { return e.Err }
