package scope

import "time"

// Delays between attempts to reconnect.
const (
	backoffMin = 20 * time.Millisecond
	backoffMax = 2 * time.Second
)

// owner is the state of the goroutine that owns the connection: it notices the loss of the bus and of systemd,
// reconnects, and publishes the link there is. Nothing else touches it.
type owner struct {
	m    *Manager
	bus  bus   // conn is nil while there is none
	link *link // nil while systemd cannot be used

	opening bool             // a goroutine is making a link
	stale   bool             // systemd came or went meanwhile: what it makes may be of no use
	opened  chan openResult  // its result
	backoff time.Duration    // of the last failure
	retry   <-chan time.Time // nil when no attempt is due
}

type openResult struct {
	bus  bus
	link *link
	err  error
}

func newOwner(m *Manager, l *link) *owner {
	return &owner{m: m, bus: l.bus, link: l, opened: make(chan openResult, 1)}
}

func (o *owner) run() {
	defer o.shutdown()
	for {
		var news, gone <-chan struct{}
		if o.bus.conn != nil {
			news, gone = o.bus.inbox.owners.ready, o.bus.conn.Context().Done()
		}
		select {
		case <-o.m.ctx.Done():
			return
		case <-news:
			o.drain()
		case <-gone:
			o.disconnected()
		case r := <-o.opened:
			o.openDone(r)
		case <-o.retry:
			o.retry = nil
			o.open()
		}
	}
}

// drain handles the news of systemd's place on the bus: it left, came, or re-executed itself and came back as
// another connection, which knows nothing of our subscription.
func (o *owner) drain() {
	if o.bus.conn == nil {
		return
	}
	for _, name := range o.bus.inbox.owners.take() {
		o.unlink()
		o.stale = true
		if name != "" {
			o.open()
		}
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
		o.m.publish(nil)
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
			r.bus, r.err = o.m.dial(ctx)
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
		o.m.publish(o.link)
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
