package bus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// pair is a reader and the other end of its socket.
func pair(t *testing.T) (*reader, *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for n, fd := range fds {
		file := os.NewFile(uintptr(fd), "")
		conn, err := net.FileConn(file)
		if err != nil {
			t.Fatal(err)
		}
		_ = file.Close()
		t.Cleanup(func() { _ = conn.Close() })
		ends[n], _ = conn.(*net.UnixConn)
	}
	return &reader{sock: ends[0]}, ends[1]
}

func encode(t testing.TB, m *dbus.Message) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := m.EncodeToWithFDs(&b, binary.LittleEndian); err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint32(b.Bytes()[serialOffset:], 7)
	return b.Bytes()
}

// newCall is a call that announces descriptors.
func newCall(fds uint32, args ...any) *dbus.Message {
	m := &dbus.Message{Type: dbus.TypeMethodCall, Body: args, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath("/p")), dbus.FieldMember: dbus.MakeVariant("M"),
		dbus.FieldInterface: dbus.MakeVariant("a.b"), dbus.FieldSender: dbus.MakeVariant(":1.5"),
	}}
	if fds > 0 {
		m.Headers[dbus.FieldUnixFDs] = dbus.MakeVariant(fds)
	}
	if len(args) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(args...))
	}
	return m
}

func send(t *testing.T, conn *net.UnixConn, data []byte, fds ...int) {
	t.Helper()
	var control []byte
	if len(fds) > 0 {
		control = unix.UnixRights(fds...)
	}
	if _, _, err := conn.WriteMsgUnix(data, control, nil); err != nil {
		t.Fatal(err)
	}
}

