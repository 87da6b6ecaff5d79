package scope

import (
	"slices"
	"time"

	"github.com/godbus/dbus/v5"
)

// Delays between attempts to reconnect.
const (
	backoffMin = 20 * time.Millisecond
	backoffMax = 2 * time.Second
)

// owner is the state of the goroutine that owns the connection; nothing else touches it.
type owner struct {
	m       *Manager
	bus     bus           // conn is nil while there is none
	link    *link         // nil while systemd cannot be used
	changed chan struct{} // closed when link becomes usable

	opening bool             // a goroutine is making a link
	stale   bool             // systemd came or went meanwhile: what it makes may be of no use
	opened  chan openResult  // its result
	backoff time.Duration    // of the last failure
	retry   <-chan time.Time // nil when no attempt is due

	jobs     map[string][]*jobWaiter // by unit
	removals map[string][]*removal   // by unit
}

type openResult struct {
	bus  bus
	link *link
	err  error
}

// jobWaiter waits for the end of a job. JobRemoved can come before the reply that tells the job's path, so what
// ends while the path is unknown is remembered.
type jobWaiter struct {
	unit  string
	job   dbus.ObjectPath
	early []jobRemoved
	done  chan JobResult // room for one
}

// removal waits until a unit is unloaded.
type removal struct {
	unit string
	gone chan struct{}
}

func newOwner(m *Manager, l *link) *owner {
	return &owner{
		m: m, bus: l.bus, link: l, changed: make(chan struct{}), opened: make(chan openResult, 1),
		jobs: map[string][]*jobWaiter{}, removals: map[string][]*removal{},
	}
}

func (o *owner) run() {
	defer o.shutdown()
	for {
		var events, gone <-chan struct{}
		if o.bus.conn != nil {
			events, gone = o.bus.inbox.events.ready, o.bus.conn.Context().Done()
		}
		select {
		case <-o.m.ctx.Done():
			return
		case f := <-o.m.reqs:
			o.drain() // a request sees what the bus said before it
			f(o)
		case <-events:
			o.drain()
		case <-gone:
			o.drain()
			o.disconnected()
		case r := <-o.opened:
			o.openDone(r)
		case <-o.retry:
			o.retry = nil
			o.open()
		}
	}
}

// drain handles the signals that have arrived.
func (o *owner) drain() {
	if o.bus.conn == nil {
		return
	}
	for _, ev := range o.bus.inbox.events.take() {
		switch ev := ev.(type) {
		case jobRemoved:
			o.jobRemoved(ev)
		case unitRemoved:
			o.unitRemoved(ev.unit)
		case requestStop:
			if f := o.m.cfg.OnRequestStop; f != nil {
				o.m.calls.put(func() { f(ev.unit) })
			}
		case systemdOwner:
			o.systemdChanged(ev.owner)
		}
	}
}

func (o *owner) jobRemoved(ev jobRemoved) {
	for _, w := range slices.Clone(o.jobs[ev.unit]) { // two who stop a unit get the same job
		switch w.job {
		case "":
			w.early = append(w.early, ev)
		case ev.job:
			w.done <- ev.result
			o.forgetJob(w)
		}
	}
}

// expect tells a waiter its job.
func (o *owner) expect(w *jobWaiter, job dbus.ObjectPath) {
	w.job = job
	for _, ev := range w.early {
		if ev.job == job {
			w.done <- ev.result
			o.forgetJob(w)
			break
		}
	}
	w.early = nil
}

func (o *owner) watchJob(name string) *jobWaiter {
	w := &jobWaiter{unit: name, done: make(chan JobResult, 1)}
	o.jobs[name] = append(o.jobs[name], w)
	return w
}

func (o *owner) forgetJob(w *jobWaiter) { remove(o.jobs, w.unit, w) }

func (o *owner) watchRemoval(name string) *removal {
	r := &removal{name, make(chan struct{})}
	o.removals[name] = append(o.removals[name], r)
	return r
}

func (o *owner) forgetRemoval(r *removal) { remove(o.removals, r.unit, r) }

func (o *owner) unitRemoved(name string) {
	for _, r := range o.removals[name] {
		close(r.gone)
	}
	delete(o.removals, name)
	if f := o.m.cfg.OnRemoved; f != nil && isOurs(name) {
		o.m.calls.put(func() { f(name) })
	}
}

// systemdChanged: systemd left the bus, came, or re-executed itself and came back as another connection, which
// knows nothing of our subscription.
func (o *owner) systemdChanged(name string) {
	o.unlink()
	o.stale = true
	if name != "" && !o.opening {
		o.open()
	}
}

func (o *owner) disconnected() {
	o.unlink()
	o.bus = bus{}
	o.stale = true
	o.m.cfg.Logger.Warn("bus connection lost, reconnecting")
	o.later()
}

// unlink makes the link unusable and tells those that wait on it.
func (o *owner) unlink() {
	if o.link != nil {
		close(o.link.lost)
		o.link = nil
	}
}

// open begins an attempt to get a link, on the connection there is or on a new one.
func (o *owner) open() {
	if o.opening || o.link != nil {
		return
	}
	o.opening, o.stale, o.retry = true, false, nil
	b := o.bus
	o.m.wg.Go(func() {
		ctx, stop := limited(o.m.ctx, linkTimeout)
		defer stop()
		var r openResult
		if r.bus = b; b.conn == nil {
			r.bus, r.err = dial(ctx, o.m.cfg.Address)
		}
		if r.err == nil {
			r.link, r.err = r.bus.open(ctx)
		}
		o.opened <- r
	})
}

func (o *owner) openDone(r openResult) {
	if o.bus.conn == nil {
		o.bus = r.bus
	}
	o.drain() // may make it stale
	o.opening = false
	switch {
	case r.err == nil && !o.stale:
		o.backoff = 0
		o.link = r.link
		close(o.changed)
		o.changed = make(chan struct{})
		if f := o.m.cfg.OnResync; f != nil {
			o.m.calls.put(f)
		}
	case o.stale:
		o.later()
	case undelivered(r.err): // NameOwnerChanged will tell when systemd is there
	default:
		o.m.cfg.Logger.Warn("cannot subscribe to systemd, trying again", "error", r.err)
		o.later()
	}
}

// later plans the next attempt.
func (o *owner) later() {
	o.backoff = min(max(2*o.backoff, backoffMin), backoffMax)
	o.retry = time.After(o.backoff)
}

func (o *owner) shutdown() {
	o.unlink()
	if o.opening {
		if r := <-o.opened; r.bus.conn != nil && r.bus.conn != o.bus.conn {
			r.bus.conn.Close()
		}
	}
	if o.bus.conn != nil {
		o.bus.conn.Close()
	}
}

// remove takes v out of the list under key.
func remove[T comparable](m map[string][]T, key string, v T) {
	list := slices.DeleteFunc(slices.Clone(m[key]), func(x T) bool { return x == v })
	if len(list) == 0 {
		delete(m, key)
		return
	}
	m[key] = list
}
