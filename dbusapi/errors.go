package dbusapi

import (
	"errors"
	"fmt"

	"github.com/berth-project/berth/dbusapi/wire"
	"github.com/berth-project/berth/runtime/lifecycle"
)

// refused is an error that already knows its name on the bus.
type refused struct{ name, text string }

func (r *refused) Error() string { return r.text }

func refusal(name, format string, args ...any) error {
	return &refused{name: name, text: fmt.Sprintf(format, args...)}
}

// errorNames maps the sentinels of the domain.
func errorNames() []struct {
	err  error
	name string
} {
	return []struct {
		err  error
		name string
	}{
		{lifecycle.ErrNoSuchContainer, wire.ErrorNoSuchContainer},
		{lifecycle.ErrContainerExists, wire.ErrorContainerExists},
		{lifecycle.ErrInvalidState, wire.ErrorInvalidState},
		{lifecycle.ErrInvalidConfig, wire.ErrorInvalidConfig},
		{lifecycle.ErrInvalidArgs, wire.ErrorInvalidArgs},
		{lifecycle.ErrNotSupported, wire.ErrorNotSupported},
		{lifecycle.ErrLimitsExceeded, wire.ErrorLimitsExceeded},
		{lifecycle.ErrUnavailable, wire.ErrorUnavailable},
	}
}

// errorName is the name of err on the bus; known is false for an error nobody foresaw, which is Failed.
func errorName(err error) (name string, known bool) {
	if r, ok := errors.AsType[*refused](err); ok {
		return r.name, true
	}
	for _, e := range errorNames() {
		if errors.Is(err, e.err) {
			return e.name, true
		}
	}
	return wire.ErrorFailed, false
}
