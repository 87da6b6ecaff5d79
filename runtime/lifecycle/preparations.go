package lifecycle

import (
	"container/list"
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// Bounds of the memory that remembered preparations take: together at most 2 MiB.
const (
	maxPreparations = 16
	maxPreparedPlan = 128 << 10 // bytes
)

// preparations remembers what bundles were compiled to: a service that is restarted, or one bundle with many
// containers, is decoded, checked and compiled once. All of that is a function of what the key is made of.
type preparations struct {
	mu    sync.Mutex
	byKey map[[sha256.Size]byte]*list.Element // of *preparation; guarded by mu
	order list.List                           // the newest first; guarded by mu
}

type preparation struct {
	key   [sha256.Size]byte
	value *prepared
}

// preparedKey hashes everything that decides what a container is compiled to.
func preparedKey(config []byte, bundle string, lists ...[]string) (key [sha256.Size]byte) {
	h := sha256.New()
	add := func(s string) {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(s)))) //nolint:errcheck // a hash takes all
		h.Write([]byte(s))                                             //nolint:errcheck // as above
	}
	add(string(config))
	add(bundle)
	for _, l := range lists {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(l)))) //nolint:errcheck // as above
		for _, s := range l {
			add(s)
		}
	}
	h.Sum(key[:0])
	return key
}

func (p *preparations) get(key [sha256.Size]byte) *prepared {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.byKey[key]
	if e == nil {
		return nil
	}
	p.order.MoveToFront(e)
	return e.Value.(*preparation).value
}

func (p *preparations) put(key [sha256.Size]byte, value *prepared) {
	if len(value.plan) > maxPreparedPlan {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byKey == nil {
		p.byKey = map[[sha256.Size]byte]*list.Element{}
	}
	if p.byKey[key] != nil { // two did it at once
		return
	}
	p.byKey[key] = p.order.PushFront(&preparation{key: key, value: value})
	if p.order.Len() > maxPreparations {
		oldest := p.order.Remove(p.order.Back()).(*preparation)
		delete(p.byKey, oldest.key)
	}
}
