package journal

import (
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func client(t *testing.T, dir string) *Client {
	t.Helper()
	c, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func listen(t *testing.T, network, path string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram(network, &net.UnixAddr{Name: path, Net: network})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestStream(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := client(t, dir)
	file, err := c.Stream(StreamConfig{Identifier: "web", Unit: "berth-web.scope", Priority: Info})
	if err != nil {
		t.Fatal(err)
	}
	if flags, err := unix.FcntlInt(file.Fd(), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
		t.Errorf("the program's stdout is non-blocking: %#x, %v", flags, err)
	}
	if flags, err := unix.FcntlInt(file.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("not close-on-exec: %#x, %v", flags, err)
	}
	if tv, err := unix.GetsockoptTimeval(int(file.Fd()), unix.SOL_SOCKET, unix.SO_SNDTIMEO); err != nil || tv.Nano() != 0 {
		t.Errorf("our timeout is left on the program's stdout: %v, %v", tv, err)
	}
	if _, err := file.WriteString("hello\n"); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	got, err := io.ReadAll(conn)
	if want := "web\nberth-web.scope\n6\n0\n0\n0\n0\nhello\n"; string(got) != want || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

func TestStreamRefuses(t *testing.T) {
	c := client(t, t.TempDir())
	if _, err := c.Stream(StreamConfig{Identifier: "a\nb"}); err == nil || errors.Is(err, ErrUnavailable) {
		t.Errorf("newline: %v", err)
	}
	if _, err := c.Stream(StreamConfig{Identifier: "web"}); !errors.Is(err, ErrUnavailable) || !errors.Is(err, unix.ENOENT) {
		t.Errorf("no journald: %v", err)
	}
}

func TestSend(t *testing.T) {
	dir := t.TempDir()
	server := listen(t, "unixgram", filepath.Join(dir, "socket"))
	c := client(t, dir)
	err := c.Send(Entry{
		Message: "container web: started", MessageID: "00112233445566778899aabbccddeeff", Priority: Notice,
		Fields: []Field{{"CONTAINER_ID", "web"}, {"EMPTY", ""}, {"NOTE", "two\nlines"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := server.Read(buf)
	want := "MESSAGE=container web: started\nMESSAGE_ID=00112233445566778899aabbccddeeff\nPRIORITY=5\nSYSLOG_IDENTIFIER=journal.test\nCONTAINER_ID=web\n" +
		"NOTE\n\x09\x00\x00\x00\x00\x00\x00\x00two\nlines\n"
	if string(buf[:n]) != want || err != nil {
		t.Errorf("got %q, %v; want %q", buf[:n], err, want)
	}
}

func TestSendLargeAsSealedMemfd(t *testing.T) {
	dir := t.TempDir()
	server := listen(t, "unixgram", filepath.Join(dir, "socket"))
	c := client(t, dir)
	// The kernel charges a datagram to the sender's buffer, so a small one stands for a huge entry.
	if err := unix.SetsockoptInt(int(c.socket.Fd()), unix.SOL_SOCKET, unix.SO_SNDBUF, 4096); err != nil {
		t.Fatal(err)
	}
	want := strings.Repeat("x", 1<<20)
	if err := c.Send(Entry{Message: want}); err != nil {
		t.Fatal(err)
	}
	data, oob := make([]byte, 16), make([]byte, 64)
	n, oobn, _, _, err := server.ReadMsgUnix(data, oob)
	if n != 0 || err != nil {
		t.Fatalf("got %d bytes, %v; want the descriptor alone", n, err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		t.Fatal(messages, err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		t.Fatal(fds, err)
	}
	defer unix.Close(fds[0])
	seals, err := unix.FcntlInt(uintptr(fds[0]), unix.F_GET_SEALS, 0)
	if err != nil || seals&unix.F_SEAL_WRITE == 0 {
		t.Errorf("seals %#x, %v", seals, err)
	}
	got := make([]byte, len("MESSAGE=")+len(want))
	if _, err := unix.Pread(fds[0], got, 0); err != nil || string(got) != "MESSAGE="+want {
		t.Errorf("content differs, %v", err)
	}
}

func TestSendDoesNotWaitForADeafJournald(t *testing.T) {
	dir := t.TempDir()
	listen(t, "unixgram", filepath.Join(dir, "socket"))
	c := client(t, dir)
	begin := time.Now()
	var err error
	for i := 0; err == nil && i < 1<<16; i++ { // nobody reads: the queue fills up
		err = c.Send(Entry{Message: strings.Repeat("x", 1000)})
	}
	if !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if d := time.Since(begin); d > 20*sendTimeout {
		t.Errorf("took %v", d)
	}
}

// TestDeafJournaldIsWaitedForOnce: not again for every event, and again when it has read.
func TestDeafJournaldIsWaitedForOnce(t *testing.T) {
	dir := t.TempDir()
	l := listen(t, "unixgram", filepath.Join(dir, "socket"))
	c := client(t, dir)
	for c.Send(Entry{Message: "fill"}) == nil {
	}
	begin := time.Now()
	for range 20 {
		if err := c.Send(Entry{Message: "x"}); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("got %v", err)
		}
	}
	if took := time.Since(begin); took > 10*sendTimeout {
		t.Errorf("20 records took %s", took)
	}
	if _, err := l.Read(make([]byte, 1024)); err != nil {
		t.Fatal(err)
	}
	if err := c.Send(Entry{Message: "x"}); err != nil {
		t.Errorf("after it has read: %v", err)
	}
	if c.deaf.Load() {
		t.Error("it is not waited for any more")
	}
}

func TestSendSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	c := client(t, dir)
	if err := c.Send(Entry{Message: "lost"}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("no journald: %v", err)
	}
	listen(t, "unixgram", filepath.Join(dir, "socket"))
	if err := c.Send(Entry{Message: "there"}); err != nil {
		t.Errorf("journald is back: %v", err)
	}
}

func TestFieldNames(t *testing.T) {
	c := client(t, t.TempDir())
	for _, name := range []string{"", "_PID", "a", "A-B", "A=B", "A\nB", "1A", strings.Repeat("A", 65)} {
		if err := c.Send(Entry{Fields: []Field{{name, "x"}}}); err == nil || errors.Is(err, ErrUnavailable) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
