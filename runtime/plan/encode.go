package plan

import "encoding/binary"

// Version is the version of the encoded form; Decode reads no other.
const Version = 1

const magic = "BERTHPLN"

// opSize is the size of an encoded op without its label.
const opSize = 2 + 4 + 4 + 4 + 2*MaxTolerated + 6 + 6*8

// Encode gives the bytes that Decode reads: little endian, no pointers.
func (p *Program) Encode() []byte {
	le := binary.LittleEndian
	out := make([]byte, 0, len(p.Data)+len(p.Ops)*(opSize+48)+256)
	out = append(out, magic...)
	out = le.AppendUint32(out, Version)
	out = le.AppendUint64(out, p.CloneFlags)
	for _, n := range []int{len(p.Ops), len(p.Relocs), len(p.Handles), len(p.SlotNames), len(p.Data)} {
		out = le.AppendUint32(out, uint32(n))
	}
	out = append(out, p.Data...)
	for i := range p.Ops {
		out = appendOp(out, &p.Ops[i])
	}
	for _, r := range p.Relocs {
		out = le.AppendUint32(out, r.At)
		out = le.AppendUint32(out, r.Target)
	}
	for i, name := range p.Handles {
		out = appendString(le.AppendUint32(out, p.HandleSlots[i]), name)
	}
	for _, off := range sortedKeys(p.SlotNames) {
		out = appendString(le.AppendUint32(out, off), p.SlotNames[off])
	}
	return out
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
	return appendString(out, op.Label)
}

func appendString(out []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint32(out, uint32(len(s))), s...)
}
