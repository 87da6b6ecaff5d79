package main

import (
	"sync"

	"github.com/berth-project/berth/runtime/lifecycle"
)

// outbox keeps the events of the recovery until there is a bus to publish them on.
type outbox struct {
	mu      sync.Mutex
	notify  func(lifecycle.Event) // guarded by mu; nil before attach
	waiting []lifecycle.Event     // guarded by mu
}

// put is called for one event at a time.
func (o *outbox) put(e lifecycle.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.notify == nil {
		o.waiting = append(o.waiting, e)
		return
	}
	o.notify(e)
}

func (o *outbox) attach(notify func(lifecycle.Event)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range o.waiting {
		notify(e)
	}
	o.notify, o.waiting = notify, nil
}
