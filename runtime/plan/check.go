package plan

import (
	"errors"
	"fmt"
)

// The limits of a program; Decode refuses what exceeds them.
const (
	MaxOps     = 1 << 14
	MaxData    = 8 << 20 // bytes: arguments and environment of the payload are in it
	MaxHandles = 128
)

// ErrInvalid is what every refusal of a malformed program wraps.
var ErrInvalid = errors.New("invalid plan")

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
}

// check makes sure that running p can touch nothing outside its own data
// segment and op list. What its system calls do is the sender's business.
func (p *Program) check() error {
	switch {
	case len(p.Ops) == 0 || len(p.Ops) > MaxOps:
		return invalid("%d ops, want 1 to %d", len(p.Ops), MaxOps)
	case len(p.Data) > MaxData || len(p.Data)%8 != 0:
		return invalid("data segment of %d bytes, want a multiple of 8 up to %d", len(p.Data), MaxData)
	case len(p.Handles) > MaxHandles || len(p.Handles) != len(p.HandleSlots):
		return invalid("%d handles, %d slots for them, want at most %d", len(p.Handles), len(p.HandleSlots), MaxHandles)
	}
	for _, s := range p.HandleSlots {
		if !p.word(uint64(s)) {
			return invalid("handle slot at %d", s)
		}
	}
	for _, r := range p.Relocs {
		if !p.word(uint64(r.At)) || uint64(r.Target) >= uint64(len(p.Data)) {
			return invalid("relocation of %d to %d", r.At, r.Target)
		}
	}
	for i := range p.Ops {
		if err := p.checkOp(i); err != nil {
			return fmt.Errorf("op %d: %w", i+1, err)
		}
	}
	return nil
}

func (p *Program) checkOp(i int) error {
	op := &p.Ops[i]
	skip, left := int(max(op.SkipDone, op.SkipFailed)), len(p.Ops)-i-1
	switch {
	case op.Kind >= kindEnd:
		return invalid("kind %d", op.Kind)
	case op.Flags >= flagsEnd:
		return invalid("flags %#x", op.Flags)
	case skip > left:
		return invalid("skip past the end")
	case op.Slot != NoSlot && !p.word(uint64(op.Slot)):
		return invalid("slot at %d", op.Slot)
	case op.Kind == Branch && op.ArgKinds[0] != FromSlot:
		return invalid("branch on something else than a slot")
	}
	for j, kind := range op.ArgKinds {
		v := op.Args[j]
		switch {
		case kind >= argKindEnd:
			return invalid("argument %d of kind %d", j+1, kind)
		case kind == FromSlot && !p.word(v):
			return invalid("argument %d from a slot at %d", j+1, v)
		case kind == Address && v >= uint64(len(p.Data)):
			return invalid("argument %d at %d, outside the data segment", j+1, v)
		}
	}
	return nil
}

// word reports whether an aligned 8-byte word lies at off.
func (p *Program) word(off uint64) bool {
	return off%8 == 0 && off < uint64(len(p.Data)) && uint64(len(p.Data))-off >= 8
}
