package dbusapi

import (
	"context"
	"sync"

	"github.com/berth-project/berth/dbusapi/wire"
)

// slot is what a caller can occupy.
type slot uint8

const (
	slotCall  slot = iota // a call that is not a Wait
	slotWait              // a Wait, which may last for ever and costs next to nothing
	slotCheck             // a question to polkit, which may last as long as a user thinks
	slots
)

// limit is how many of a slot there are, for all callers and for each.
type limit struct{ total, each int }

type limits [slots]limit

// defaultLimits lets one client work on some hundred containers at once, and keeps room for others when it does.
func defaultLimits() limits {
	return limits{slotCall: {512, 256}, slotWait: {8192, 4096}, slotCheck: {64, 8}}
}

// maxIdlePeers bounds how many callers are remembered that have no call under way.
const maxIdlePeers = 1024

// peers are the callers, by unique bus name. A caller is remembered until it leaves the bus, for the sake of its uid.
type peers struct {
	ctx    context.Context
	limits limits

	mu   sync.Mutex
	all  map[string]*peer
	used [slots]int
}

// peer is one caller. Its context ends when it leaves the bus or the server closes.
type peer struct {
	name   string
	ctx    context.Context
	cancel context.CancelFunc
	used   [slots]int // guarded by peers.mu

	lookup sync.Mutex // held while the uid is asked for; guards what follows
	uid    uint32
	known  bool
}

func newPeers(ctx context.Context, l limits) *peers {
	return &peers{ctx: ctx, limits: l, all: map[string]*peer{}}
}

// enter occupies a slot for the caller of that name.
func (p *peers) enter(name string, s slot) (*peer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one := p.all[name]
	if p.used[s] >= p.limits[s].total {
		return nil, refusal(wire.ErrorLimitsExceeded, "%d calls under way, try again later", p.used[s])
	}
	if one != nil && one.used[s] >= p.limits[s].each {
		return nil, refusal(wire.ErrorLimitsExceeded, "%d calls of %q under way, try again later", one.used[s], name)
	}
	if one == nil {
		p.forgetIdle()
		one = &peer{name: name}
		one.ctx, one.cancel = context.WithCancel(p.ctx)
		p.all[name] = one
	}
	p.used[s]++
	one.used[s]++
	return one, nil
}

// occupy takes one more slot for a caller who has one already.
func (p *peers) occupy(one *peer, s slot) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.used[s] >= p.limits[s].total || one.used[s] >= p.limits[s].each {
		return refusal(wire.ErrorLimitsExceeded, "too many calls wait for authorisation, try again later")
	}
	p.used[s]++
	one.used[s]++
	return nil
}

func (p *peers) leave(one *peer, s slot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used[s]--
	one.used[s]--
}

// drop forgets the caller of that name, which has left the bus, and cancels what only it waits for.
func (p *peers) drop(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if one := p.all[name]; one != nil {
		one.cancel()
		delete(p.all, name)
	}
}

// forgetIdle makes room for one more caller.
func (p *peers) forgetIdle() {
	if len(p.all) < maxIdlePeers {
		return
	}
	for name, one := range p.all {
		if one.used == [slots]int{} {
			one.cancel()
			delete(p.all, name)
			return
		}
	}
}
