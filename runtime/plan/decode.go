package plan

import (
	"encoding/binary"
	"slices"
)

// Decode reads what Encode wrote. It refuses everything else with an error
// that wraps [ErrInvalid]; what it returns satisfies every invariant, so the
// child needs no check of its own. Each program has one encoded form.
func Decode(b []byte) (*Program, error) {
	if len(b) < headerSize || string(b[:len(magic)]) != magic {
		return nil, invalid("it does not begin with %q", magic)
	}
	le := binary.LittleEndian
	header := b[len(magic):]
	if v := le.Uint32(header); v != Version {
		return nil, invalid("version %d, this build reads %d", v, Version)
	}
	count := func(i int) int { return int(le.Uint32(header[12+4*i:])) }
	ops, relocs, handles, data, text := count(0), count(1), count(2), count(3), count(4)
	if ops > MaxOps || handles > MaxHandles || data > MaxData ||
		len(b)-headerSize != data+ops*opSize+relocs*relocSize+handles*handleSize+text {
		return nil, invalid("its length does not fit its counts")
	}
	d := decoder{rest: b[headerSize:], text: string(b[len(b)-text:])}
	p := &Program{CloneFlags: le.Uint64(header[4:]), Data: slices.Clone(d.take(data))}
	p.Ops = make([]Op, ops)
	for i := range p.Ops {
		d.op(p.Ops, i)
	}
	p.Relocs = make([]Reloc, relocs)
	for i := range p.Relocs {
		r := d.take(relocSize)
		p.Relocs[i] = Reloc{At: le.Uint32(r), Target: le.Uint32(r[4:])}
	}
	for range handles {
		h := d.take(handleSize)
		p.HandleSlots = append(p.HandleSlots, le.Uint32(h))
		p.Handles = append(p.Handles, d.string(le.Uint32(h[4:])))
	}
	if d.bad || d.text != "" {
		return nil, invalid("its texts do not fit their lengths")
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	return p, nil
}

// decoder takes pieces from the front of a buffer, whose length Decode has
// checked, and of the texts, whose lengths nobody has: bad is set by the first
// that does not fit.
type decoder struct {
	rest []byte
	text string
	bad  bool
}

func (d *decoder) take(n int) []byte {
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) string(n uint32) string {
	if uint64(n) > uint64(len(d.text)) {
		d.bad = true
		return ""
	}
	s := d.text[:n]
	d.text = d.text[n:]
	return s
}

func (d *decoder) op(ops []Op, i int) {
	le := binary.LittleEndian
	b := d.take(opSize)
	op := &ops[i]
	op.Kind, op.Flags = Kind(b[0]), Flags(b[1])
	op.SkipDone, op.SkipFailed = le.Uint16(b[2:]), le.Uint16(b[4:])
	op.Nr, op.Slot = le.Uint32(b[6:]), le.Uint32(b[10:])
	b = b[14:]
	for j := range op.Tolerate {
		op.Tolerate[j] = le.Uint16(b[2*j:])
	}
	b = b[2*MaxTolerated:]
	for j := range op.ArgKinds {
		op.ArgKinds[j] = ArgKind(b[j])
	}
	b = b[len(op.ArgKinds):]
	for j := range op.Args {
		op.Args[j] = le.Uint64(b[8*j:])
	}
	length := le.Uint32(b[8*len(op.Args):])
	if length == sameLabel {
		d.bad = d.bad || i == 0
		op.Label = ops[max(i-1, 0)].Label
		return
	}
	op.Label = d.string(length)
	d.bad = d.bad || i > 0 && op.Label == ops[i-1].Label
}
