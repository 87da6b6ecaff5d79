package scope

import (
	"errors"
	"fmt"
	"strings"

	"github.com/berth-project/berth/unit"
	"github.com/godbus/dbus/v5"
)

// Errors of a Manager, to be tested with errors.Is.
var (
	// ErrExists: the name belongs to a unit that systemd has loaded; it was not touched.
	ErrExists = errors.New("unit name is taken")
	// ErrNoSuchUnit: systemd has no unit of this name loaded.
	ErrNoSuchUnit = errors.New("no such unit")
	// ErrTimeout: the time given was over before systemd was done.
	ErrTimeout = errors.New("timed out")
	// ErrDisconnected: the bus, or systemd's place on it, was lost in the middle or did not come back in time.
	ErrDisconnected = errors.New("bus connection lost")
	// ErrNoLeader: the process that a scope was to hold has ended.
	ErrNoLeader = errors.New("leader is gone")
	// ErrClosed: the Manager was closed.
	ErrClosed = errors.New("scope manager is closed")
)

// JobResult is the result of a systemd job, as JobRemoved spells it (job_result_table of src/core/job.c). A
// result that a later systemd adds is kept as it is.
type JobResult string

// The results of systemd 252.
const (
	JobDone        JobResult = "done"
	JobCanceled    JobResult = "canceled"
	JobTimeout     JobResult = "timeout"
	JobFailed      JobResult = "failed"
	JobDependency  JobResult = "dependency"
	JobSkipped     JobResult = "skipped"
	JobInvalid     JobResult = "invalid"
	JobAssert      JobResult = "assert"
	JobUnsupported JobResult = "unsupported"
	JobCollected   JobResult = "collected"
	JobOnce        JobResult = "once"
)

// JobError tells that a job ended with another result than "done".
type JobError struct {
	Unit   string
	Result JobResult
}

// Error names the result.
func (e *JobError) Error() string { return fmt.Sprintf("job ended with result %q", string(e.Result)) }

// RefusedError tells that systemd, or the bus on its way, refused a request.
type RefusedError struct {
	Unit     string
	Property string // the property at fault; empty when the answer names none
	Err      error  // the D-Bus error, a dbus.Error
}

// Error is systemd's own sentence, with the property where it is known.
func (e *RefusedError) Error() string {
	if e.Property != "" {
		return fmt.Sprintf("systemd refuses property %q: %v", e.Property, e.Err)
	}
	return fmt.Sprintf("systemd refuses: %v", e.Err)
}

// Unwrap returns the D-Bus error.
func (e *RefusedError) Unwrap() error { return e.Err }

// Names of D-Bus errors (src/libsystemd/sd-bus/bus-common-errors.h, D-Bus specification).
const (
	busUnitExists     = "org.freedesktop.systemd1.UnitExists"
	busNoSuchUnit     = "org.freedesktop.systemd1.NoSuchUnit"
	busNoReply        = "org.freedesktop.DBus.Error.NoReply"
	busServiceUnknown = "org.freedesktop.DBus.Error.ServiceUnknown"
	busNameHasNoOwner = "org.freedesktop.DBus.Error.NameHasNoOwner"
)

// errorName is the D-Bus name of err, or "" if the peer did not send it.
func errorName(err error) string {
	if e, ok := errors.AsType[dbus.Error](err); ok {
		return e.Name
	}
	return ""
}

// undelivered tells that the bus had nobody to give the call to, so that nothing was done.
func undelivered(err error) bool {
	n := errorName(err)
	return n == busServiceUnknown || n == busNameHasNoOwner
}

// callError turns the error of a D-Bus call into one of the package's.
func callError(name string, props []unit.Property, err error) error {
	if isEncoding(err) {
		return fmt.Errorf("encode request: %w", err)
	}
	switch errorName(err) {
	case "", busNoReply: // dbus-daemon says NoReply when the receiver leaves the bus
		return fmt.Errorf("%w: %w", ErrDisconnected, err)
	case busUnitExists:
		return fmt.Errorf("%w: %w", ErrExists, err)
	case busNoSuchUnit:
		return fmt.Errorf("%w: %w", ErrNoSuchUnit, err)
	}
	return &RefusedError{Unit: name, Property: refusedProperty(err, props), Err: err}
}

// isEncoding tells that the request could not be put into a message, for example a string that is not UTF-8.
func isEncoding(err error) bool {
	var format dbus.FormatError
	var message dbus.InvalidMessageError
	return errors.As(err, &format) || errors.As(err, &message)
}

// refusedProperty finds the property that systemd's text is about: the longest of the names it contains.
func refusedProperty(err error, props []unit.Property) string {
	found := ""
	for _, p := range props {
		if len(p.Name) > len(found) && containsWord(err.Error(), p.Name) {
			found = p.Name
		}
	}
	return found
}

// containsWord tells whether word is in s and not inside a longer word.
func containsWord(s, word string) bool {
	isLetter := func(i int) bool {
		return i >= 0 && i < len(s) && (s[i]|0x20 >= 'a' && s[i]|0x20 <= 'z')
	}
	for from := 0; ; {
		i := strings.Index(s[from:], word)
		if i < 0 {
			return false
		}
		i += from
		if !isLetter(i-1) && !isLetter(i+len(word)) {
			return true
		}
		from = i + 1
	}
}
