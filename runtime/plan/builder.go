package plan

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"syscall"
)

// Arg is an argument of an op under construction.
type Arg struct {
	kind ArgKind
	val  uint64
}

// Lit is a literal argument: a number, a set of flags.
func Lit[T ~int | ~uint | ~int32 | ~uint32 | ~int64 | ~uint64 | ~uintptr](v T) Arg {
	return Arg{Literal, uint64(v)}
}

// Slot is a word of the data segment that receives the result of an op.
type Slot uint32

// Arg is the slot's value as an argument.
func (s Slot) Arg() Arg { return Arg{FromSlot, uint64(s)} }

// Builder makes a [Program], op by op. The zero value is ready for use.
type Builder struct {
	prog    Program
	strings map[string]uint32
	err     error // the first call that asked for what a program cannot say
}

func (b *Builder) refuse(format string, args ...any) {
	if b.err == nil {
		b.err = invalid(format, args...)
	}
}

// Ref refers to an op that a [Builder] has added.
type Ref struct {
	b     *Builder
	index int
}

// Call adds a system call. The label begins the sentence that tells its
// failure: "mount proc on "/proc"".
func (b *Builder) Call(label string, nr uintptr, args ...Arg) Ref {
	op := Op{Kind: Syscall, Nr: uint32(nr), Slot: NoSlot, Label: label}
	if len(args) > len(op.Args) {
		b.refuse("%s: %d arguments, at most %d are possible", label, len(args), len(op.Args))
		args = nil
	}
	for i, a := range args {
		op.ArgKinds[i], op.Args[i] = a.kind, a.val
	}
	return b.add(op)
}

// Fork adds a Fork op.
func (b *Builder) Fork(label string) Ref { return b.add(Op{Kind: Fork, Slot: NoSlot, Label: label}) }

// Point adds the report of a point.
func (b *Builder) Point(label string, point uint32) Ref {
	return b.add(Op{Kind: Point, Slot: NoSlot, Label: label, Args: [6]uint64{uint64(point)}})
}

// Fail adds an op that always fails.
func (b *Builder) Fail(label string, errno syscall.Errno) Ref {
	return b.add(Op{Kind: Fail, Slot: NoSlot, Label: label, Args: [6]uint64{uint64(errno)}})
}

// Unless adds a branch: the ops up to its JumpFailed mark run only if slot
// holds a result, not a tolerated failure.
func (b *Builder) Unless(label string, slot Slot) Ref {
	return b.add(Op{Kind: Branch, Slot: NoSlot, Label: label, ArgKinds: [6]ArgKind{FromSlot}, Args: [6]uint64{uint64(slot)}})
}

func (b *Builder) add(op Op) Ref {
	b.prog.Ops = append(b.prog.Ops, op)
	return Ref{b, len(b.prog.Ops) - 1}
}

func (r Ref) op() *Op { return &r.b.prog.Ops[r.index] }

// Into names the slot that receives the result, or the negative errno of a
// tolerated failure.
func (r Ref) Into(s Slot) Ref { r.op().Slot = uint32(s); return r }

// With sets flags.
func (r Ref) With(f Flags) Ref { r.op().Flags |= f; return r }

// Tolerate lists errnos that are no failure; at most [MaxTolerated].
func (r Ref) Tolerate(errnos ...syscall.Errno) Ref {
	if len(errnos) > MaxTolerated {
		r.b.refuse("%s: %d errnos tolerated, at most %d are possible", r.op().Label, len(errnos), MaxTolerated)
		return r
	}
	for i, e := range errnos {
		r.op().Tolerate[i] = uint16(e)
	}
	return r
}

// JumpFailed makes a tolerated failure (or the branch) go on at the next op
// to be added.
func (r Ref) JumpFailed() { r.op().SkipFailed = r.distance() }

// JumpDone makes a success go on at the next op to be added.
func (r Ref) JumpDone() { r.op().SkipDone = r.distance() }

func (r Ref) distance() uint16 { return uint16(min(len(r.b.prog.Ops)-r.index-1, math.MaxUint16)) }

// Slot makes a slot; name is for the print.
func (b *Builder) Slot(name string) Slot {
	off := b.space(8)
	b.name(off, name)
	return Slot(off)
}

func (b *Builder) name(off uint32, name string) {
	if b.prog.SlotNames == nil {
		b.prog.SlotNames = map[uint32]string{}
	}
	b.prog.SlotNames[off] = name
}

// Handle makes a slot that holds the number of a file descriptor which the
// program is given under name.
func (b *Builder) Handle(name string) Slot {
	s := b.Slot(name)
	b.prog.Handles = append(b.prog.Handles, name)
	b.prog.HandleSlots = append(b.prog.HandleSlots, uint32(s))
	return s
}

// String puts s and a NUL into the data segment, once for equal strings.
func (b *Builder) String(s string) Arg {
	if strings.IndexByte(s, 0) >= 0 {
		b.refuse("string %q contains a NUL byte", s)
	}
	off, ok := b.strings[s]
	if !ok {
		off = b.space(len(s) + 1)
		copy(b.prog.Data[off:], s)
		if b.strings == nil {
			b.strings = map[string]uint32{}
		}
		b.strings[s] = off
	}
	return Arg{Address, uint64(off)}
}

// Bytes puts a struct or a buffer into the data segment, 8-byte aligned.
func (b *Builder) Bytes(p []byte) Arg {
	off := b.space(len(p))
	copy(b.prog.Data[off:], p)
	return Arg{Address, uint64(off)}
}

// Words puts 64-bit words into the data segment.
func (b *Builder) Words(words ...uint64) Arg {
	off := b.space(8 * len(words))
	for i, w := range words {
		binary.LittleEndian.PutUint64(b.prog.Data[int(off)+8*i:], w)
	}
	return Arg{Address, uint64(off)}
}

// Pointers puts a NULL-terminated array of pointers to strings into the data
// segment: argv and envp.
func (b *Builder) Pointers(list []string) Arg {
	off := b.space(8 * (len(list) + 1))
	for i, s := range list {
		b.prog.Relocs = append(b.prog.Relocs, Reloc{At: off + uint32(8*i), Target: uint32(b.String(s).val)})
	}
	return Arg{Address, uint64(off)}
}

func (b *Builder) space(n int) uint32 {
	off := uint32(len(b.prog.Data))
	b.prog.Data = append(b.prog.Data, make([]byte, (n+7)&^7)...)
	return off
}

// CloneFlags adds flags to the clone(2) that makes the child.
func (b *Builder) CloneFlags(flags uint64) { b.prog.CloneFlags |= flags }

// Program checks the invariants of what was built and returns it.
func (b *Builder) Program() (*Program, error) {
	p := b.prog
	err := b.err
	if err == nil {
		err = p.check()
	}
	if err != nil {
		return nil, fmt.Errorf("build plan: %w", err)
	}
	return &p, nil
}
