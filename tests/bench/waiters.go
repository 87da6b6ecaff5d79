package main

import (
	"sync"

	"github.com/godbus/dbus/v5"
)

// waiters hands the result of a unit's job to whoever expects it.
type waiters struct {
	mu     sync.Mutex
	byUnit map[string]chan string
}

func (w *waiters) expect(unit string) <-chan string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byUnit == nil {
		w.byUnit = map[string]chan string{}
	}
	done := make(chan string, 1)
	w.byUnit[unit] = done
	return done
}

// dispatch ends when signals is closed, with the connection.
func (w *waiters) dispatch(signals <-chan *dbus.Signal) {
	for s := range signals {
		var id uint32
		var job dbus.ObjectPath
		var unit, result string
		if dbus.Store(s.Body, &id, &job, &unit, &result) != nil {
			continue
		}
		w.mu.Lock()
		done := w.byUnit[unit]
		delete(w.byUnit, unit)
		w.mu.Unlock()
		if done != nil {
			done <- result
		}
	}
}
