package plan

import "encoding/binary"

// Version is the version of the encoded form; Decode reads no other.
const Version = 1

const magic = "BERTHPLN"

// The sizes of what is encoded. All texts come last, one after the other, so
// that reading them is one allocation.
const (
	headerSize = len(magic) + 4 + 8 + 5*4
	opSize     = 2 + 4 + 4 + 4 + 2*MaxTolerated + 6 + 6*8 + 4
	relocSize  = 8
	handleSize = 8
)

// sameLabel is the label length of an op that has the label of the one before.
const sameLabel = ^uint32(0)

// Encode gives the bytes that Decode reads: little endian, no pointers. Slot
// names are for the print and stay behind.
func (p *Program) Encode() []byte {
	le := binary.LittleEndian
	text := make([]byte, 0, 4096)
	out := make([]byte, 0, headerSize+len(p.Data)+len(p.Ops)*opSize+len(p.Relocs)*relocSize+len(p.Handles)*handleSize+8192)
	out = append(out, magic...)
	out = le.AppendUint32(out, Version)
	out = le.AppendUint64(out, p.CloneFlags)
	counts := len(out)
	for _, n := range []int{len(p.Ops), len(p.Relocs), len(p.Handles), len(p.Data), 0} {
		out = le.AppendUint32(out, uint32(n))
	}
	out = append(out, p.Data...)
	for i := range p.Ops {
		op := &p.Ops[i]
		length := uint32(len(op.Label))
		if i > 0 && op.Label == p.Ops[i-1].Label {
			length = sameLabel
		} else {
			text = append(text, op.Label...)
		}
		out = le.AppendUint32(appendOp(out, op), length)
	}
	for _, r := range p.Relocs {
		out = le.AppendUint32(out, r.At)
		out = le.AppendUint32(out, r.Target)
	}
	for i, name := range p.Handles {
		out = le.AppendUint32(out, p.HandleSlots[i])
		out = le.AppendUint32(out, uint32(len(name)))
		text = append(text, name...)
	}
	le.PutUint32(out[counts+4*4:], uint32(len(text)))
	return append(out, text...)
}

func appendOp(out []byte, op *Op) []byte {
	le := binary.LittleEndian
	out = append(out, byte(op.Kind), byte(op.Flags))
	out = le.AppendUint16(out, op.SkipDone)
	out = le.AppendUint16(out, op.SkipFailed)
	out = le.AppendUint32(out, op.Nr)
	out = le.AppendUint32(out, op.Slot)
	for _, e := range op.Tolerate {
		out = le.AppendUint16(out, e)
	}
	for _, k := range op.ArgKinds {
		out = append(out, byte(k))
	}
	for _, a := range op.Args {
		out = le.AppendUint64(out, a)
	}
	return out
}