func openFDs(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestMessage(t *testing.T) {
	r, peer := pair(t)
	send(t, peer, encode(t, newCall(0, "x", uint32(5))))
	m, err := r.next()
	if err != nil {
		t.Fatal(err)
	}
	if m.Path != "/p" || m.Member != "M" || m.Interface != "a.b" || m.Sender != ":1.5" || m.Signature != "su" || m.Serial != 7 || m.check() != nil {
		t.Errorf("message %+v", m)
	}
	body, err := m.Body()
	if err != nil || body[0] != "x" || body[1] != uint32(5) {
		t.Errorf("body %v, %v", body, err)
	}
}

// TestDescriptors: those nobody refers to, those of bodies that cannot be decoded, those taken: all are closed.
func TestDescriptors(t *testing.T) {
	r, peer := pair(t)
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	fd := int(null.Fd())
	before := openFDs(t)
	for range 100 {
		send(t, peer, encode(t, newCall(3)), fd, fd, fd)                                  // referred to by nothing
		send(t, peer, encode(t, newCall(0)))                                              // not theirs
		send(t, peer, encode(t, newCall(2, []dbus.UnixFD{1, 2}, dbus.UnixFD(1))), fd, fd) // out of range
		for _, want := range []int{3, 0, 2} {
			m, err := r.next()
			if err != nil || len(m.fds) != want {
				t.Fatalf("%d descriptors, %v, want %d", len(m.fds), err, want)
			}
			if _, err := m.Body(); err != nil {
				t.Error(err)
			}
			if want == 3 {
				file, err := m.File(2, "x")
				if err != nil {
					t.Fatal(err)
				}
				_ = file.Close()
			}
			if _, err := m.File(dbus.UnixFDIndex(want), "x"); !errors.Is(err, ErrNoDescriptor) {
				t.Errorf("descriptor out of range: %v", err)
			}
			m.Release()
			m.Release() // may be called again
		}
	}
	if now := openFDs(t); now != before {
		t.Errorf("%d descriptors open, %d before", now, before)
	}
}

func TestDescriptorsAreMissing(t *testing.T) {
	r, peer := pair(t)
	send(t, peer, encode(t, newCall(1)))
	if _, err := r.next(); !errors.Is(err, errHeader) {
		t.Errorf("got %v", err)
	}
}

func TestTooBig(t *testing.T) {
	r, peer := pair(t)
	go func() {
		_, _ = peer.Write(encode(t, newCall(0, strings.Repeat("x", maxBody))))
		_, _ = peer.Write(encode(t, newCall(0, "next")))
	}()
	for _, want := range []bool{true, false} {
		m, err := r.next()
		if err != nil || m.TooBig != want || m.Member != "M" {
			t.Fatalf("message %v, %v", m, err)
		}
	}
}

// TestUnknownHeader: a header field the bus did not know is skipped, one of an odd type drops the message alone.
func TestUnknownHeader(t *testing.T) {
	r, peer := pair(t)
	for _, field := range [][]byte{{200, 1, 's', 0, 1, 0, 0, 0, 'x', 0}, {200, 1, 'y', 0, 1}} {
		data := encode(t, newCall(0))
		data = append(data, field...)
		binary.LittleEndian.PutUint32(data[12:], uint32(len(data)-fixedSize))
		send(t, peer, append(data, make([]byte, (8-len(data)%8)%8)...))
		m, err := r.next()
		if err != nil {
			t.Fatal(err)
		}
		if dropped := m.check() != nil || m.Member == ""; dropped != (field[2] == 'y') {
			t.Errorf("field %v: message %+v", field, m)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, m := range []Message{
		{Type: dbus.TypeMethodCall, Path: "/"}, {Type: dbus.TypeSignal, Path: "/", Member: "M"},
		{Type: dbus.TypeMethodReply}, {Type: dbus.TypeError, ReplySerial: 1},
	} {
		if m.check() == nil {
			t.Errorf("%+v passed", m)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(encode(f, newCall(0, "x", map[string]dbus.Variant{"a": dbus.MakeVariant([]string{"b"})})))
	f.Add(encode(f, newCall(2, []dbus.UnixFD{1, 2})))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, peer := pair(t)
		go func() {
			_, _ = peer.Write(data)
			_ = peer.Close()
		}()
		for {
			m, err := r.next()
			if err != nil {
				return
			}
			_, _ = m.Body()
			_ = m.check()
			m.Release()
		}
	})
}

func TestTyped(t *testing.T) {
	type member struct {
		Name  string
		Parts []struct{ A, B uint32 }
	}
	for _, v := range []any{
		"x", uint64(1), []string{"a"}, []byte{1}, []member{{"x", []struct{ A, B uint32 }{{1, 2}}}}, []member{},
		struct{ A, B string }{"a", "b"}, [][]int32{{1}, {}},
	} {
		sent := dbus.MakeVariant(v)
		data := encode(t, newCall(0, sent))
		m := Message{Signature: "v", raw: data}
		body, err := m.Body()
		if err != nil {
			t.Fatal(err)
		}
		received, _ := body[0].(dbus.Variant)
		typed, err := Typed(received)
		if err != nil {
			t.Errorf("%v: %v", v, err)
			continue
		}
		again := encode(t, newCall(0, dbus.MakeVariant(typed)))
		if got := dbus.SignatureOf(typed); got != sent.Signature() || len(again) != len(data) {
			t.Errorf("%v came back as %q %v", v, got, typed)
		}
	}
	for _, v := range []any{dbus.MakeVariant("x"), map[string]string{}, dbus.UnixFDIndex(0), []dbus.Variant{}} {
		if typed, err := Typed(dbus.MakeVariant(v)); err == nil {
			t.Errorf("%v became %v", v, typed)
		}
	}
}

func TestSocketPath(t *testing.T) {
	for address, want := range map[string]string{
		"unix:path=/run/x": "/run/x", "tcp:host=a;unix:abstract=b%20c,guid=1": "@b c", "unix:guid=1,path=/y;unix:path=/z": "/y",
	} {
		if got, err := socketPath(address); got != want || err != nil {
			t.Errorf("%q: %q, %v", address, got, err)
		}
	}
	for _, address := range []string{"", "tcp:host=a", "unix:", "unix:path=", "unix:path=%zz"} {
		if got, err := socketPath(address); err == nil {
			t.Errorf("%q: %q", address, got)
		}
	}
}

// TestAuthenticate speaks with a bus that refuses, hangs up or answers without end.
func TestAuthenticate(t *testing.T) {
	for answers, want := range map[string]error{
		"REJECTED EXTERNAL\r\n": nil, "": io.EOF, "OK 1\r\nERROR\r\n": nil, strings.Repeat("x", 2000): nil,
	} {
		r, peer := pair(t)
		_, _ = peer.Write([]byte(answers))
		_ = peer.CloseWrite()
		if err := authenticate(r.sock); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%.20q: %v", answers, err)
		}
	}
}
