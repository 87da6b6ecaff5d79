package plan

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestEveryInvariant breaks each once. Both ways to a program must see it: the
// builder's and the decoder's.
func TestEveryInvariant(t *testing.T) {
	const end = 1 << 20 // behind every data segment here
	for _, tc := range []struct {
		name  string
		spoil func(p *Program)
		want  string
	}{
		{"no ops", func(p *Program) { p.Ops = nil }, "0 ops, want 1 to"},
		{"ops", func(p *Program) { p.Ops = make([]Op, MaxOps+1) }, "16385 ops"},
		{"data size", func(p *Program) { p.Data = make([]byte, MaxData+8) }, "data segment of 8388616 bytes"},
		{"data not in words", func(p *Program) { p.Data = p.Data[:len(p.Data)-1] }, "want a multiple of 8"},
		{"handles", func(p *Program) {
			p.Handles, p.HandleSlots = make([]string, MaxHandles+1), make([]uint32, MaxHandles+1)
		}, "129 handles"},
		{"handle without slot", func(p *Program) { p.HandleSlots = p.HandleSlots[:1] }, "2 handles, 1 slots"},
		{"handle slot outside", func(p *Program) { p.HandleSlots[1] = end }, "handle slot at 1048576"},
		{"handle slot unaligned", func(p *Program) { p.HandleSlots[1] = 4 }, "handle slot at 4"},
		{"relocation outside", func(p *Program) { p.Relocs[0].At = uint32(len(p.Data)) }, "relocation of"},
		{"relocation unaligned", func(p *Program) { p.Relocs[0].At++ }, "relocation of"},
		{"relocation to outside", func(p *Program) { p.Relocs[0].Target = uint32(len(p.Data)) }, "relocation of"},
		{"kind", func(p *Program) { p.Ops[1].Kind = kindEnd }, "op 2: invalid plan: kind 5"},
		{"flags", func(p *Program) { p.Ops[1].Flags = flagsEnd }, "op 2: invalid plan: flags 0x4"},
		{"skip done", func(p *Program) { p.Ops[0].SkipDone = uint16(len(p.Ops)) }, "op 1: invalid plan: skip past the end"},
		{"skip failed", func(p *Program) { p.Ops[0].SkipFailed = uint16(len(p.Ops)) }, "op 1: invalid plan: skip past the end"},
		{"result slot outside", func(p *Program) { p.Ops[2].Slot = end }, "op 3: invalid plan: slot at 1048576"},
		{"result slot unaligned", func(p *Program) { p.Ops[2].Slot = 1 }, "op 3: invalid plan: slot at 1"},
		{"branch on a literal", func(p *Program) { p.Ops[4].ArgKinds[0] = Literal }, "op 5: invalid plan: branch on something else"},
		{"branch on nothing", func(p *Program) { p.Ops[4].Args[0] = end }, "op 5: invalid plan: argument 1 from a slot at 1048576"},
		{"argument kind", func(p *Program) { p.Ops[0].ArgKinds[5] = argKindEnd }, "op 1: invalid plan: argument 6 of kind 3"},
		{"argument slot unaligned", func(p *Program) { p.Ops[0].ArgKinds[1], p.Ops[0].Args[1] = FromSlot, 12 }, "argument 2 from a slot at 12"},
		{"address outside", func(p *Program) { p.Ops[2].Args[1] = uint64(len(p.Data)) }, "op 3: invalid plan: argument 2 at"},
		{"address far outside", func(p *Program) { p.Ops[2].Args[1] = ^uint64(0) }, "outside the data segment"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := build(t, everything)
			tc.spoil(p)
			if err := p.check(); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("check: %v, want %q", err, tc.want)
			}
			if len(p.Handles) != len(p.HandleSlots) {
				return // nothing that could be encoded
			}
			if got, err := Decode(p.Encode()); !errors.Is(err, ErrInvalid) || got != nil {
				t.Errorf("decode: program %v, error %v", got != nil, err)
			}
		})
	}
}

// TestLimitsAreReached: what is allowed at most is allowed.
func TestLimitsAreReached(t *testing.T) {
	p := build(t, func(b *Builder) {
		times(MaxOps, func() { b.Fail("", unix.EIO) })
		times(MaxHandles, func() { b.Handle("h") })
		b.Bytes(make([]byte, MaxData-8*MaxHandles))
	})
	if _, err := Decode(p.Encode()); err != nil {
		t.Error(err)
	}
}

func TestWord(t *testing.T) {
	p := Program{Data: make([]byte, 16)}
	for off, want := range map[uint64]bool{0: true, 8: true, 4: false, 12: false, 16: false, 24: false, ^uint64(7): false} {
		if got := p.word(off); got != want {
			t.Errorf("word(%d) = %t", off, got)
		}
	}
}
