package keeper

// Version is the version of the protocol.
const Version = 1

const (
	magic         = 'B' | 'R'<<8 | 'T'<<16 | 'H'<<24
	helloRecords  = 1        // flag of hello: send me records
	headerSize    = 8        // bytes
	maxRequest    = 512      // bytes: header, a key, a number
	maxPacket     = 64 << 10 // bytes, from keeper to client
	pageSize      = 32 << 10 // bytes of a list reply after which no record is added
	maxRights     = 253      // SCM_MAX_FD, unix(7)
	kindRecord    = 0x40
	kindReply     = 0x80
	maxKey        = 255
	forgetExited  = 0
	forgetAndKill = 1
)

// opcode is the kind of a request.
type opcode uint8

const (
	opHello opcode = 1 + iota
	opLaunch
	opList
	opForget
	opKill
	opPIDFD
	opEnd
)

func (o opcode) String() string {
	switch o {
	case opHello:
		return "hello"
	case opLaunch:
		return "launch"
	case opList:
		return "list"
	case opForget:
		return "forget"
	case opKill:
		return "kill"
	case opPIDFD:
		return "pidfd"
	}
	return "request"
}

// request is any request; which fields count depends on op.
type request struct {
	op      opcode
	seq     uint32
	version uint32 // hello
	flags   uint32 // hello
	key     string
	after   uint64 // list
	how     uint8  // forget
	signal  uint32 // kill
}

// encode makes the packet; nfds descriptors come with it.
func (r *request) encode(nfds int) []byte {
	var e encoder
	e.header(uint8(r.op), nfds, r.seq)
	switch r.op {
	case opHello:
		e.u32(magic)
		e.u32(r.version)
		e.u32(r.flags)
	case opList:
		e.u64(r.after)
	default:
		e.str8(r.key)
	}
	switch r.op {
	case opForget:
		e.u8(r.how)
	case opKill:
		e.u32(r.signal)
	}
	return e.b
}

// decodeRequest is strict: what it accepts, encode makes again byte by byte.
func decodeRequest(b []byte, nfds int) (request, error) {
	d := decoder{b: b}
	kind, seq := d.header(nfds)
	r := request{op: opcode(kind), seq: seq}
	switch {
	case r.op < opHello || r.op >= opEnd:
		return request{}, errMalformed
	case (r.op == opLaunch) != (nfds > 0):
		return request{}, errMalformed
	case r.op == opHello:
		d.bad = d.u32() != magic || d.bad
		r.version, r.flags = d.u32(), d.u32()
		d.bad = d.bad || r.version == Version && r.flags&^helloRecords != 0 // another version may have more flags
	case r.op == opList:
		r.after = d.u64()
	default:
		r.key = d.str8()
	}
	switch r.op {
	case opForget:
		r.how = d.u8()
		d.bad = d.bad || r.how > forgetAndKill
	case opKill:
		r.signal = d.u32()
	}
	return r, d.end()
}

// encodeRefusal makes the reply to op that is not a result.
func encodeRefusal(op opcode, seq uint32, r *refusal) []byte {
	e := startReply(op, seq, 0, r.code)
	e.u32(uint32(r.errno))
	e.str16(r.text)
	return e.b
}

func startReply(op opcode, seq uint32, nfds int, c code) encoder {
	var e encoder
	e.header(kindReply|uint8(op), nfds, seq)
	e.u8(uint8(c))
	return e
}

// decodeReply returns the body of a reply to op, or the refusal as *RemoteError.
func decodeReply(op opcode, body []byte) (*decoder, error) {
	d := &decoder{b: body}
	c := code(d.u8())
	if c == codeDone && !d.bad {
		return d, nil
	}
	e := &RemoteError{Op: op.String(), code: c, Errno: d.errno(), Text: d.str16()}
	if err := d.end(); err != nil || c >= codeEnd {
		return nil, errMalformed
	}
	return nil, e
}

func encodeRecord(r *Record) []byte {
	var e encoder
	e.header(kindRecord, 0, 0)
	e.record(r)
	return e.b
}

// list is the body of a list reply.
type list struct {
	next    uint64
	records []Record
}

func (d *decoder) list() list {
	l := list{next: d.u64()}
	for range d.u16() {
		if d.bad {
			break
		}
		l.records = append(l.records, d.record())
	}
	return l
}
