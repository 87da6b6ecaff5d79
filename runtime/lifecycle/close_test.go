package lifecycle

import (
	"errors"
	"testing"
	"time"
)

// TestCloseUndoesCreates: the undoing needs to hear of the child's end, so what tells it must outlive the creates.
func TestCloseUndoesCreates(t *testing.T) {
	w := newWorld(t)
	m := w.manager()
	hold := make(chan struct{})
	w.hold["scope started"] = hold
	result := make(chan error, 1)
	go func() {
		_, err := m.Create(t.Context(), CreateRequest{ID: "web", Bundle: w.bundle})
		result <- err
	}()
	w.eventually(func() bool { w.mu.Lock(); defer w.mu.Unlock(); return len(w.scopes) == 1 })
	closed := make(chan struct{})
	go func() { m.Close(); close(closed) }()
	<-m.closing.Done()
	close(hold)
	select {
	case <-closed:
	case <-time.After(undoTimeout / 2):
		t.Fatal("it waits for what it has ended")
	}
	if err := <-result; !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	wantNothing(t, w)
}
