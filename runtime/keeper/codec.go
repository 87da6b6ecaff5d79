package keeper

import "syscall"

// encoder appends little-endian values; encoding/binary would bring reflection.
type encoder struct{ b []byte }

func (e *encoder) u8(v uint8)   { e.b = append(e.b, v) }
func (e *encoder) u16(v uint16) { e.b = append(e.b, byte(v), byte(v>>8)) }
func (e *encoder) u32(v uint32) {
	e.b = append(e.b, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
}
func (e *encoder) u64(v uint64) {
	e.u32(uint32(v))
	e.u32(uint32(v >> 32))
}

// str8 cuts s at 255 bytes; callers check keys before.
func (e *encoder) str8(s string) {
	s = s[:min(len(s), maxKey)]
	e.u8(uint8(len(s)))
	e.b = append(e.b, s...)
}

func (e *encoder) str16(s string) {
	s = s[:min(len(s), maxText)]
	e.u16(uint16(len(s)))
	e.b = append(e.b, s...)
}

func (e *encoder) header(kind uint8, nfds int, seq uint32) {
	e.u8(kind)
	e.u8(0)
	e.u16(uint16(nfds))
	e.u32(seq)
}

// decoder takes values off b. After a value that is not there it is bad and gives zeros.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) take(n int) []byte {
	if d.bad || len(d.b) < n {
		d.bad = true
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) number(n int) (v uint64) {
	for i, b := range d.take(n) {
		v |= uint64(b) << (8 * i)
	}
	return v
}

func (d *decoder) u8() uint8            { return uint8(d.number(1)) }
func (d *decoder) u16() uint16          { return uint16(d.number(2)) }
func (d *decoder) u32() uint32          { return uint32(d.number(4)) }
func (d *decoder) u64() uint64          { return d.number(8) }
func (d *decoder) errno() syscall.Errno { return syscall.Errno(d.u32()) }
func (d *decoder) str8() string         { return string(d.take(int(d.u8()))) }

func (d *decoder) str16() string {
	n := int(d.u16())
	d.bad = d.bad || n > maxText
	return string(d.take(n))
}

// header checks the descriptor count against those that came.
func (d *decoder) header(nfds int) (kind uint8, seq uint32) {
	kind = d.u8()
	zero, declared := d.u8(), d.u16()
	d.bad = d.bad || zero != 0 || int(declared) != nfds
	return kind, d.u32()
}

// end is an error if a value was missing or bytes are left.
func (d *decoder) end() error {
	if d.bad || len(d.b) != 0 {
		return errMalformed
	}
	return nil
}
