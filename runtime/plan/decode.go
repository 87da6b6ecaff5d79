package plan

import (
	"encoding/binary"
	"slices"
)

// Decode reads what Encode wrote. It refuses everything else with an error
// that wraps [ErrInvalid]; what it returns satisfies every invariant, so the
// child needs no check of its own.
func Decode(b []byte) (*Program, error) {
	d := decoder{rest: b}
	if string(d.take(len(magic))) != magic {
		return nil, invalid("it does not begin with %q", magic)
	}
	if v := d.u32(); v != Version {
		return nil, invalid("version %d, this build reads %d", v, Version)
	}
	p := &Program{CloneFlags: d.u64(), SlotNames: map[uint32]string{}}
	ops, relocs, handles, names, data := d.count(), d.count(), d.count(), d.count(), d.count()
	if d.bad || ops > MaxOps || handles > MaxHandles || data > MaxData {
		return nil, invalid("counts are out of range")
	}
	p.Data = slices.Clone(d.take(data))
	for i := 0; i < ops && !d.bad; i++ {
		p.Ops = append(p.Ops, d.op())
	}
	for i := 0; i < relocs && !d.bad; i++ {
		p.Relocs = append(p.Relocs, Reloc{At: d.u32(), Target: d.u32()})
	}
	for i := 0; i < handles && !d.bad; i++ {
		p.HandleSlots = append(p.HandleSlots, d.u32())
		p.Handles = append(p.Handles, d.str())
	}
	for i, last := 0, uint32(0); i < names && !d.bad; i++ {
		off := d.u32()
		if i > 0 && off <= last {
			return nil, invalid("its slot names are not in order")
		}
		p.SlotNames[off], last = d.str(), off
	}
	if d.bad || len(d.rest) != 0 {
		return nil, invalid("its length does not fit its counts")
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	return p, nil
}

// decoder takes pieces from the front of a buffer; after the first piece that
// is not there, bad is set and every further piece is zero.
type decoder struct {
	rest []byte
	bad  bool
}

func (d *decoder) take(n int) []byte {
	if d.bad || n > len(d.rest) {
		d.bad = true
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) u16() uint16 {
	if b := d.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (d *decoder) u32() uint32 {
	if b := d.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if b := d.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// count is a number of things that still have to come: at least a byte each.
func (d *decoder) count() int {
	n := d.u32()
	if uint64(n) > uint64(len(d.rest)) {
		d.bad = true
		return 0
	}
	return int(n)
}

func (d *decoder) str() string { return string(d.take(d.count())) }

func (d *decoder) op() Op {
	var op Op
	if b := d.take(2); b != nil {
		op.Kind, op.Flags = Kind(b[0]), Flags(b[1])
	}
	op.SkipDone, op.SkipFailed = d.u16(), d.u16()
	op.Nr, op.Slot = d.u32(), d.u32()
	for i := range op.Tolerate {
		op.Tolerate[i] = d.u16()
	}
	for i, k := range d.take(len(op.ArgKinds)) {
		op.ArgKinds[i] = ArgKind(k)
	}
	for i := range op.Args {
		op.Args[i] = d.u64()
	}
	op.Label = d.str()
	return op
}
