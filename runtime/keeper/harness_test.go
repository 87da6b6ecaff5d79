package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long tests wait for what must happen.
const patience = 20 * time.Second

// shell is a Launcher whose plans are shell scripts: fd 3 is the report pipe, on which the script writes lines for
// readLine, fds from 4 on are the handles.
type shell struct {
	mu     sync.Mutex
	before func() error // guarded by mu; called first; may be nil
}

// hold sets what is done before each start.
func (l *shell) hold(before func() error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before = before
}

func (l *shell) Start(plan int, handles []int) (Started, error) {
	l.mu.Lock()
	before := l.before
	l.mu.Unlock()
	if before != nil {
		if err := before(); err != nil {
			return Started{}, err
		}
	}
	script := make([]byte, 4096)
	n, err := unix.Pread(plan, script, 0)
	if err != nil {
		return Started{}, err
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return Started{}, err
	}
	defer unix.Close(pipe[1])
	if err := unix.SetNonblock(pipe[0], true); err != nil {
		return Started{}, err
	}
	files := []uintptr{0, 1, 2, uintptr(pipe[1])}
	for _, fd := range handles {
		files = append(files, uintptr(fd))
	}
	pidfd := -1
	pid, err := syscall.ForkExec("/bin/sh", []string{"sh", "-c", string(script[:n])}, &syscall.ProcAttr{
		Files: files, Env: []string{"PATH=/bin:/usr/bin"}, Sys: &syscall.SysProcAttr{PidFD: &pidfd},
	})
	if err != nil {
		unix.Close(pipe[0])
		return Started{}, err
	}
	describe := func(op int, errno syscall.Errno) string {
		return "step " + strconv.Itoa(op) + " failed: " + errno.Error()
	}
	return Started{PID: pid, PIDFD: pidfd, Report: pipe[0], Describe: describe}, nil
}

// readLine reads "P<digit>\n" (a point) and "F<digit>\n" (op with EPERM).
func readLine(report int) (Event, error) {
	var b [3]byte
	n, err := unix.Read(report, b[:])
	switch {
	case err != nil:
		return Event{}, err
	case n == 0:
		return Event{Kind: Executed}, nil
	case b[0] == 'P':
		return Event{Kind: Reached, Point: uint32(b[1] - '0')}, nil
	case b[0] == 'F':
		return Event{Kind: Failed, Op: int(b[1] - '0'), Errno: unix.EPERM}, nil
	}
	return Event{}, fmt.Errorf("report %q: %w", b[:n], unix.EBADMSG)
}

// host is a served keeper.
type host struct {
	t        *testing.T
	path     string
	launcher *shell
	stop     func()
}

func newHost(t *testing.T, change func(*ServerConfig)) *host {
	t.Helper()
	h := &host{t: t, path: filepath.Join(t.TempDir(), "s"), launcher: &shell{}}
	listener, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	must(t, unix.Bind(listener, &unix.SockaddrUnix{Name: h.path}))
	must(t, unix.Listen(listener, 16))
	must(t, os.Chmod(h.path, 0o666)) // that others are refused must not be the work of the file's mode
	must(t, os.Chmod(filepath.Dir(h.path), 0o755))
	must(t, os.Chmod(filepath.Dir(filepath.Dir(h.path)), 0o755))
	ready := make(chan struct{})
	cfg := ServerConfig{Listener: listener, Launcher: h.launcher, ReadEvent: readLine, Ready: func() { close(ready) }}
	if change != nil {
		change(&cfg)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, cfg) }()
	<-ready
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
		unix.Close(listener)
	})
	t.Cleanup(h.stop)
	return h
}

// watcher collects records.
type watcher struct {
	mu      sync.Mutex
	latest  map[string]Record
	all     []Record
	changed chan struct{}
	lost    chan error
}

func newWatcher() *watcher {
	return &watcher{latest: map[string]Record{}, changed: make(chan struct{}, 1), lost: make(chan error, 2)}
}

func (w *watcher) record(r Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.latest[r.Key] = r
	w.all = append(w.all, r)
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// wait returns the newest record of the key when it is as wanted.
func (w *watcher) wait(t *testing.T, key string, want func(Record) bool) Record {
	t.Helper()
	deadline := time.After(patience)
	for {
		w.mu.Lock()
		r, ok := w.latest[key]
		w.mu.Unlock()
		if ok && want(r) {
			return r
		}
		select {
		case <-w.changed:
		case <-deadline:
			t.Fatalf("record of %q is %+v, and that is not what we wait for", key, r)
		}
	}
}

func exited(r Record) bool { return r.Exited }

func (h *host) dial() (*Client, *watcher) {
	h.t.Helper()
	w := newWatcher()
	c, err := Dial(h.t.Context(), ClientConfig{Path: h.path, OnRecord: w.record, OnLost: func(err error) { w.lost <- err }})
	must(h.t, err)
	h.t.Cleanup(func() { c.Close() })
	return c, w
}

// launch starts a script and closes the pidfd.
func (h *host) launch(c *Client, key, script string, handles ...*os.File) int {
	h.t.Helper()
	l, err := c.Launch(h.t.Context(), LaunchRequest{Key: key, Plan: plan(h.t, script), Handles: handles})
	must(h.t, err)
	must(h.t, l.PIDFD.Close())
	return l.PID
}

// plan is a memfd with the script.
func plan(t *testing.T, script string) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("plan", unix.MFD_CLOEXEC)
	must(t, err)
	f := os.NewFile(uintptr(fd), "plan")
	_, err = f.WriteString(script)
	must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

// raw is a connection without a Client.
type raw struct {
	t  *testing.T
	fd int
}

func (h *host) raw() *raw {
	h.t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	must(h.t, err)
	must(h.t, unix.Connect(fd, &unix.SockaddrUnix{Name: h.path}))
	r := &raw{h.t, fd}
	h.t.Cleanup(r.close)
	return r
}

func (r *raw) close() {
	if r.fd >= 0 {
		unix.Close(r.fd)
		r.fd = -1
	}
}

func (r *raw) hello() {
	r.t.Helper()
	q := request{op: opHello, seq: 1, version: Version, flags: helloRecords}
	must(r.t, send(r.fd, q.encode(0), nil))
	if kind, _ := r.receive(); kind != kindReply|byte(opHello) {
		r.t.Fatalf("reply to hello is of kind %#x", kind)
	}
}

// receive waits for a packet; 0 is the end of the connection.
func (r *raw) receive() (kind byte, body []byte) {
	r.t.Helper()
	if !readable(r.t, r.fd, patience) {
		r.t.Fatal("nothing to receive")
	}
	packet, fds, err := newReceiver(maxPacket).receive(r.fd)
	closeAll(fds)
	if errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) {
		return 0, nil
	}
	must(r.t, err)
	return packet[0], packet[headerSize:]
}

func readable(t *testing.T, fd int, timeout time.Duration) bool {
	t.Helper()
	n := 0
	must(t, retry(func() (err error) {
		n, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(timeout.Milliseconds()))
		return err
	}))
	return n > 0
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// openFiles counts the descriptors of this process.
func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(entries)
}
