package plan

import (
	"encoding/binary"
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"
)

// build makes a program; the builder's own complaint fails the test.
func build(t testing.TB, fill func(b *Builder)) *Program {
	t.Helper()
	var b Builder
	fill(&b)
	p, err := b.Program()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// everything uses all that a program can have.
func everything(b *Builder) {
	b.CloneFlags(unix.CLONE_NEWPID)
	in, listen := b.Handle("stdin"), b.Handle("listen0")
	b.Call("set stdin", unix.SYS_DUP3, in.Arg(), Lit(0), Lit(0))
	b.Call("pass socket", unix.SYS_DUP3, listen.Arg(), Lit(3), Lit(unix.O_CLOEXEC))
	dir := b.Slot("dir")
	open := b.Call(`open "/srv"`, unix.SYS_OPENAT2, Lit(unix.AT_FDCWD), b.String("/srv"), b.Words(unix.O_PATH|unix.O_CLOEXEC, 0, unix.RESOLVE_IN_ROOT), Lit(24)).
		Into(dir).Tolerate(unix.ENOENT, unix.ENOTDIR).With(RetryAgain)
	done := b.Call("make it", unix.SYS_MKDIRAT, Lit(unix.AT_FDCWD), b.String("/srv"), Lit(0o755)).Tolerate(unix.EEXIST)
	open.JumpFailed()
	unless := b.Unless("", dir)
	b.Call("close", unix.SYS_CLOSE, dir.Arg())
	unless.JumpFailed()
	done.JumpDone()
	b.Fork("fork into namespaces")
	b.Point("created", PointCreated)
	b.Call("wait for start", unix.SYS_READ, in.Arg(), b.Bytes(make([]byte, 1)), Lit(1)).With(NonZero)
	b.Call(`execute "sh"`, unix.SYS_EXECVE, b.String("/bin/sh"), b.Pointers([]string{"sh", "-c", "exit"}), b.Pointers(nil)).Tolerate(unix.ENOENT)
	b.Fail("find program", unix.ENOENT)
}

func TestBuilderCall(t *testing.T) {
	p := build(t, func(b *Builder) {
		s := b.Slot("dir")
		b.Call("first", unix.SYS_OPENAT, Lit(unix.AT_FDCWD), b.String("/"), Lit(unix.O_PATH), s.Arg()).
			Into(s).With(RetryAgain).With(NonZero).Tolerate(unix.ENOENT, unix.EPERM)
	})
	want := Op{
		Flags: RetryAgain | NonZero, Nr: unix.SYS_OPENAT, Slot: 0, Label: "first",
		Tolerate: [MaxTolerated]uint16{uint16(unix.ENOENT), uint16(unix.EPERM)},
		ArgKinds: [6]ArgKind{Literal, Address, Literal, FromSlot},
		Args:     [6]uint64{1<<64 - 100, 8, unix.O_PATH, 0},
	}
	if diff := cmp.Diff([]Op{want}, p.Ops); diff != "" {
		t.Errorf("ops (-want +got):\n%s", diff)
	}
	op := &p.Ops[0]
	for errno, want := range map[syscall.Errno]bool{unix.ENOENT: true, unix.EPERM: true, unix.EIO: false, 0: false} {
		if got := op.Tolerates(errno); got != want {
			t.Errorf("Tolerates(%v) = %t", errno, got)
		}
	}
}

func TestBuilderJumps(t *testing.T) {
	p := build(t, func(b *Builder) {
		s := b.Slot("s")
		next := func(label string) Ref { return b.Call(label, unix.SYS_CLOSE, s.Arg()) }
		first := next("1")
		unless := b.Unless("2", s)
		next("3")
		unless.JumpFailed()
		next("4").JumpDone() // to the next op: no skip at all
		first.JumpFailed()
		first.JumpDone()
		next("5")
	})
	type skips struct{ Done, Failed uint16 }
	var got []skips
	for _, op := range p.Ops {
		got = append(got, skips{op.SkipDone, op.SkipFailed})
	}
	if diff := cmp.Diff([]skips{{3, 3}, {0, 1}, {}, {}, {}}, got); diff != "" {
		t.Errorf("skips (-want +got):\n%s", diff)
	}
}

func TestBuilderData(t *testing.T) {
	var b Builder
	offset := func(a Arg) uint64 {
		if a.kind != Address || a.val%8 != 0 {
			t.Errorf("argument %+v is no aligned address", a)
		}
		return a.val
	}
	first, again, other := offset(b.String("abc")), offset(b.String("abc")), offset(b.String(""))
	if first != again || first == other {
		t.Errorf(`strings "abc", "abc" and "" are at %d, %d, %d`, first, again, other)
	}
	raw, words := offset(b.Bytes([]byte{1, 2, 3})), offset(b.Words(7, 1<<63))
	argv := offset(b.Pointers([]string{"abc", "def"}))
	b.Fail("", unix.EIO)
	p, err := b.Program()
	if err != nil {
		t.Fatal(err)
	}
	if got := p.text(first) + p.text(other); got != "abc" {
		t.Errorf("strings are %q", got)
	}
	if got := p.bytes(raw, 4); string(got) != "\x01\x02\x03\x00" {
		t.Errorf("bytes are %q", got)
	}
	if p.u64(words) != 7 || p.u64(words+8) != 1<<63 {
		t.Errorf("words are %d, %d", p.u64(words), p.u64(words+8))
	}
	def, _ := b.strings["def"]
	if diff := cmp.Diff([]Reloc{{uint32(argv), uint32(first)}, {uint32(argv) + 8, def}}, p.Relocs); diff != "" {
		t.Errorf("relocations (-want +got):\n%s", diff)
	}
	if p.u64(argv+16) != 0 {
		t.Error("the array of pointers does not end with NULL")
	}
}

func TestBuilderHandles(t *testing.T) {
	p := build(t, everything)
	if diff := cmp.Diff([]string{"stdin", "listen0"}, p.Handles); diff != "" {
		t.Error(diff)
	}
	for i, off := range p.HandleSlots {
		if p.SlotNames[off] != p.Handles[i] {
			t.Errorf("slot of handle %q is called %q", p.Handles[i], p.SlotNames[off])
		}
	}
	if !p.Forks() {
		t.Error("Forks() = false")
	}
	if p := build(t, func(b *Builder) { b.Fail("", unix.EIO) }); p.Forks() {
		t.Error("Forks() = true without a Fork op")
	}
}

// TestBuilderRefuses has what only a mistake of the compiler's author makes.
func TestBuilderRefuses(t *testing.T) {
	for name, fill := range map[string]func(b *Builder){
		"nothing":        func(*Builder) {},
		"foreign slot":   func(b *Builder) { b.Call("", unix.SYS_CLOSE, Slot(8).Arg()) },
		"empty bytes":    func(b *Builder) { b.Call("", unix.SYS_CLOSE, b.Bytes(nil)) },
		"args":           func(b *Builder) { b.Call("", unix.SYS_CLOSE, Lit(1), Lit(2), Lit(3), Lit(4), Lit(5), Lit(6), Lit(7)) },
		"errnos":         func(b *Builder) { b.Fail("", unix.EIO).Tolerate(1, 2, 3, 4, 5) },
		"much data":      func(b *Builder) { b.Fail("", unix.EIO); b.Bytes(make([]byte, MaxData+1)) },
		"many handles":   func(b *Builder) { b.Fail("", unix.EIO); times(MaxHandles+1, func() { b.Handle("h") }) },
		"many ops":       func(b *Builder) { times(MaxOps+1, func() { b.Fail("", unix.EIO) }) },
		"NUL in strings": func(b *Builder) { b.Call("", unix.SYS_CHDIR, b.String("a\x00b")) },
	} {
		t.Run(name, func(t *testing.T) {
			var b Builder
			fill(&b)
			p, err := b.Program()
			if !errors.Is(err, ErrInvalid) || p != nil || !strings.HasPrefix(err.Error(), "build plan: ") {
				t.Errorf("program %v, error %v", p != nil, err)
			}
		})
	}
}

func times(n int, do func()) {
	for range n {
		do()
	}
}

func TestRoundTrip(t *testing.T) {
	for name, fill := range map[string]func(b *Builder){
		"everything": everything,
		"one op":     func(b *Builder) { b.Fail("end", unix.EIO) },
		"odd labels": func(b *Builder) { b.Fail("\xff \"quoted\"\n", unix.EIO); b.Handle("") },
	} {
		t.Run(name, func(t *testing.T) {
			p := build(t, fill)
			b := p.Encode()
			got, err := Decode(b)
			if err != nil {
				t.Fatal(err)
			}
			if string(got.Encode()) != string(b) {
				t.Error("encoding again gives other bytes")
			}
			p.SlotNames = nil // they are for the print, and stay behind
			if diff := cmp.Diff(p.String(), got.String()); diff != "" {
				t.Errorf("print (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(p, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("program (-want +got):\n%s", diff)
			}
		})
	}
}

// TestDecodeCopies: what is decoded must not change with the buffer, which may
// be shared memory.
func TestDecodeCopies(t *testing.T) {
	b := build(t, everything).Encode()
	p, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	want := p.String()
	clear(b)
	if got := p.String(); got != want {
		t.Error("the program changed with the buffer")
	}
}

func TestDecodeRefusesEveryTruncation(t *testing.T) {
	b := build(t, everything).Encode()
	for n := range b {
		if p, err := Decode(b[:n]); !errors.Is(err, ErrInvalid) || p != nil {
			t.Fatalf("first %d of %d bytes: program %v, error %v", n, len(b), p != nil, err)
		}
	}
	if _, err := Decode(append(b, 0)); !errors.Is(err, ErrInvalid) {
		t.Errorf("a byte too much: %v", err)
	}
}

// The offsets of the header's fields.
const (
	offVersion = len(magic)
	offCounts  = offVersion + 4 + 8
)

func TestDecodeRefusesHeaders(t *testing.T) {
	le := binary.LittleEndian
	count := func(i int, n uint32) func(b []byte) { return func(b []byte) { le.PutUint32(b[offCounts+4*i:], n) } }
	for name, tc := range map[string]struct {
		spoil func(b []byte)
		want  string
	}{
		"magic":        {func(b []byte) { b[0] = 'b' }, `does not begin with "BERTHPLN"`},
		"version 0":    {func(b []byte) { le.PutUint32(b[offVersion:], 0) }, "version 0, this build reads 1"},
		"next version": {func(b []byte) { le.PutUint32(b[offVersion:], Version+1) }, "version 2"},
		"no ops":       {count(0, 0), "invalid plan"},
		"ops":          {count(0, ^uint32(0)), "does not fit its counts"},
		"relocs":       {count(1, ^uint32(0)), "does not fit its counts"},
		"handles":      {count(2, MaxHandles+1), "does not fit its counts"},
		"data":         {count(3, MaxData+8), "does not fit its counts"},
		"text":         {count(4, 1<<31), "does not fit its counts"},
	} {
		t.Run(name, func(t *testing.T) {
			b := build(t, everything).Encode()
			tc.spoil(b)
			p, err := Decode(b)
			if !errors.Is(err, ErrInvalid) || p != nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("program %v, error %v, want %q", p != nil, err, tc.want)
			}
		})
	}
}

// TestDecodeRefusesTexts: one program has one encoding, and every text is somebody's.
func TestDecodeRefusesTexts(t *testing.T) {
	labels := func(first, second uint32) []byte {
		b := build(t, func(b *Builder) { b.Fail("a", unix.EIO); b.Fail("b", unix.EIO) }).Encode()
		binary.LittleEndian.PutUint32(b[headerSize+opSize-4:], first)
		binary.LittleEndian.PutUint32(b[headerSize+2*opSize-4:], second)
		return b
	}
	repeated := labels(1, 1)
	repeated[len(repeated)-1] = 'a'
	for what, b := range map[string][]byte{
		"too long": labels(1, 2), "left over": labels(1, 0), "the first as the one before": labels(sameLabel, 1), "told twice": repeated,
	} {
		if p, err := Decode(b); !errors.Is(err, ErrInvalid) || p != nil {
			t.Errorf("%s: program %v, error %v", what, p != nil, err)
		}
	}
	if _, err := Decode(labels(1, 1)); err != nil {
		t.Errorf("as it was: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(magic))
	f.Add(build(f, everything).Encode())
	f.Add(build(f, func(b *Builder) { b.Fail("end", unix.EIO) }).Encode())
	f.Add(build(f, func(b *Builder) {
		b.Call("", unix.SYS_SETGROUPS, Lit(uint64(1<<63)), b.Words(1, 2))
		b.Call("", unix.SYS_WRITE, Lit(1), b.String("text"), Lit(-1))
		b.Call("", unix.SYS_CAPSET, b.Words(0), b.Words(1, 2, 3))
		b.Call("", unix.SYS_MOUNT_SETATTR, Lit(3), b.String(""), Lit(0), b.Words(1, 2, 3, 4))
	}).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Decode(b)
		if err != nil {
			if !errors.Is(err, ErrInvalid) || p != nil {
				t.Errorf("program %v, error %v", p != nil, err)
			}
			return
		}
		if string(p.Encode()) != string(b) {
			t.Error("encoding again gives other bytes")
		}
		if p.String() == "" || p.Describe(len(p.Ops)-1, unix.EIO) == "" {
			t.Error("a program prints as nothing")
		}
	})
}
