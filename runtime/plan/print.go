package plan

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Describe makes the sentence for the failure of op (an index into Ops) with
// errno: `mount proc on "/proc": permission denied (step 17 of 52)`.
func (p *Program) Describe(op int, errno syscall.Errno) string {
	if op < 0 || op >= len(p.Ops) {
		return "unknown step: " + cause(errno)
	}
	return p.Ops[op].Label + ": " + cause(errno) +
		" (step " + strconv.Itoa(op+1) + " of " + strconv.Itoa(len(p.Ops)) + ")"
}

func cause(errno syscall.Errno) string {
	if errno == syscall.ECANCELED {
		return "given up because the creator has gone"
	}
	return errno.Error()
}

// String prints the program, one op per line.
func (p *Program) String() string {
	var out strings.Builder
	if p.CloneFlags != 0 {
		fmt.Fprintf(&out, "clone(%s)\n", cloneFlags.format(p.CloneFlags))
	}
	for i := range p.Ops {
		fmt.Fprintf(&out, "%3d  %s\n", i+1, p.line(i))
	}
	return out.String()
}

func (p *Program) line(i int) string {
	op := &p.Ops[i]
	var line string
	switch op.Kind {
	case Branch:
		line = fmt.Sprintf("unless %s go to %d", p.slot(op.Args[0]), i+2+int(op.SkipFailed))
	case Fork:
		line = "fork(CLONE_PARENT) and go on in the child"
	case Point:
		line = fmt.Sprintf("report point %d", op.Args[0])
	case Fail:
		line = "fail " + errnoName(syscall.Errno(op.Args[0]))
	default:
		line = p.call(op)
	}
	if op.Slot != NoSlot {
		line += " -> " + p.slot(uint64(op.Slot))
	}
	line += p.outcomes(i)
	if op.Label != "" {
		line += "  # " + op.Label
	}
	return line
}

// outcomes tells what happens after the call, where that is not "the next op,
// or failure".
func (p *Program) outcomes(i int) string {
	op := &p.Ops[i]
	var out string
	var tolerated []string
	for _, e := range op.Tolerate {
		if e != 0 {
			tolerated = append(tolerated, errnoName(syscall.Errno(e)))
		}
	}
	if len(tolerated) > 0 {
		out += " or " + strings.Join(tolerated, "|")
		if op.SkipFailed > 0 {
			out += fmt.Sprintf(" go to %d", i+2+int(op.SkipFailed))
		}
	}
	if op.SkipDone > 0 {
		out += fmt.Sprintf(", done go to %d", i+2+int(op.SkipDone))
	}
	return out
}

func (p *Program) call(op *Op) string {
	c, ok := calls[op.Nr]
	if !ok {
		c = call{name: "syscall_" + strconv.Itoa(int(op.Nr)), args: []format{hex, hex, hex, hex, hex, hex}}
	}
	args := make([]string, len(c.args))
	for i, f := range c.args {
		args[i] = p.arg(op, i, f)
	}
	return c.name + "(" + strings.Join(args, ", ") + ")"
}

func (p *Program) arg(op *Op, i int, f format) string {
	v := op.Args[i]
	switch op.ArgKinds[i] {
	case FromSlot:
		return p.slot(v)
	case Address:
		if f.data != nil {
			return f.data(p, v, op)
		}
		return "&" + p.slot(v)
	}
	if f.literal != nil {
		return f.literal(v)
	}
	if f.data != nil && v == 0 {
		return "NULL"
	}
	return strconv.FormatInt(int64(v), 10)
}

func (p *Program) slot(off uint64) string {
	if name, ok := p.SlotNames[uint32(off)]; ok {
		return "$" + name
	}
	return "$" + strconv.FormatUint(off, 10)
}

// text is the NUL-terminated string at off.
func (p *Program) text(off uint64) string {
	b := p.Data[off:]
	if end := bytes.IndexByte(b, 0); end >= 0 {
		b = b[:end]
	}
	return string(b)
}

func (p *Program) u64(off uint64) uint64 {
	if !p.word(off) {
		return 0
	}
	return binary.LittleEndian.Uint64(p.Data[off:])
}

// bytes are the n at off, or those up to the end of the segment.
func (p *Program) bytes(off, n uint64) []byte {
	b := p.Data[off:]
	return b[:min(n, uint64(len(b)))]
}

func sortedKeys(m map[uint32]string) []uint32 { return slices.Sorted(maps.Keys(m)) }
