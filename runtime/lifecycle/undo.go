package lifecycle

import (
	"context"
	"errors"
)

// undoStack is what has been done, to be undone in reverse.
type undoStack struct {
	steps []func(context.Context) error
}

func (u *undoStack) push(step func(context.Context) error) { u.steps = append(u.steps, step) }

// run undoes every step, also after one that fails.
func (u *undoStack) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, undoTimeout)
	defer cancel()
	var errs []error
	for i := len(u.steps) - 1; i >= 0; i-- {
		errs = append(errs, u.steps[i](ctx))
	}
	u.steps = nil
	return errors.Join(errs...)
}
