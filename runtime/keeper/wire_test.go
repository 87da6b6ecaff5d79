package keeper

import (
	"bytes"
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var requests = map[string]struct {
	request request
	nfds    int
	packet  string
}{
	"hello": {request{op: opHello, seq: 7, version: 1, flags: 1}, 0,
		"\x01\x00\x00\x00\x07\x00\x00\x00BRTH\x01\x00\x00\x00\x01\x00\x00\x00"},
	"launch": {request{op: opLaunch, seq: 8, key: "web"}, 5, "\x02\x00\x05\x00\x08\x00\x00\x00\x03web"},
	"list":   {request{op: opList, seq: 9, after: 0x102}, 0, "\x03\x00\x00\x00\x09\x00\x00\x00\x02\x01\x00\x00\x00\x00\x00\x00"},
	"forget": {request{op: opForget, seq: 1 << 31, key: "a", how: forgetAndKill}, 0, "\x04\x00\x00\x00\x00\x00\x00\x80\x01a\x01"},
	"kill":   {request{op: opKill, seq: 1, key: "a", signal: 9}, 0, "\x05\x00\x00\x00\x01\x00\x00\x00\x01a\x09\x00\x00\x00"},
	"pidfd":  {request{op: opPIDFD, seq: 1, key: ""}, 0, "\x06\x00\x00\x00\x01\x00\x00\x00\x00"},
}

func TestRequestRoundTrip(t *testing.T) {
	for name, test := range requests {
		t.Run(name, func(t *testing.T) {
			packet := test.request.encode(test.nfds)
			if string(packet) != test.packet {
				t.Errorf("packet %q, want %q", packet, test.packet)
			}
			got, err := decodeRequest(packet, test.nfds)
			if err != nil || got != test.request {
				t.Errorf("decoded %+v, %v, want %+v", got, err, test.request)
			}
			if got.op.String() != name {
				t.Errorf("opcode prints as %q", got.op)
			}
			for n := range packet {
				if _, err := decodeRequest(packet[:n], test.nfds); err == nil {
					t.Errorf("the first %d bytes are taken", n)
				}
			}
			if _, err := decodeRequest(append(packet, 0), test.nfds); err == nil {
				t.Error("a byte too many is taken")
			}
			if _, err := decodeRequest(packet, test.nfds+1); err == nil {
				t.Error("an undeclared descriptor is taken")
			}
		})
	}
}

func TestLongestRequestFits(t *testing.T) {
	r := request{op: opKill, key: strings.Repeat("k", maxKey)}
	if n := len(r.encode(0)); n > maxRequest {
		t.Errorf("%d bytes, the receiver has %d", n, maxRequest)
	}
}

var full = Record{
	Key: "web/exec/1", PID: 1 << 21, Point: 3, Failed: true, FailedOp: 17, Errno: syscall.EACCES, Text: "mount proc: permission denied",
	Executed: true, Exited: true, Code: -1, Signal: 11, CoreDumped: true, CPUTimeUSec: 1 << 40, MaxRSSBytes: 1 << 41,
	StartedUSec: 1 << 50, FinishedUSec: 1<<50 + 1,
}

func TestRecordRoundTrip(t *testing.T) {
	for name, want := range map[string]Record{
		"zero": {}, "full": full, "failed": {Failed: true}, "executed": {Executed: true}, "exited": {Exited: true, Code: 255},
	} {
		t.Run(name, func(t *testing.T) {
			packet := encodeRecord(&want)
			d := decoder{b: packet}
			if kind, seq := d.header(0); kind != kindRecord || seq != 0 {
				t.Errorf("header %#x %d", kind, seq)
			}
			got := d.record()
			if err := d.end(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRecordBounds(t *testing.T) {
	r := Record{Key: strings.Repeat("k", maxKey+1), Text: strings.Repeat("t", maxText+1)}
	packet := encodeRecord(&r)
	if len(packet)+pageSize > maxPacket {
		t.Errorf("a page and a record of %d bytes exceed a packet", len(packet))
	}
	d := decoder{b: packet[headerSize:]}
	got := d.record()
	if d.end() != nil || len(got.Key) != maxKey || len(got.Text) != maxText {
		t.Errorf("key of %d bytes, text of %d, %v", len(got.Key), len(got.Text), d.end())
	}
}

func TestRefusalRoundTrip(t *testing.T) {
	for name, test := range map[string]struct {
		refusal *refusal
		is      error
		text    string
	}{
		"exists":     {refuseKey(codeExists, "a"), ErrExists, `keeper kill: "a": key is in use`},
		"no process": {refuseKey(codeNoSuchProcess, "a"), ErrNoSuchProcess, `keeper kill: "a": no such process`},
		"version":    {refuse(codeVersion, 0, "no"), ErrVersion, "keeper kill: no"},
		"errno":      {refuseError("mount", wrap("x", syscall.EPERM)), syscall.EPERM, "keeper kill: mount: x: operation not permitted"},
	} {
		t.Run(name, func(t *testing.T) {
			packet := encodeRefusal(opKill, 3, test.refusal)
			_, err := decodeReply(opKill, packet[headerSize:])
			var remote *RemoteError
			if !errors.As(err, &remote) || remote.Op != "kill" || !errors.Is(err, test.is) || err.Error() != test.text {
				t.Errorf("error %v", err)
			}
			if errors.Is(err, ErrLost) {
				t.Error("it is ErrLost too")
			}
		})
	}
}

func TestDecodeReplyMalformed(t *testing.T) {
	for _, body := range []string{"", "\x01", "\x01\x00\x00\x00\x00\x01\x00", "\x09\x00\x00\x00\x00\x00\x00", "\x01\x00\x00\x00\x00\x00\x00x"} {
		if _, err := decodeReply(opKill, []byte(body)); !errors.Is(err, errMalformed) {
			t.Errorf("decodeReply(%q): %v", body, err)
		}
	}
}

func FuzzDecodeRequest(f *testing.F) {
	for _, test := range requests {
		f.Add([]byte(test.packet), test.nfds)
	}
	f.Fuzz(func(t *testing.T, packet []byte, nfds int) {
		r, err := decodeRequest(packet, nfds)
		if err != nil {
			return
		}
		if again := r.encode(nfds); !bytes.Equal(again, packet) {
			t.Errorf("%q is taken, and made again it is %q", packet, again)
		}
	})
}

func FuzzDecodeList(f *testing.F) {
	var e encoder
	e.u64(5)
	e.u16(2)
	e.record(&full)
	e.record(&Record{Key: "b"})
	f.Add(e.b)
	f.Fuzz(func(t *testing.T, body []byte) {
		d := decoder{b: body}
		l := d.list()
		if d.end() != nil {
			return
		}
		again := encoder{}
		again.u64(l.next)
		again.u16(uint16(len(l.records)))
		for i := range l.records {
			again.record(&l.records[i])
		}
		if !bytes.Equal(again.b, body) {
			t.Errorf("%q is taken, and made again it is %q", body, again.b)
		}
	})
}
