package activation

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// manager is a notify socket.
type manager struct {
	t  *testing.T
	fd int
}

func newManager(t *testing.T) (*manager, *Notifier) {
	path := filepath.Join(t.TempDir(), "notify")
	m := &manager{t, socket(t, unix.SOCK_DGRAM)}
	must(t, unix.Bind(m.fd, &unix.SockaddrUnix{Name: path}))
	n, err := NewNotifier(path)
	must(t, err)
	return m, n
}

func (m *manager) receive() (string, []int) {
	m.t.Helper()
	data, control := make([]byte, 4096), make([]byte, unix.CmsgSpace(maxRights*4))
	n, cn, _, _, err := unix.Recvmsg(m.fd, data, control, unix.MSG_CMSG_CLOEXEC)
	must(m.t, err)
	var fds []int
	messages, err := unix.ParseSocketControlMessage(control[:cn])
	must(m.t, err)
	for i := range messages {
		got, err := unix.ParseUnixRights(&messages[i])
		must(m.t, err)
		fds = append(fds, got...)
	}
	return string(data[:n]), fds
}

func TestNilNotifier(t *testing.T) {
	n, err := NewNotifier("")
	if n != nil || !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("NewNotifier = %v, %v", n, err)
	}
	for name, err := range map[string]error{
		"Notify": n.Notify("READY=1"), "Store": n.Store("x", 0), "Remove": n.Remove("x"), "Barrier": n.Barrier(t.Context()),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNewNotifierRefuses(t *testing.T) {
	for _, socket := range []string{"vsock:2:1", "relative", "/", "@"} {
		if _, err := NewNotifier(socket); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("NewNotifier(%q): %v", socket, err)
		}
	}
}

func TestNotify(t *testing.T) {
	m, n := newManager(t)
	must(t, n.Notify("READY=1", "STATUS=serving"))
	if got, _ := m.receive(); got != "READY=1\nSTATUS=serving" {
		t.Errorf("received %q", got)
	}
	for _, bad := range []string{"STATUS=a\nMAINPID=1", "READY", "=1", ""} {
		if err := n.Notify(bad); !errors.Is(err, unix.EINVAL) {
			t.Errorf("Notify(%q): %v", bad, err)
		}
	}
}

func TestNotifyAbstract(t *testing.T) {
	name := "@berth-activation-test-" + filepath.Base(t.TempDir())
	fd := socket(t, unix.SOCK_DGRAM)
	must(t, unix.Bind(fd, &unix.SockaddrUnix{Name: name}))
	n, err := NewNotifier(name)
	must(t, err)
	must(t, n.Notify("READY=1"))
	if got, _ := (&manager{t, fd}).receive(); got != "READY=1" {
		t.Errorf("received %q", got)
	}
}

func TestNotifyNobodyListens(t *testing.T) {
	n, err := NewNotifier(filepath.Join(t.TempDir(), "nobody"))
	must(t, err)
	if err := n.Notify("READY=1"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("Notify: %v, want ENOENT", err)
	}
	if err := n.Barrier(t.Context()); !errors.Is(err, unix.ENOENT) {
		t.Errorf("Barrier: %v, want ENOENT", err)
	}
}

func TestStore(t *testing.T) {
	m, n := newManager(t)
	null := open(t, "/dev/null")
	many := make([]int, maxRights+2)
	for i := range many {
		many[i] = null
	}
	must(t, n.Store("pidfd-a", many...))
	total := 0
	for _, want := range []int{maxRights, 2} {
		text, fds := m.receive()
		if text != "FDSTORE=1\nFDNAME=pidfd-a" || len(fds) != want {
			t.Errorf("received %q with %d fds, want %d", text, len(fds), want)
		}
		for _, fd := range fds {
			if kind, err := KindOf(fd); kind != CharacterDevice || err != nil {
				t.Fatalf("fd %d is %q, %v", fd, kind, err)
			}
			unix.Close(fd)
		}
		total += len(fds)
	}
	must(t, n.Remove("pidfd-a"))
	if text, fds := m.receive(); text != "FDSTOREREMOVE=1\nFDNAME=pidfd-a" || fds != nil {
		t.Errorf("received %q, %v", text, fds)
	}
	for _, bad := range []string{"", "a:b", "a\nMAINPID=1", "é", strings.Repeat("a", 256)} {
		if err := errors.Join(n.Store(bad, null), n.Remove(bad)); !errors.Is(err, unix.EINVAL) {
			t.Errorf("name %q: %v", bad, err)
		}
	}
}

func TestBarrier(t *testing.T) {
	m, n := newManager(t)
	answered := make(chan string)
	go func() {
		text, fds := m.receive()
		for _, fd := range fds {
			unix.Close(fd)
		}
		answered <- text
	}()
	must(t, n.Barrier(t.Context()))
	if text := <-answered; text != "BARRIER=1" {
		t.Errorf("received %q", text)
	}
}

func TestBarrierTimeout(t *testing.T) {
	_, n := newManager(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := n.Barrier(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Barrier: %v", err)
	}
}
