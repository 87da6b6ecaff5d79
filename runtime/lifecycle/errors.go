package lifecycle

import (
	"errors"
	"fmt"
)

// The kinds of error, to be tested with errors.Is. The text of an error is one sentence that quotes the value;
// these are never returned naked.
var (
	ErrNoSuchContainer = errors.New("no such container")
	ErrContainerExists = errors.New("container exists")
	ErrInvalidState    = errors.New("invalid state")
	ErrInvalidConfig   = errors.New("invalid configuration")
	ErrInvalidArgs     = errors.New("invalid arguments")
	ErrNotSupported    = errors.New("not supported")
	ErrLimitsExceeded  = errors.New("limits exceeded")
	ErrUnavailable     = errors.New("unavailable") // the keeper or systemd is away; try again
)

// fault is an error of one kind whose text does not repeat the kind's.
type fault struct {
	kind error
	err  error
}

func (f *fault) Error() string { return f.err.Error() }

func (f *fault) Unwrap() []error { return []error{f.kind, f.err} }

// faultf makes an error of the given kind; %w works as in fmt.Errorf.
func faultf(kind error, format string, args ...any) error {
	return &fault{kind: kind, err: fmt.Errorf(format, args...)}
}

// WithKind gives err, which keeps its text, one of the kinds above. It is for those who implement Scopes.
func WithKind(kind, err error) error {
	if err == nil {
		return nil
	}
	return &fault{kind: kind, err: err}
}
